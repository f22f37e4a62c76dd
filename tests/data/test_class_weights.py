"""Weights of classes are the sample weights they stand for."""

import numpy as np
import pytest

from fastnn import Dense, Sequential

RNG = np.random.default_rng(0)
N_ROWS = 50
X = RNG.normal(size=(N_ROWS, 4))
LABELS = RNG.choice(3, N_ROWS, p=[0.6, 0.3, 0.1])
BIT = LABELS % 2
CASES = {  # output layer, loss, y, the class of each row
    "labels": (Dense(3, "softmax"), "categorical_crossentropy", LABELS, LABELS),
    "one-hot": (Dense(3, "softmax"), "categorical_crossentropy", np.eye(3)[LABELS], LABELS),
    "binary": (Dense(1, "sigmoid"), "binary_crossentropy", BIT, BIT),
    "signs": (Dense(1), "hinge", 2 * BIT - 1, BIT),
    "zeros and ones": (Dense(1), "squared_hinge", BIT, BIT),
}
kinds = pytest.mark.parametrize("kind", CASES)


def fitted(kind, *, dtype="float32", y=None, **options):
    output, loss, targets, _ = CASES[kind]
    model = Sequential([Dense(3, "tanh"), output], dtype=dtype, seed=1)
    model.compile(loss=loss)
    model.fit(X, targets if y is None else y, epochs=2, **options)
    return model


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


@kinds
@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dictionary_is_the_sample_weight_it_stands_for(kind, mode, dtype):
    by_class = fitted(kind, dtype=dtype, mode=mode, class_weight={1: 0.3, 0: 2})
    weights = np.array([2, 0.3, 1])[CASES[kind][3]]
    by_row = fitted(kind, dtype=dtype, mode=mode, sample_weight=weights)
    assert bits(by_class) == bits(by_row)
    assert by_class.history.history["loss"] == by_row.history.history["loss"]


@kinds
def test_balanced_is_rows_over_classes_times_count(kind):
    labels = CASES[kind][3]
    counts = np.bincount(labels)
    weights = (N_ROWS / (len(counts) * counts))[labels]
    by_class = fitted(kind, class_weight="balanced")
    assert bits(by_class) == bits(fitted(kind, sample_weight=weights))


def test_balanced_leaves_absent_classes_out():
    weights = N_ROWS / (2 * np.bincount(BIT))[BIT]
    by_class = fitted("labels", y=BIT, class_weight="balanced")
    assert bits(by_class) == bits(fitted("labels", y=BIT, sample_weight=weights))


def test_balanced_counts_the_rows_of_training_and_leaves_validation_as_it_is():
    split = fitted("binary", class_weight="balanced", validation_split=0.4)
    weights = 30 / (2 * np.bincount(BIT[:30]))[BIT[:30]]
    by_hand = fitted_on_the_first(30, weights)
    assert bits(split) == bits(by_hand)
    assert split.history.history["val_loss"][-1] == by_hand.evaluate(X[30:], BIT[30:])


def fitted_on_the_first(n_rows, weights):
    output, loss, y, _ = CASES["binary"]
    model = Sequential([Dense(3, "tanh"), output], seed=1)
    model.compile(loss=loss)
    model.fit(X[:n_rows], y[:n_rows], epochs=2, sample_weight=weights)
    return model


REFUSED = [
    ("labels", {3: 1.0}, ValueError, "names the class 3; expected classes from 0 to 2, e.g."),
    ("binary", {2: 1.0}, ValueError, "names the class 2; expected classes from 0 to 1, e.g."),
    ("signs", {-1: 1.0}, ValueError, r"names the class -1; .* \(0 stands for targets -1, too\)"),
    ("labels", {"cat": 1.0}, ValueError, "names the class 'cat'"),
    ("labels", {0.5: 1.0}, ValueError, "names the class 0.5"),
    ("labels", {0: -1.0}, ValueError, r"class_weight\[0\]=-1.0: expected a number at least 0"),
    ("labels", {0: np.nan}, ValueError, r"class_weight\[0\]=nan"),
    ("labels", {0: np.inf}, ValueError, r"class_weight\[0\]=inf"),
    ("labels", {0: "1"}, TypeError, r"class_weight\[0\]='1': expected a number"),
    ("labels", {0: 1e300}, ValueError, "class_weight holds numbers too large for float32"),
    ("labels", "even", TypeError, "class_weight='even': expected a dictionary .* 'balanced'"),
    ("labels", [1.0, 2.0, 3.0], TypeError, "expected a dictionary from class numbers"),
]


@pytest.mark.parametrize(("kind", "class_weight", "error", "message"), REFUSED)
def test_what_is_no_weight_of_a_class_is_refused(kind, class_weight, error, message):
    with pytest.raises(error, match=message):
        fitted(kind, class_weight=class_weight)


def test_both_kinds_of_weights_are_refused():
    with pytest.raises(ValueError, match="sample_weight or class_weight, not both"):
        fitted("binary", class_weight={0: 1.0}, sample_weight=np.ones(N_ROWS))


OWN = lambda y_true, y_pred: (0.0, np.zeros_like(y_pred))  # noqa: E731


@pytest.mark.parametrize("loss", ["mean_squared_error", "poisson", OWN])
def test_losses_without_classes_are_refused(loss):
    model = Sequential([Dense(1, "softplus")], seed=1)
    model.compile(loss=loss)
    with pytest.raises(ValueError, match="needs a loss whose targets are classes"):
        model.fit(X, BIT, class_weight={0: 1.0})
    assert not model.built


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.full(N_ROWS, 0.5), "probabilities between"), (np.ones((N_ROWS, 2)), "y has 2")],
)
def test_targets_without_a_class_are_refused(y, message):
    model = Sequential([Dense(y[0].size, "sigmoid")], seed=1)
    model.compile(loss="binary_crossentropy")
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, class_weight="balanced")


def test_rows_of_probabilities_have_no_class_to_be_weighed_by():
    model = Sequential([Dense(3, "softmax")])
    model.compile(loss="categorical_crossentropy")
    y = np.full((6, 3), 1 / 3)
    for weights in ({0: 2.0}, "balanced"):
        with pytest.raises(ValueError, match="needs labels or one-hot rows, but y holds probab"):
            model.fit(np.ones((6, 2)), y, class_weight=weights)
    assert not model.built
