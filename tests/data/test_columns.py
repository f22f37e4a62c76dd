"""Names of columns: frames may come in another order, and must have the columns of training."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from fastnn import Dense, Normalization, Sequential, load

NAMES = "height", "weight", "age"
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32") * [1, 10, 100] + [0, 5, 50]
y = X @ [1.0, 0.1, 0.01]


class Frame:
    """What a table of named columns has in common: names and numbers."""

    def __init__(self, columns, values):
        self.columns, self.values = columns, values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def made_frame(names, values):
    return Frame(list(names), values)


def pandas_frame(names, values):
    return pytest.importorskip("pandas").DataFrame(values, columns=list(names))


def polars_frame(names, values):
    return pytest.importorskip("polars").DataFrame(values, schema=list(names), orient="row")


def arrow_table(names, values):
    pa = pytest.importorskip("pyarrow")
    return pa.table(dict(zip(names, np.asarray(values).T, strict=True)))


FRAMES = [made_frame, pandas_frame, polars_frame, arrow_table]


def swapped(frame, order=(2, 0, 1)):
    return frame([NAMES[i] for i in order], X[:, list(order)])


def trained(rows=None, layers=(), **settings):
    model = Sequential([*layers, Dense(4, "tanh"), Dense(1)], seed=0, **settings)
    model.compile("adam", "mse")
    model.fit(pandas_frame(NAMES, X) if rows is None else rows, y, epochs=2)
    return model


@pytest.mark.parametrize("frame", FRAMES)
def test_another_order_is_put_right(frame):
    model = trained(frame(NAMES, X))
    assert model.feature_names == NAMES
    there, expected = swapped(frame), model.predict(X)
    assert (model.predict(there) == expected).all()
    assert (model.predict_on_batch(there) == expected).all()
    assert (model.forward(there) == model.forward(X)).all()
    assert model.evaluate(there, y) == model.evaluate(X, y)
    assert model.test_on_batch(there, y) == model.test_on_batch(X, y)
    for name, gradient in model.gradient(X, y).items():
        assert (model.gradient(there, y)[name] == gradient).all()


def test_training_puts_it_right_too():
    one, other = trained(), trained()
    for model, rows in ((one, X), (other, swapped(pandas_frame))):
        model.fit(rows, y, epochs=2, validation_data=(rows, y), mode="batch")
        model.train_on_batch(rows, y)
        model.fit([(rows, y), (rows, y)])
    assert one.history.history["loss"] == other.history.history["loss"]
    assert (one.predict(X) == other.predict(X)).all()


def test_validation_rows_follow_the_rows_of_training():
    one = trained(X)
    one.fit(X, y, validation_data=(X, y))
    other = trained(pandas_frame(NAMES, X))
    other.fit(X, y, validation_data=(swapped(pandas_frame), y))
    assert one.history.history["val_loss"] == other.history.history["val_loss"]
    first = Sequential([Dense(1)], seed=0)
    first.compile("sgd", "mse")
    first.fit(swapped(pandas_frame), y, validation_data=(pandas_frame(NAMES, X), y))
    assert first.feature_names == ("age", "height", "weight")


def test_chunks_are_put_right():
    model = Sequential([Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.fit([(pandas_frame(NAMES, X / 100), y), (X / 100, y)])
    twin = Sequential([Dense(1)], seed=0)
    twin.compile("sgd", "mse")
    frame = pandas_frame(NAMES, X / 100)
    twin.fit([(frame, y), (frame[["age", "weight", "height"]], y)])
    assert (model.predict(X) == twin.predict(X)).all()
    assert model.feature_names == twin.feature_names == NAMES
    with pytest.raises(ValueError, match=r"chunk 1 of epoch 1: X lacks 'age' and has 'AGE'"):
        twin.fit([(frame.rename(columns={"age": "AGE"}), y)])


CALLS = {
    "predict": lambda model, rows: model.predict(rows),
    "predict one row": lambda model, rows: model.predict(rows[:1]),
    "forward": lambda model, rows: model.forward(rows),
    "evaluate": lambda model, rows: model.evaluate(rows, y),
    "gradient": lambda model, rows: model.gradient(rows, y),
    "fit": lambda model, rows: model.fit(rows, y),
    "train_on_batch": lambda model, rows: model.train_on_batch(rows, y),
    "test_on_batch": lambda model, rows: model.test_on_batch(rows, y),
    "find_learning_rate": lambda model, rows: model.find_learning_rate(rows, y),
}


@pytest.mark.parametrize("call", CALLS)
def test_other_columns_are_refused_with_their_names(call):
    model = trained()
    if call == "find_learning_rate":
        model.reset()
    before = model.get_weights()
    frame = pandas_frame(NAMES, X)
    with pytest.raises(ValueError, match="lacks 'age' and has 'years', which the model does not"):
        CALLS[call](model, frame.rename(columns={"age": "years"}))
    with pytest.raises(ValueError, match="X lacks 'weight'"):
        CALLS[call](model, frame[["age", "height"]])
    with pytest.raises(ValueError, match="has 'extra', which the model does not know"):
        CALLS[call](model, frame.assign(extra=1.0))
    for array, kept in zip(model.get_weights(), before, strict=True):
        assert (array == kept).all()
    assert model.feature_names == NAMES


def test_the_line_that_the_message_suggests_works():
    model, X_more = trained(), pandas_frame(NAMES, X).assign(extra=1.0)
    with pytest.raises(ValueError, match=r"X\[list\(model.feature_names\)\]"):
        model.predict(X_more)
    assert (model.predict(X_more[list(model.feature_names)]) == model.predict(X)).all()


def test_a_column_twice_cannot_be_put_right():
    model = trained()
    twice = pandas_frame(["age", "age", "height", "weight"], X[:, [2, 2, 0, 1]])
    with pytest.raises(ValueError, match="X has a column twice"):
        model.predict(twice)


def test_rows_without_names_stay_accepted():
    model = trained(X)
    assert model.feature_names is None
    pandas = pytest.importorskip("pandas")
    numbered = pandas.DataFrame(X)
    assert (model.predict(numbered) == model.predict(X)).all()
    assert (model.predict(swapped(pandas_frame)) == model.predict(X[:, [2, 0, 1]])).all()
    assert model.feature_names is None  # predict learns nothing


def test_a_refused_fit_learns_no_names():
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="y has shape"):
        model.fit(pandas_frame(NAMES, X), y[:-1])
    with pytest.raises(ValueError, match="y has shape"):
        model.train_on_batch(pandas_frame(NAMES, X), y[:-1])
    assert model.feature_names is None


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, "pickle", "file"])
def test_copies_and_files_keep_the_names(tmp_path, again):
    front = Normalization()
    front.adapt(pandas_frame(NAMES, X))
    model = trained(layers=[front])
    if again == "file":
        model.save(tmp_path / "model.npz")
        twin = load(tmp_path / "model.npz")
    else:
        twin = pickle.loads(pickle.dumps(model)) if again == "pickle" else again(model)
    assert twin.feature_names == twin.layers[0].feature_names == NAMES
    assert (twin.predict(swapped(pandas_frame)) == model.predict(X)).all()


def test_files_from_before_have_no_names(tmp_path):
    model = trained()
    state = model.__getstate__()
    del state["config"]["feature_names"]
    twin = Sequential.__new__(Sequential)
    twin.__setstate__(state)
    assert twin.feature_names is None
    assert (twin.predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("names", [["a"], ["a", "b", 3], "abc", 7])
def test_names_in_a_file_that_do_not_fit_are_refused(names):
    state = trained().__getstate__()
    state["config"]["feature_names"] = names
    with pytest.raises(ValueError, match="feature_names"):
        Sequential.__new__(Sequential).__setstate__(state)


def test_normalization_keeps_the_names_of_adapt():
    front = Normalization()
    front.adapt(pandas_frame(NAMES, X))
    model = trained(swapped(pandas_frame), layers=[front])
    assert model.feature_names == front.feature_names == NAMES
    assert (model.predict(swapped(pandas_frame)) == model.predict(X)).all()


def test_a_normalization_that_is_adapted_again_puts_the_order_right():
    front = Normalization()
    front.adapt(X)
    model = trained(layers=[front])
    expected = model.predict(X)
    front.adapt(swapped(pandas_frame))
    assert (model.predict(X) == expected).all()
    assert (model.predict(X[:2]) == expected[:2]).all()


def test_a_normalization_with_other_columns_than_the_model_is_refused():
    front = Normalization()
    front.adapt(X)
    model = trained(layers=[front])
    front.adapt(pandas_frame("abc", X))
    with pytest.raises(ValueError, match="adapted to other columns") as caught:
        model.evaluate(X, y)
    frame = swapped(pandas_frame).assign(extra=1.0)
    exec(str(caught.value).split("adapt it to these: ")[1], {"model": model, "X": frame})
    assert front.feature_names == NAMES
    model.evaluate(X, y)


def test_estimators_and_models_hand_the_names_on():
    MLPRegressor = pytest.importorskip("fastnn.estimators").MLPRegressor
    estimator = MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=2, tol=0, n_iter_no_change=5, random_state=0
    )
    estimator.partial_fit(pandas_frame(NAMES, X.astype(float)), y)
    assert estimator.model_.feature_names == NAMES
    assert list(trained().as_estimator().feature_names_in_) == list(NAMES)


@pytest.mark.parametrize("method", ["fit", "predict", "adapt"])
def test_columns_named_partly_by_text_are_refused(method):
    X = pd.DataFrame(np.zeros((4, 3)), columns=["c", "a", 1])
    model = Sequential([Normalization(), Dense(1)])
    model.layers[0].adapt(np.eye(3))
    model.compile("sgd", "mse")
    model.build(3)
    calls = {
        "fit": lambda: model.fit(X, np.zeros(4)),
        "predict": lambda: model.predict(X),
        "adapt": lambda: model.layers[0].adapt(X),
    }
    with pytest.raises(ValueError, match=r"such as 'c', and one named 1; .*astype\(str\)"):
        calls[method]()
    X.columns = X.columns.astype(str)
    calls[method]()


def test_a_first_frame_with_a_column_twice_is_refused():
    X = pd.DataFrame(np.zeros((4, 3)), columns=["a", "a", "c"])
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has a column twice"):
        model.fit(X, np.zeros(4))
    assert not model.built and model.feature_names is None
