"""Bad input is refused with a message that helps, and leaves the model as it was; good input works.

The tables hold what is wrong, how it is passed in, and which error says so. Every refused call on
a model is followed by a look at the whole model, weights bit for bit.
"""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import (
    SGD,
    BinaryCrossentropy,
    Callback,
    CategoricalCrossentropy,
    Dense,
    Huber,
    Normalization,
    Sequential,
)

OUTPUT = {  # last layer, loss
    "binary": (Dense(1, "sigmoid"), "binary_crossentropy"),
    "two binary": (Dense(2, "sigmoid"), "binary_crossentropy"),
    "classes": (Dense(3, "softmax"), "categorical_crossentropy"),
    "numbers": (Dense(2), "mean_squared_error"),
    "counts": (Dense(1, "sigmoid"), "poisson"),
    "signs": (Dense(1), "hinge"),
}
N_ROWS = 8
X = np.random.default_rng(0).normal(size=(N_ROWS, 3))
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
Y = {
    "binary": LABELS % 2,
    "two binary": np.stack([LABELS % 2, LABELS // 2], axis=1),
    "classes": LABELS,
    "numbers": X[:, :2] ** 2,
    "counts": LABELS,
    "signs": 2 * (LABELS % 2) - 1,
}
NAN, INF = np.nan, np.inf


def compiled_model(kind="binary", dtype="float32"):
    output, loss = OUTPUT[kind]
    model = Sequential([Dense(4, "relu"), output], dtype=dtype, seed=3)
    model.compile(loss=loss)
    return model


def fitted_model(kind="binary", dtype="float32"):
    model = compiled_model(kind, dtype)
    model.fit(X, Y[kind], epochs=2, batch_size=4)
    return model


STATES = {"unbuilt": compiled_model, "fitted": fitted_model}


# ---- the look at the model before and after ---------------------------------------------------


def weight_bits(model):
    return [weights.tobytes() for weights in model.get_weights()] if model.built else None


def everything_but_weights(model):
    """Every attribute: compiled state, history object, epochs trained, ...; lists as copies."""
    return {
        name: value.copy() if isinstance(value, list) else value
        for name, value in vars(model).items()
    }


def assert_same_objects(before, after):
    assert before.keys() == after.keys()
    for name, value in before.items():
        if isinstance(value, list):
            assert list(map(id, after[name])) == list(map(id, value)), name
        else:
            assert after[name] is value, name


def assert_refused(model, call, error, message):
    """`call(model)` raises, and nothing of the model has changed."""
    attributes, weights = everything_but_weights(model), weight_bits(model)
    history, metadata = copy.deepcopy(model.history), copy.deepcopy(model.metadata)
    with pytest.raises(error, match=message):
        call(model)
    assert_same_objects(attributes, everything_but_weights(model))
    assert weight_bits(model) == weights
    assert (model.history, model.metadata) == (history, metadata)


def changed(array, index, value):
    array = np.array(array, dtype=np.result_type(array, value))
    array[index] = value
    return array


def table(*rows):
    """Rows (what, ...) as parameters that are named `what`."""
    return [pytest.param(*rest, id=what) for what, *rest in rows]


def named(message, entrance):
    """The message as it is about validation data: "validation X has ..."."""
    if entrance != "validation_data":
        return f"^{message}"
    return f"^validation {message}".replace("but X has", "but validation X has")


# ---- X ----------------------------------------------------------------------------------------

X_ENTRANCES = {
    "fit": lambda model, bad, y: model.fit(bad, y),
    "evaluate": lambda model, bad, y: model.evaluate(bad, y),
    "gradient": lambda model, bad, y: model.gradient(bad, y),
    "predict": lambda model, bad, y: model.predict(bad),
    "validation_data": lambda model, bad, y: model.fit(X, y, validation_data=(bad, y)),
}
BAD_X = table(
    ("NaN", changed(X, (2, 1), NAN), ValueError, r"X\[2, 1\] is nan"),
    ("infinity", changed(X, (7, 2), INF), ValueError, r"X\[7, 2\] is inf"),
    ("minus infinity", changed(X, (0, 0), -INF), ValueError, r"X\[0, 0\] is -inf"),
    ("NaN in float32", changed(X, (5, 0), NAN).astype("f4"), ValueError, r"X\[5, 0\] is nan"),
    ("NaN in float16", changed(X, (5, 0), NAN).astype("f2"), ValueError, r"X\[5, 0\] is nan"),
    ("NaN, big-endian", changed(X, (5, 0), NAN).astype(">f8"), ValueError, r"X\[5, 0\] is nan"),
    ("NaN, Fortran", np.asfortranarray(changed(X, (1, 2), NAN)), ValueError, r"X\[1, 2\] is nan"),
    ("NaN, reversed", changed(X, (1, 2), NAN)[::-1], ValueError, r"X\[6, 2\] is nan"),
    ("None in a list", [[0, None, 0]] * N_ROWS, ValueError, r"X\[0, 1\] is nan"),
    (
        "too large for float32",
        changed(X, (3, 0), 1e39),
        ValueError,
        r"X\[3, 0\] is 1e\+39.*float32",
    ),
    ("no rows", X[:0], ValueError, r"X is empty.*\(0, 3\)"),
    ("no columns", X[:, :0], ValueError, r"X is empty.*\(8, 0\)"),
    ("empty list", [], ValueError, r"X has shape \(0,\)"),
    ("one dimension", X[0], ValueError, r"X has shape \(3,\).*reshape\(1, -1\)"),
    ("three dimensions", X[None], ValueError, r"X has shape \(1, 8, 3\)"),
    ("a number", 3.0, ValueError, r"X has shape \(\)"),
    ("nothing", None, ValueError, "X is None; expected an array"),
    ("text", X.astype(str), TypeError, "X has dtype <U.*Encode text"),
    ("text in a list", [["1", "2", "3"]] * N_ROWS, TypeError, "X has dtype <U1"),
    ("bytes", X.astype("S8"), TypeError, r"X has dtype \|S8"),
    ("mixed text", [[0, "a", 1]] * N_ROWS, TypeError, "X has dtype <U"),
    (
        "text objects",
        np.array([["a"] * 3] * N_ROWS, object),
        TypeError,
        "X holds values that are not",
    ),
    ("numeric text objects", np.array([["1"] * 3] * N_ROWS, object), TypeError, "X holds values"),
    ("lists as objects", np.array([[[1], [2], [3]]] * N_ROWS, object), ValueError, "X has shape"),
    ("a dictionary", {"a": 1}, TypeError, "X is a dict; expected an array"),
    ("a function", print, TypeError, "X is a builtin_function_or_method; expected an array"),
    (
        "ragged",
        [[1, 2, 3]] * (N_ROWS - 1) + [[1, 2]],
        ValueError,
        "X has rows of different lengths",
    ),
    ("complex", X + 0j, TypeError, "X has dtype complex128.*real"),
    ("dates", np.zeros((N_ROWS, 3), "M8[s]"), TypeError, "X has dtype datetime64"),
)


@pytest.mark.parametrize("entrance", X_ENTRANCES)
@pytest.mark.parametrize(("bad", "error", "message"), BAD_X)
def test_bad_x_is_refused(bad, error, message, entrance):
    def call(model):
        return X_ENTRANCES[entrance](model, bad, Y["binary"])

    assert_refused(fitted_model(), call, error, named(message, entrance))


@pytest.mark.parametrize("entrance", ["fit", "validation_data"])
@pytest.mark.parametrize(("bad", "error", "message"), BAD_X)
def test_bad_x_does_not_build_a_model(bad, error, message, entrance):
    model = compiled_model()

    def call(m):
        return X_ENTRANCES[entrance](m, bad, Y["binary"])

    assert_refused(model, call, error, named(message, entrance))
    assert not model.built


@pytest.mark.parametrize("entrance", X_ENTRANCES)
@pytest.mark.parametrize("bad", [X[:, :2], np.hstack([X, X])], ids=["2 columns", "6 columns"])
def test_other_width_is_refused_by_a_built_model(bad, entrance):
    def call(model):
        return X_ENTRANCES[entrance](model, bad, Y["binary"])

    message = f"X has {bad.shape[1]} columns, but the model was built for 3"
    assert_refused(fitted_model(), call, ValueError, named(message, entrance))


def test_validation_data_of_other_width_does_not_build_a_model():
    def call(model):
        return model.fit(X, Y["binary"], validation_data=(X[:, :2], Y["binary"]))

    assert_refused(compiled_model(), call, ValueError, "validation X has 2 columns, but X has 3")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_a_float32_model_refuses_numbers_beyond_float32(dtype):
    large = changed(X, (3, 0), 1e39)
    model = Sequential([Dense(1, kernel_initializer="zeros")], dtype=dtype)
    model.build(3)
    if dtype == "float64":
        assert not model.predict(large).any()
    else:
        assert_refused(model, lambda m: m.predict(large), ValueError, r"X\[3, 0\] is 1e\+39")


def test_first_of_several_nan_is_named():
    bad = changed(X, ([6, 2, 2], [0, 2, 1]), NAN)
    assert_refused(fitted_model(), lambda m: m.predict(bad), ValueError, r"X\[2, 1\]")


def test_nan_far_down_a_large_array_is_named_with_its_row():
    tall = np.zeros((9_000_000, 1))  # more than is checked in one go
    tall[8_999_998] = NAN
    model = Sequential([Dense(1)], seed=0)
    model.build(1)
    assert_refused(model, lambda m: m.predict(tall), ValueError, r"X\[8999998, 0\]")


# ---- y ----------------------------------------------------------------------------------------

Y_ENTRANCES = {
    "fit": lambda model, bad, y: model.fit(X, bad),
    "evaluate": lambda model, bad, y: model.evaluate(X, bad),
    "gradient": lambda model, bad, y: model.gradient(X, bad),
    "validation_data": lambda model, bad, y: model.fit(X, y, validation_data=(X, bad)),
}
ONE_HOT = np.eye(3)[LABELS]
BAD_Y = table(
    ("too short", "binary", Y["binary"][:-1], ValueError, r"y has shape \(7,\), but X has 8 rows"),
    ("too long", "binary", np.zeros(9), ValueError, r"y has shape \(9,\), but X has 8 rows"),
    ("empty", "binary", [], ValueError, r"y has shape \(0,\)"),
    ("a number", "binary", 1, ValueError, r"y has shape \(\)"),
    ("nothing", "binary", 5, ValueError, r"y has shape \(\)"),
    ("a row", "binary", np.zeros((1, 8)), ValueError, r"y has shape \(1, 8\)"),
    ("two columns", "binary", np.zeros((8, 2)), ValueError, r"y has shape \(8, 2\).*\(8, 1\)"),
    ("three dimensions", "binary", np.zeros((8, 1, 1)), ValueError, r"y has shape \(8, 1, 1\)"),
    ("one column for two", "two binary", np.zeros(8), ValueError, r"y has shape \(8,\).*\(8, 2\)"),
    ("one number for two", "numbers", np.zeros(8), ValueError, r"y has shape \(8,\).*\(8, 2\)"),
    (
        "two columns for three",
        "classes",
        np.eye(2)[LABELS % 2],
        ValueError,
        r"y has shape .*\(8, 3\).*labels",
    ),
    ("NaN", "numbers", changed(Y["numbers"], (1, 0), NAN), ValueError, "y holds NaN or infinity"),
    ("infinity", "numbers", changed(Y["numbers"], (1, 0), INF), ValueError, "y holds NaN"),
    ("too large", "numbers", changed(Y["numbers"], (1, 0), 1e39), ValueError, "y .*float32"),
    ("NaN, binary", "binary", changed(Y["binary"], 1, NAN), ValueError, "y holds NaN or infinity"),
    ("NaN label", "classes", changed(LABELS, 1, NAN), ValueError, "y holds NaN or infinity"),
    ("infinite label", "classes", changed(LABELS, 1, INF), ValueError, "y holds NaN or infinity"),
    (
        "-1 and 1",
        "binary",
        2 * Y["binary"] - 1,
        ValueError,
        "y holds values from -1 to 1; expected 0, 1",
    ),
    ("1 and 2", "binary", Y["binary"] + 1, ValueError, "y holds values from 1 to 2; expected 0, 1"),
    ("above 1", "binary", Y["binary"] * 1.01, ValueError, "y holds values from 0.0 to 1.01"),
    ("negative count", "counts", LABELS - 1, ValueError, "y holds values from -1 to 1.*counts"),
    (
        "-1, 0 and 1",
        "signs",
        LABELS - 1,
        ValueError,
        "y holds the values -1, 0, 1; .* -1 and 1, or",
    ),
    ("1 and 2 for a hinge", "signs", Y["binary"] + 1, ValueError, "y holds the values 1, 2;"),
    ("half a sign", "signs", Y["signs"] / 2, ValueError, "y holds the values -0.5, 0.5"),
    (
        "label 3 of 3",
        "classes",
        LABELS + 1,
        ValueError,
        r"y holds labels from 1 to 3.*Dense\(4, 'softmax'\)",
    ),
    ("negative label", "classes", LABELS - 1, ValueError, "y holds labels from -1 to 1"),
    ("half a label", "classes", LABELS / 2, ValueError, "y holds class labels that are not whole"),
    (
        "sum 2",
        "classes",
        changed(ONE_HOT, (4, 0), 1),
        ValueError,
        "y has rows that do not sum to 1",
    ),
    ("sum 0", "classes", np.zeros((8, 3)), ValueError, "y has rows that do not sum to 1"),
    (
        "sum 0, unsigned",
        "classes",
        np.zeros((8, 3), "u1"),
        ValueError,
        "y has rows that do not sum to 1",
    ),
    (
        "negative one-hot",
        "classes",
        ONE_HOT * [2, 1, 1] - [1, 0, 0],
        ValueError,
        "y holds values from -1.0 to 1.0",
    ),
    ("text", "classes", LABELS.astype(str), TypeError, r"y has dtype <U.*np\.unique\(.*y"),
    (
        "text objects",
        "classes",
        np.array(list("abcabcab"), object),
        TypeError,
        r"y holds.*np\.unique",
    ),
    ("numeric text objects", "classes", np.array(list("01201201"), object), TypeError, "y holds"),
    ("complex", "binary", Y["binary"] + 0j, TypeError, "y has dtype complex128"),
    ("ragged", "numbers", [[1, 2]] * 7 + [[1]], ValueError, "y has rows of different lengths"),
)


@pytest.mark.parametrize("entrance", Y_ENTRANCES)
@pytest.mark.parametrize(("kind", "bad", "error", "message"), BAD_Y)
def test_bad_y_is_refused(kind, bad, error, message, entrance):
    def call(model):
        return Y_ENTRANCES[entrance](model, bad, Y[kind])

    assert_refused(fitted_model(kind), call, error, named(message, entrance))


@pytest.mark.parametrize("entrance", ["fit", "validation_data"])
@pytest.mark.parametrize(("kind", "bad", "error", "message"), BAD_Y)
def test_bad_y_does_not_build_a_model(kind, bad, error, message, entrance):
    def call(model):
        return Y_ENTRANCES[entrance](model, bad, Y[kind])

    assert_refused(compiled_model(kind), call, error, named(message, entrance))


# ---- sample_weight ----------------------------------------------------------------------------

WEIGHT_ENTRANCES = {
    "fit": lambda model, bad: model.fit(X, Y["binary"], sample_weight=bad),
    "evaluate": lambda model, bad: model.evaluate(X, Y["binary"], sample_weight=bad),
    "gradient": lambda model, bad: model.gradient(X, Y["binary"], sample_weight=bad),
    "validation_data": lambda model, bad: model.fit(
        X, Y["binary"], validation_data=(X, Y["binary"], bad)
    ),
}
BAD_WEIGHTS = table(
    ("too short", np.ones(7), ValueError, r"sample_weight has shape \(7,\); expected \(8,\)"),
    ("a column", np.ones((8, 1)), ValueError, r"sample_weight has shape \(8, 1\)"),
    ("a number", 2.0, ValueError, r"sample_weight has shape \(\)"),
    ("empty", [], ValueError, r"sample_weight has shape \(0,\)"),
    ("negative", changed(np.ones(8), 2, -0.1), ValueError, "sample_weight holds negative"),
    ("NaN", changed(np.ones(8), 2, NAN), ValueError, "sample_weight holds .*NaN"),
    ("infinity", changed(np.ones(8), 2, INF), ValueError, "sample_weight holds .*infinity"),
    ("too large", changed(np.ones(8), 2, 1e39), ValueError, "sample_weight .*float32"),
    ("text", ["a"] * 8, TypeError, "sample_weight has dtype <U1"),
    ("complex", np.ones(8) + 0j, TypeError, "sample_weight has dtype complex128"),
    ("ragged", [[1], [1, 2]], ValueError, "sample_weight has rows of different lengths"),
)


@pytest.mark.parametrize("entrance", WEIGHT_ENTRANCES)
@pytest.mark.parametrize(("bad", "error", "message"), BAD_WEIGHTS)
def test_bad_sample_weight_is_refused(bad, error, message, entrance):
    def call(model):
        return WEIGHT_ENTRANCES[entrance](model, bad)

    assert_refused(fitted_model(), call, error, named(message, entrance))


# ---- options of fit ---------------------------------------------------------------------------

BAD_OPTIONS = table(
    ("epochs -1", {"epochs": -1}, ValueError, "epochs=-1: expected at least 0"),
    ("epochs 1.5", {"epochs": 1.5}, TypeError, "epochs=1.5: expected a whole number"),
    ("epochs text", {"epochs": "3"}, TypeError, "epochs='3': expected a whole number"),
    ("batch_size 0", {"batch_size": 0}, ValueError, "batch_size=0: expected at least 1"),
    ("batch_size -1", {"batch_size": -1}, ValueError, "batch_size=-1: expected at least 1"),
    ("batch_size 1.5", {"batch_size": 1.5}, TypeError, "batch_size=1.5: expected a whole"),
    ("batch_size True", {"batch_size": True}, TypeError, "batch_size=True: expected a whole"),
    ("batch_size numpy True", {"batch_size": np.True_}, TypeError, "batch_size=.*True"),
    ("batch_size text", {"batch_size": "all"}, TypeError, "batch_size='all': expected a whole"),
    ("mode unknown", {"mode": "online"}, ValueError, "online.*stochastic.*minibatch.*batch"),
    ("mode misspelt", {"mode": "stochastik"}, ValueError, "mean 'stochastic'"),
    ("mode not text", {"mode": 32}, TypeError, "mode=32.*stochastic.*minibatch.*batch"),
    (
        "stochastic with batch_size",
        {"mode": "stochastic", "batch_size": 4},
        ValueError,
        "mode='stochastic'.*batch_size=4",
    ),
    (
        "batch with batch_size",
        {"mode": "batch", "batch_size": 4},
        ValueError,
        "mode='batch' uses all 8 rows.*batch_size=4",
    ),
    ("threads 1.5", {"threads": 1.5}, TypeError, "threads=1.5: expected a whole number"),
    ("threads 0", {"threads": 0}, ValueError, "threads=0: "),
    ("split 1", {"validation_split": 1}, ValueError, "validation_split=1 of 8 rows"),
    ("split 2", {"validation_split": 2}, ValueError, "validation_split=2 of 8 rows"),
    ("split all but nothing", {"validation_split": 0.99}, ValueError, "validation_split=0.99"),
    ("split nothing", {"validation_split": 1e-20}, ValueError, "validation_split=1e-20"),
    ("split negative", {"validation_split": -0.2}, ValueError, "validation_split=-0.2: expected"),
    ("split NaN", {"validation_split": NAN}, ValueError, "validation_split=nan: expected"),
    ("split text", {"validation_split": "0.2"}, TypeError, "validation_split='0.2': expected"),
    (
        "split and data",
        {"validation_split": 0.5, "validation_data": (X, Y["binary"])},
        ValueError,
        "validation_data or validation_split, not both",
    ),
    ("validation X alone", {"validation_data": (X,)}, TypeError, r"validation_data.*\(X, y\)"),
    ("validation array", {"validation_data": X}, TypeError, r"validation_data.*\(X, y\)"),
    (
        "validation lengths",
        {"validation_data": (X[:5], Y["binary"])},
        ValueError,
        r"validation y has shape \(8,\), but validation X has 5 rows",
    ),
    ("seed -1", {"seed": -1}, ValueError, "seed=-1: expected at least 0"),
    ("seed 1.5", {"seed": 1.5}, TypeError, "seed=1.5: expected a whole number"),
    ("verbose 3", {"verbose": 3}, ValueError, r"verbose=3: expected 0 .*1 .*or 2"),
    ("verbose on", {"verbose": "on"}, ValueError, "verbose='on': expected 0 or 'auto'"),
    ("verbose, a list", {"verbose": [1]}, ValueError, r"verbose=\[1\]: expected 0 or 'auto'"),
    ("callback, a function", {"callbacks": [print]}, TypeError, "callbacks holds .*Callback"),
    ("callback, the class", {"callbacks": [Callback]}, TypeError, "callbacks holds .*Callback"),
    ("callback, no list", {"callbacks": Callback()}, TypeError, "callbacks.*expected"),
    ("callback, a number", {"callbacks": 3}, TypeError, "callbacks.*expected"),
)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS)
def test_bad_option_of_fit_is_refused(options, error, message, state):
    def call(model):
        return model.fit(X, Y["binary"], **options)

    assert_refused(STATES[state](), call, error, message)


@pytest.mark.parametrize("share", [0, 0.0, None])
def test_validation_split_of_zero_is_none(share):
    history = compiled_model().fit(X, Y["binary"], validation_split=share)
    assert history.params["samples"] == N_ROWS
    assert "val_loss" not in history.history


def test_mode_and_batch_size_that_agree_are_accepted():
    model = compiled_model()
    assert model.fit(X, Y["binary"], mode="stochastic", batch_size=1).params["batch_size"] == 1
    assert model.fit(X, Y["binary"], mode="batch", batch_size=N_ROWS).params["mode"] == "batch"
    assert model.fit(X, Y["binary"], mode="batch", batch_size=99).params["batch_size"] == N_ROWS
    assert model.fit(X, Y["binary"], mode="minibatch", batch_size=3).params["batch_size"] == 3
    assert model.fit(X, Y["binary"], mode="minibatch").params["batch_size"] == N_ROWS


# ---- compile, build, set_weights, and what comes in the wrong order ----------------------------

BAD_COMPILE = table(
    (
        "loss unknown",
        "binary",
        {"loss": "cosine_similarity"},
        ValueError,
        "is unknown; known are .*categorical_crossentropy.*mean_squared_error.*squared_hinge",
    ),
    (
        "loss misspelt",
        "binary",
        {"loss": "binary_cross_entropy"},
        ValueError,
        "mean 'binary_crossentropy'",
    ),
    (
        "loss a class",
        "binary",
        {"loss": Huber},
        TypeError,
        r"loss=.*Huber.*expected a name or a loss, e\.g\. .*Huber\(delta=2\)",
    ),
    (
        "optimizer unknown",
        "binary",
        {"optimizer": "adan", "loss": "binary_crossentropy"},
        ValueError,
        "optimizer='adan' is unknown; known are sgd.*mean 'adam'",
    ),
    (
        "optimizer misspelt",
        "binary",
        {"optimizer": "sdg", "loss": "binary_crossentropy"},
        ValueError,
        "mean 'sgd'",
    ),
    (
        "optimizer a class",
        "binary",
        {"optimizer": SGD, "loss": "binary_crossentropy"},
        TypeError,
        "optimizer=.*expected a name",
    ),
    (
        "metric unknown",
        "binary",
        {"loss": "binary_crossentropy", "metrics": ["f1"]},
        ValueError,
        "metrics='f1' is unknown; known are accuracy",
    ),
    (
        "metric misspelt",
        "binary",
        {"loss": "binary_crossentropy", "metrics": ["accuracy", "acuracy"]},
        ValueError,
        "mean 'accuracy'",
    ),
    (
        "metrics text",
        "binary",
        {"loss": "binary_crossentropy", "metrics": "accuracy"},
        TypeError,
        r"metrics='accuracy': expected a list.*\['accuracy'\]",
    ),
    (
        "metrics a number",
        "binary",
        {"loss": "binary_crossentropy", "metrics": 5},
        TypeError,
        "metrics=5: expected a list",
    ),
    (
        "metric a number",
        "binary",
        {"loss": "binary_crossentropy", "metrics": [5]},
        TypeError,
        "metrics=.*expected a name",
    ),
    (
        "accuracy of numbers",
        "numbers",
        {"loss": "mean_squared_error", "metrics": ["accuracy"]},
        ValueError,
        "accuracy.*mean_squared_error",
    ),
    (
        "accuracy of counts",
        "counts",
        {"loss": "poisson", "metrics": ["accuracy"]},
        ValueError,
        "accuracy.*poisson",
    ),
    (
        "linear with poisson",
        "numbers",
        {"loss": "poisson"},
        ValueError,
        "'softplus' or.*has 'linear'",
    ),
    (
        "sigmoid with hinge",
        "binary",
        {"loss": "hinge"},
        ValueError,
        "'linear' or 'tanh'.*'sigmoid'",
    ),
    (
        "softmax with squared_hinge",
        "classes",
        {"loss": "squared_hinge"},
        ValueError,
        r"'linear' or 'tanh', but it has 'softmax'; e\.g\. Dense\(3, 'linear'\)",
    ),
    (
        "softmax with binary_crossentropy",
        "classes",
        {"loss": "binary_crossentropy"},
        ValueError,
        r"'sigmoid', but it has 'softmax'.*Dense\(3, 'sigmoid'\)",
    ),
    (
        "sigmoid with categorical_crossentropy",
        "binary",
        {"loss": "categorical_crossentropy"},
        ValueError,
        "'softmax', but it has 'sigmoid'",
    ),
)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("kind", "options", "error", "message"), BAD_COMPILE)
def test_bad_compile_is_refused(kind, options, error, message, state):
    assert_refused(STATES[state](kind), lambda m: m.compile(**options), error, message)


