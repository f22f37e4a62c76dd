"""Custom losses: they train like the built-in ones, and mistakes in them are reported."""

import pickle

import numpy as np
import pytest

from fastnn import L1, L2, SGD, Adam, Callback, Dense, Dropout, Sequential, load
from fastnn.custom import check_loss
from fastnn.models import learner_of

N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 5))
Y = np.stack([X[:, 0] * X[:, 1], np.sin(X[:, 2])], axis=1)
BATCH_SIZES = {"minibatch": 8, "batch": N_ROWS}  # 8 leaves a shorter last batch

modes = pytest.mark.parametrize("mode", BATCH_SIZES)


def own_mse(y_true, y_pred):
    """The formula of the built-in mean_squared_error: a mean over rows and outputs."""
    e = y_pred - y_true
    return (e**2).mean(), 2 * e / e.size


def model_for(loss, optimizer="SGD", *, layers=None, dtype="float64", units=16):
    layers = layers or [Dense(units, "tanh"), Dense(2)]
    model = Sequential(layers, dtype=dtype, seed=1)
    model.compile(optimizer, loss)
    model.build(X.shape[1])
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def assert_close(actual, expected, rtol=1e-11):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=rtol, atol=rtol)


# ---- agreement with the built-in loss -----------------------------------------------------------

WITH = {
    "nothing": ("SGD", [Dense(16, "tanh"), Dense(2)]),
    "few units": ("SGD", [Dense(4, "tanh"), Dense(2)]),
    "dropout": (SGD(0.1), [Dropout(0.2), Dense(16, "relu"), Dropout(0.5), Dense(2)]),
    "Adam": (Adam(0.01), [Dense(16, "tanh"), Dense(2)]),
    "momentum": (SGD(0.01, momentum=0.9), [Dense(16, "tanh"), Dense(2)]),
    "clipping": (SGD(0.5, global_clipnorm=0.1), [Dense(16, "tanh"), Dense(2)]),
    "average": (SGD(0.1, use_ema=True, ema_momentum=0.5), [Dense(16, "tanh"), Dense(2)]),
    "penalties": (
        SGD(0.1),
        [Dense(16, "tanh", kernel_regularizer=L2(0.1)), Dense(2, kernel_regularizer=L1(0.01))],
    ),
    "a frozen layer": (SGD(0.1), [Dense(16, "tanh", trainable=False), Dense(2)]),
}


@modes
@pytest.mark.parametrize("name", WITH)
def test_weights_and_history_are_those_of_the_built_in_loss(mode, name):
    optimizer, layers = WITH[name]
    weights, histories = [], []
    for loss in (own_mse, "mse"):
        model = model_for(loss, optimizer, layers=layers)
        options = {"mode": mode, "batch_size": BATCH_SIZES[mode], "epochs": 4}
        history = model.fit(X, Y, validation_data=(X[:20], Y[:20]), **options).history
        weights.append(model.get_weights())
        histories.append(history)
    assert_close(*weights)
    assert histories[0].keys() == histories[1].keys()
    for key in histories[0].keys() - {"seconds", "samples_per_second"}:
        assert_close(histories[0][key], histories[1][key])


@modes
@pytest.mark.parametrize("optimizer", ["LBFGS", SGD("auto")], ids=["LBFGS", "auto"])
def test_line_searches_accept_it_too(mode, optimizer):
    own, built_in = (model_for(loss, optimizer) for loss in (own_mse, "mse"))
    if mode == "minibatch" and optimizer == "LBFGS":
        before = bits(own)
        with pytest.raises(ValueError, match="mode='batch'"):
            own.fit(X, Y, mode=mode)
        assert bits(own) == before
        return
    histories = [model.fit(X, Y, mode=mode, epochs=8).history for model in (own, built_in)]
    assert_close(histories[0]["loss"], histories[1]["loss"], 1e-6)
    assert_close(own.get_weights(), built_in.get_weights(), 1e-6)


