"""Traces by their names, and the chain rule written out with their numbers."""

import copy
import pickle
import re

import numpy as np
import pytest
import reference
from networks import PAIRS, assert_close

from fastnn import (
    L1L2,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Dense,
    Dropout,
    Normalization,
    RMSprop,
    Sequential,
    SharedL2,
)
from fastnn.activations import ACTIVATIONS

RNG = np.random.default_rng(0)
ELEMENTWISE = [name for name in ACTIVATIONS if name != "softmax"]


def targets_for(loss, n_rows, n_outputs, rng=RNG):
    """Targets that suit a loss."""
    if loss == "categorical_crossentropy":
        return rng.integers(0, n_outputs, n_rows)
    y = rng.random((n_rows, n_outputs))
    if "hinge" in loss:
        return np.where(y > 0.5, 1, -1)
    return y


def made(layers, loss, n_features=3, dtype="float64", optimizer="SGD"):
    model = Sequential(layers, dtype=dtype, seed=1)
    model.compile(optimizer, loss)
    model.build(n_features)
    rng = np.random.default_rng(5)
    model.set_weights([W + rng.normal(size=W.shape) / 3 for W in model.get_weights()])
    return model


ARTICLE = [Dense(8, "tanh"), Dense(4, "tanh"), Dense(1, "sigmoid")]


def test_names_and_shapes_come_in_the_order_of_the_chain_rule():
    model = made(ARTICLE, "binary_crossentropy")
    t = model.trace(RNG.normal(size=(5, 3)), [0, 1, 1, 0, 1])
    assert list(t) == [
        *("x", "W1", "b1", "z1", "a1", "W2", "b2", "z2", "a2", "W3", "b3", "z3", "yhat"),
        *("y", "l", "L", "dL/dyhat", "dL/dz3", "dL/dW3", "dL/db3"),
        *("dL/da2", "dL/dz2", "dL/dW2", "dL/db2", "dL/da1", "dL/dz1", "dL/dW1", "dL/db1", "dL/dx"),
        *("da1/dz1", "da2/dz2", "dyhat/dz3"),
    ]
    assert t["dL/dz1"].shape == t["da1/dz1"].shape == (5, 8)
    assert t["dL/dW2"].shape == (8, 4)
    assert t["dL/dx"].shape == (5, 3)
    assert "dL/dx          (5, 3)" in repr(t)
    with pytest.raises(KeyError, match="dL/dz3"):
        t["dL/dz4"]