BAD_LOSSES = table(
    ("delta 0", Huber, {"delta": 0}, ValueError, "delta=0.0: expected .* greater than 0"),
    ("delta negative", Huber, {"delta": -1}, ValueError, "delta=-1.0: expected .* greater than 0"),
    ("delta NaN", Huber, {"delta": NAN}, ValueError, "delta=nan: expected a finite number"),
    ("delta infinite", Huber, {"delta": INF}, ValueError, "delta=inf: expected a finite number"),
    ("delta text", Huber, {"delta": "1"}, TypeError, "delta='1': expected a number"),
    *(
        (f"{name} of {loss.__name__}", loss, options, error, message)
        for loss, activation in (
            (BinaryCrossentropy, "sigmoid"),
            (CategoricalCrossentropy, "softmax"),
        )
        for name, options, error, message in (
            (
                "negative smoothing",
                {"label_smoothing": -0.1},
                ValueError,
                r"label_smoothing=-0\.1: expected .* 0 to 1, e\.g\. label_smoothing=0\.1",
            ),
            ("smoothing above 1", {"label_smoothing": 1.1}, ValueError, "from 0 to 1"),
            ("smoothing NaN", {"label_smoothing": NAN}, ValueError, "label_smoothing=nan"),
            ("smoothing text", {"label_smoothing": "a"}, TypeError, "='a': expected a number"),
            ("logits 1", {"from_logits": 1}, TypeError, "from_logits=1: expected True or False"),
            (
                "logits",
                {"from_logits": True},
                ValueError,
                rf"second {activation} .*Dense\([12], '{activation}'\).*loss={loss.__name__}\(\)",
            ),
        )
    ),
)


