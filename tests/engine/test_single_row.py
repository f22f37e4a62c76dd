"""One row at a time: `train_on_batch` against `fit`, its quick way against its general one."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastnn import L1, L2, SGD, Adam, Dense, Normalization, RMSprop, Sequential, SharedL2
from fastnn.engine.divergence import KEPT_EVERY
from fastnn.models import learner_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
KINDS = {  # output layer, loss, targets
    "binary": (Dense(1, "sigmoid"), "binary_crossentropy", (X[:, 0] > 0).astype(int)),
    "classes": (Dense(3, "softmax"), "categorical_crossentropy", RNG.integers(0, 3, 40)),
    "numbers": (Dense(1), "mean_squared_error", X[:, 0] - X[:, 1]),
    "counts": (Dense(1, "sigmoid"), "poisson", RNG.integers(0, 4, 40)),
    "signs": (Dense(1), "hinge", np.where(X[:, 0] > 0, 1, -1)),
    "zeros and ones": (Dense(1), "squared_hinge", (X[:, 0] > 0).astype(int)),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def model_for(kind="binary", *, width=9, optimizer=None, metrics=None, first=(), dtype="float32"):
    output, loss, _ = KINDS[kind]
    layers = [*first, Dense(width, "relu"), Dense(5, "tanh"), output]
    model = Sequential(layers, seed=1, dtype=dtype)
    model.compile(optimizer or SGD(0.1), loss, metrics)
    model.build(6)
    return model


def bits(model):
    return [W.tobytes() for W in model.get_weights()]


@each_kind
@pytest.mark.parametrize("width", [4, 9, 70])
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.02, 0.9, nesterov=True), Adam(), RMSprop()])
def test_row_after_row_is_fit_with_each_row(kind, width, optimizer):
    y = KINDS[kind][2]
    online, fitted = (model_for(kind, width=width, optimizer=optimizer) for _ in range(2))
    for i in range(40):
        loss = online.train_on_batch(X[i : i + 1], y[i : i + 1])
        history = fitted.fit(X[i : i + 1], y[i : i + 1], mode="stochastic")
        assert loss == history.history["loss"][0]
    assert learner_of(online)._one_row is not None
    assert bits(online) == bits(fitted)


@pytest.mark.parametrize("form", ["float64", "int64", "list", "strided", "column"])
def test_other_forms_of_a_row_give_the_same(form):
    rows = np.round(X * 4)
    online, other = model_for(), model_for()
    for i in range(10):
        row, y = rows[i : i + 1], KINDS["binary"][2][i : i + 1]
        forms = {
            "float64": (row.astype(np.float64), y.astype(bool)),
            "int64": (row.astype(np.int64), float(y[0])),
            "list": (row.tolist(), y.tolist()),
            "strided": (np.repeat(row, 2, axis=1)[:, ::2], int(y[0])),
            "column": (np.asfortranarray(row), y[:, None]),
        }
        assert online.train_on_batch(row, y) == other.train_on_batch(*forms[form])
    assert bits(online) == bits(other)


@each_kind
def test_a_batch_is_an_epoch_of_batch_mode(kind):
    y = KINDS[kind][2]
    online, fitted = model_for(kind), model_for(kind)
    loss = online.train_on_batch(X, y)
    assert [loss] == fitted.fit(X, y, mode="batch").history["loss"]
    assert bits(online) == bits(fitted)
    assert online.epochs_trained == 0


def test_metrics_and_names_come_as_in_keras():
    y = KINDS["binary"][2]
    model = model_for(metrics=["accuracy"])
    accuracy = model.evaluate(X, y)[1]
    loss, measured = model.train_on_batch(X, y)
    assert measured == accuracy
    scores = model_for().train_on_batch(X, y, return_dict=True)
    assert scores == {"loss": loss}


def test_a_sample_weight_scales_the_step_and_the_loss():
    y = KINDS["numbers"][2]
    model, twin = (model_for("numbers", dtype="float64") for _ in range(2))
    loss = model.train_on_batch(X[:1], y[:1])
    before = twin.get_weights()
    assert twin.train_on_batch(X[:1], y[:1], sample_weight=[0.5]) == loss / 2
    for W, W_half, start in zip(model.get_weights(), twin.get_weights(), before, strict=True):
        np.testing.assert_allclose(W_half - start, (W - start) / 2, rtol=1e-9, atol=1e-15)


def test_l2_is_part_of_the_loss():
    layers = [Dense(3, "tanh", kernel_regularizer=L2(0.1)), Dense(1)]
    model = Sequential(layers, seed=0)
    model.compile(loss="mean_squared_error")
    model.build(6)
    for _ in range(3):
        loss = model.evaluate(X[:1], [2.0])
        np.testing.assert_allclose(model.train_on_batch(X[:1], [2.0]), loss, rtol=1e-6)


@pytest.mark.parametrize("regularizer", [L1(0.01), L2(0.1), SharedL2(0.3)], ids=repr)
@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.02, 0.9), Adam()], ids=repr)
def test_rows_of_regularised_models_go_the_short_way_too(regularizer, optimizer):
    y = KINDS["numbers"][2]
    online, fitted = (
        Sequential([Dense(n, kernel_regularizer=regularizer) for n in (9, 1)], seed=1)
        for _ in range(2)
    )
    for model in (online, fitted):
        model.compile(optimizer, "mse")
        model.build(6)
    for i in range(20):
        before = online.evaluate(X[i : i + 1], y[i : i + 1])
        loss = online.train_on_batch(X[i : i + 1], y[i])
        assert loss == pytest.approx(before, rel=1e-6)
        history = fitted.fit(X[i : i + 1], y[i : i + 1], mode="stochastic")
        assert history.history["loss"] == [pytest.approx(loss, rel=1e-12)]
    assert learner_of(online)._one_row is not None
    assert bits(online) == bits(fitted)


def test_new_statistics_of_the_normalization_count_at_once():
    layer, other = Normalization(), Normalization()
    layer.adapt(X)
    other.adapt(X * 3 + 1)
    online, fresh = model_for(first=[layer]), model_for(first=[other])
    for _ in range(2):
        online.train_on_batch(X[:1], 1)
    fresh.set_weights(online.get_weights())
    layer.adapt(X * 3 + 1)
    assert online.train_on_batch(X[1:2], 1) == fresh.train_on_batch(X[1:2], 1)
    assert bits(online) == bits(fresh)


@pytest.mark.parametrize(
    ("row", "y", "message"),
    [
        (np.full((1, 6), np.nan, np.float32), 1, r"X\[0, 0\] is nan"),
        (np.full((1, 6), np.inf, np.float32), 1, "not a finite"),
        (X[:1], np.nan, "y holds NaN"),
        (X[:1], 2, "y holds values from 2"),
        (X[:1, :5], 1, "5 columns"),
        (X[0], 1, r"reshape\(1, -1\)"),
        (X[:2], [1], "2 rows"),
        (X[:0], [], "empty"),
    ],
)
@pytest.mark.parametrize("warm", [True, False])
def test_bad_rows_are_refused_and_nothing_moves(row, y, message, warm):
    model = model_for()
    if warm:
        model.train_on_batch(X[:1], 1)
    before = bits(model)
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(row, y)
    assert bits(model) == before


def test_labels_that_are_no_class_are_refused():
    model = model_for("classes")
    model.train_on_batch(X[:1], 2)
    for label in (3, -1, 0.5):
        with pytest.raises(ValueError, match="labels"):
            model.train_on_batch(X[:1], label)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("n_rows", [1, 3, 100])
def test_a_row_that_overflows_leads_back_to_finite_weights(momentum, n_rows):
    model = model_for("numbers", optimizer=SGD(0.01, momentum))
    slots = learner_of(model).optimizer_state(learner_of(model).network).slots
    seen = [(bits(model), slots.tobytes())]
    for _ in range(n_rows):
        model.train_on_batch(X[:1], 1.0)
        seen.append((bits(model), slots.tobytes()))
    with pytest.raises(FloatingPointError, match="diverged"):
        model.train_on_batch(X[:1], 3e38)
    assert (bits(model), slots.tobytes()) in seen[-KEPT_EVERY:]
    assert np.isfinite(model.train_on_batch(X[:1], 1.0))


@pytest.mark.parametrize("between", ["fit", "set_weights", "batch", "adapt"])
def test_what_changes_weights_in_between_is_what_a_row_goes_back_to(between):
    layer = Normalization()
    layer.adapt(X)
    model, y = model_for("numbers", optimizer=SGD(0.01), first=[layer]), KINDS["numbers"][2]
    seen = [bits(model)]
    for _ in range(3):
        model.train_on_batch(X[:1], 1.0)
        seen.append(bits(model))
    if between == "fit":
        model.fit(X, y)
    elif between == "set_weights":
        model.set_weights([W * 2 for W in model.get_weights()])
    elif between == "batch":
        model.train_on_batch(X, y)
    else:
        layer.adapt(X * 2)
    seen.append(bits(model))
    with pytest.raises(FloatingPointError, match="diverged"):
        model.train_on_batch(X[:1], 3e38)
    assert bits(model) in (seen if between in ("batch", "adapt") else seen[-1:])


def test_compile_counts_for_the_next_row():
    model, twin = model_for(), model_for()
    for one in (model, twin):
        one.train_on_batch(X[:1], 1)
        one.compile(SGD(0.5), "mean_squared_error")
    assert model.train_on_batch(X[:1], 1) == twin.fit(X[:1], [1]).history["loss"][0]
    assert bits(model) == bits(twin)


@pytest.mark.parametrize(
    "y", [np.float32(1), np.int64(1), np.bool_(True), np.ones((1, 1)), 1, True]
)
def test_one_target_of_any_kind_takes_the_short_way(y):
    model = model_for()
    model.train_on_batch(X[:1], 0)
    for row in (X[:1], X[:1].astype(np.float64), X[:1].astype(np.int8), X[::7][:1]):
        assert learner_of(model)._one_row.learn(row, y) is not None
    assert learner_of(model).state.step == 5


def test_an_uncompiled_model_says_so():
    with pytest.raises(ValueError, match="not compiled"):
        Sequential([Dense(1)]).train_on_batch(X[:1], 1)


# ---- predictions --------------------------------------------------------------------------------

WIDTHS = {"narrow": (4, 1), "one output": (70, 1), "classes": (70, 3), "many classes": (30, 40)}


def predictor(widths="classes", *, first=(), dtype="float32"):
    hidden, n_out = WIDTHS[widths]
    output = Dense(n_out, "softmax" if n_out > 1 else "sigmoid")
    model = Sequential([*first, Dense(hidden, "gelu"), output], seed=1, dtype=dtype)
    model.build(6)
    return model


def short_way(model):
    return getattr(learner_of(model)._by_thread, "few_rows", None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_a_row_alone_is_predicted_as_by_the_long_way(widths, dtype):
    model, other = predictor(widths, dtype=dtype), predictor(widths, dtype=dtype)
    for rows in (X, X.astype(np.float64), np.round(4 * X).astype(np.int16), X > 0):
        for i in range(10):
            found = model.predict(rows[i : i + 1])
            expected = other.predict(rows[i : i + 1], threads=1)  # goes the long way
            assert found.dtype == dtype
            assert found.tobytes() == expected.tobytes()
            assert found.shape == expected.shape
    assert short_way(model) is not None
    assert short_way(other) is None


def test_predictions_follow_the_weights_and_the_network():
    model = predictor()
    before = model.predict(X[:1])
    model.set_weights([2 * weights for weights in model.get_weights()])
    doubled = model.predict(X[:1])
    assert (doubled != before).any()
    assert doubled.tobytes() == model.predict(X[:1].tolist()).tobytes()
    model.reset()
    assert model.predict(X[:1]).tobytes() == before.tobytes()


def test_predictions_follow_a_normalization_that_adapts_again():
    layer = Normalization()
    layer.adapt(X)
    model = predictor(first=[layer])
    for rows in (X, 3 * X + 1):
        layer.adapt(rows)
        assert model.predict(X[:1]).tobytes() == model.predict(X[:1].tolist()).tobytes()


def test_each_prediction_is_an_array_of_its_own():
    model = predictor()
    first, second = model.predict(X[:1]), model.predict(X[1:2])
    assert not np.shares_memory(first, second)
    assert first.tobytes() == model.predict(X[:1]).tobytes()


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (np.full((1, 6), np.nan, np.float32), ValueError, r"X\[0, 0\] is nan"),
        (np.full((1, 6), 1e300), ValueError, "too large for float32"),
        (X[:1, :5], ValueError, "5 columns.*built for 6"),
        (X[:1, None], ValueError, "expected two dimensions"),
        (X[:1].astype(str), TypeError, "X has dtype"),
        (X[:1].astype(complex), TypeError, "X has dtype"),
    ],
)
def test_a_bad_row_gets_an_error_that_says_so(row, error, message):
    with pytest.raises(error, match=message):
        predictor().predict(row)


def test_a_prediction_that_overflows_is_an_error():
    model = Sequential([Dense(1, kernel_initializer=np.full((6, 1), 1e38))])
    model.build(6)
    with pytest.raises(FloatingPointError, match="too large for float32"):
        model.predict(np.full((1, 6), 100, np.float32))


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"threads": 0}, {"verbose": 3}])
def test_bad_arguments_are_refused_for_a_single_row_too(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        predictor().predict(X[:1], **bad)


def test_threads_predict_single_rows_of_one_model_together():
    model = predictor("many classes")
    expected = [model.predict(X[i : i + 1].tolist()).tobytes() for i in range(40)]

    def all_right(_):
        rows = [i % 40 for i in range(2000)]
        return all(model.predict(X[i : i + 1]).tobytes() == expected[i] for i in rows)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(all_right, range(4)))


def test_a_model_that_has_predicted_can_be_copied_and_pickled():
    model = predictor()
    expected = model.predict(X[:1]).tobytes()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.predict(X[:1]).tobytes() == expected