def test_it_agrees_with_the_other_ways_to_the_same_numbers():
    X = RNG.normal(3, 2, size=(300, 3))
    y = RNG.integers(0, 3, 300)
    layers = [Normalization(), Dense(20, "relu"), Dense(3, "softmax")]
    layers[0].adapt(X)
    model = made(layers, "categorical_crossentropy")
    t = model.trace(X, y)
    assert t["L"] == pytest.approx(model.evaluate(X, y), rel=1e-14)
    assert t["l"].mean() == pytest.approx(float(t["L"]))
    np.testing.assert_array_equal(t["yhat"], model.predict(X))
    for name, values in model.gradient(X, y).items():
        np.testing.assert_array_equal(t[name], values)
    np.testing.assert_array_equal(t["dL/dx"], model.input_gradient(X, y))
    activations = model.activations(X)
    assert list(activations) == ["a0", "a1", "yhat"]
    for name, values in activations.items():
        np.testing.assert_array_equal(t[name], values)
        np.testing.assert_array_equal(
            model.activations(X, layer=list(activations).index(name)), values
        )
    np.testing.assert_array_equal(model.activations(X, layer=-1), t["yhat"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_every_derivative_is_a_central_difference(loss, output, dtype):
    """What L changes by if a z, an a or an x is changed, all else above it computed again."""
    k = 1 if loss == "half_squared_error" else 2  # its derivative is that of the sum
    model = made([Dense(4, "tanh"), Dense(3, "softplus"), Dense(k, output)], loss, dtype=dtype)
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(4, 3)), targets_for(loss, 4, k, rng)
    t = model.trace(X, y)
    activations, step = ["tanh", "softplus", output], 1e-6
    weights = [np.float64(t[f"{kind}{k}"]) for k in (1, 2, 3) for kind in "Wb"]

    def cost(z=None, a=None, k=0, x=None):
        """L of values put in the place of z_k, a_k or x."""
        if x is not None:
            a, k = x, 0
        for number in range(k or 1, 4):
            if z is None:
                if k and number == k:
                    pass
                else:
                    z = a @ weights[2 * number - 2] + weights[2 * number - 1]
            if z is not None:
                a = reference.ACTIVATIONS[activations[number - 1]][0](z)
                last_z, z = z, None
        losses, _ = reference.loss_and_delta(
            loss, output, last_z, a, reference.targets(y, loss, t["yhat"].shape[1])
        )
        return losses.mean()

    def differences(values, **place):
        slopes = np.empty(values.shape)
        for index in np.ndindex(values.shape):
            costs = []
            for change in (step, -step):
                moved = values.astype(np.float64)
                moved[index] += change
                [key] = [name for name in ("z", "a", "x") if name in place]
                costs.append(cost(**(place | {key: moved})))
            slopes[index] = (costs[0] - costs[1]) / (2 * step)
        return slopes

    factor = 1 if dtype == "float32" else 2e3  # of differences, not of kernels
    for k in (1, 2, 3):
        assert_close(t[f"dL/dz{k}"], differences(t[f"z{k}"], z=1, k=k), dtype, 50 * factor)
    for k in (1, 2):
        assert_close(t[f"dL/da{k}"], differences(t[f"a{k}"], a=1, k=k), dtype, 50 * factor)
    assert_close(t["dL/dx"], differences(t["x"], x=1), dtype, 50 * factor)


def test_dropout_in_training_shows_what_it_left_out():
    model = made([Dropout(0.3), Dense(6, "relu"), Dropout(0.5), Dense(1)], "mse")
    X, y = RNG.normal(size=(7, 3)), RNG.normal(size=7)
    t = model.trace(X, y, training=True)
    np.testing.assert_allclose(t["dropped x"], t["x"] * t["mask x"])
    np.testing.assert_allclose(t["dropped a1"], t["a1"] * t["mask a1"])
    assert set(np.unique(t["mask a1"])) <= {0.0, 2.0}
    np.testing.assert_allclose(t["dL/da1"], t["dL/dz2"] @ t["W2"].T * t["mask a1"])
    np.testing.assert_allclose(t["dL/dx"], t["dL/dz1"] @ t["W1"].T * t["mask x"])
    assert "mask a1" not in model.trace(X, y)


def test_a_custom_loss_is_traced_from_its_own_derivative():
    def half(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return (e * e).mean() / 2, e / e.size

    model = made([Dense(5, "tanh"), Dense(1)], half)
    X, y = RNG.normal(size=(40, 3)), RNG.normal(size=40)
    t = model.trace(X, y)
    np.testing.assert_allclose(t["dL/dyhat"], (t["yhat"] - y[:, None]) / 40)
    for name, values in model.gradient(X, y).items():
        np.testing.assert_allclose(t[name], values, rtol=1e-10, atol=1e-15)
    assert t["L"] == pytest.approx(half(y, model.predict(X))[0])
    assert "l" not in t
    assert "what the custom loss returned" in model.trace(X[0], y[0]).explain()


def test_the_arrays_stay_as_they_are():
    model = made(ARTICLE, "binary_crossentropy", dtype="float32")
    X = RNG.normal(size=(4, 3)).astype(np.float32)
    t = model.trace(X, [0, 1, 1, 0])
    kept = {name: values.copy() for name, values in t.items()}
    X[:] = 0
    model.fit(RNG.normal(size=(8, 3)), np.ones(8), epochs=2)
    for name, values in t.items():
        np.testing.assert_array_equal(values, kept[name])
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0
    twin = pickle.loads(pickle.dumps(t))
    np.testing.assert_array_equal(twin["da1/dz1"], t["da1/dz1"])


def test_nothing_moves():
    model = made(ARTICLE, "binary_crossentropy", optimizer=Adam())
    model.fit(RNG.normal(size=(8, 3)), np.ones(8), epochs=2)
    twin = copy.deepcopy(model)
    t = model.trace([1.0, 2.0, 3.0], 1)
    t.explain()
    model.explain_update(t)
    for W, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)
    X, y = RNG.normal(size=(8, 3)), np.zeros(8)
    assert model.train_on_batch(X, y) == twin.train_on_batch(X, y)
    for W, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)


# ---- explain ------------------------------------------------------------------------------------


