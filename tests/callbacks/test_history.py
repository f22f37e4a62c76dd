"""What a history records; as a dictionary and as a table."""

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from small_models import X, Y, bits, model_for, modes

from fastnn import Dense, History, Sequential

ROWS = np.random.default_rng(0).normal(size=(40, 3))
NUMBERS = ROWS[:, 0]


def trained(**options):
    model = Sequential([Dense(1)], seed=1)
    model.compile(loss="mean_squared_error")
    return model.fit(ROWS, NUMBERS, **options)


def table(history):
    """The cells of each row."""
    text = history._repr_html_()
    assert text.startswith("<table><tr>") and text.endswith("</tr></table>")
    return [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", text)]


# ---- what fit records ---------------------------------------------------------------------------


@modes
def test_history_has_one_number_an_epoch_under_the_known_names(mode):
    model = model_for(metrics=["accuracy"])
    history = model.fit(X, Y["binary"], epochs=4, mode=mode, validation_data=(X, Y["binary"]))
    assert isinstance(history, History)
    assert history is model.history
    assert history.epoch == [0, 1, 2, 3]
    assert set(history.history) == {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
        "samples_per_second",
        "learning_rate",
    }
    for values in history.history.values():
        assert len(values) == 4
        assert all(type(value) is float and math.isfinite(value) for value in values)


def test_history_without_metrics_and_validation_has_the_loss_and_the_timing():
    history = model_for().fit(X, Y["binary"])
    assert list(history.history) == ["loss", "seconds", "samples_per_second", "learning_rate"]


@pytest.mark.parametrize(
    ("options", "steps", "mode", "batch_size"),
    [
        ({"mode": "stochastic"}, 50, "stochastic", 1),
        ({"batch_size": 1}, 50, "stochastic", 1),
        ({"mode": "minibatch"}, 2, "minibatch", 32),
        ({"batch_size": 8}, 7, "minibatch", 8),
        ({"mode": "batch"}, 1, "batch", 50),
        ({"batch_size": 50}, 1, "batch", 50),
        ({"batch_size": 1000}, 1, "batch", 50),
        ({}, 2, "minibatch", 32),
    ],
)
def test_history_params_say_how_it_was_trained(options, steps, mode, batch_size):
    history = model_for(seed=7).fit(X, Y["binary"], epochs=2, verbose=0, **options)
    assert history.params == {
        "epochs": 2,
        "steps": steps,
        "verbose": 0,
        "mode": mode,
        "batch_size": batch_size,
        "samples": 50,
        "seed": 7,
        "metrics": {
            "loss": "min",
            "seconds": "min",
            "samples_per_second": "max",
            "learning_rate": "",
        },
        "initial_epoch": 0,
        "validation_freq": 1,
    }


def test_every_fit_has_a_history_of_its_own():
    model = model_for()
    first = model.fit(X, Y["binary"], epochs=2)
    second = model.fit(X, Y["binary"], epochs=3)
    assert (first.epoch, second.epoch, model.epochs_trained) == ([0, 1], [0, 1, 2], 5)


def test_no_epochs_move_nothing():
    model = model_for()
    before = bits(model)
    history = model.fit(X, Y["binary"], epochs=0)
    assert (history.epoch, history.history, bits(model)) == ([], {}, before)


# ---- to_dict ------------------------------------------------------------------------------------


def test_a_history_goes_through_json_and_comes_back():
    history = trained(epochs=3, validation_data=(ROWS, NUMBERS), validation_freq=2)
    assert History(**json.loads(json.dumps(history.to_dict()))) == history


def test_the_dictionary_is_a_copy():
    history = trained(epochs=2)
    copied = history.to_dict()
    copied["history"]["loss"].clear()
    copied["params"]["metrics"].clear()
    copied["epoch"].clear()
    assert len(history.history["loss"]) == len(history.epoch) == 2
    assert history.params["metrics"]["loss"] == "min"


# ---- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [0, 1, 11])
def test_few_epochs_are_all_in_the_table(epochs):
    history = trained(epochs=epochs)
    head, *rows = table(history)
    assert head == ["epoch", *history.history]
    assert [row[0] for row in rows] == [str(epoch) for epoch in range(1, epochs + 1)]
    assert [row[1] for row in rows] == [f"{loss:.4g}" for loss in history.history.get("loss", [])]


def test_of_many_epochs_the_first_and_the_last_are():
    _, *rows = table(trained(epochs=40, initial_epoch=10))
    expected = [*range(11, 16), "&#8230;", *range(36, 41)]
    assert [row[0] for row in rows] == list(map(str, expected))
    assert set(rows[5]) == {"&#8230;"}
    assert len({len(row) for row in rows}) == 1


def test_epochs_without_validation_have_empty_cells():
    history = trained(epochs=4, validation_data=(ROWS, NUMBERS), validation_freq=2)
    head, *rows = table(history)
    shown = [row[head.index("val_loss")] for row in rows]
    first, second = (f"{loss:.4g}" for loss in history.history["val_loss"])
    assert shown == ["", first, "", second]


def test_large_numbers_are_written_out_and_names_are_escaped():
    history = History({}, [0], {"<b>": [1234567.8]})
    assert table(history) == [["epoch", "&lt;b&gt;"], ["1", "1,234,568"]]


@pytest.mark.parametrize("optimizer", ["SGD", "LBFGS"])
def test_an_epoch_within_one_tick_of_the_clock_has_a_rate(optimizer, monkeypatch):
    clock = SimpleNamespace(perf_counter=lambda: 5.0)
    for module in ("training.fit", "training.lbfgs"):
        monkeypatch.setattr(f"fastnn.{module}.time", clock)
    model = Sequential([Dense(1)], seed=0)
    model.compile(optimizer, "mse")
    history = model.fit([[1.0], [2.0]], [1.0, 3.0], mode="batch").history
    assert history["seconds"][0] == 0 and np.isfinite(history["samples_per_second"][0])


# ---- plot ---------------------------------------------------------------------------------------


def test_no_epochs_are_no_picture(tmp_path):
    with pytest.raises(ValueError, match=r"history holds no epochs, .* model.fit\(X, y"):
        trained(epochs=0).plot(tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.parametrize("losses", [[0.0, 0.0], [1.0, 0.0], [-1.0, -2.0], [1.0, float("inf")]])
def test_losses_that_have_no_logarithm_are_drawn(tmp_path, losses):
    history = History({}, [0, 1], {"loss": losses, "seconds": [1.0, 1.0]})
    history.plot(tmp_path / "curves.svg")
    assert "</svg>" in (tmp_path / "curves.svg").read_text()


def test_one_epoch_is_one_epoch_with_one_loss():
    history = History(epoch=[0], history={"loss": [0.66], "val_loss": [0.7]})
    assert repr(history) == "History(1 epoch, loss 0.66, val_loss 0.7)"