@pytest.mark.parametrize(("loss", "options", "error", "message"), BAD_LOSSES)
def test_bad_settings_of_a_loss_are_refused(loss, options, error, message):
    with pytest.raises(error, match=message):
        loss(**options)


def test_softmax_over_one_unit_is_refused():
    model = Sequential([Dense(1, "softmax")])
    assert_refused(
        model,
        lambda m: m.compile(loss="categorical_crossentropy"),
        ValueError,
        "one unit.*always 1",
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("n_features", "error", "message"),
    table(
        ("0", 0, ValueError, "n_features=0: expected at least 1"),
        ("-3", -3, ValueError, "n_features=-3: expected at least 1"),
        ("1.5", 1.5, TypeError, "n_features=1.5: expected a whole number"),
        ("text", "3", TypeError, "n_features='3': expected a whole number"),
        ("a shape", (None, 3), TypeError, "n_features=.*expected a whole number"),
    ),
)
def test_bad_width_for_build_is_refused(n_features, error, message, state):
    assert_refused(STATES[state](), lambda m: m.build(n_features), error, message)


def test_building_again_for_another_width_is_refused():
    message = "n_features=4, but the model was built for 3"
    assert_refused(fitted_model(), lambda m: m.build(4), ValueError, message)


def replaced(position, values):
    """A call of set_weights with one array, made by `values` from the old one, in its place."""

    def call(model):
        weights = model.get_weights()
        weights[position] = values(weights[position])
        weights[0] = weights[0] + 1 if position else weights[0]  # must not be taken over alone
        model.set_weights(weights)

    return call


