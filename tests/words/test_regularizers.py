"""Regularisers and momentum: reported loss and gradient, state between fits, and files."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import L1, L1L2, L2, SGD, Dense, Sequential, load
from fastnn.models import learner_of

X = np.random.default_rng(0).normal(size=(60, 4))
Y = X[:, 0] * X[:, 1] > 0
MODES = ["stochastic", "minibatch", "batch"]


def model_for(momentum=0.9, l2=0.001, dtype="float64"):
    layers = [Dense(6, "tanh", kernel_regularizer=L2(l2)), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=1, dtype=dtype)
    model.compile(SGD(0.05, momentum=momentum, nesterov=True), "binary_crossentropy")
    return model


def bits(model):
    return [W.tobytes() for W in model.get_weights()]


def saved(model, tmp_path):
    model.save(tmp_path / "model.npz")
    return load(tmp_path / "model.npz")


@pytest.mark.parametrize("mode", MODES)
def test_momentum_is_kept_from_fit_to_fit(mode):
    once, twice = model_for(), model_for()
    once.fit(X, Y, epochs=6, mode=mode)
    for _ in range(2):
        twice.fit(X, Y, epochs=3, mode=mode)
    assert bits(once) == bits(twice)


@pytest.mark.parametrize("copied", ["pickle", "copy", "file"])
def test_a_copy_trains_on_with_the_same_momentum(copied, tmp_path):
    model = model_for()
    model.fit(X, Y, epochs=2)
    twin = {
        "pickle": lambda m: pickle.loads(pickle.dumps(m)),
        "copy": copy.deepcopy,
        "file": lambda m: saved(m, tmp_path),
    }[copied](model)
    assert twin.layers == model.layers
    assert learner_of(twin).state.step == learner_of(model).state.step == 4
    for one in (model, twin):
        one.fit(X, Y, epochs=2)
    assert bits(model) == bits(twin)


def test_compile_resets_momentum():
    model, fresh = model_for(), model_for()
    model.fit(X, Y, epochs=2)
    fresh.build(4)
    fresh.set_weights(model.get_weights())
    model.compile(SGD(0.05, momentum=0.9, nesterov=True), "binary_crossentropy")
    for one in (model, fresh):
        one.fit(X, Y, mode="batch")
    assert bits(model) == bits(fresh)


def test_the_loss_includes_the_l2_penalty():
    model, plain = model_for(l2=0.1), model_for(l2=0.0)
    for one in (model, plain):
        one.build(4)
    W1, *_ = model.get_weights()
    penalty = 0.1 * np.sum(W1**2)
    loss = plain.evaluate(X, Y) + penalty
    np.testing.assert_allclose(model.evaluate(X, Y), loss, rtol=1e-12)
    history = model.fit(X, Y, mode="batch", validation_data=(X, Y)).history
    np.testing.assert_allclose(history["loss"][0], loss, rtol=1e-12)
    np.testing.assert_allclose(history["val_loss"][0], model.evaluate(X, Y), rtol=1e-12)


def test_the_gradient_is_that_of_the_reported_loss():
    model = model_for(l2=0.1)
    model.build(4)
    weights, step = model.get_weights(), 1e-6
    found = model.gradient(X, Y)["dL/dW1"][2, 3]
    losses = []
    for sign in (1, -1):
        moved = [W.copy() for W in weights]
        moved[0][2, 3] += sign * step
        model.set_weights(moved)
        losses.append(model.evaluate(X, Y))
    np.testing.assert_allclose(found, (losses[0] - losses[1]) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("mode", ["stochastic", "minibatch"])
def test_a_fit_that_diverges_goes_back_to_its_last_weights_and_momentum(mode):
    model, twin = model_for(dtype="float32"), model_for(dtype="float32")
    for one in (model, twin):
        one.fit(X, Y, epochs=2, mode=mode)
    with pytest.raises(FloatingPointError, match="last finite weights"):
        model.fit(X, Y, epochs=2, mode=mode, sample_weight=np.full(60, 2e34))
    for one in (model, twin):
        assert learner_of(one).state.step == {"stochastic": 120, "minibatch": 4}[mode]
        one.fit(X, Y, epochs=2, mode=mode, seed=3)
    assert bits(model) == bits(twin)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adagrad", "SGD"])
def test_every_optimiser_comes_by_name_and_survives_a_file(name, tmp_path):
    model = Sequential([Dense(6, "tanh"), Dense(1, "sigmoid")], seed=1)
    model.compile(name, "binary_crossentropy")
    model.fit(X, Y, epochs=2)
    twin = saved(model, tmp_path)
    assert twin.optimizer == model.optimizer
    for one in (model, twin):
        one.fit(X, Y, epochs=2)
    assert bits(model) == bits(twin)


@pytest.mark.parametrize(("momentum", "l2"), [(0.9, 0.0), (0.0, 0.01)])
def test_summary_names_the_path_that_moves_all_weights(momentum, l2, capsys):
    model = model_for(momentum, l2)
    model.build(4)
    model.summary()
    assert "stochastic mode: fused" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.nan])
def test_momentum_outside_its_range_is_refused(wrong):
    with pytest.raises(ValueError, match="momentum"):
        SGD(momentum=wrong)
    with pytest.raises(TypeError, match="nesterov"):
        SGD(nesterov="yes")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [("l3", ValueError), (0.1, TypeError), ([], TypeError), ({}, TypeError), (L2, TypeError)],
)
def test_an_unknown_regulariser_is_refused(wrong, error):
    with pytest.raises(error, match="kernel_regularizer"):
        Dense(3, kernel_regularizer=wrong)


def test_l2_takes_a_factor_of_at_least_zero():
    assert Dense(3, kernel_regularizer="l2").l2 == 0.01
    for wrong in (-1, np.inf):
        with pytest.raises(ValueError, match="l2"):
            L2(wrong)


# ---- L1 and L1L2: their part of loss and gradient -----------------------------------------------


FACTORS = {L1(0.3): (0.3, 0.0), L2(0.2): (0.0, 0.2), L1L2(0.3, 0.2): (0.3, 0.2)}


def l1_l2_model(regularizer, dtype="float64"):
    layers = [Dense(6, "tanh", kernel_regularizer=regularizer), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=1, dtype=dtype)
    model.compile("SGD", "binary_crossentropy")
    model.build(4)
    return model


@pytest.mark.parametrize("regularizer", FACTORS, ids=repr)
def test_the_loss_includes_the_penalty(regularizer):
    l1, l2 = FACTORS[regularizer]
    model, plain = l1_l2_model(regularizer), l1_l2_model(None)
    W1 = model.get_weights()[0]
    penalty = l1 * np.sum(np.abs(W1)) + l2 * np.sum(W1**2)
    np.testing.assert_allclose(model.evaluate(X, Y), plain.evaluate(X, Y) + penalty, rtol=1e-12)


@pytest.mark.parametrize("regularizer", FACTORS, ids=repr)
def test_the_gradient_by_central_differences(regularizer):
    model = l1_l2_model(regularizer)
    weights, step = model.get_weights(), 1e-6
    found = model.gradient(X, Y)
    for number, name in enumerate(("W1", "b1", "W2", "b2")):
        expected = np.empty_like(weights[number])
        for place in np.ndindex(expected.shape):
            losses = []
            for sign in (1, -1):
                moved = [W.copy() for W in weights]
                moved[number][place] += sign * step
                model.set_weights(moved)
                losses.append(model.evaluate(X, Y))
            expected[place] = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(found[f"dL/d{name}"], expected, atol=1e-8)
        model.set_weights(weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_l1_does_not_pull_at_a_weight_that_is_zero(dtype):
    model, plain = l1_l2_model(L1(0.5), dtype), l1_l2_model(None, dtype)
    for each in (model, plain):
        W1, *rest = each.get_weights()
        W1[1] = 0
        each.set_weights([W1, *rest])
    added = model.gradient(X, Y)["dL/dW1"] - plain.gradient(X, Y)["dL/dW1"]
    np.testing.assert_allclose(added, 0.5 * np.sign(W1), atol=1e-6)
    assert not added[1].any()


def test_regularisers_by_name():
    layers = [Dense(3, kernel_regularizer=name) for name in ("l1", "L2", "l1_l2", None)]
    expected = [L1(0.01), L2(0.01), L1L2(0.01, 0.01), None]
    assert [layer.kernel_regularizer for layer in layers] == expected
    assert [(layer.l1, layer.l2) for layer in layers] == [
        (0.01, 0),
        (0, 0.01),
        (0.01, 0.01),
        (0, 0),
    ]
    assert (L1L2().l1, L1L2().l2) == (0, 0)


@pytest.mark.parametrize("make", [L1, lambda wrong: L1L2(l1=wrong), lambda wrong: L1L2(0.1, wrong)])
@pytest.mark.parametrize(
    ("wrong", "error"), [(-1, ValueError), (np.nan, ValueError), ("x", TypeError)]
)
def test_factors_are_numbers_of_at_least_zero(make, wrong, error):
    with pytest.raises(error, match="l[12]="):
        make(wrong)
