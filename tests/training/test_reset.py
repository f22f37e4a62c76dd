"""`reset` begins again, and the names of single batches are those of Keras."""

import numpy as np
import pytest

from fastnn import SGD, Adam, Callback, Dense, Dropout, Normalization, Sequential, load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = RNG.integers(0, 2, 40)
OPTIMIZERS = {
    "plain": SGD(0.1),
    "momentum": SGD(0.1, momentum=0.9),
    "adam": Adam(0.01),
    "average": SGD(0.1, use_ema=True),
}


def new_model(optimizer="plain", dtype="float32"):
    layers = [Normalization(mean=[0, 1, 2], variance=[1, 2, 3]), Dense(5, "tanh")]
    model = Sequential([*layers, Dropout(0.2), Dense(1, "sigmoid")], dtype=dtype, seed=1)
    model.compile(OPTIMIZERS[optimizer], "binary_crossentropy", ["accuracy"])
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def losses(model, mode):
    return model.fit(X, Y, epochs=3, mode=mode).history["loss"]


# ---- reset --------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_that_was_reset_trains_as_it_did_at_first(optimizer, mode, dtype):
    model = new_model(optimizer, dtype)
    first, trained = losses(model, mode), bits(model)
    model.reset()
    assert (model.epochs_trained, model.history.epoch, model.history.params) == (0, [], {})
    untrained = new_model(dtype=dtype)
    untrained.build(3)
    assert bits(model) == bits(untrained)
    assert (losses(model, mode), bits(model)) == (first, trained)


def test_single_rows_begin_again_too():
    model = Sequential([Dense(1)], seed=1)
    model.compile(SGD(0.1, momentum=0.5), "mean_squared_error")
    model.build(3)
    runs = []
    for _ in range(2):
        runs.append([model.train_on_batch(X[i : i + 1], 1.0) for i in range(5)])
        model.reset()
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 5


def test_what_was_said_of_the_model_stays():
    model = new_model("adam")
    model.metadata["task"] = "none"
    model.fit(X, Y)
    model.optimizer.learning_rate = 0.5
    model.reset()
    assert model.optimizer == Adam(0.5)
    assert model.metadata == {"task": "none"}
    assert len(model.evaluate(X, Y)) == 2  # loss and accuracy


def test_a_model_without_weights_may_be_reset():
    model = new_model()
    model.reset()
    assert not model.built


def test_reset_within_a_fit_is_refused():
    class Resetting(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.reset()

    with pytest.raises(RuntimeError, match="reset within a fit"):
        new_model().fit(X, Y, callbacks=[Resetting()])


def test_arrays_that_were_not_kept_leave_the_model_as_it_was(tmp_path):
    model = Sequential([Dense(1, kernel_initializer=np.ones((3, 1)))], seed=1)
    model.compile("Adam", "mean_squared_error")
    model.fit(X, Y)
    model.save(tmp_path / "model.npz")
    model = load(tmp_path / "model.npz")
    before = bits(model)
    with pytest.raises(ValueError, match="initial"):
        model.reset()
    assert (bits(model), model.epochs_trained) == (before, 1)


# ---- single batches -----------------------------------------------------------------------------


def test_test_on_batch_is_evaluate():
    model = new_model()
    model.fit(X, Y)
    before, weights = bits(model), np.linspace(0, 1, 40)
    assert model.test_on_batch(X, Y) == model.evaluate(X, Y)
    assert model.test_on_batch(X, Y, weights) == model.evaluate(X, Y, sample_weight=weights)
    as_dict = model.test_on_batch(X, Y, None, True)
    assert as_dict == model.evaluate(X, Y, return_dict=True)
    assert bits(model) == before


def test_a_plain_number_is_the_target_of_one_row():
    model = new_model()
    model.fit(X, Y)
    assert model.test_on_batch(X[:1], 1) == model.evaluate(X[:1], [1])


def test_predict_on_batch_is_predict():
    model = new_model()
    model.build(3)
    np.testing.assert_array_equal(model.predict_on_batch(X), model.predict(X))