BAD_SET_WEIGHTS = table(
    ("too few", lambda m: m.set_weights(m.get_weights()[:3]), ValueError, "3 arrays; expected 4"),
    ("too many", lambda m: m.set_weights(m.get_weights() * 2), ValueError, "8 arrays; expected 4"),
    ("none", lambda m: m.set_weights([]), ValueError, "0 arrays; expected 4: W1, b1, W2, b2"),
    ("a number", lambda m: m.set_weights(3), TypeError, "weights.*expected"),
    ("transposed", replaced(0, np.transpose), ValueError, r"W1 has shape \(4, 3\).*\(3, 4\)"),
    ("bias as a row", replaced(1, lambda b: b[None]), ValueError, r"b1 has shape \(1, 4\)"),
    ("a number for a bias", replaced(3, lambda b: 1.0), ValueError, r"b2 has shape \(\)"),
    ("NaN", replaced(3, lambda b: b * NAN), ValueError, "b2 holds NaN or infinity"),
    ("infinity", replaced(2, lambda W: W + INF), ValueError, "W2 holds NaN or infinity"),
    ("too large", replaced(3, lambda b: [1e39]), ValueError, "b2 holds .*float32"),
    ("text", replaced(3, lambda b: ["0.5"]), TypeError, "b2 has dtype <U3"),
    ("complex", replaced(3, lambda b: b + 1j), TypeError, "b2 has dtype complex64"),
    ("ragged", replaced(0, lambda W: [[1], [1, 2]]), ValueError, "W1 has rows of different"),
)


