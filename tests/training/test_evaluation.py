"""evaluate and metrics."""

import pytest
import reference
from small_models import (
    CLASSES,
    OUTPUT,
    TOLERANCE,
    WEIGHTS,
    X,
    Y,
    activations_of,
    bits,
    dtypes,
    kinds,
    loss_of,
    model_for,
    rows_in_a_slice,
    wide_model_and_rows,
)


def test_evaluate_without_metrics_is_the_loss_alone():
    model = model_for()
    assert type(model.evaluate(X, Y["binary"])) is float
    assert model.evaluate(X, Y["binary"], return_dict=True) == {
        "loss": model.evaluate(X, Y["binary"])
    }


def test_evaluate_with_metrics_is_a_list_with_the_loss_first():
    model = model_for(metrics=["accuracy"])
    values = model.evaluate(X, Y["binary"])
    assert type(values) is list
    assert model.evaluate(X, Y["binary"], return_dict=True) == {
        "loss": values[0],
        "accuracy": values[1],
    }
    model.compile(loss="binary_crossentropy")
    assert model.evaluate(X, Y["binary"]) == values[0]


@dtypes
@kinds
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_evaluate_is_the_loss_of_the_oracle_and_moves_nothing(kind, dtype, sample_weight):
    model = model_for(kind, dtype)
    before = bits(model)
    expected, _ = reference.gradient(
        model.get_weights(), activations_of(model), loss_of(kind), X, Y[kind], sample_weight
    )
    loss = model.evaluate(X, Y[kind], sample_weight=sample_weight)
    assert loss == pytest.approx(expected, rel=TOLERANCE[dtype])
    assert bits(model) == before


def plain_accuracy(kind, predictions):
    if kind == "binary":
        return ((predictions[:, 0] > 0.5) == Y[kind]).mean()
    if kind == "two binary":
        return ((predictions > 0.5) == Y[kind]).mean()
    if kind in ("signs", "zeros and ones"):
        return ((predictions > 0) == (Y[kind] > 0)).mean()
    return (predictions.argmax(axis=1) == CLASSES).mean()


@dtypes
@pytest.mark.parametrize("kind", [kind for kind in OUTPUT if kind != "numbers"])
def test_accuracy_is_that_of_plain_numpy(kind, dtype):
    model = model_for(kind, dtype, metrics=["accuracy"])
    model.fit(X, Y[kind], epochs=5, batch_size=4)
    expected = plain_accuracy(kind, model.predict(X))
    assert 0.4 < expected < 1  # neither chance nor certainty would tell errors
    scores = model.evaluate(X, Y[kind], return_dict=True)
    assert scores["accuracy"] == pytest.approx(expected, rel=1e-12)
    weighted = model.evaluate(X, Y[kind], sample_weight=WEIGHTS, return_dict=True)
    assert weighted["accuracy"] == scores["accuracy"]


def test_evaluate_over_many_slices_is_the_mean_over_all_rows():
    model, rows, labels = wide_model_and_rows(metrics=["accuracy"])
    model.build(rows.shape[1])
    assert len(rows) > 2 * rows_in_a_slice(model, rows, labels)
    expected, _ = reference.gradient(
        model.get_weights(), activations_of(model), "binary_crossentropy", rows, labels
    )
    loss, accuracy = model.evaluate(rows, labels)
    assert loss == pytest.approx(expected, rel=1e-5)
    right = (model.predict(rows)[:, 0] > 0.5) == labels
    assert accuracy == pytest.approx(right.mean(), rel=1e-12)


def test_a_metric_named_twice_is_refused():
    with pytest.raises(ValueError, match="names a metric twice"):
        model_for(metrics=["accuracy", "Accuracy"])