def test_float32_gets_float32_and_agrees_within_rounding():
    seen = []

    def loss(y_true, y_pred):
        seen.append(y_pred.dtype)
        return own_mse(y_true, y_pred)

    own, built_in = model_for(loss, dtype="float32"), model_for("mse", dtype="float32")
    for model in (own, built_in):
        model.fit(X, Y, epochs=3)
    assert set(seen) == {np.dtype("float32")}
    assert_close(own.get_weights(), built_in.get_weights(), 2e-6)


def test_rows_and_targets_of_a_batch_belong_together():
    """Rows come in the order of the epoch, and y in the form that was passed to fit."""
    targets = np.array([(float(i), f"row {i}") for i in range(N_ROWS)], dtype="f8,U8")
    seen = []

    def loss(y_true, y_pred):
        seen.append((y_true["f0"].astype(int), y_pred))
        return 0.0, np.zeros_like(y_pred)

    model = model_for(loss)
    model.fit(X, targets, batch_size=8)
    order = np.random.Generator(np.random.Philox([model.seed, 0])).permutation(N_ROWS)
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in seen]), order)
    assert [len(rows) for rows, _ in seen] == [8] * 6 + [2]
    assert_close([outputs for _, outputs in seen], [model.predict(X[rows]) for rows, _ in seen])


def test_evaluate_gradient_and_train_on_batch_are_those_of_the_built_in_loss():
    layers = [Dense(16, "tanh", kernel_regularizer=L2(0.1)), Dense(2)]
    own, built_in = (model_for(loss, layers=layers) for loss in (own_mse, "mse"))
    assert own.evaluate(X, Y) == pytest.approx(built_in.evaluate(X, Y), rel=1e-12)
    found, expected = own.gradient(X, Y), built_in.gradient(X, Y)
    assert found.keys() == expected.keys()
    assert_close(found.values(), expected.values())
    for rows in (slice(0, 7), slice(7, 8), slice(8, 9)):
        losses = [model.train_on_batch(X[rows], Y[rows]) for model in (own, built_in)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert_close(own.get_weights(), built_in.get_weights())


def test_evaluate_over_many_slices_is_the_mean_over_all_rows():
    rows = RNG.normal(size=(1000, 5))
    model = model_for(own_mse)
    learner_of(model).network.slice_rows = 256
    expected, _ = own_mse(1.0, model.predict(rows))
    assert model.evaluate(rows, np.ones((1000, 2))) == pytest.approx(expected, rel=1e-12)


def test_a_single_row_is_a_batch():
    own, built_in = (model_for(loss) for loss in (own_mse, "mse"))
    for model in (own, built_in):
        model.fit(X[:1], Y[:1], mode="batch", epochs=3)
    assert_close(own.get_weights(), built_in.get_weights())


def test_gradient_does_not_change_the_outputs_kept_for_backward():
    model = model_for(own_mse)
    model.forward(X)
    expected = model.backward(np.ones((N_ROWS, 2)))
    model.gradient(2 * X, Y)
    assert_close(model.backward(np.ones((N_ROWS, 2))).values(), expected.values(), 0)


def test_weights_are_bit_identical_on_any_number_of_threads():
    models = [model_for(own_mse, units=64) for _ in range(2)]
    for threads, model in enumerate(models, 1):
        model.fit(X, Y, batch_size=20, epochs=2, threads=threads)
    assert bits(models[0]) == bits(models[1])


# ---- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "stochastic"}, "a custom loss takes the rows of a batch"),
        ({"batch_size": 1}, r"mode='minibatch'\) or mode='batch'"),
        ({"sample_weight": np.ones(N_ROWS)}, "put the weights into y, as a column"),
        ({"validation_data": (X, Y, np.ones(N_ROWS))}, "validation sample_weight"),
    ],
)
def test_what_a_function_of_a_batch_cannot_do_is_refused(options, message):
    model = model_for(own_mse)
    before, history = bits(model), model.history
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, **options)
    assert bits(model) == before
    assert model.history is history
    assert model.epochs_trained == 0


