"""Pictures by their structure: labels, data, points on the surface; no display, no pyplot."""

import copy
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import fastnn
from fastnn import (
    SGD,
    Adam,
    Dense,
    MLPClassifier,
    MLPRegressor,
    PathRecorder,
    Sequential,
    plot,
)
from fastnn.inspection import surfaces
from fastnn.inspection.style import INK

figure_module = pytest.importorskip("matplotlib.figure")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)


def made(rate=0.3, metrics=None, seed=0):
    model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], seed=seed)
    model.compile(SGD(rate), "binary_crossentropy", metrics)
    model.build(3)
    return model


def axes(**settings):
    return figure_module.Figure().add_subplot(**settings)


def recorded(mode, epochs=3):
    model, recorder = made(), PathRecorder()
    model.fit(X, Y, epochs=epochs, mode=mode, callbacks=[recorder])
    return model, recorder.path


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def lines(ax, label):
    return next(line for line in ax.get_lines() if line.get_label() == label)


# ---- PathRecorder -------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "n_points"), [("batch", 4), ("minibatch", 7), ("stochastic", 7)])
def test_a_path_has_every_step_and_recording_changes_no_bits(mode, n_points):
    model, path = recorded(mode)
    assert path.shape == (n_points, 21)
    twin = made()
    first = np.concatenate([W.ravel() for W in twin.get_weights()])
    np.testing.assert_array_equal(path[0], first)
    twin.fit(X, Y, epochs=3, mode=mode)
    for W, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)
    np.testing.assert_array_equal(path[-1], np.concatenate([W.ravel() for W in twin.get_weights()]))