@pytest.mark.parametrize(("call", "error", "message"), BAD_SET_WEIGHTS)
def test_bad_weights_are_refused_as_a_whole(call, error, message):
    assert_refused(fitted_model(), call, error, message)


NEEDS_WEIGHTS = {
    "predict": lambda m: m.predict(X),
    "evaluate": lambda m: m.evaluate(X, Y["binary"]),
    "gradient": lambda m: m.gradient(X, Y["binary"]),
    "get_weights": lambda m: m.get_weights(),
    "set_weights": lambda m: m.set_weights([]),
    "save": lambda m: m.save("model.npz"),
}


@pytest.mark.parametrize("entrance", NEEDS_WEIGHTS)
def test_a_model_without_weights_says_so(entrance, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r"no weights yet; call model\.build\(n_features\) or fit"
    assert_refused(compiled_model(), NEEDS_WEIGHTS[entrance], ValueError, message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entrance", ["fit", "evaluate", "gradient"])
@pytest.mark.parametrize("built", [False, True])
def test_a_model_that_is_not_compiled_says_so(entrance, built):
    model = Sequential([Dense(1, "sigmoid")], seed=0)
    if built:
        model.build(3)

    def call(m):
        return X_ENTRANCES[entrance](m, X, Y["binary"])

    assert_refused(
        model, call, ValueError, r"not compiled with a loss; first call model\.compile\(loss="
    )


# ---- Normalization ----------------------------------------------------------------------------


def model_with(normalization):
    model = Sequential([normalization, Dense(1, "sigmoid")], seed=0)
    model.compile(loss="binary_crossentropy")
    return model


def adapted_to(rows):
    layer = Normalization()
    layer.adapt(rows)
    return layer


@pytest.mark.parametrize(
    ("layer", "message"),
    table(
        ("not adapted", Normalization(), r"no statistics yet; call model\.layers\[0\]\.adapt\(X\)"),
        ("adapted to 2", adapted_to(X[:, :2]), "adapted to 2 columns, but there are 3"),
    ),
)
@pytest.mark.parametrize("entrance", ["fit", "build"])
def test_normalization_that_does_not_fit_is_refused(layer, message, entrance):
    calls = {"fit": lambda m: m.fit(X, Y["binary"]), "build": lambda m: m.build(3)}
    assert_refused(model_with(layer), calls[entrance], ValueError, message)


@pytest.mark.parametrize("entrance", ["fit", "evaluate", "gradient", "predict", "save"])
def test_normalization_adapted_again_to_another_width_is_refused(entrance, tmp_path):
    calls = X_ENTRANCES | {"save": lambda m, bad, y: m.save(tmp_path / "model.npz")}
    model = model_with(adapted_to(X))
    model.fit(X, Y["binary"])
    model.layers[0].adapt(X[:, :2])
    message = "adapted to 2 columns, but there are 3"
    assert_refused(model, lambda m: calls[entrance](m, X, Y["binary"]), ValueError, message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    table(
        ("NaN", changed(X, (2, 1), NAN), ValueError, r"X\[2, 1\] is nan"),
        ("one dimension", X[0], ValueError, r"X has shape \(3,\)"),
        ("no rows", X[:0], ValueError, "X is empty"),
        ("text", X.astype(str), TypeError, "X has dtype <U"),
        ("ragged", [[1], [1, 2]], ValueError, "X has rows of different lengths"),
    ),
)
def test_refused_adapt_keeps_the_old_statistics(bad, error, message):
    layer = adapted_to(X)
    mean, variance, statistics = (
        layer.mean.copy(),
        layer.variance.copy(),
        layer.table_for(X.shape[1]).copy(),
    )
    with pytest.raises(error, match=message):
        layer.adapt(bad)
    np.testing.assert_array_equal(layer.mean, mean)
    np.testing.assert_array_equal(layer.variance, variance)
    np.testing.assert_array_equal(layer.table_for(X.shape[1]), statistics)


@pytest.mark.parametrize(
    "statistics",
    table(
        ("mean alone", {"mean": [0.0]}),
        ("variance alone", {"variance": [1.0]}),
        ("negative variance", {"mean": [0.0], "variance": [-1.0]}),
        ("NaN mean", {"mean": [NAN], "variance": [1.0]}),
        ("NaN variance", {"mean": [0.0], "variance": [NAN]}),
        ("infinite variance", {"mean": [0.0], "variance": [INF]}),
        ("other lengths", {"mean": [0.0, 1.0], "variance": [1.0]}),
        ("numbers", {"mean": 0.0, "variance": 1.0}),
        ("tables", {"mean": [[0.0]], "variance": [[1.0]]}),
    ),
)
def test_bad_statistics_are_refused(statistics):
    with pytest.raises(ValueError, match="Normalization"):
        Normalization(**statistics)


# ---- what is refused before there is a model --------------------------------------------------

BAD_MAKES = table(
    ("units 0", lambda: Dense(0), ValueError, "units=0: expected at least 1"),
    ("units -1", lambda: Dense(-1), ValueError, "units=-1: expected at least 1"),
    ("units 1.5", lambda: Dense(1.5), TypeError, "units=1.5: expected a whole number"),
    ("units text", lambda: Dense("3"), TypeError, "units='3': expected a whole number"),
    (
        "activation unknown",
        lambda: Dense(1, "mish"),
        ValueError,
        "activation='mish' is unknown; known are linear, relu, sigmoid, tanh, softmax, leaky_relu, "
        "elu, selu, softplus, gelu, silu",
    ),
    ("activation misspelt", lambda: Dense(1, "rellu"), ValueError, "mean 'relu'"),
    ("activation a function", lambda: Dense(1, np.tanh), TypeError, "activation=.*expected a name"),
    (
        "initializer unknown",
        lambda: Dense(1, kernel_initializer="xyz"),
        ValueError,
        "kernel_initializer='xyz' is unknown; known are glorot_uniform.*zeros",
    ),
    (
        "initializer misspelt",
        lambda: Dense(1, kernel_initializer="he_norml"),
        ValueError,
        "mean 'he_normal'",
    ),
    (
        "initializer a number",
        lambda: Dense(1, kernel_initializer=0),
        TypeError,
        "kernel_initializer=0: expected a name",
    ),
    ("rate negative", lambda: SGD(-0.1), ValueError, "learning_rate=-0.1: .*at least 0"),
    ("rate NaN", lambda: SGD(NAN), ValueError, "learning_rate=nan: .*at least 0"),
    ("rate infinite", lambda: SGD(INF), ValueError, "learning_rate=inf: .*at least 0"),
    ("rate text", lambda: SGD("fast"), ValueError, "learning_rate='fast': expected a number"),
    ("rate numeric text", lambda: SGD("0.1"), ValueError, "learning_rate='0.1': expected a number"),
    ("rate None", lambda: SGD(None), TypeError, "learning_rate=None: expected a number"),
    ("rate array", lambda: SGD(np.ones(2)), TypeError, "learning_rate=.*expected a number"),
    ("no layers", lambda: Sequential([]), ValueError, "layers holds no Dense layer"),
    ("Normalization alone", lambda: Sequential([Normalization()]), ValueError, "no Dense layer"),
    (
        "a name as layer",
        lambda: Sequential([Dense(1), "relu"]),
        TypeError,
        r"layers\[1\] is 'relu'",
    ),
    ("the class as layer", lambda: Sequential([Dense]), TypeError, r"layers\[0\] is .*Dense"),
    ("one layer, no list", lambda: Sequential(Dense(1)), TypeError, "layers.*expected"),
    (
        "Normalization second",
        lambda: Sequential([Dense(1), Normalization()]),
        ValueError,
        r"layers\[1\] is a Normalization; it can only come first",
    ),
    ("dtype int", lambda: Sequential([Dense(1)], dtype="int32"), ValueError, "dtype=int32: "),
    ("dtype half", lambda: Sequential([Dense(1)], dtype=np.float16), ValueError, "dtype=float16: "),
    ("dtype None", lambda: Sequential([Dense(1)], dtype=None), ValueError, "dtype=None: "),
    ("dtype unknown", lambda: Sequential([Dense(1)], dtype="f99"), ValueError, "dtype='f99': "),
    (
        "seed -1",
        lambda: Sequential([Dense(1)], seed=-1),
        ValueError,
        "seed=-1: expected at least 0",
    ),
    ("seed 1.5", lambda: Sequential([Dense(1)], seed=1.5), TypeError, "seed=1.5: expected a whole"),
    (
        "seed text",
        lambda: Sequential([Dense(1)], seed="1"),
        TypeError,
        "seed='1': expected a whole",
    ),
)


@pytest.mark.parametrize(("make", "error", "message"), BAD_MAKES)
def test_bad_part_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


NAMES_IN_CAPITALS = {
    "activation": lambda: Dense(2, "ReLU"),
    "kernel_initializer": lambda: Dense(2, kernel_initializer="He_Normal"),
}


@pytest.mark.parametrize("name", NAMES_IN_CAPITALS)
def test_names_in_any_case_work_all_the_way(name):
    model = Sequential([NAMES_IN_CAPITALS[name](), Dense(1, "sigmoid")], seed=0)
    model.compile(optimizer="Sgd", loss="Binary_CrossEntropy", metrics=["Accuracy"])
    assert model.fit(X, Y["binary"]).epoch == [0]


# ---- good input -------------------------------------------------------------------------------

BASE = np.random.default_rng(1).integers(0, 8, (37, 6))


def strided_column(values):
    """One feature with three numbers between its rows, read backwards."""
    wide = np.repeat(values[:, :1], 4, axis=1)
    return wide[::-1, 1:2]


def loose_strides(values):
    """One feature whose column stride is that of nothing at all."""
    flat = np.ascontiguousarray(values[:, 0])
    return np.lib.stride_tricks.as_strided(flat, (len(flat), 1), (flat.itemsize, 24))


def unaligned(values):
    packed = np.zeros(len(values), [("tag", "u1"), ("X", values.dtype, values.shape[1])])
    packed["X"] = values
    return packed["X"]


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def interleaved(values, axis):
    """Every second row or column of an array that holds something else between them."""
    wide = np.repeat(values, 2, axis=axis)
    between = (slice(None),) * axis + (slice(1, None, 2),)
    wide[between] = 0
    return wide[(slice(None),) * axis + (slice(None, None, 2),)]


LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "every second row": lambda values: interleaved(values, 0),
    "every second column": lambda values: interleaved(values, 1),
    "reversed rows": lambda values: values[::-1].copy()[::-1],
    "reversed columns": lambda values: values[:, ::-1].copy()[:, ::-1],
    "some columns of more": lambda values: np.hstack([values, values])[:, 3:9],
    "one row for all": lambda values: np.broadcast_to(values[3], values.shape),
    "one feature": lambda values: np.ascontiguousarray(values[:, :1]),
    "one feature, strided": strided_column,
    "one feature, Fortran order": lambda values: np.asfortranarray(values[:, :1]),
    "one feature, loose strides": loose_strides,
    "one row": lambda values: values[5:6],
    "one row of a Fortran array": lambda values: np.asfortranarray(values)[5:6],
    "read-only": read_only,
    "unaligned": unaligned,
}
NATIVE = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "g"]
FOREIGN = [">f2", ">f4", ">f8", ">i2", ">i8", ">u4"]