def test_accuracy_is_refused_and_the_model_keeps_its_loss():
    model = model_for("mse", Adam(0.01))
    with pytest.raises(
        ValueError, match=r"metrics=\['accuracy'\]: built-in metrics need a built-in loss"
    ):
        model.compile("SGD", own_mse, ["accuracy"])
    assert isinstance(model.optimizer, Adam)
    assert model.evaluate(X, Y) == pytest.approx(own_mse(Y, model.predict(X))[0])


class Mse:
    def __call__(self, y_true, y_pred):
        return own_mse(y_true, y_pred)


def test_a_class_is_refused_but_a_callable_object_works():
    model = model_for("mse")
    with pytest.raises(TypeError, match="loss"):
        model.compile("SGD", Mse)
    model.compile("SGD", Mse())
    model.fit(X, Y)


WRONG = {
    "a gradient of another shape": lambda y, p: (0.0, (p - y)[:, :1]),
    "a number alone": lambda y, p: 0.0,
    "a gradient alone": lambda y, p: p - y,
    "three things": lambda y, p: (0.0, p - y, 1),
    "nothing": lambda y, p: None,
    "a loss for each row": lambda y, p: ((p - y).mean(axis=1), p - y),
    "words": lambda y, p: ("low", p - y),
}


@modes
@pytest.mark.parametrize("name", WRONG)
def test_a_return_value_other_than_loss_and_gradient_is_refused(mode, name):
    model = model_for(WRONG[name])
    before = bits(model)
    with pytest.raises(ValueError, match=r"loss=<lambda> .*e\.g\. def loss\(y_true, y_pred\)"):
        model.fit(X, Y, mode=mode)
    assert bits(model) == before


def failing_after(n_calls, failure):
    """Return a loss that is own_mse for n_calls calls and then `failure(y_pred)`."""
    calls = []

    def loss(y_true, y_pred):
        calls.append(1)
        return failure(y_pred) if len(calls) > n_calls else own_mse(y_true, y_pred)

    return loss


def stopped_after_three_batches():
    """Return a model trained on just the first three batches of eight rows."""
    model = model_for(own_mse)
    order = np.random.Generator(np.random.Philox([model.seed, 0])).permutation(N_ROWS)[:24]
    model.fit(X[order], Y[order], batch_size=8, shuffle=False)
    return model


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_inside_it_is_raised_and_the_completed_steps_stay(error):
    def failure(y_pred):
        raise error("on purpose")

    model, ended = model_for(failing_after(3, failure)), []
    callback = Callback()
    callback.on_train_end = lambda logs: ended.append(True)
    with pytest.raises(error, match="on purpose"):
        model.fit(X, Y, batch_size=8, callbacks=[callback])
    assert ended == [True]
    assert bits(model) == bits(stopped_after_three_batches())
    assert model.history.epoch == []
    model.compile("SGD", own_mse)
    assert model.fit(X, Y).epoch == [0]


@pytest.mark.parametrize(
    "failure",
    [
        lambda y_pred: (np.nan, np.zeros_like(y_pred)),
        lambda y_pred: (0.0, np.full_like(y_pred, np.nan)),
        lambda y_pred: (np.inf, np.zeros_like(y_pred)),
    ],
    ids=["the loss", "the gradient", "infinity"],
)
def test_nan_ends_the_fit_with_the_last_finite_weights(failure):
    model = model_for(failing_after(3, failure))
    with pytest.raises(FloatingPointError, match="returned L=.* for 8 rows"):
        model.fit(X, Y, batch_size=8)
    assert bits(model) == bits(stopped_after_three_batches())


def test_nan_in_its_gradient_is_not_returned():
    model = model_for(lambda y, p: (0.0, np.full_like(p, np.nan)))
    with pytest.raises(FloatingPointError, match="dL/dy_pred that is not finite"):
        model.gradient(X, Y)


