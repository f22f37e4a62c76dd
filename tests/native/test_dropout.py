"""Dropout as a user meets it: its masks, who ignores it, files; averages and clipped steps."""

import pickle

import numpy as np
import pytest

from fastnn import SGD, Adam, Dense, Dropout, Normalization, Sequential, load
from fastnn.models import learner_of

N_ROWS = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
BATCH_SIZES = {"stochastic": 1, "minibatch": 16, "batch": N_ROWS}  # 16 leaves a short last batch

modes = pytest.mark.parametrize("mode", BATCH_SIZES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
rates = pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])


def model_for(layers=None, optimizer="SGD", loss="mse", *, dtype="float32", seed=5):
    layers = layers or [Dropout(0.2), Dense(9, "tanh"), Dropout(0.5), Dense(1)]
    model = Sequential(layers, dtype=dtype, seed=seed)
    model.compile(optimizer, loss)
    model.build(X.shape[1])
    return model


def without_dropout(model):
    """The same weights in layers without Dropout."""
    layers = [layer for layer in model.layers if not isinstance(layer, Dropout)]
    plain = model_for(layers, dtype=model.dtype)
    plain.set_weights(model.get_weights())
    return plain


def fit(model, mode, **options):
    return model.fit(X, Y, mode=mode, batch_size=BATCH_SIZES[mode], **options).history


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


# ---- the masks ----------------------------------------------------------------------------------


def transparent(rate, n_units, *, layer=1, seed=5, loss=None):
    """A model that returns what dropout makes of the inputs of its first or second layer."""
    dense = [Dense(n_units, use_bias=False) for _ in range(layer)]
    model = Sequential([*dense[1:], Dropout(rate), dense[0]], seed=seed)
    model.compile("SGD", loss)
    model.build(n_units)
    model.set_weights([np.eye(n_units)] * layer)
    return model


def masks(rate, n_rows=1000, n_units=32, **options):
    """What the inputs are multiplied by, one row for each row."""
    model = transparent(rate, n_units, **options)
    return model.forward(np.ones((n_rows, n_units)), training=True)


def masks_of_epochs(batch_size, n_epochs, rate=0.5, n_rows=300, n_units=16):
    """The same from within `fit`, epoch by epoch."""
    seen = []

    def loss(y_true, y_pred):
        seen.append(y_pred)
        return 0.0, np.zeros_like(y_pred)

    model = transparent(rate, n_units, loss=loss)
    ones = np.ones((n_rows, n_units))
    model.fit(ones, np.zeros(n_rows), batch_size=batch_size, epochs=n_epochs)
    return np.concatenate(seen).reshape(n_epochs, n_rows, n_units)


def assert_independent(one, other):
    """The correlation of two arrays of independent numbers has the deviation 1 / sqrt(n)."""
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(one.size)


@rates
@pytest.mark.parametrize("layer", [1, 2])
def test_the_share_left_out_is_the_rate_in_every_unit_and_row(rate, layer):
    dropped = masks(rate, 2000, 40, layer=layer) == 0
    for axis in (None, 0, 1):
        n = dropped.size if axis is None else dropped.shape[axis]
        shares = dropped.mean(axis=axis)
        assert np.abs(shares - rate).max() < 5 * np.sqrt(rate * (1 - rate) / n)


@rates
def test_what_stays_is_scaled_so_that_the_mean_stays(rate):
    found = masks(rate)
    np.testing.assert_allclose(found[found != 0], 1 / (1 - rate), rtol=1e-6)
    assert found.mean() == pytest.approx(1, abs=5 * np.sqrt(rate / (1 - rate) / found.size))


@rates
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 8, 16])
def test_neighbours_are_independent(rate, distance):
    found = masks(rate)
    assert_independent(found[:, distance:], found[:, :-distance])
    assert_independent(found[distance:], found[:-distance])
    assert_independent(found[distance:, distance:], found[:-distance, :-distance])


@rates
def test_seeds_and_layers_are_independent(rate):
    found = [masks(rate), masks(rate, layer=2), masks(rate, seed=6), masks(rate, seed=7)]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert_independent(one, other)


def test_two_dropouts_of_one_model_are_independent():
    n = 32
    both = Sequential([Dropout(0.5), Dense(n, use_bias=False), Dropout(0.5), Dense(n)], seed=5)
    both.build(n)
    both.set_weights([np.eye(n), np.eye(n), np.zeros(n)])
    product = both.forward(np.ones((1000, n)), training=True)
    np.testing.assert_array_equal(product, masks(0.5) * masks(0.5, layer=2))
    assert (product != 0).mean() == pytest.approx(0.25, abs=0.02)


def test_epochs_are_independent():
    epochs = masks_of_epochs(100, 4)
    for i, one in enumerate(epochs):
        for other in epochs[:i]:
            assert_independent(one, other)


def test_the_masks_do_not_depend_on_the_batch_size():
    whole = masks_of_epochs(300, 1)
    for batch_size in (2, 7, 64, 299):
        np.testing.assert_array_equal(masks_of_epochs(batch_size, 1), whole)
    np.testing.assert_array_equal(masks(0.5, 300, 16), whole[0])