def values_in(text):
    """Each name of an explanation with its formulas and its numbers, read back."""
    found, name = {}, None
    for line in text.splitlines():
        match = re.match(r"(\S.*?|)\s* = (.*)", line)
        if match:
            if match[1]:
                name = match[1].strip()
                found[name] = []
            found[name].append(match[2])
        elif line.startswith(" ") and "[" in line and not line.strip().startswith("("):
            found[name][-1] += " " + line.strip()
    return found


def array_of(text):
    """Numbers of a vector or matrix as they are written; None of what is none."""
    if re.search(r"[a-zA-Z·∘ᵀ]", re.sub(r"\d[eE][-+]\d|nan|inf", "", text)):
        return None
    rows = re.findall(r"\[([^\[\]]+)\]", text)
    if not rows:
        return np.array([[float(text)]])
    return np.array([[float(number) for number in row.split()] for row in rows])


def product_of(formula, values):
    """What a formula of products gives for the numbers of an explanation; None of others."""
    names = re.compile(
        r"d(?:yhat|L|a\d+)/d(?:yhat|x|[azWb]\d+)|(?:mask|dropped) (?:x|a\d+)|"
        r"\b(?:yhat|mean|deviation|[xy]|[azW]\d+)(?![a-z(\d])"
    )
    rest = re.sub(r"[-·∘ᵀ()+*/^\d.\s]|e-\d+", "", names.sub("", formula))
    if rest:
        return None
    code = names.sub(lambda found: f"V[{found[0]!r}]", formula)
    code = code.replace("ᵀ", ".T").replace("·", "@").replace("∘", "*").replace("^", "**")
    code = re.sub(r"([\d.]+) @ \(", r"\1 * (", code)
    code = re.sub(r"\b([\d.]+(?:e-\d+)?) (?=V\[|\()", r"\1 * ", code)
    code = re.sub(r"(\]|\)) (?=V\[|\()", r"\1 * ", code)
    return eval(code, {"V": values})


def assert_explained(model, x, y, digits, tolerance, **more):
    """Every product of an explanation multiplies out; returns how many there were."""
    t = model.trace(x, y, **more)
    values, checked = {}, []
    sides = values_in(t.explain(digits=digits))
    for name, lines in sides.items():
        value = array_of(lines[-1])
        assert value is not None, (name, lines)
        expected = np.atleast_2d(t[name]) if name in t else value
        np.testing.assert_allclose(value, expected, rtol=10.0 ** (1 - digits))
        values[name] = value
    for name, lines in sides.items():
        product = product_of(lines[0], values) if len(lines) > 1 else None
        if product is not None:
            assert_close(np.broadcast_to(product, values[name].shape), values[name], "float64",
                         tolerance / 1e-12)  # fmt: skip
            checked.append(name)
    return checked, sides


@pytest.mark.parametrize("hidden", ELEMENTWISE)
@pytest.mark.parametrize("digits", [4, 17])
def test_each_product_multiplies_out(hidden, digits):
    model = made([Dense(5, hidden), Dense(3, "tanh"), Dense(2)], "mse")
    checked, _ = assert_explained(
        model, [0.5, 1.2, -0.3], [1.0, 2.0], digits, 5e-3 if digits == 4 else 1e-13
    )
    assert {f"dL/dW{k}" for k in (1, 2, 3)} <= set(checked)
    assert {"dL/dz1", "dL/da1", "dL/da2", "dL/dx", "dL/dyhat", "dL/db2"} <= set(checked)


@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_each_loss_and_output_multiply_out(loss, output):
    model = made([Dense(4, "tanh"), Dense(2, output)], loss)
    y = targets_for(loss, 1, 2, np.random.default_rng(1))[0]
    if output == "softmax":
        text = model.trace([0.5, 1.2, -0.3], y).explain()
        assert "Jacobian" in text
        checked, _ = assert_explained(model, [0.5, 1.2, -0.3], y, 17, 1e-12)
        assert {"dL/da1", "dL/dW1", "dL/dW2"} <= set(checked)
        return
    checked, sides = assert_explained(model, [0.5, 1.2, -0.3], y, 17, 1e-12)
    assert {"dL/dz2", "dL/dW2", "dL/dz1", "dL/dW1"} <= set(checked)
    assert sides["dL/dz2"][0] == "dL/dyhat ∘ dyhat/dz2"


