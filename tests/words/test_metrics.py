"""Metrics: formulas over many slices, sample weights, files, and metrics that do not fit."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

import fastnn
from fastnn import SGD, Dense, ReduceLROnPlateau, Sequential, metrics
from fastnn.metrics import METRICS, BinaryAccuracy, R2Score, TopKAccuracy, get
from fastnn.models import learner_of

RNG = np.random.default_rng(0)
N_ROWS = 700
X = RNG.normal(size=(N_ROWS, 5))
LABELS = RNG.integers(0, 4, N_ROWS)
BITS = np.stack([LABELS % 2, LABELS // 2], axis=1)
NUMBERS = np.stack([X[:, 0] + 1, 30 * X[:, 1] * X[:, 2], 100 + 0.1 * X[:, 3]], axis=1)

KINDS = {  # output layer, loss, targets
    "numbers": (Dense(3), "mse", NUMBERS),
    "number": (Dense(1), "mae", NUMBERS[:, 0]),
    "counts": (Dense(1, "softplus"), "poisson", LABELS),
    "bits": (Dense(2, "sigmoid"), "binary_crossentropy", BITS),
    "bits as numbers": (Dense(2, "sigmoid"), "mse", BITS),
    "signs": (Dense(2), "hinge", 2 * BITS - 1),
    "zeros and ones": (Dense(2), "hinge", BITS),
    "labels": (Dense(4, "softmax"), "categorical_crossentropy", LABELS),
    "one-hot": (Dense(4, "softmax"), "categorical_crossentropy", np.eye(4)[LABELS]),
    "one-hot as numbers": (Dense(4), "mse", np.eye(4)[LABELS]),
}


def model_for(kind, *wanted, dtype="float32", rate=0.01):
    output, loss, _ = KINDS[kind]
    model = Sequential([Dense(8, "tanh"), output], seed=1, dtype=dtype)
    model.compile(SGD(rate), loss, wanted)
    return model


# ---- the formulas -------------------------------------------------------------------------------


def r2(y, a):
    y, a = y.reshape(N_ROWS, -1), a.reshape(N_ROWS, -1)
    scores = [
        1 - sum((y[:, j] - a[:, j]) ** 2) / sum((y[:, j] - y[:, j].mean()) ** 2)
        for j in range(y.shape[1])
    ]
    return np.mean(scores)


def in_top(k):
    return lambda y, a: np.mean([y[i] in np.argsort(-a[i])[:k] for i in range(len(y))])


def right_bits(threshold):
    return lambda y, a: np.mean((a > threshold) == (y == 1))


def squares(y, a):
    return ((a - y) ** 2).mean()


FORMULAS = [
    *((kind, "mae", lambda y, a: abs(a - y).mean()) for kind in ("numbers", "number", "counts")),
    *((kind, "mse", squares) for kind in ("numbers", "number", "counts", "bits")),
    *((kind, "rmse", lambda y, a: squares(y, a) ** 0.5) for kind in ("numbers", "number")),
    *((kind, "r2_score", r2) for kind in ("numbers", "number", "counts", "bits")),
    ("numbers", "mean_absolute_error", lambda y, a: abs(a - y).mean()),
    ("numbers", "mean_squared_error", squares),
    ("numbers", "root_mean_squared_error", lambda y, a: squares(y, a) ** 0.5),
    ("bits", "accuracy", right_bits(0.5)),
    ("signs", "accuracy", right_bits(0)),
    ("zeros and ones", "accuracy", right_bits(0)),
    ("bits as numbers", "binary_accuracy", right_bits(0.5)),
    ("signs", "binary_accuracy", right_bits(0.5)),
    ("bits", BinaryAccuracy(0.4), right_bits(0.4)),
    ("labels", "accuracy", in_top(1)),
    ("labels", "categorical_accuracy", in_top(1)),
    ("labels", "sparse_categorical_accuracy", in_top(1)),
    ("labels", TopKAccuracy(2), in_top(2)),
    ("labels", TopKAccuracy(k=3, name="top_3"), in_top(3)),
    *(
        (kind, metric, lambda y, a, k=k: in_top(k)(y.argmax(axis=1), a))
        for kind in ("one-hot", "one-hot as numbers")
        for metric, k in [("categorical_accuracy", 1), (TopKAccuracy(2), 2)]
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind, metric, formula", FORMULAS)
def test_a_metric_over_many_slices_is_its_formula(monkeypatch, kind, metric, formula, dtype):
    """Slices are also cut into blocks of rows, of which the last is shorter."""
    monkeypatch.setattr("fastnn.metrics.BLOCK_ROWS", 60)
    y = KINDS[kind][2]
    model = model_for(kind, metric, dtype=dtype)
    model.build(X.shape[1])
    learner_of(model).network.slice_rows = learner_of(model).network.block = 64
    found = model.evaluate(X, y)[1]
    predictions = model.predict(X).astype(np.float64).reshape(y.shape if kind != "labels" else -1)
    if kind == "labels":
        predictions = predictions.reshape(N_ROWS, 4)
    assert found == pytest.approx(formula(y, predictions), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 32, N_ROWS])
def test_a_fit_reports_what_the_rows_had_before_their_updates(batch_size):
    """The learning rate is so small that the weights do not change, so order does not matter."""
    names = ["mae", "rmse", "r2_score"]
    model = model_for("numbers", *names, dtype="float64", rate=1e-300)
    model.build(X.shape[1])
    learner_of(model).network.slice_rows = learner_of(model).network.block = 64
    history = model.fit(
        X, NUMBERS, epochs=1, batch_size=batch_size, validation_data=(X[:9], NUMBERS[:9])
    )
    scores = model.evaluate(X, NUMBERS, return_dict=True)
    few = model.evaluate(X[:9], NUMBERS[:9], return_dict=True)
    for name in names:
        assert history.history[name] == pytest.approx([scores[name]], rel=1e-12)
        assert history.history[f"val_{name}"] == [few[name]]
    assert model.train_on_batch(X, NUMBERS) == pytest.approx(list(scores.values()), rel=1e-12)


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2_score"])
def test_sample_weights_do_not_count(metric):
    model = model_for("numbers", metric)
    weights = RNG.uniform(size=N_ROWS)
    model.build(X.shape[1])
    weighted, plain = model.evaluate(X, NUMBERS, sample_weight=weights), model.evaluate(X, NUMBERS)
    assert weighted[1] == plain[1]
    assert weighted[0] != plain[0]


# ---- sample weights that count ------------------------------------------------------------------

WEIGHTS = RNG.choice([0.0, 0.5, 1.0, 7.0], N_ROWS)


def by_rows(terms):
    """Return the weighted mean over rows of `terms(y, a)`."""
    return lambda y, a, w: (w * terms(y, a)).sum() / w.sum()


def weighted_r2(y, a, w):
    w = w[:, None]
    residual = (w * (a - y) ** 2).sum(axis=0)
    mean = (w * y).sum(axis=0) / w.sum()
    return np.mean(1 - residual / (w * (y - mean) ** 2).sum(axis=0))


def top(k):
    """Return the weighted fraction of rows whose class is among the k largest outputs."""
    return by_rows(lambda y, a: (np.argsort(-a)[:, :k] == y.argmax(axis=1)[:, None]).any(axis=1))


mean_absolute = by_rows(lambda y, a: abs(a - y).mean(axis=1))
mean_square = by_rows(lambda y, a: ((a - y) ** 2).mean(axis=1))

WEIGHTED = [
    ("numbers", "mean_absolute_error", mean_absolute),
    ("number", "mae", mean_absolute),
    ("counts", "mae", mean_absolute),
    ("numbers", "mean_squared_error", mean_square),
    ("bits", "mse", mean_square),
    ("numbers", "root_mean_squared_error", lambda *rows: mean_square(*rows) ** 0.5),
    ("number", "rmse", lambda *rows: mean_square(*rows) ** 0.5),
    ("numbers", "r2_score", weighted_r2),
    ("number", "r2_score", weighted_r2),
    ("counts", "r2_score", weighted_r2),
    ("bits", "accuracy", by_rows(lambda y, a: ((a > 0.5) == y).mean(axis=1))),
    ("signs", "accuracy", by_rows(lambda y, a: ((a > 0) == (y > 0)).mean(axis=1))),
    ("bits as numbers", "binary_accuracy", by_rows(lambda y, a: ((a > 0.5) == y).mean(axis=1))),
    ("bits", BinaryAccuracy(0.4), by_rows(lambda y, a: ((a > 0.4) == y).mean(axis=1))),
    ("labels", "accuracy", top(1)),
    ("one-hot", "accuracy", top(1)),
    ("labels", "categorical_accuracy", top(1)),
    ("labels", TopKAccuracy(2), top(2)),
    ("one-hot as numbers", TopKAccuracy(3, name="top_3"), top(3)),
]
weighted_metrics = pytest.mark.parametrize("kind, metric, formula", WEIGHTED)


def weighted_model(kind, *wanted, dtype="float64", rate=1e-300):
    """A model with short slices and a learning rate so small that the weights do not change."""
    output, loss, _ = KINDS[kind]
    model = Sequential([Dense(8, "tanh"), output], seed=1, dtype=dtype)
    model.compile(SGD(rate), loss, weighted_metrics=wanted)
    model.build(X.shape[1])
    learner_of(model).network.slice_rows = learner_of(model).network.block = 64
    return model


def rows_of(kind, model):
    """Targets and outputs as float64 matrices, labels as one-hot rows."""
    y = np.eye(4)[LABELS] if kind == "labels" else KINDS[kind][2].reshape(N_ROWS, -1)
    return y, model.predict(X).astype(np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@weighted_metrics
def test_a_weighted_metric_over_many_slices_is_its_formula(
    monkeypatch, kind, metric, formula, dtype
):
    monkeypatch.setattr("fastnn.metrics.BLOCK_ROWS", 60)
    model, y = weighted_model(kind, metric, dtype=dtype), KINDS[kind][2]
    expected = formula(*rows_of(kind, model), WEIGHTS)
    found = model.evaluate(X, y, sample_weight=WEIGHTS)[1]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert found == pytest.approx(model.test_on_batch(X, y, WEIGHTS)[1], rel=1e-12)
    plain = formula(*rows_of(kind, model), np.ones(N_ROWS))
    assert model.evaluate(X, y)[1] == pytest.approx(plain, rel=1e-5, abs=1e-5)
    assert found != pytest.approx(plain, rel=1e-5, abs=1e-5)


@weighted_metrics
def test_weighted_true_is_an_entry_of_weighted_metrics(kind, metric, formula):
    as_object = METRICS[metric](name=metric) if isinstance(metric, str) else metric
    one, other = model_for(kind, replace(as_object, weighted=True)), weighted_model(kind, metric)
    one.fit(X, KINDS[kind][2], epochs=1)
    other.build(X.shape[1])
    other.set_weights(one.get_weights())
    scores = [
        model.evaluate(X, KINDS[kind][2], sample_weight=WEIGHTS, return_dict=True)
        for model in (one, other)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert scores[0].keys() == scores[1].keys()


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
@weighted_metrics
def test_a_fit_reports_weighted_metrics(kind, metric, formula, mode):
    """In training, and in validation with other sample weights."""
    model, y = weighted_model(kind, metric), KINDS[kind][2]
    expected = formula(*rows_of(kind, model), WEIGHTS)
    few = slice(0, 200)
    validation = X[few], y[few], WEIGHTS[few][::-1]
    part = (matrix[few] for matrix in rows_of(kind, model))
    expected_few = formula(*part, WEIGHTS[few][::-1])
    history = model.fit(X, y, sample_weight=WEIGHTS, mode=mode, validation_data=validation).history
    key = list(history)[1]
    assert history[key] == pytest.approx([expected], rel=1e-9)
    assert history[f"val_{key}"] == pytest.approx([expected_few], rel=1e-9)
    assert model.train_on_batch(X, y, sample_weight=WEIGHTS)[1] == pytest.approx(expected, rel=1e-9)


def test_train_metrics_at_the_end_count_the_weights_too():
    model = weighted_model("numbers", "mae", "r2_score", rate=0.001)
    history = model.fit(X, NUMBERS, sample_weight=WEIGHTS, train_metrics="end").history
    scores = model.evaluate(X, NUMBERS, sample_weight=WEIGHTS, return_dict=True)
    assert {name: history[name] for name in scores} == {name: [scores[name]] for name in scores}


def test_class_weights_are_sample_weights_here():
    model = weighted_model("labels", "accuracy")
    history = model.fit(X, LABELS, class_weight={0: 5.0, 2: 0.0}).history
    weights = np.array([5.0, 1.0, 0.0, 1.0])[LABELS]
    assert history["accuracy"] == pytest.approx([top(1)(*rows_of("labels", model), weights)])


def test_chunks_without_weights_count_once_a_row():
    model = weighted_model("numbers", "mae", "r2_score")
    weights = np.where(np.arange(N_ROWS) < 300, WEIGHTS, 1.0)
    chunks = [(X[:300], NUMBERS[:300], WEIGHTS[:300]), (X[300:], NUMBERS[300:])]
    history = model.fit(chunks).history
    expected = mean_absolute(*rows_of("numbers", model), weights)
    assert history["mae"] == pytest.approx([expected], rel=1e-9)
    expected = weighted_r2(*rows_of("numbers", model), weights)
    assert history["r2_score"] == pytest.approx([expected], rel=1e-9)


NAMES = {
    "labels": ["accuracy", TopKAccuracy(2)],
    "signs": ["accuracy", "binary_accuracy"],
    "numbers": ["mae", "mse", "rmse", "r2_score"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_rows_of_weight_zero_count_as_absent(kind):
    """Also if whole slices have weight zero, the first slices among them."""
    model, y = weighted_model(kind, *NAMES[kind]), KINDS[kind][2]
    weights = WEIGHTS.copy()
    weights[:150] = weights[300:450] = 0
    there = weights > 0
    found = model.evaluate(X, y, sample_weight=weights)[1:]
    alone = model.evaluate(X[there], y[there], sample_weight=weights[there])[1:]
    assert found == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("kind", NAMES)
def test_weights_that_are_all_zero_give_zero(kind):
    model, y = weighted_model(kind, *NAMES[kind]), KINDS[kind][2]
    nothing = [0.0] * (1 + len(NAMES[kind]))
    assert model.evaluate(X, y, sample_weight=np.zeros(N_ROWS)) == nothing
    history = model.fit(X, y, sample_weight=np.zeros(N_ROWS)).history
    assert [values[0] for values in history.values()][: len(nothing)] == nothing


def test_rows_of_weight_zero_may_overflow():
    y, a = np.array([[1e300], [0.1], [0.1], [0.4]]), np.array([[-1e300], [0.1], [0.3], [0.2]])
    w = np.array([0.0, 1.0, 1.0, 1.0])
    for name in ("mae", "mse", "rmse", "r2_score"):
        metric = METRICS[name](name=name)
        assert streamed(metric, y, a, 2, w) == pytest.approx(streamed(metric, y[1:], a[1:], 2))


def test_r2_does_not_take_its_origin_from_a_row_of_weight_zero():
    """Otherwise the rounding of equal targets would count as a deviation from their mean."""
    y = np.full((5_000, 1), 0.1)
    y[0] = 1e6
    w = np.ones(5_000)
    w[0] = 0
    assert streamed(R2Score(), y, y + y, 7, w) == 0.0
    assert streamed(R2Score(), y, y, 7, w) == 1.0


def test_in_both_lists_a_metric_has_two_names():
    model = Sequential([Dense(4, "softmax")], seed=1)
    model.compile(
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy", TopKAccuracy(2)],
    )
    history = model.fit(
        X, LABELS, sample_weight=WEIGHTS, validation_data=(X, LABELS, WEIGHTS)
    ).history
    names = ["loss", "accuracy", "weighted_accuracy", "top_k_accuracy"]
    assert list(history)[:4] == names
    assert [name for name in history if name.startswith("val_")] == [f"val_{n}" for n in names]
    scores = model.evaluate(X, LABELS, sample_weight=WEIGHTS, return_dict=True)
    rows = rows_of("labels", model)
    assert scores["accuracy"] == pytest.approx(top(1)(*rows, np.ones(N_ROWS)))
    assert scores["weighted_accuracy"] == pytest.approx(top(1)(*rows, WEIGHTS))


@pytest.mark.parametrize(
    ("wanted", "weighted"),
    [
        (["accuracy", metrics.Accuracy(name="weighted_accuracy")], ["accuracy"]),
        (["accuracy"], ["accuracy", "accuracy"]),
        ([], ["accuracy", "accuracy"]),
    ],
)
def test_names_that_still_clash_are_refused(wanted, weighted):
    model = Sequential([Dense(4, "softmax")])
    with pytest.raises(ValueError, match="names a metric twice"):
        model.compile("SGD", "categorical_crossentropy", wanted, weighted)


def test_weighted_metrics_are_checked_like_metrics():
    model = Sequential([Dense(1)])
    with pytest.raises(ValueError, match="needs classes"):
        model.compile(loss="mse", weighted_metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"weighted_metrics=\['mae'\]: metrics need a loss"):
        model.compile(weighted_metrics=["mae"])
    with pytest.raises(TypeError, match="weighted='yes'"):
        R2Score(weighted="yes")


def with_sklearn(name, **options):
    """The scikit-learn function of this name, with the arguments of our formulas."""
    function = getattr(pytest.importorskip("sklearn.metrics"), name, None)
    if function is None:
        pytest.skip(f"this scikit-learn has no {name}")
    return lambda y, a, w: function(y, a, sample_weight=w, **options)


SKLEARN = [
    ("numbers", "mae", "mean_absolute_error"),
    ("numbers", "mse", "mean_squared_error"),
    ("number", "rmse", "root_mean_squared_error"),
    ("numbers", "r2_score", "r2_score"),
    ("number", "r2_score", "r2_score"),
    ("labels", "accuracy", "accuracy_score"),
    ("labels", TopKAccuracy(2), "top_k_accuracy_score"),
]


@pytest.mark.parametrize(("kind", "metric", "name"), SKLEARN)
def test_weighted_metrics_are_those_of_scikit_learn(kind, metric, name):
    model = weighted_model(kind, metric)
    y, a = rows_of(kind, model)
    if kind == "labels":
        y = LABELS
        a = a.argmax(axis=1) if name == "accuracy_score" else a
    function = with_sklearn(name, **({"k": 2} if name == "top_k_accuracy_score" else {}))
    found = model.evaluate(X, KINDS[kind][2], sample_weight=WEIGHTS)[1]
    assert found == pytest.approx(function(y, a, WEIGHTS), rel=1e-9)


# ---- sums that stay exact -----------------------------------------------------------------------


def streamed(metric, y, predictions, rows_at_once, weights=None):
    running = metric.running()
    for start in range(0, len(y), rows_at_once):
        rows = slice(start, start + rows_at_once)
        running.add(y[rows], predictions[rows], None if weights is None else weights[rows])
    return running.value()


@pytest.mark.parametrize("rows_at_once", [1, 7, 100_000])
def test_r2_of_numbers_far_from_zero_keeps_its_digits(rows_at_once):
    """Here mean(y^2) - mean(y)^2 would have no correct digits left."""
    noise = RNG.normal(size=(20_000, 2))
    y, a = noise + 1e9, noise * 0.5 + 1e9
    assert streamed(R2Score(), y, a, rows_at_once) == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows_at_once", [1, 7, 100_000])
def test_r2_of_targets_that_are_all_alike(rows_at_once, dtype):
    """Their mean is rounded in float64, which must not count as a deviation from it."""
    y = np.full((5_000, 1), 0.1, dtype)
    assert streamed(R2Score(), y, y + y, rows_at_once) == 0.0
    assert streamed(R2Score(), y, y, rows_at_once) == 1.0
    both = np.hstack([y, RNG.normal(size=y.shape).astype(dtype)])
    assert streamed(R2Score(), both, both, rows_at_once) == 1.0


def test_errors_are_summed_in_float64():
    y = np.zeros((200_000, 1), np.float32)
    a = np.full_like(y, 0.1)
    for name in ("mae", "rmse"):
        metric = METRICS[name](name=name)
        assert streamed(metric, y, a, 50) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_equal_outputs_all_count_in_the_top_k():
    a, y = np.array([[1.0, 1.0, 1.0, 0.0]] * 4), np.arange(4.0)[:, None]
    assert streamed(TopKAccuracy(2), y, a, 4) == 0.75
    assert streamed(TopKAccuracy(4), y, np.full((4, 4), np.nan), 4) == 0.0


# ---- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_the_key_is_the_name_as_written(name):
    kind = "labels" if "categorical" in name else "bits" if "acc" in name else "numbers"
    if "top_k" in name:
        with pytest.raises(ValueError, match=r"5 largest outputs.*4 units.*TopKAccuracy\(k=3\)"):
            model_for("labels", name)
        wide = Sequential([Dense(6, "softmax")])
        wide.compile(loss="categorical_crossentropy", metrics=[name])
        assert list(wide.fit(X, LABELS).history)[:2] == ["loss", name]
        return
    model = model_for(kind, name.upper())
    assert list(model.fit(X, KINDS[kind][2]).history)[:2] == ["loss", name]


def test_several_metrics_in_the_order_given():
    model = model_for("labels", TopKAccuracy(3, name="top_3"), "accuracy", TopKAccuracy(2))
    model.build(X.shape[1])
    scores = model.evaluate(X, LABELS, return_dict=True)
    assert list(scores) == ["loss", "top_3", "accuracy", "top_k_accuracy"]
    assert scores["top_3"] > scores["top_k_accuracy"] > scores["accuracy"]


def test_one_name_twice_is_refused():
    with pytest.raises(ValueError, match="names a metric twice"):
        model_for("labels", TopKAccuracy(2), TopKAccuracy(3))
    model_for("numbers", "mae", "mean_absolute_error")


@pytest.mark.parametrize("name", ["", "loss", "seconds", "val_mae", "learning_rate"])
def test_a_name_that_the_history_needs_is_refused(name):
    with pytest.raises(ValueError, match="an unused key of the history"):
        R2Score(name=name)


def test_settings_are_checked():
    with pytest.raises(TypeError, match="name=3: expected text"):
        R2Score(name=3)
    with pytest.raises(ValueError, match="k=0: expected at least 1"):
        TopKAccuracy(0)
    with pytest.raises(TypeError, match="threshold='x'"):
        BinaryAccuracy("x")
    with pytest.raises(ValueError, match="threshold=nan"):
        BinaryAccuracy(float("nan"))


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'r2_score'"):
        model_for("numbers", "r2score")
    with pytest.raises(TypeError, match=r"metrics=\[<class.*expected a name or a metric"):
        model_for("numbers", R2Score)


# ---- what does not fit --------------------------------------------------------------------------

NOT_FITTING = [
    ("numbers", "accuracy", "needs classes, .*mean_squared_error.*numbers; .*binary_accuracy"),
    ("counts", "accuracy", "needs classes, .*poisson.*counts; .*'mae'"),
    ("counts", "binary_accuracy", "needs targets of two values, .*counts"),
    ("counts", "categorical_accuracy", "needs classes, .*counts"),
    ("labels", "binary_accuracy", "needs targets of two values, .*is for classes; .*'accuracy'"),
    ("number", "categorical_accuracy", "needs an output for each class, .*one unit"),
    ("number", TopKAccuracy(1), "needs an output for each class, .*one unit"),
    *(
        (kind, name, rf"metrics=\['{name}'\] needs numbers, .*; e.g. metrics=\['accuracy'\]")
        for kind in ("labels", "one-hot", "signs")
        for name in ("mae", "mse", "rmse", "r2_score")
    ),
]


@pytest.mark.parametrize("kind, metric, message", NOT_FITTING)
def test_what_does_not_fit_the_loss_is_refused_and_the_model_stays(kind, metric, message):
    model = model_for(kind)
    with pytest.raises(ValueError, match=message):
        model.compile(SGD(0.5), KINDS[kind][1], [metric])
    assert model.optimizer == SGD(0.01)


@pytest.mark.parametrize("name", ["Metric", "NumberMetric", "Accuracy"])
def test_base_classes_without_a_formula_do_not_run(name):
    with pytest.raises(NotImplementedError):
        getattr(metrics, name)(name="x").running()


# ---- files, copies and pickles ------------------------------------------------------------------

JOURNEYS = {
    "copy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


def through_file(model, folder):
    model.save(folder / "model.npz")
    return fastnn.load(folder / "model.npz")


@pytest.mark.parametrize("way", ["file", *JOURNEYS])
@pytest.mark.parametrize(
    "kind, wanted",
    [
        ("numbers", ["mae", "rmse", R2Score(name="explained"), "mse"]),
        ("labels", ["accuracy", TopKAccuracy(2, name="top_2")]),
        ("signs", ["accuracy", BinaryAccuracy(0.3)]),
    ],
)
def test_metrics_survive_save_copy_and_pickle(tmp_path, kind, wanted, way):
    model, y = model_for(kind, *wanted), KINDS[kind][2]
    model.fit(X, y)
    other = through_file(model, tmp_path) if way == "file" else JOURNEYS[way](model)
    scores = model.evaluate(X, y, return_dict=True)
    assert len(scores) == 1 + len(wanted)
    assert other.evaluate(X, y, return_dict=True) == scores
    assert list(other.evaluate(X, y, return_dict=True)) == list(scores)


@pytest.mark.parametrize("way", ["file", *JOURNEYS])
@pytest.mark.parametrize("kind", NAMES)
def test_weighted_metrics_survive_save_copy_and_pickle(tmp_path, kind, way):
    output, loss, y = KINDS[kind]
    model = Sequential([output], seed=1)
    model.compile(SGD(0.01), loss, NAMES[kind], NAMES[kind])
    model.fit(X, y)
    other = through_file(model, tmp_path) if way == "file" else JOURNEYS[way](model)
    before, after = (
        one.evaluate(X, y, sample_weight=WEIGHTS, return_dict=True) for one in (model, other)
    )
    assert after == before
    assert list(after) == list(before)
    assert len({*before.values()}) == 1 + 2 * len(NAMES[kind])  # the weights count in half of them


def test_a_metric_of_a_custom_class_cannot_be_saved(tmp_path):
    class Mine(R2Score):
        pass

    model = model_for("numbers", Mine())
    model.fit(X, NUMBERS)
    with pytest.raises(ValueError, match="Mine of your own"):
        model.save(tmp_path / "model.npz")


def test_get_returns_the_metric_that_fits_the_loss():
    loss = fastnn.Hinge()
    assert get("accuracy", loss, 1) == BinaryAccuracy(0, name="accuracy")
    own = TopKAccuracy(2)
    assert get(own, fastnn.CategoricalCrossentropy(), 3) is own


def test_a_plateau_of_r2_is_where_it_rises_no_more():
    model = model_for("number", "r2_score")
    callback = ReduceLROnPlateau("r2_score", patience=0, factor=0.5)
    history = model.fit(X, NUMBERS[:, 0], epochs=3, mode="batch", callbacks=[callback]).history
    assert history["r2_score"] == sorted(history["r2_score"])  # it rises
    assert model.optimizer.learning_rate == 0.01


@pytest.mark.parametrize("weight", [1.0, 1e-200, 1e200])
def test_r2_of_weights_of_all_sizes_in_several_parts(weight):
    running = R2Score(weighted=True).running()
    for y in ([[1.0]], [[2.0], [3.0]]):
        running.add(np.array(y), np.array(y) ** 2, np.full(len(y), weight))
    assert running.value() == pytest.approx(1 - (2**2 + 6**2) / 2)


def test_r2_of_targets_that_hardly_vary_may_be_minus_infinity():
    running = R2Score().running()
    running.add(np.array([[0.0], [1e-160]]), np.ones((2, 1)))
    assert running.value() == -np.inf