def test_forward_draws_again_at_every_call():
    model, ones = transparent(0.5, 8), np.ones((50, 8))
    first = model.forward(ones, training=True)
    assert (model.forward(ones, training=True) != first).any()
    model.apply({"dL/dW1": np.zeros((8, 8))})
    assert (model.forward(ones, training=True) != first).any()


# ---- who ignores it -----------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("units", [3, 9, 40])
def test_predict_evaluate_and_gradient_use_all_inputs(units, dtype):
    layers = [Dropout(0.2), Dense(units, "softplus"), Dropout(0.9), Dense(1)]
    model = model_for(layers, dtype=dtype)
    plain = without_dropout(model)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert model.evaluate(X, Y) == plain.evaluate(X, Y)
    expected = plain.gradient(X, Y)
    for name, found in model.gradient(X, Y).items():
        np.testing.assert_array_equal(found, expected[name])
    assert model.train_on_batch(X, Y) != plain.train_on_batch(X, Y)


def test_validation_uses_all_inputs():
    model = model_for()
    history = fit(model, "minibatch", validation_data=(X, Y))
    assert history["val_loss"] == [without_dropout(model).evaluate(X, Y)]


@modes
@dtypes
def test_a_rate_of_zero_is_no_dropout(mode, dtype):
    layers = [Dropout(0.0), Dense(9, "tanh"), Dropout(0), Dense(1)]
    model = model_for(layers, dtype=dtype)
    plain = without_dropout(model)
    assert fit(model, mode, epochs=3)["loss"] == fit(plain, mode, epochs=3)["loss"]
    assert bits(model) == bits(plain)


@modes
def test_a_very_small_rate_is_nearly_no_dropout(mode):
    """It takes the ways of dropout, but leaves out nothing here."""
    layers = [Dropout(1e-9), Dense(9, "tanh"), Dropout(1e-9), Dense(1)]
    model = model_for(layers, dtype="float64")
    plain = without_dropout(model)
    for one in (model, plain):
        fit(one, mode, epochs=3)
    for found, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


# ---- refused, shown, saved ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "error"),
    [(1, ValueError), (1.5, ValueError), (-0.1, ValueError), (np.nan, ValueError),
     ("half", TypeError), (None, TypeError)],
)  # fmt: skip
def test_a_rate_is_a_number_from_0_to_below_1(rate, error):
    with pytest.raises(error, match=r"rate=.*expected a number.*e\.g\. rate=0\.5"):
        Dropout(rate)


@pytest.mark.parametrize(
    ("layers", "number"),
    [
        ([Dense(3), Dropout(0.5)], 1),
        ([Dense(3), Dropout(0.5), Dropout(0.5), Dense(1)], 1),
        ([Dropout(0.5), Normalization(), Dense(1)], 0),
        ([Dropout(0.5)], 0),
    ],
)
def test_a_dropout_stands_before_a_dense_layer(layers, number):
    message = rf"layers\[{number}\] is a Dropout; expected a Dense layer after it"
    with pytest.raises(ValueError, match=message):
        Sequential(layers)


def test_summary_shows_it(capsys):
    model = model_for([Normalization(np.zeros(4), np.ones(4)), Dropout(0.25), Dense(9), Dense(1)])
    model.summary()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:4] == [
        ["Normalization", "4", "0"],
        ["Dropout", "(0.25)", "4", "0"],
        ["Dense", "(linear)", "9", "45"],
    ]
    assert lines[-2] == ["stochastic", "mode:", "general"]


@modes
@dtypes
@pytest.mark.parametrize("how", ["file", "pickle", "fit"])
def test_it_goes_on_after_a_pause_bit_for_bit(mode, dtype, how, tmp_path):
    whole, parts = (model_for(optimizer=Adam(0.01), dtype=dtype) for _ in range(2))
    expected = fit(whole, mode, epochs=5)["loss"]
    found = fit(parts, mode, epochs=2)["loss"]
    if how == "file":
        parts.save(tmp_path / "model.npz")
        parts = load(tmp_path / "model.npz")
    elif how == "pickle":
        parts = pickle.loads(pickle.dumps(parts))
    assert [layer for layer in parts.layers if isinstance(layer, Dropout)] == [
        Dropout(0.2),
        Dropout(0.5),
    ]
    assert found + fit(parts, mode, epochs=3)["loss"] == expected
    assert bits(parts) == bits(whole)


@modes
@pytest.mark.parametrize("optimizer", [SGD(0.01), SGD(0.01, clipnorm=0.1)], ids=repr)
def test_threads_change_no_bit(mode, optimizer):
    layers = [Dropout(0.2), Dense(100, "relu"), Dropout(0.5), Dense(60, "softplus"), Dense(1)]
    models = [model_for(layers, optimizer) for _ in range(2)]
    rows, y = np.tile(X, (5, 1)), np.tile(Y, 5)
    for threads, model in enumerate(models, 1):
        size = {"stochastic": 1, "minibatch": 64, "batch": 300}[mode]
        model.fit(rows, y, epochs=2, batch_size=size, threads=threads)
    assert bits(models[0]) == bits(models[1])