# ---- check_loss ---------------------------------------------------------------------------------


def test_check_loss_passes_a_right_gradient():
    assert check_loss(own_mse, Y[:4], Y[:4] + RNG.normal(size=(4, 2))) < 1e-8


def test_a_loss_may_write_to_its_outputs():
    def loss(y_true, y_pred):
        y_pred -= y_true
        return (y_pred**2).mean(), 2 * y_pred / y_pred.size

    assert check_loss(loss, Y[:4], Y[:4] + RNG.normal(size=(4, 2))) < 1e-8


@pytest.mark.parametrize("place", [(0, 0), (2, 1)])
def test_check_loss_says_where_a_gradient_is_wrong(place):
    def wrong(y_true, y_pred):
        L, gradient = own_mse(y_true, y_pred)
        gradient[place] *= 1.01
        return L, gradient

    y_pred = Y[:3] + 1
    expected = 2 / 6
    message = rf"dL/dy_pred\[{place[0]}, {place[1]}\] is {1.01 * expected:g}, .* give {expected:g}"
    with pytest.raises(ValueError, match=message):
        check_loss(wrong, Y[:3], y_pred)
    assert check_loss(wrong, Y[:3], y_pred, tolerance=0.1) == pytest.approx(0.01, rel=1e-4)


def test_check_loss_finds_a_mean_that_is_a_sum():
    with pytest.raises(ValueError, match="central differences"):
        check_loss(lambda y, p: (((p - y) ** 2).mean(), 2 * (p - y)), Y[:3], Y[:3] + 1)


def test_check_loss_refuses_nan():
    with pytest.raises(FloatingPointError, match="dL/dy_pred that is not finite"):
        check_loss(lambda y, p: (((p - y) ** 2).mean(), p * np.nan), Y[:3], Y[:3] + 1)


# ---- copies and files ---------------------------------------------------------------------------


def test_a_pickled_model_trains_on_with_its_loss_bit_for_bit():
    model = model_for(own_mse, Adam(0.01))
    model.fit(X, Y, epochs=2)
    twin = pickle.loads(pickle.dumps(model))
    for one in (model, twin):
        one.fit(X, Y, epochs=2)
    assert bits(twin) == bits(model)


def test_a_file_holds_all_but_the_loss(tmp_path):
    model = model_for(own_mse, Adam(0.01))
    model.fit(X, Y, epochs=2)
    model.save(tmp_path / "model.npz")
    loaded = load(tmp_path / "model.npz")
    assert bits(loaded) == bits(model)
    with pytest.raises(ValueError, match="not compiled with a loss"):
        loaded.fit(X, Y)
    assert bits(loaded) == bits(model)
    gradient = model.gradient(X, Y)
    for one in (model, loaded):  # the third epoch's moments of Adam came along
        one.apply(gradient)
    assert bits(loaded) == bits(model)
    fresh = model_for(own_mse, Adam(0.01))
    fresh.set_weights(load(tmp_path / "model.npz").get_weights())
    fresh.apply(gradient)
    assert bits(fresh) != bits(model)


def test_the_targets_stay_as_they_are():
    def greedy(y_true, y_pred):
        y_true *= 2
        return own_mse(y_true, y_pred)

    y = Y.copy()
    with pytest.raises(ValueError, match="loss=greedy failed.*read-only"):
        model_for(greedy).fit(X, y, mode="batch")
    np.testing.assert_array_equal(y, Y)


def test_a_loss_that_is_not_finite_is_named_in_the_error():
    model = model_for(lambda y_true, y_pred: (np.nan, y_pred))
    before = bits(model)
    with pytest.raises(FloatingPointError, match=r"loss=<lambda> returned L=nan for 8 rows"):
        model.fit(X, Y, batch_size=8)
    with pytest.raises(FloatingPointError, match="a dL/dy_pred that is not finite"):
        model_for(lambda y_true, y_pred: (1.0, y_pred * np.nan)).gradient(X, Y)
    assert bits(model) == before