def test_regularisers_dropout_and_normalisation_multiply_out():
    layers = [
        Normalization(),
        Dense(5, "tanh", kernel_regularizer=L1L2(0.0, 0.02)),
        Dropout(0.4),
        Dense(1, "sigmoid", use_bias=False, kernel_regularizer=SharedL2(0.1)),
    ]
    model = Sequential(layers, dtype="float64", seed=3)
    model.layers[0].adapt(RNG.normal(2, 3, size=(50, 3)))
    model.compile("SGD", "binary_crossentropy")
    model.build(3)
    checked, sides = assert_explained(model, [0.5, 1.2, -0.3], 1, 17, 1e-12, training=True)
    assert sides["a0"][0] == "(x - mean) / deviation"
    assert sides["dL/dW1"][0] == "a0ᵀ · dL/dz1 + 0.04 W1"
    assert sides["dL/dW2"][0] == "dropped a1ᵀ · dL/dz2 + 0.1 W2"
    assert sides["dL/da1"][0] == "(dL/dz2 · W2ᵀ) ∘ mask a1"
    assert {"a0", "dL/dW1", "dL/dW2", "dL/da1", "dropped a1", "dL/dx"} <= set(checked)


def test_dropout_of_standardised_inputs_multiplies_out():
    layers = [Normalization(), Dropout(0.4), Dense(3, "tanh"), Dense(1)]
    layers[0].adapt(RNG.normal(2, 3, size=(50, 3)))
    model = made(layers, "mse")
    checked, sides = assert_explained(model, [0.5, 1.2, -0.3], 1.0, 17, 1e-12, training=True)
    assert sides["dL/dx"][0] == "((dL/dz1 · W1ᵀ) ∘ mask a0) / deviation"
    assert {"a0", "dropped a0", "dL/dW1", "dL/dx"} <= set(checked)


