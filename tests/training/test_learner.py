"""One engine under two spellings: who may reach where, and what is done only once."""

import ast
import functools
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import SGD, Dense, LambdaCallback, Sequential
from fastnn.models import learner_of, model_of
from fastnn.training.learner import Learner

PACKAGE, ROOT = Path(fastnn.__file__).parent, Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
Y = (X[:, 0] > 0).astype(int)


@functools.cache
def private_names_of_models():
    """The private attributes and methods of Sequential, and those of its learner."""
    tree = ast.parse((PACKAGE / "models.py").read_text("utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in names if name[0] == "_" and name[1] != "_"} | {"_learner"}


SOURCES = [
    *PACKAGE.rglob("*.py"),
    *(path for name in ("bench", "tests") for path in (ROOT / name).rglob("*.py")),
]


@pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: path.stem)
def test_private_names_of_a_model_stay_in_its_file(path):
    if path.name == "models.py":
        return
    used = [
        node.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in private_names_of_models()
        # an estimator's own property of that name
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ]
    assert used == []


def test_convergence_knows_no_private_name_of_an_estimator():
    text = (PACKAGE / "estimators" / "convergence.py").read_text("utf-8")
    assert "estimator._" not in text


def test_a_model_and_its_estimator_share_the_learner():
    pytest.importorskip("sklearn")
    model = Sequential([Dense(3, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile("SGD", "binary_crossentropy")
    model.build(4)
    estimator = model.as_estimator(classes=[0, 1])
    before = model.get_weights()[0]
    estimator.partial_fit(X, Y)
    assert estimator.model_ is model
    assert (model.get_weights()[0] != before).any()
    twin = model_of(learner_of(model), seed=7)
    assert (twin.predict(X) == model.predict(X)).all() and twin.seed == 7


def test_weights_that_are_given_are_not_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr("fastnn.engine.network.Network.initialize", lambda *_: drawn.append(1))
    learner = Learner([Dense(2)], "float32")
    learner.build(3, 0, [np.ones((3, 2)), np.zeros(2)])
    assert drawn == [] and (learner.weight_views()[0] == 1).all()
    pytest.importorskip("sklearn")
    fastnn.MLPClassifier((5,), max_iter=1, batch_size=300).fit(X, Y)
    assert drawn == []


class Counter:
    """Counts the checks of features for numbers that are not finite."""

    def __init__(self, monkeypatch):
        original, self.n = fastnn.data.arrays._refuse_nonfinite, 0

        def check(name, array, dtype):
            self.n += 1
            original(name, array, dtype)

        monkeypatch.setattr("fastnn.data.arrays._refuse_nonfinite", check)

    def of(self, call):
        self.n = 0
        call()
        return self.n


@pytest.mark.parametrize("rows", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_checked_once(dtype, rows, monkeypatch):
    counter, given = Counter(monkeypatch), X.astype(rows)
    model = Sequential([Dense(3, "relu"), Dense(1, "sigmoid")], dtype=dtype, seed=0)
    model.compile("SGD", "binary_crossentropy", ["accuracy"])
    assert counter.of(lambda: model.fit(given, Y, epochs=3)) == 1
    assert counter.of(lambda: model.fit(given, Y, validation_split=0.2, mode="stochastic")) == 1
    assert counter.of(lambda: model.fit(given, Y, validation_data=(given, Y))) == 2
    assert counter.of(lambda: model.train_on_batch(given, Y)) == 1
    assert counter.of(lambda: model.evaluate(given, Y)) == 1
    assert counter.of(lambda: model.predict(given)) == 1
    assert counter.of(lambda: model.gradient(given, Y)) == 1
    assert counter.of(lambda: model.forward(given)) == 1


@pytest.mark.parametrize("rows", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_checked_once_by_estimators(dtype, rows, monkeypatch):
    """scikit-learn checks the rows of a fit: then there is nothing left to check."""
    pytest.importorskip("sklearn")
    counter, given = Counter(monkeypatch), X.astype(rows)
    estimator = fastnn.MLPClassifier((5,), max_iter=2, batch_size=300)
    assert counter.of(lambda: estimator.fit(X.astype(dtype), Y)) == 0
    assert estimator.model_.dtype == dtype
    fresh = fastnn.MLPClassifier((5,), max_iter=2, batch_size=300, random_state=0)
    expected = fresh.fit(X.astype(dtype), Y).model_.get_weights()[0]
    for arranged in (np.asfortranarray(X.astype(dtype)), frame_of(X.astype(dtype))):
        assert counter.of(lambda rows=arranged: fresh.fit(rows, Y)) == 0
        np.testing.assert_array_equal(fresh.model_.get_weights()[0], expected)
    assert counter.of(lambda: estimator.predict(given)) == 1
    assert counter.of(lambda: estimator.predict_proba(given)) == 1


def frame_of(rows):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(rows, columns=list("abcd"))


def test_a_second_fit_uses_the_memory_of_the_first():
    model = Sequential([Dense(3, "relu"), Dense(1)], seed=0)
    model.compile(SGD(0.01), "mse")
    model.fit(X, Y, batch_size=50)
    descent = learner_of(model)._descent
    model.fit(X, Y, batch_size=50)
    assert learner_of(model)._descent is descent and len(descent.data.X) == 0
    model.compile(SGD(0.01), "mse")
    model.fit(X, Y, batch_size=50)
    assert learner_of(model)._descent is not descent


def squared(y_true, y_pred):
    errors = y_pred - np.reshape(y_true, y_pred.shape)
    return (errors**2).mean(), 2 * errors / errors.size


@pytest.mark.parametrize("loss", ["mse", squared])
def test_a_large_fit_leaves_no_memory_behind(loss):
    def fit(units, n_rows):
        rows = np.resize(X, (n_rows, 4))
        model = Sequential([Dense(units, "relu"), Dense(units, "relu"), Dense(1)], seed=0)
        model.compile(SGD(1e-4), loss)
        model.fit(rows, rows[:, 0], batch_size=n_rows)
        return model

    learner = learner_of(fit(3, 300))
    assert learner._descent is not None and learner._watch is not None
    for units, n_rows in ((3, 100_000), (600, 300)) if callable(loss) else ((600, 300),):
        model = fit(units, n_rows)
        learner = learner_of(model)
        assert learner._descent is None and learner._watch is None
        model.train_on_batch(X, X[:, 0])
        assert learner._descent is not None


# ---- one thread trains at a time ----


def within(model, train):
    """What another thread gets that calls `train` within a fit of the model."""
    errors = []

    def run():
        try:
            train()
        except RuntimeError as error:
            errors.append(str(error))

    def in_a_thread(epoch, logs):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    callback = LambdaCallback(on_epoch_end=in_a_thread)
    history = model.fit(X, Y, epochs=2, batch_size=300, callbacks=[callback])
    assert len(history.epoch) == 2
    return errors


def test_another_thread_cannot_train_the_same_model():
    model = Sequential([Dense(3, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile("SGD", "binary_crossentropy")
    model.build(4)
    gradient = model.gradient(X, Y)
    for train in (
        lambda: model.train_on_batch(X, Y),
        lambda: model.train_on_batch(X[:1].astype("f"), Y[:1]),
        lambda: model.fit(X, Y),
        lambda: model.apply(gradient),
    ):
        errors = within(model, train)
        assert (
            len(errors) == 2
            and "another thread is training this model, in a call of fit" in errors[0]
        )
        train()  # and afterwards it can
    predicted = []
    assert within(model, lambda: predicted.append(model.predict(X))) == []
    assert len(predicted) == 2


def test_a_fit_within_a_fit_is_refused_to_estimators_too():
    pytest.importorskip("sklearn")
    model = Sequential([Dense(3, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile("SGD", "binary_crossentropy")
    model.build(4)
    estimator = model.as_estimator(classes=[0, 1])

    def train(epoch, logs):
        with pytest.raises(RuntimeError, match="fit within a fit of the same model"):
            estimator.partial_fit(X, Y)
        with pytest.raises(RuntimeError, match="compile within a fit"):
            model.compile("Adam", "mse")

    callbacks = [LambdaCallback(on_epoch_end=train)]
    assert len(model.fit(X, Y, epochs=2, callbacks=callbacks).epoch) == 2


def test_a_model_of_other_hyperparameters_goes_on_with_a_copy_of_what_adam_keeps():
    """In the type of the first rows, and without a trace in the model before it."""
    pytest.importorskip("sklearn")
    estimator = fastnn.MLPClassifier((5,), alpha=0.0, random_state=0)
    estimator.partial_fit(X.astype("f"), Y, classes=[0, 1])
    before = learner_of(estimator.model_)
    step, slots = before.state.step, before.state.slots.copy()
    estimator.set_params(alpha=0.1).partial_fit(X, Y)
    after = learner_of(estimator.model_)
    assert after is not before and after.dtype == "float32"
    assert after.state.step == 2 * step
    assert before.state.step == step
    np.testing.assert_array_equal(before.state.slots, slots)
    assert after.optimizer is not before.optimizer


LIMITS = {  # how many earlier calls, functions of fastnn, files
    "train_on_batch, 64 rows": (1, 30, 12),
    "fit, one epoch, 64 rows": (0, 150, 12),
    "MLPClassifier.fit, one epoch, one batch": (0, 300, 26),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_way_through_the_package_is_short(name, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(ROOT)
    from bench.calls import actions, walk

    make, call = actions()[name]
    made = make()
    earlier_calls, most_functions, most_files = LIMITS[name]
    for _ in range(earlier_calls):
        call(made)
    steps = walk(lambda: call(made))
    assert len(steps) <= most_functions
    assert len({file for file, _ in steps}) <= most_files
