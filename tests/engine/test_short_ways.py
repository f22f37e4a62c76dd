"""The short ways of few rows against the ordinary way: the same results, the same refusals.

Targets and rows of any kind that somebody may pass are drawn by hypothesis, the same ones each run.
"""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import SGD, Adam, Dense, Diverged, MLPClassifier, MLPRegressor, Sequential
from fastnn.models import learner_of

DRAWN = settings(derandomize=True, database=None, deadline=None, max_examples=60)
N = 3  # columns of X
MODELS = {
    f"{loss} {units} {dtype}": (loss, activation, units, dtype)
    for loss, activation in {
        "mean_squared_error": "linear",
        "huber": "linear",
        "poisson": "softplus",
        "hinge": "tanh",
        "binary_crossentropy": "sigmoid",
        "categorical_crossentropy": "softmax",
    }.items()
    for units, dtype in ((1, "float32"), (2, "float64"), (5, "float32"))
    if not (loss == "categorical_crossentropy" and units == 1)
}

scalars = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3.0, 0.5, 1e300, 1e-320, 10**400, -(10**19), 2**60 + 1, True]),
    st.sampled_from([float("nan"), float("inf"), None, "1", b"1", 1 + 1j, (), [], object()]),
    st.floats(-5, 5),
    st.integers(-3, 6),
)
dtypes = st.sampled_from(
    ["f4", "f8", ">f8", "f2", "g", "i1", "i8", "u1", "u8", "?", "m8[ns]", "M8[s]", "c16", "U3", "O"]
)
shapes = st.sampled_from([(), (1,), (1, 1), (1, 2), (2,), (5,), (1, 5), (1, 1, 1), (0,)])


def array_of(value, dtype, shape, masked):
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = np.full(shape, np.array(value).astype(dtype))
    except (TypeError, ValueError, OverflowError):
        made = np.full(shape, None)
    return np.ma.masked_array(made, made.astype(bool)) if masked and dtype in "f4i8" else made


targets = st.one_of(
    scalars,
    st.lists(scalars, max_size=5),
    st.builds(array_of, scalars, dtypes, shapes, st.booleans()),
    st.builds(lambda value, dtype: array_of(value, dtype, (), False)[()], scalars, dtypes),
)


def row_of(numbers, dtype, form):
    with np.errstate(all="ignore"):
        row = np.array([numbers]).astype(dtype)
    padded = np.zeros((1, row.nbytes + 1), np.uint8)
    padded[:, 1:] = row.view(np.uint8)
    return {
        "plain": row,
        "list": row.tolist(),
        "strided": np.repeat(row, 2, axis=1)[:, ::2],
        "Fortran": np.asfortranarray(row),
        "unaligned": padded[:, 1:].view(dtype),
        "matrix": row.view(np.matrix),
        "flat": row[0],
        "two rows": np.repeat(row, 2, axis=0),
        "reversed": np.repeat(row, 3, axis=0)[::-1],
        "rows of one": np.broadcast_to(row, (2, row.shape[1])),
        "masked": np.ma.masked_array(row, row == 0),
    }[form]


FORMS = ["plain", "plain", "list", "strided", "Fortran", "unaligned", "matrix", "flat", "two rows"]
FORMS += ["reversed", "rows of one", "masked"]
numbers = st.one_of(st.floats(-3, 3), st.sampled_from([0.0, 1.0, np.nan, np.inf, 1e39, 1e-40]))
rows = st.builds(
    row_of,
    st.lists(numbers, min_size=N - 1, max_size=N + 1).filter(lambda row: len(row) >= N - 1),
    st.sampled_from(["f4", "f8", "f8", "i2", ">f4", "f2", "?", "u8"]),
    st.sampled_from(FORMS),
)
usual_rows = st.builds(row_of, st.lists(st.floats(-3, 3), min_size=N, max_size=N), st.just("f8"),
                       st.just("plain"))  # fmt: skip


def model_for(name, optimizer=None):
    loss, activation, units, dtype = MODELS[name]
    model = Sequential([Dense(4, "tanh"), Dense(units, activation)], dtype=dtype, seed=0)
    model.compile(optimizer or SGD(0.1), loss)
    model.build(N)
    return model


def outcome(model, call):
    """What a call returns or raises, and the state that it leaves."""
    try:
        with np.errstate(all="ignore"):
            said = call()
    except Exception as error:
        said = type(error), str(error)
    state = learner_of(model).optimizer_state(learner_of(model).network)
    weights = [W.tobytes() for W in model.get_weights()]
    return said, weights, state.step, state.slots.tobytes()


