"""`diagnose`: nets broken on purpose are found out, healthy ones are left in peace."""

import copy
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from fastnn import SGD, Adam, Dense, Dropout, Normalization, Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5))
LABELS = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)
NUMBERS = X[:, 0] + np.sin(2 * X[:, 1])


def made(layers, loss="binary_crossentropy", optimizer=None, *, epochs=0, x=X, y=None, **fit):
    model = Sequential(layers, seed=1)
    model.compile(optimizer or SGD(0.1), loss)
    model.build(x.shape[1])
    if epochs:
        y = (LABELS if loss == "binary_crossentropy" else NUMBERS) if y is None else y
        model.fit(x, y, epochs=epochs, **fit)
    return model


def kinds(diagnosis):
    return [(finding.kind, finding.layer) for finding in diagnosis]


SIGMOID = Dense(1, "sigmoid")


# ---- broken on purpose --------------------------------------------------------------------------


def test_an_all_zero_start():
    model = made([Dense(8, "tanh", kernel_initializer="zeros"),
                  Dense(1, "sigmoid", kernel_initializer="zeros")], epochs=5)  # fmt: skip
    found = model.diagnose(X, LABELS)
    assert ("zero gradient", 1) in kinds(found)
    assert "weights are all 0" in str(found)
    assert found.severe


def test_a_dead_first_layer():
    model = made([Dense(8, "relu", bias_initializer=[-50.0] * 8), SIGMOID], epochs=2)
    found = model.diagnose(X, LABELS)
    assert ("dead units", 1) in kinds(found)
    assert ("zero gradient", 1) in kinds(found)
    assert "8 of 8 units" in str(found)


def test_some_dead_units():
    model = made([Dense(8, "relu", bias_initializer=[-50.0] * 4 + [0.5] * 4), SIGMOID], epochs=20)
    [finding] = [one for one in model.diagnose(X, LABELS) if one.kind == "dead units"]
    assert finding.layer == 1
    assert finding.figure == 0.5
    assert not finding.is_severe


def test_a_dead_second_layer():
    layers = [Dense(8, "relu"), Dense(6, "relu", bias_initializer=[-80.0] * 6), SIGMOID]
    assert ("dead units", 2) in kinds(made(layers, epochs=2).diagnose(X, LABELS))


def test_saturated_units():
    layers = [Dense(8, "tanh", kernel_initializer=RNG.normal(size=(5, 8)) * 100), SIGMOID]
    assert ("saturated units", 1) in kinds(made(layers).diagnose(X, LABELS))


def test_a_saturated_output_of_a_loss_that_is_not_fused():
    model = made([Dense(8, "tanh"), Dense(1, "sigmoid", bias_initializer=[-12.0])], "mse")
    assert ("saturated units", 2) in kinds(model.diagnose(X, LABELS))


def test_a_vanishing_gradient():
    layers = [*[Dense(10, "sigmoid") for _ in range(9)], SIGMOID]
    assert ("vanishing gradient", 1) in kinds(made(layers, epochs=3).diagnose(X, LABELS))


def test_an_exploding_gradient():
    layers = [Dense(20, kernel_initializer=RNG.normal(size=(5, 20)))]
    layers += [Dense(20, kernel_initializer=RNG.normal(size=(20, 20))) for _ in range(6)]
    assert ("exploding gradient", 1) in kinds(made([*layers, Dense(1)], "mse").diagnose(X, NUMBERS))


def test_symmetric_units():
    layers = [Dense(8, "tanh", kernel_initializer="ones"), Dense(1, kernel_initializer="ones")]
    found = made(layers, "mse", epochs=10).diagnose(X, NUMBERS)
    assert ("symmetric units", 1) in kinds(found)


@pytest.mark.parametrize("factor", [1000.0, 1e-5])
def test_inputs_that_are_not_scaled(factor):
    layers = [Dense(8, "relu"), SIGMOID]
    assert ("inputs not scaled", None) in kinds(made(layers).diagnose(X * factor, LABELS))


def test_columns_of_very_different_size():
    rows = X * [1e-4, 1.0, 1.0, 1.0, 10.0]
    assert ("inputs not scaled", None) in kinds(made([SIGMOID]).diagnose(rows, LABELS))


def test_a_normalization_layer_adapted_to_other_rows():
    layer = Normalization()
    layer.adapt(X)
    found = made([layer, SIGMOID]).diagnose(X * 1000, LABELS)
    assert "Adapt the Normalization layer" in str(found)


@pytest.mark.parametrize("optimizer", [SGD(200.0), SGD(50.0, momentum=0.9), Adam(30.0)])
def test_a_rate_too_high(optimizer):
    model = made([Dense(8, "tanh"), SIGMOID], optimizer=optimizer)
    assert ("learning rate too high", None) in kinds(model.diagnose(X, LABELS))


@pytest.mark.parametrize("optimizer", [SGD(1e-6), Adam(1e-8)])
def test_a_rate_too_low(optimizer):
    model = made([Dense(8, "tanh"), SIGMOID], optimizer=optimizer, epochs=3)
    found = model.diagnose(X, LABELS)
    assert ("learning rate too low", None) in kinds(found)
    assert re.search(r"model\.optimizer\.learning_rate \* \d", str(found))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_crossentropy"])