@pytest.mark.parametrize("y", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saturated_output_shows_the_formula_in_one_step(y, dtype):
    model = made([Dense(1, "sigmoid", kernel_initializer="ones")], "binary_crossentropy", 1, dtype)
    model.set_weights([[[1.0]], [0.0]])
    t = model.trace([800.0 if y == 0 else -800.0], y)
    assert t["dL/dz1"] == (1 if y == 0 else -1)
    assert np.isinf(t["dL/dyhat"]).all()
    text = t.explain()
    assert re.search(r"dL/dz1 += yhat - y", text)
    assert "infinity times 0" in text


def test_a_saturated_output_that_is_right_is_no_fault():
    model = made([Dense(1, "sigmoid")], "binary_crossentropy", 1)
    model.set_weights([[[1.0]], [0.0]])
    t = model.trace([800.0], 1)
    assert t["dL/dyhat"] == -1
    assert t["dL/dz1"] == 0
    assert np.isfinite([*t["dL/dW1"], *t["dL/dx"]]).all()


def test_large_networks_are_shown_by_shape_and_norm():
    model = made([Dense(200, "relu"), Dense(10, "softmax")], "categorical_crossentropy", 30)
    text = model.trace(RNG.normal(size=30), 3).explain()
    assert "W1 = shape (30, 200), norm " in text
    assert len(text) < 4000
    batch = made(ARTICLE, "binary_crossentropy").trace(RNG.normal(size=(9, 3)), np.ones(9))
    assert "dL/dz1    = dL/da1 ∘ da1/dz1\n          = shape (9, 8), norm" in batch.explain()


def test_markdown_and_latex():
    t = made(ARTICLE, "binary_crossentropy").trace([1.0, 2.0, 3.0], 1)
    markdown = t.explain("markdown")
    assert "## Backpropagation" in markdown
    assert "**dL/dz3** = `dL/dyhat ∘ dyhat/dz3`" in markdown
    latex = t.explain("latex")
    factors = r"\frac{\partial L}{\partial \hat{y}}", r"\frac{\partial \hat{y}}{\partial z_{3}}"
    assert r" \odot ".join(factors) in latex
    assert r"\frac{\partial L}{\partial W_{1}} &= x^{\top} \," in latex
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") == 3
    for sign in "∘ᵀ·":
        assert sign not in latex


# ---- explain_update -----------------------------------------------------------------------------

OPTIMIZERS = [
    SGD(0.05),
    SGD(0.05, momentum=0.9),
    SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    SGD(0.05, clipvalue=0.01),
    SGD(0.05, global_clipnorm=0.02),
    Adam(),
    Adam(amsgrad=True),
    Adam(clipnorm=0.05),
    AdamW(weight_decay=0.1),
    RMSprop(),
    RMSprop(momentum=0.5),
    Adagrad(),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_each_line_of_an_update_adds_up_and_ends_where_the_step_does(optimizer):
    model = made([Dense(2, "tanh"), Dense(1, "sigmoid")], "binary_crossentropy", 2,
                 optimizer=optimizer)  # fmt: skip
    model.fit(RNG.normal(size=(6, 2)), [0, 1, 1, 0, 1, 0], epochs=2, mode="batch")
    t = model.trace([0.5, -1.0], 1)
    text = model.explain_update(t, digits=17)
    model.apply(t)
    after = dict(zip(("W1", "b1", "W2", "b2"), model.get_weights(), strict=True))
    lines = [line for line in text.splitlines() if re.match(r"\S+ := .* = ", line)]
    shown = 0
    for line in lines:
        name, rule, result = re.fullmatch(r"(\S+) := (.*) = (\S+)", line).groups()
        code = rule.replace("·", "*").replace("^", "**").replace("sqrt", "np.sqrt")
        assert eval(code, {"np": np, "max": max}) == pytest.approx(float(result), rel=1e-9)
        if "[" in name:
            array, place = name.split("[")
            place = tuple(map(int, place.rstrip("]").split(",")))
            assert float(result) == after[array][place]
            shown += 1
    assert shown == 4 + 2 + 2 + 1


def test_an_update_reads_as_in_the_articles():
    model = made([Dense(1, use_bias=False)], "mse", 1, optimizer=SGD(0.05))
    model.set_weights([[[0.31]]])
    text = model.explain_update(model.trace([1.0], 0.25))
    assert "W1[0,0] := 0.31 - 0.05 · 0.12 = 0.304" in text


def test_frozen_layers_and_multipliers():
    layers = [Dense(1, trainable=False), Dense(1, learning_rate_multiplier=0.5, use_bias=False)]
    model = made(layers, "mse", 1, optimizer=SGD(0.1))
    text = model.explain_update(model.trace([1.0], 3.0))
    assert "Not trained, and left as they are: the weights of layer 1." in text
    assert "W1[0,0] :=" not in text
    assert re.search(r"W2\[0,0\] := \S+ - 0\.05 ·", text)


def test_an_update_of_a_large_network_shows_the_largest_gradients():
    model = made([Dense(40, "relu"), Dense(1)], "mse", 10, optimizer=Adam())
    t = model.trace(RNG.normal(size=(5, 10)), np.ones(5))
    text = model.explain_update(t, "markdown")
    [first] = re.findall(r"W1\[(\d+),(\d+)\]", text)[:1]
    largest = np.unravel_index(np.abs(t["dL/dW1"]).argmax(), (10, 40))
    assert tuple(map(int, first)) == tuple(map(int, largest))


def test_bad_input_is_refused():
    model = made(ARTICLE, "binary_crossentropy")
    t = model.trace([1.0, 2.0, 3.0], 1)
    with pytest.raises(TypeError, match=r"model\.trace\(X, y\)"):
        model.explain_update({"dL/dW1": 1})
    with pytest.raises(ValueError, match="format"):
        t.explain("html")
    with pytest.raises(ValueError, match="digits"):
        t.explain(digits=0)
    with pytest.raises(ValueError, match="columns"):
        model.trace([1.0, 2.0], 1)
    with pytest.raises(ValueError, match="layer"):
        model.activations([[1.0, 2.0, 3.0]], layer=3)
    model.train_on_batch([[1.0, 2.0, 3.0]], [1])
    with pytest.raises(ValueError, match="other weights than the present ones"):
        model.explain_update(t)
    model.compile(SGD("auto"), "binary_crossentropy")
    with pytest.raises(ValueError, match="none follows"):
        model.explain_update(model.trace([1.0, 2.0, 3.0], 1))
    with pytest.raises(ValueError, match="compile"):
        Sequential([Dense(1)]).trace([[1.0]], [1.0])
    huge = Sequential([Dense(1)], seed=0)
    huge.compile(loss="mse")
    huge.build(1)
    huge.set_weights([[[3e38]], [0.0]])
    with pytest.raises(FloatingPointError, match="scale|Scale"):
        huge.trace([3e38], 1.0)