def compare_train_on_batch(name, X, y, optimizer=None):
    short, ordinary = model_for(name, optimizer), model_for(name, optimizer)
    found = outcome(short, lambda: short.train_on_batch(X, y))
    expected = outcome(ordinary, lambda: ordinary.train_on_batch(X, y, return_dict=True)["loss"])
    if isinstance(found[0], tuple) and found[0][0] is expected[0][0] is Diverged:
        return
    assert found == expected


@pytest.mark.parametrize("name", MODELS)
@DRAWN
@given(X=usual_rows, y=targets)
def test_a_row_is_learnt_alike_whatever_its_target(name, X, y):
    compare_train_on_batch(name, X, y)


@pytest.mark.parametrize("name", ["mean_squared_error 1 float32", "huber 2 float64"])
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.01)], ids=["SGD", "Adam"])
@DRAWN
@given(X=rows, y=st.one_of(st.floats(-3, 3), st.just([[0.5, 1.0]]), targets))
def test_a_row_of_any_form_is_learnt_alike(name, optimizer, X, y):
    compare_train_on_batch(name, X, y, optimizer)


@pytest.mark.parametrize("name", ["mean_squared_error 1 float32", "hinge 5 float32"])
@settings(DRAWN, max_examples=400)
@given(X=rows)
def test_few_rows_of_any_form_are_predicted_alike(name, X):
    model = model_for(name)

    def bits(**settings):
        outputs = model.predict(X, **settings)
        return outputs.shape, outputs.dtype, outputs.tobytes()

    assert outcome(model, bits) == outcome(model, lambda: bits(threads=1))


@pytest.mark.parametrize("widths", [(1,), (4, 1), (8, 8, 3), (64, 32, 1), (70, 10)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_rows_are_predicted_with_the_bits_of_many(widths, dtype):
    model = Sequential([*(Dense(n, "relu") for n in widths[:-1]), Dense(widths[-1])], dtype=dtype,
                       seed=3)  # fmt: skip
    model.build(30)
    X = np.random.default_rng(0).normal(size=(200, 30)).astype(dtype)
    X[::3, ::2] = 0
    whole = model.predict(X)
    for n in (1, 2, 3, 7, 10, 16, 33, 64, 65):
        assert model.predict(X[:n]).tobytes() == whole[:n].tobytes()
        assert model.predict(X[: 3 * n : 3][:n].tolist()).shape[1] == widths[-1]


def test_one_number_is_no_target_of_several_outputs():
    X = np.ones((1, N))
    for units in (2, 5, 64):
        model = Sequential([Dense(units)], seed=0)
        model.compile("sgd", "mse")
        model.build(N)
        before = outcome(model, lambda: None)
        for y in (3.0, np.array([3.0]), np.array(3.0), np.float32(3), [3.0]):
            with pytest.raises(ValueError, match=r"y has shape \(1,\); expected"):
                model.train_on_batch(X, y)
        assert outcome(model, lambda: None) == before


@pytest.mark.parametrize("n_outputs", [1, 2])
@DRAWN
@given(y=targets)
def test_learn_one_of_a_regressor_is_the_ordinary_step(n_outputs, y):
    Y = np.arange(3.0 * n_outputs).reshape(3, n_outputs)
    made = MLPRegressor(hidden_layer_sizes=(4,), solver="sgd", random_state=0)
    made.partial_fit(np.eye(N), Y[:, 0] if n_outputs == 1 else Y)
    short, ordinary = copy.deepcopy(made), copy.deepcopy(made)
    found = outcome(short.model_, lambda: short.learn_one(np.ones(N), y) and 0)

    def step():
        target = y if np.ndim(y) == 0 else np.reshape(y, (1, -1))
        ordinary.model_.train_on_batch(np.ones((1, N)), target, return_dict=True)
        return 0

    expected = outcome(ordinary.model_, step)
    assert found[1:] == expected[1:]
    assert (found[0] == 0) == (expected[0] == 0)


@DRAWN
@given(y=scalars)
def test_learn_one_of_a_classifier_is_partial_fit_or_refuses(y):
    made = MLPClassifier((4,), solver="sgd", random_state=0)
    made.partial_fit(np.eye(N), [0, 1, 2], classes=[0, 1, 2])
    before = outcome(made.model_, lambda: None)
    found = outcome(made.model_, lambda: made.learn_one(np.ones(N), y) and 0)
    if found[0] == 0:
        assert y in (0, 1, 2)
    else:
        assert found[1:] == before[1:]