def test_a_loss_no_better_than_a_constant(loss):
    y = RNG.integers(0, 2, 300) if loss == "binary_crossentropy" else RNG.normal(size=300)
    output = SIGMOID if loss == "binary_crossentropy" else Dense(1)
    noise = RNG.normal(size=(300, 5))
    model = made([output], loss, SGD(0.001), epochs=1, x=noise, y=y)
    assert ("no better than a constant", None) in kinds(model.diagnose(noise, y))


def test_one_target_only():
    model = made([SIGMOID], epochs=5, y=np.ones(300))
    assert ("one target only", None) in kinds(model.diagnose(X, np.ones(300)))


def test_values_that_overflow():
    model = made([Dense(4, "relu"), Dense(1)], "mse")
    model.set_weights([np.full((5, 4), 1e30), np.zeros(4), np.full((4, 1), 1e30), [0.0]])
    assert ("overflow", None) in kinds(model.diagnose(np.abs(X), NUMBERS))


# ---- healthy ------------------------------------------------------------------------------------


def standardised(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def data_sets():
    digits, iris, wine = load_digits(), load_iris(), load_wine()
    cancer, diabetes = load_breast_cancer(), load_diabetes()
    y = standardised(diabetes.target)
    return {
        "digits": (digits.data / 16, digits.target, 10),
        "breast cancer": (standardised(cancer.data), cancer.target, 1),
        "diabetes": (standardised(diabetes.data), y, 0),
        "wine": (standardised(wine.data), wine.target, 3),
        "iris": (standardised(iris.data), iris.target, 3),
    }


DATA = data_sets()
EPOCHS = {"few": 8, "many": 300}


@pytest.mark.parametrize("length", EPOCHS)
@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Adam"])
@pytest.mark.parametrize("hidden", ["relu", "tanh"])
@pytest.mark.parametrize("name", DATA)
def test_a_healthy_net_has_no_findings(name, hidden, optimizer, length):
    x, y, n_classes = DATA[name]
    loss, last = ("mse", Dense(1)) if n_classes == 0 else ("binary_crossentropy", SIGMOID)
    if n_classes > 1:
        loss, last = "categorical_crossentropy", Dense(n_classes, "softmax")
    made_optimizer = {
        "SGD": SGD(0.05),
        "momentum": SGD(0.01, momentum=0.9),
        "Adam": Adam(0.003),
    }[optimizer]
    model = Sequential([Dense(32, hidden), Dense(16, hidden), last], seed=4)
    model.compile(made_optimizer, loss)
    model.build(x.shape[1])
    assert kinds(model.diagnose(x, y)) == []
    model.fit(x, y, epochs=EPOCHS[length] // (4 if name == "digits" else 1))
    assert kinds(model.diagnose(x, y)) == []


# ---- how ----------------------------------------------------------------------------------------


def test_nothing_moves():
    model = made([Dense(8, "relu"), Dropout(0.5), SIGMOID], optimizer=Adam(), epochs=3)
    twin = copy.deepcopy(model)
    model.diagnose(X, LABELS)
    assert model.train_on_batch(X, LABELS) == twin.train_on_batch(X, LABELS)
    for W, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)


def test_a_thousand_rows_are_looked_at():
    many = np.tile(X, (20, 1))
    model = made([Dense(8, "relu"), SIGMOID])
    assert model.diagnose(many, np.tile(LABELS, 20)).n_rows == 1000
    assert "as far as 1000 rows show" in repr(model.diagnose(many, np.tile(LABELS, 20)))


def test_custom_losses_weights_and_line_search_work():
    def half(y_true, y_pred):
        e = y_pred - y_true[:, None]
        return (e * e).mean() / 2, e / e.size

    model = made([Dense(8, "tanh"), Dense(1)], half, epochs=30)
    assert kinds(model.diagnose(X, NUMBERS)) == []
    model = made([Dense(8, "tanh"), Dense(1)], "mse", SGD("auto"), epochs=20, mode="batch")
    assert kinds(model.diagnose(X, NUMBERS, sample_weight=RNG.random(300))) == []


def test_a_single_row_says_nothing_about_units():
    model = made([Dense(8, "relu"), SIGMOID])
    assert kinds(model.diagnose(X[:1], LABELS[:1])) == []


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no weights yet"):
        Sequential([SIGMOID]).diagnose(X, LABELS)
    model = made([SIGMOID])
    with pytest.raises(ValueError, match="columns"):
        model.diagnose(X[:, :2], LABELS)


# ---- the line at the end of a fit ---------------------------------------------------------------


def test_a_fit_that_shows_itself_ends_with_a_line(capsys):
    dead = [Dense(8, "relu", bias_initializer=[-50.0] * 8), SIGMOID]
    made(dead, epochs=2)
    assert capsys.readouterr().out == ""
    made(dead, epochs=2, verbose=2)
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("Something is wrong: dead units in layer 1: 8 of 8 units")
    made([Dense(8, "relu"), SIGMOID], epochs=20, verbose=2)
    assert "Something" not in capsys.readouterr().out


def test_the_line_does_not_touch_the_bits(capsys):
    silent, shown = [
        made([Dense(8, "relu"), Dropout(0.2), SIGMOID], optimizer=Adam(), epochs=3, verbose=verbose)
        for verbose in (0, 2)
    ]
    for W, other in zip(silent.get_weights(), shown.get_weights(), strict=True):
        np.testing.assert_array_equal(W, other)