def test_each_stochastic_point_is_the_textbooks_step():
    model, recorder = made(), PathRecorder()
    model.compile(Adam(0.01), "binary_crossentropy")
    model.fit(X, Y, epochs=1, mode="stochastic", callbacks=[recorder])
    path, model = recorder.path, made()
    model.compile(Adam(0.01), "binary_crossentropy")
    assert len(path) == 61
    order = np.random.Generator(np.random.Philox([0, 0])).permutation(60)
    for point, i in zip(path[1:], order, strict=True):
        model.train_on_batch(X[i : i + 1], Y[i : i + 1])
        flat = np.concatenate([W.ravel() for W in model.get_weights()])
        np.testing.assert_allclose(point, flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sizes", [(200, 200), (40, 30)])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_large_first_layers_are_recorded_by_blocks_with_the_same_bits(sizes, optimizer):
    rows, y = RNG.normal(size=(100, sizes[0])), RNG.normal(size=100)
    weights = []
    for callbacks in ([], [PathRecorder()]):
        model = Sequential([Dense(sizes[1], "relu"), Dense(1)], seed=0)
        model.compile(SGD(0.001) if optimizer == "SGD" else Adam(), "mse")
        model.fit(rows, y, epochs=1, mode="stochastic", callbacks=callbacks)
        weights.append(np.concatenate([W.ravel() for W in model.get_weights()]))
    np.testing.assert_array_equal(*weights)
    assert len(callbacks[0].path) in (101, 5)


def test_epochs_can_be_recorded_and_what_is_too_long_is_refused():
    model, recorder = made(), PathRecorder(every="epoch")
    with pytest.raises(AttributeError, match="nothing is recorded"):
        _ = recorder.path
    model.fit(X, Y, epochs=5, mode="stochastic", callbacks=[recorder])
    assert len(recorder.path) == 6
    assert not hasattr(copy.copy(recorder), "path")
    with pytest.raises(ValueError, match="too long to keep"):
        made().fit(X, Y, epochs=10**6, mode="stochastic", callbacks=[PathRecorder()])
    with pytest.raises(ValueError, match="every"):
        PathRecorder(every="hour")


def test_l_bfgs_has_a_point_for_each_epoch():
    model, recorder = made(), PathRecorder()
    model.compile("LBFGS", "binary_crossentropy")
    history = model.fit(X, Y, epochs=5, mode="batch", callbacks=[recorder])
    assert len(recorder.path) == 1 + len(history.epoch)


# ---- curves -------------------------------------------------------------------------------------


def test_history_draws_loss_and_metrics_and_marks_the_best_epoch():
    history = made(metrics=["accuracy"]).fit(X, Y, epochs=12, validation_split=0.3)
    loss, metrics = plot.history(history)
    assert labels(loss) == ["loss", "val_loss"]
    assert labels(metrics) == ["accuracy", "val_accuracy"]
    assert metrics.get_xlabel() == "epoch"
    best = int(np.argmin(history.history["val_loss"])) + 1
    marks = [line.get_xdata()[0] for line in loss.get_lines() if line.get_color() == INK]
    assert set(marks) == {best}
    assert f"epoch {best}" in loss.get_title()
    np.testing.assert_array_equal(lines(loss, "val_loss").get_ydata(), history.history["val_loss"])


def test_history_takes_axes_and_history_plot_calls_it(tmp_path):
    history = made(metrics=["accuracy"]).fit(X, Y, epochs=3, validation_freq=2,
                                             validation_data=(X, Y))  # fmt: skip
    ax = axes()
    assert plot.history(history, ax=ax) is ax
    assert set(labels(ax)) == {"loss", "val_loss", "accuracy", "val_accuracy"}
    np.testing.assert_array_equal(lines(ax, "val_loss").get_xdata(), [2])
    plain = made().fit(X, Y, epochs=2)
    drawn = plain.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert plain.plot(ax=(other := axes())) is other
    assert labels(drawn) == ["loss"]
    with pytest.raises(ValueError, match="no epochs"):
        plot.history(fastnn.History())
    with pytest.raises(TypeError, match="model.fit"):
        plot.history("history")
    with pytest.raises(TypeError, match="Axes"):
        plot.history(plain, ax="here")


# ---- surfaces -----------------------------------------------------------------------------------


def test_the_surface_of_two_weights_is_the_models_cost():
    model = made()
    before = model.get_weights()
    ax = plot.cost_surface(model, X, Y, weights=("W1[2,3]", "b2[0]"), size=9)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("W1[2,3]", "b2[0]")
    assert ax.get_title() == "cost"
    low, high = ax.get_xlim()
    assert low == pytest.approx(float(before[0][2, 3]) - 2)
    assert high == pytest.approx(float(before[0][2, 3]) + 2)
    for W, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(W, other)
    star = lines(ax, "lowest point")
    moved = model.get_weights()
    moved[0][2, 3], moved[3][0] = star.get_xdata()[0], star.get_ydata()[0]
    model.set_weights(moved)
    lowest = model.evaluate(X, Y)
    moved[0][2, 3] += 0.5
    model.set_weights(moved)
    assert model.evaluate(X, Y) >= lowest


def test_points_of_a_path_lie_on_the_surface():
    model, path = recorded("batch", epochs=15)
    ax = plot.cost_surface(model, X, Y, paths={"batch": path}, kind="3d", size=7)
    x, y, z = lines(ax, "batch").get_data_3d()
    plane = surfaces.principal_plane([path])
    places = plane.coordinates(path)
    np.testing.assert_allclose(np.column_stack([x, y]), places)
    for place, height in zip(places, z, strict=True):
        flat, arrays, start = plane.weights(place), [], 0
        for array in model.get_weights():
            arrays.append(flat[start : start + array.size].reshape(array.shape))
            start += array.size
        twin = copy.deepcopy(model)
        twin.set_weights(arrays)
        assert height == pytest.approx(twin.evaluate(X, Y), abs=1e-6)
    assert plane.share > 0.9


def test_the_modes_share_a_plane_and_its_share_is_said():
    paths = {mode: recorded(mode)[1] for mode in ("batch", "minibatch", "stochastic")}
    ax = plot.cost_surface(made(), X, Y, paths=paths, size=5)
    assert labels(ax)[:2] == ["batch", "initial weights"]
    assert {"batch", "minibatch", "stochastic", "lowest point"} <= set(labels(ax))
    share = surfaces.principal_plane(list(paths.values())).share
    assert f"{share:.0%} of the paths" in ax.get_title()
    begin = lines(ax, "initial weights")
    np.testing.assert_allclose(begin.get_xdata()[0], lines(ax, "stochastic").get_xdata()[0])


def test_learning_rates_draw_each_rate_twice_and_say_which_diverged():
    model = made()
    before = model.get_weights()
    surface, curves = plot.learning_rates(model, X, Y, rates=(0.1, 1.0, 5.0), epochs=6)
    assert labels(curves) == ["rate 0.1", "rate 1", "rate 5"]
    assert {"rate 0.1", "rate 1", "rate 5"} <= set(labels(surface))
    for rate in (0.1, 1.0, 5.0):
        twin = copy.deepcopy(model)
        twin.optimizer.learning_rate = rate
        expected = twin.fit(X, Y, epochs=6, mode="batch").history["loss"]
        np.testing.assert_array_equal(lines(curves, f"rate {rate:g}").get_ydata(), expected)
    for W, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(W, other)
    line = Sequential([Dense(2), Dense(1)], seed=0)
    line.compile("SGD", "mse")
    line.build(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        surface, curves = plot.learning_rates(line, X, X[:, 0], rates=(0.01, 0.1, 1e3), epochs=60)
    assert "rate 1000, diverged, cut" in labels(surface)


def test_one_weight_shows_the_gradient_as_tangent_and_the_steps():
    model = made(0.5)
    ax = plot.one_weight(model, X, Y, "W2[1,0]", steps=4)
    gradient = float(model.gradient(X, Y)["dL/dW2"][1, 0])
    start = float(model.get_weights()[2][1, 0])
    descent = lines(ax, "gradient descent")
    assert descent.get_xdata()[0] == pytest.approx(start)
    assert descent.get_xdata()[1] == pytest.approx(start - 0.5 * gradient)
    assert descent.get_ydata()[0] == pytest.approx(model.evaluate(X, Y), abs=1e-6)
    assert len(descent.get_xdata()) == 5
    tangent = next(line for line in ax.get_lines() if str(line.get_label()).startswith("tangent"))
    (x0, x1), (y0, y1) = tangent.get_data()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(gradient, rel=1e-5)
    assert ax.get_xlabel() == "W2[1,0]"


def test_animate_writes_a_gif(tmp_path):
    model, path = recorded("batch", epochs=4)
    plot.animate(model, X, Y, {"batch": path}, tmp_path / "d.gif", seconds=1)
    from PIL import Image

    with Image.open(tmp_path / "d.gif") as picture:
        assert picture.n_frames == 5
    assert (tmp_path / "d.gif").stat().st_size < 300_000


# ---- diagrams -----------------------------------------------------------------------------------


def test_the_decision_boundary_has_the_classes_and_rows():
    rows = RNG.normal(size=(80, 2))
    y = (rows[:, 0] > rows[:, 1]).astype(int)
    model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], seed=0)
    model.compile(Adam(0.05), "binary_crossentropy")
    model.fit(rows, y, epochs=40)
    ax = plot.decision_boundary(model, rows, y, size=30)
    assert labels(ax) == ["0", "1"]
    np.testing.assert_array_equal(lines(ax, "1").get_xdata(), rows[y == 1][:, 0])
    assert len(ax.collections) == 2  # the regions, and the border between them