@modes
@pytest.mark.parametrize("units", [4, 20])
def test_slices_change_no_bit(mode, units):
    layers = [Dropout(0.2), Dense(units, "relu"), Dropout(0.5), Dense(1)]
    rows, y, weights = np.tile(X, (5, 1)), np.tile(Y, 5), []
    for slice_rows in (64, 192, 1000):
        model = model_for(layers)
        learner_of(model).network.slice_rows, learner_of(model).network.block = slice_rows, 64
        size = {"stochastic": 1, "minibatch": 16, "batch": 300}[mode]
        model.fit(rows, y, epochs=2, batch_size=size)
        weights.append(bits(model))
    assert weights[0] == weights[1] == weights[2]


@modes
def test_the_same_seed_gives_the_same_bits_and_another_others(mode):
    """That of `fit`, in whose place without one is the model's."""
    models = [model_for(seed=seed) for seed in (5, 6, 5, 1)]
    weights = models[0].get_weights()
    for model, seed in zip(models, (1, 1, 2, None), strict=True):
        model.set_weights(weights)
        fit(model, mode, seed=seed)
    assert bits(models[0]) == bits(models[1]) == bits(models[3]) != bits(models[2])


# ---- averages of the weights, and clipped steps, by hand on a linear model ----------------------

RATE = 0.1


def linear(optimizer):
    return model_for([Dense(1, use_bias=False)], optimizer, dtype="float64")


def gradient(W, rows=slice(None)):
    """Of the mean of (x W - y)^2."""
    errors = X[rows] @ W - Y[rows, None]
    return 2 / len(errors) * X[rows].T @ errors


def test_the_average_takes_the_place_of_the_weights_when_fit_ends():
    model = linear(SGD(RATE, use_ema=True, ema_momentum=0.9))
    W, average = model.get_weights()[0], None
    for n_epochs in (7, 4):  # the second fit begins with the average and goes on averaging
        for _ in range(n_epochs):
            W = W - RATE * gradient(W)
            average = W if average is None else 0.9 * average + 0.1 * W
        fit(model, "batch", epochs=n_epochs)
        np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-12)
        W = average


def test_no_epochs_leave_the_weights_and_the_average_apart():
    model = linear(SGD(RATE, use_ema=True))
    fit(model, "batch", epochs=3)
    model.set_weights([np.ones((4, 1))])
    fit(model, "batch", epochs=0)
    assert (model.get_weights()[0] == 1).all()


def test_while_training_the_weights_are_those_of_the_last_step():
    averaged, plain = linear(SGD(RATE, use_ema=True)), linear(SGD(RATE))
    options = {"epochs": 5, "validation_data": (X, Y)}
    histories = [fit(model, "batch", **options) for model in (averaged, plain)]
    np.testing.assert_allclose(*(history["val_loss"] for history in histories), rtol=1e-12)
    assert bits(averaged) != bits(plain)


@modes
@pytest.mark.parametrize("name", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_history_counts_the_clipped_steps_of_each_epoch(mode, name):
    limit, size = {"stochastic": 1.5, "minibatch": 0.6, "batch": 0.8}[mode], BATCH_SIZES[mode]
    model = linear(SGD(0.05, **{name: limit}))
    W, expected = model.get_weights()[0], []
    for _ in range(40):
        expected.append(0)
        for start in range(0, N_ROWS, size):
            g = gradient(W, slice(start, start + size))
            norm = np.linalg.norm(g)
            if name == "clipvalue":
                expected[-1] += np.abs(g).max() > limit
                g = g.clip(-limit, limit)
            elif norm > limit:
                expected[-1] += 1
                g = g * limit / norm
            W = W - 0.05 * g
    found = fit(model, mode, epochs=40, shuffle=False)["clipped_steps"]
    assert found == expected
    assert 0 < sum(found) < 40 * -(-N_ROWS // size)
    np.testing.assert_allclose(model.get_weights()[0], W, rtol=1e-10)


def test_without_clipping_history_does_not_count():
    assert "clipped_steps" not in fit(linear(SGD(RATE)), "batch")


def test_a_rate_too_small_to_count_drops_nothing():
    models = [model_for([Dense(9, "tanh"), Dropout(rate), Dense(1)]) for rate in (0.0, 1e-11)]
    for model in models:
        fit(model, "minibatch")
    assert bits(models[0]) == bits(models[1])


def test_weights_that_are_set_begin_the_average_again():
    model = linear(SGD(1e-9, use_ema=True))
    fit(model, "batch", epochs=3)
    model.set_weights([np.full((4, 1), 5.0)])
    fit(model, "batch")
    np.testing.assert_allclose(model.get_weights()[0], 5, rtol=1e-6)


def test_the_average_is_at_hand_after_single_steps():
    model = linear(SGD(RATE, use_ema=True, ema_momentum=0.5))
    model.adopt_average()  # none yet
    for _ in range(3):
        model.train_on_batch(X, Y)
    average = learner_of(model).network.views(learner_of(model).state.slots[-1])["W1"].copy()
    assert (model.get_weights()[0] != average).any()
    model.adopt_average()
    np.testing.assert_array_equal(model.get_weights()[0], average)