def values_of(number_type):
    """Numbers that this type and both model dtypes hold exactly."""
    number_type = np.dtype(number_type)
    if number_type.kind == "f":
        return ((BASE - 4) / 4).astype(number_type)
    if number_type.kind == "i":
        return (BASE - 4).astype(number_type)
    return (BASE % 2 if number_type.kind == "b" else BASE).astype(number_type)


def assert_like_plain_copy(given, dtype):
    """Predictions and training are those of a C-ordered copy of the model's type; X stays."""
    plain = np.array(np.asarray(given).tolist(), dtype)
    before = copy.deepcopy(given)
    y = plain.sum(axis=1) > 0
    models = []
    for X_given in (given, plain):
        model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], dtype=dtype, seed=5)
        model.compile(loss="binary_crossentropy")
        model.build(plain.shape[1])
        models.append((model, model.predict(X_given)))
        model.fit(X_given, y, epochs=2, batch_size=5)
    (given_model, given_prediction), (plain_model, plain_prediction) = models
    np.testing.assert_array_equal(given_prediction, plain_prediction)
    assert weight_bits(given_model) == weight_bits(plain_model)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number_type", NATIVE + FOREIGN)
def test_every_number_type_is_read_like_a_plain_copy(number_type, dtype):
    assert_like_plain_copy(values_of(number_type), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number_type", ["f4", "f8", "i2", "u1", ">f4"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_like_a_plain_copy(layout, number_type, dtype):
    assert_like_plain_copy(LAYOUTS[layout](values_of(number_type)), dtype)


@pytest.mark.parametrize(
    "form",
    table(
        ("lists", lambda values: values.tolist()),
        ("tuples", lambda values: tuple(map(tuple, values.tolist()))),
        ("arrays in a list", lambda values: list(values)),
        ("objects", lambda values: values.astype(object)),
    ),
)
def test_other_containers_are_read_like_a_plain_copy(form):
    assert_like_plain_copy(form(values_of("f8")), "float32")


@pytest.mark.parametrize("offset", [0, 3])
def test_memory_map_is_read_like_a_plain_copy(tmp_path, offset):
    values = values_of("f4")
    path = tmp_path / "X.bin"
    path.write_bytes(bytes(offset) + values.tobytes())
    mapped = np.memmap(path, "f4", "r", offset, values.shape)
    assert_like_plain_copy(mapped, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number_type", ["f8", "i4", "i8", "u8"])
def test_numbers_that_must_be_rounded_are_rounded_once(number_type, dtype):
    rng = np.random.default_rng(2)
    if number_type == "f8":
        values = rng.normal(size=(200, 1))
    else:
        limits = np.iinfo(number_type)
        values = rng.integers(limits.min, limits.max, (200, 1), number_type, endpoint=True)
    model = Sequential([Dense(1, use_bias=False)], dtype=dtype)
    model.build(1)
    model.set_weights([[[1.0]]])
    np.testing.assert_array_equal(model.predict(values), values.astype(dtype))


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
def test_fit_does_not_modify_its_arguments(mode):
    rows, labels, weights = BASE / 7, BASE[:, 0] % 2, BASE[:, 1] / 4
    kept = [rows.copy(), labels.copy(), weights.copy()]
    model = model_with(adapted_to(rows))
    model.fit(
        rows, labels, sample_weight=weights, mode=mode, epochs=3, validation_data=(rows, labels)
    )
    for array, before in zip((rows, labels, weights), kept, strict=True):
        np.testing.assert_array_equal(array, before)


GOOD_Y = table(
    ("bool", "binary", lambda y: y.astype(bool)),
    ("list", "binary", lambda y: y.tolist()),
    ("column", "binary", lambda y: y[:, None]),
    ("float16", "binary", lambda y: y.astype("f2")),
    ("big-endian", "binary", lambda y: y.astype(">i4")),
    ("strided", "binary", lambda y: np.repeat(y, 3)[::3]),
    ("labels bool-like floats", "classes", lambda y: y.astype("f4")),
    ("labels in a column", "classes", lambda y: y[:, None]),
    ("labels unsigned", "classes", lambda y: y.astype("u1")),
    ("labels big-endian", "classes", lambda y: y.astype(">i8")),
    ("Fortran order", "numbers", np.asfortranarray),
    ("read-only", "numbers", read_only),
)


@pytest.mark.parametrize(("kind", "form"), GOOD_Y)
def test_every_form_of_y_trains_alike(kind, form):
    given, plain = compiled_model(kind), compiled_model(kind)
    given.fit(X, form(np.array(Y[kind])), epochs=2, batch_size=3)
    plain.fit(X, Y[kind], epochs=2, batch_size=3)
    assert weight_bits(given) == weight_bits(plain)


def test_rows_that_are_not_aligned_are_read_like_a_plain_copy():
    packed = np.zeros(N_ROWS, [("flag", "i1"), ("x", "f8", (X.shape[1],))])
    packed["x"] = X
    assert not packed["x"].flags.aligned
    model = fitted_model()
    np.testing.assert_array_equal(model.predict(packed["x"]), model.predict(packed["x"].copy()))


@pytest.mark.parametrize(
    ("bad", "message"),
    [(np.ma.masked_array(X, X > 1), "X is masked"), (SimpleNamespace(toarray=None), "X is sparse")],
)
def test_special_arrays_are_refused_in_words(bad, message):
    with pytest.raises(TypeError, match=message):
        fitted_model().predict(bad)


def test_flags_are_true_or_false():
    with pytest.raises(TypeError, match="use_bias='no': expected True or False"):
        Dense(3, use_bias="no")
    with pytest.raises(TypeError, match="shuffle='no': expected True or False"):
        fitted_model().fit(X, Y["binary"], shuffle="no")


def test_statistics_cannot_be_changed_behind_the_model():
    layer = adapted_to(X)
    with pytest.raises(AttributeError):
        layer.mean = np.zeros(500_000)
    with pytest.raises(ValueError, match="read-only"):
        layer.variance[0] = 0


def test_a_column_whose_variance_would_underflow_is_refused():
    X = np.array([[1.0, 1e-200, 7e-300], [2.0, 3e-200, 7e-300]])
    layer = Normalization()
    with pytest.raises(
        ValueError, match=r"X\[:, 1\] varies, but .*; scale it, e.g. X\[:, 1\] \*= 1e150"
    ):
        layer.adapt(X)
    assert layer.mean is None
    X[:, 1] *= 1e150
    layer.adapt(X)  # the last column never varies
    np.testing.assert_allclose(layer.variance[:2], [0.25, 1e-100])


def test_a_number_is_no_matrix():
    model = Sequential([Dense(1)])
    model.build(1)
    with pytest.raises(ValueError, match=r"X has shape \(\); .* A single number: X=\[\[3.0\]\]\."):
        model.predict(np.array(3.0))