@pytest.mark.filterwarnings("ignore")
def test_estimators_frames_and_regressions_work_too():
    frame = pd.DataFrame(RNG.normal(size=(60, 2)), columns=["height", "weight"])
    names = np.where(frame["height"] > 0, "tall", "small")
    clf = MLPClassifier(max_iter=20, random_state=0).fit(frame, names)
    ax = plot.decision_boundary(clf, frame, names, size=20)
    assert labels(ax) == ["small", "tall"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("height", "weight")
    reg = MLPRegressor(max_iter=20, random_state=0).fit(frame, frame["height"])
    assert plot.decision_boundary(reg, frame, frame["height"], size=20).get_title() == "predictions"


def test_the_network_draws_units_and_lines_forward_and_backward():
    model = made()
    forward, backward = plot.network(model, model.gradient(X, Y))
    drawn = [line for line in forward.get_lines() if len(line.get_xdata()) == 2]
    assert len(drawn) == 3 * 4 + 4 * 1
    assert labels(forward) == ["positive", "negative"]
    assert "forward" in forward.get_title()
    assert "backward" in backward.get_title()
    wide = Sequential([Dense(100, "relu"), Dense(2)], seed=0)
    wide.build(50)
    ax = plot.network(wide, ax=(given := axes()))
    assert ax is given
    assert sum(text.get_text() == "⋮" for text in ax.texts) == 2
    assert any(text.get_text() == "100\nrelu" for text in ax.texts)


def test_weights_are_images_of_the_inputs():
    model = Sequential([Dense(5, "relu"), Dense(1)], seed=0)
    model.build(16)
    ax = plot.weights(model)
    picture = np.ma.filled(ax.get_images()[0].get_array().astype(float), np.nan)
    np.testing.assert_allclose(picture[:4, :4], model.get_weights()[0][:, 0].reshape(4, 4))
    low, high = ax.get_images()[0].get_clim()
    assert low == -high
    assert plot.weights(model, shape=(2, 8), n_units=2).get_title() == "weights of 2 of 5 units"


# ---- refusals, and what is not loaded -----------------------------------------------------------


def test_bad_input_is_refused():
    model, path = recorded("batch")
    for call, match in [
        (lambda: plot.cost_surface(model, X, Y), "neither weights nor paths"),
        (lambda: plot.cost_surface(model, X, Y, weights=("W1[0,0]", "W9[0,0]")), "W1 .3, 4."),
        (lambda: plot.cost_surface(model, X, Y, weights=("W1[0,0]", "W1[0,0]")), "twice"),
        (lambda: plot.cost_surface(model, X, Y, weights=("W1[0,0]",)), "expected two"),
        (lambda: plot.cost_surface(model, X, Y, weights=("W1[3,0]", "b1[0]")), "W1.3,0."),
        (lambda: plot.cost_surface(model, X, Y, paths={"a": path[:, 1:]}), "21"),
        (lambda: plot.cost_surface(model, X[:, :2], Y, paths={"a": path}), "columns"),
        (lambda: plot.cost_surface(model, X, Y, paths={"a": path}, kind="map"), "kind"),
        (lambda: plot.cost_surface(model, X, Y, paths={"a": path[:1]}), "do not spread"),
        (lambda: plot.cost_surface("model", X, Y, paths={"a": path}), "Sequential"),
        (lambda: plot.cost_surface(model, X, Y, paths=path), "dictionary"),
        (
            lambda: plot.cost_surface(model, X, Y, paths={"a": path}, kind="3d", ax=axes()),
            "three dimensions",
        ),
        (lambda: plot.learning_rates(model, X, Y, rates=0.1), "rates"),
        (lambda: plot.learning_rates(model, X, Y, rates=[-1.0]), "rates"),
        (lambda: plot.one_weight(model, X, Y, "W1"), "W1"),
        (lambda: plot.one_weight(model, X, Y, rate=0), "rate"),
        (lambda: plot.decision_boundary(model, X, Y), "two columns"),
        (lambda: plot.network(model, {"dL/dW1": 0}), "dL/dW"),
        (lambda: plot.network(Sequential([Dense(1)])), "build"),
        (lambda: plot.weights(model, layer=3), "layer"),
        (lambda: plot.weights(model, shape=(2, 2)), "shape"),
        (lambda: plot.animate(model, X, Y, {"a": path}, "d.mp4"), ".gif"),
    ]:
        with pytest.raises((TypeError, ValueError), match=match):
            call()


def test_no_pyplot_and_a_clear_error_without_matplotlib():
    code = (
        "import sys, fastnn\n"
        "assert 'matplotlib' not in sys.modules and 'fastnn.plot' not in sys.modules\n"
        "m = fastnn.Sequential([fastnn.Dense(1)]); m.compile(loss='mse')\n"
        "h = m.fit([[1.0], [2.0]], [1.0, 2.0], epochs=2)\n"
        "fastnn.plot.history(h); fastnn.plot.network(m)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "loaded = [n for n in sys.modules if n.startswith('matplotlib')]\n"
        "for name in loaded: del sys.modules[name]\n"
        "sys.modules['matplotlib'] = None\n"
        "try:\n    h.plot()\nexcept ImportError as e:\n    print(e)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert 'pip install "fastnn-cpu[plot]"' in result.stdout
