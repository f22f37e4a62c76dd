"""What a fit shows of itself: lines where there is no terminal, a bar where there is one."""

import io
import re
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import (
    LBFGS,
    SGD,
    Callback,
    Dense,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    Progress,
    ReduceLROnPlateau,
    Sequential,
)
from fastnn.callbacks.progress import EpochLines, ProgressBar
from fastnn.models import learner_of

N_ROWS = 50
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N_ROWS, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
HALF = slice(0, 25)

modes = pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])


def model_for(optimizer=None, metrics=None):
    """A model that returns to Python after 16 rows: with X, four times an epoch."""
    model = Sequential([Dense(9, "tanh"), Dense(1)], seed=5)
    model.compile(optimizer or SGD(0.1), "mse", metrics)
    model.build(4)
    learner_of(model).network.slice_rows = learner_of(model).network.block = 16
    return model


class Terminal(io.StringIO):
    def isatty(self):
        return True


SHOWN = "loss", "val_loss", "mae", "val_mae"  # in this order


def new_terminal(monkeypatch):
    """What standard error is connected to from now on.

    No fixture: before a test begins pytest sets standard error again.
    """
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    return terminal


@pytest.fixture
def clock(monkeypatch):
    """The time that the lines go by; tests set it forward."""
    clock = SimpleNamespace(now=1000.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr("fastnn.callbacks.progress.time", clock)
    return clock


def begun(callback, epochs, initial_epoch=0):
    """A display that is given of a fit by hand."""
    callback.params = {"epochs": epochs, "initial_epoch": initial_epoch, "samples": N_ROWS}
    callback.on_train_begin({})
    return callback


def numbers(lines):
    """The epochs that lines speak of."""
    return [int(re.match(r"epoch (\d+)/\d+  ", line)[1]) for line in lines]


# ---- silence ------------------------------------------------------------------------------------


def use_all(model, **options):
    model.fit(X, Y, epochs=3, validation_split=0.2, **options)
    model.fit([(X, Y), (X, Y)], epochs=2, **options)
    model.evaluate(X, Y)
    model.predict(X)
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)


@pytest.mark.parametrize("options", [{}, {"verbose": 0}, {"verbose": "auto"}])
def test_nothing_is_shown_unless_asked(options, capfd):
    use_all(model_for(metrics=["mae"]), **options)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_shown_on_a_terminal_unless_asked(monkeypatch, capsys):
    terminal = new_terminal(monkeypatch)
    use_all(model_for())
    assert (terminal.getvalue(), capsys.readouterr().out) == ("", "")


# ---- lines --------------------------------------------------------------------------------------


def test_verbose_2_writes_a_plain_line_an_epoch(capfd):
    model = model_for(metrics=["mae"])
    history = model.fit(X, Y, epochs=25, verbose=2, validation_split=0.2).history
    out, err = capfd.readouterr()
    lines = out.split("\n")
    assert (err, lines.pop()) == ("", "")
    assert len(lines) == 25
    for epoch, line in enumerate(lines):
        shown = (f"{name} {history[name][epoch]:.4g}" for name in SHOWN)
        rate = f"{history['samples_per_second'][epoch]:,.0f} samples/s"
        start = "  ".join([f"epoch {epoch + 1}/25", *shown, rate])
        assert re.fullmatch(re.escape(start) + (r", \d+:\d\d left" if epoch < 24 else ""), line)
        assert line.isprintable()


@pytest.mark.parametrize(("epochs", "n_lines"), [(1, 1), (5, 5), (95, 11), (100, 10)])
def test_verbose_1_writes_about_ten_lines_where_there_is_no_terminal(epochs, n_lines, capfd):
    model_for().fit(X, Y, epochs=epochs, verbose=1)
    out, err = capfd.readouterr()
    assert err == ""
    assert all(line.isprintable() for line in out.split("\n"))
    assert len(out.splitlines()) == n_lines
    assert f"epoch {epochs}/{epochs} " in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("lines", "epochs", "initial_epoch", "expected"),
    [
        (None, 4, 0, [1, 2, 3, 4]),
        (1, 9, 0, [9]),
        (3, 10, 0, [3, 6, 9, 10]),
        (20, 4, 0, [1, 2, 3, 4]),
        (None, 6, 3, [4, 5, 6]),
        (5, 100, 95, [96, 97, 98, 99, 100]),
    ],
)
def test_about_that_number_of_lines_are_written(lines, epochs, initial_epoch, expected, capsys):
    options = {"epochs": epochs, "initial_epoch": initial_epoch}
    model_for().fit(X, Y, callbacks=[Progress(lines)], **options)
    assert numbers(capsys.readouterr().out.splitlines()) == expected


@pytest.mark.parametrize(("lines", "error"), [(0, ValueError), (2.5, TypeError), ("2", TypeError)])
def test_other_numbers_of_lines_are_refused(lines, error):
    with pytest.raises(error, match="lines="):
        Progress(lines)


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_the_last_epoch_has_a_line_whatever_ends_the_fit(error, capsys):
    model = model_for()

    def end(epoch, logs):
        model.stop_training = epoch == 6
        if error and model.stop_training:
            raise error

    callbacks = [Progress(2), LambdaCallback(on_epoch_end=end)]
    with pytest.raises(error) if error else nullcontext():
        model.fit(X, Y, epochs=12, callbacks=callbacks)
    lines = capsys.readouterr().out.splitlines()
    assert numbers(lines) == [6, 7]
    assert f"  loss {model.history.history['loss'][-1]:.4g}  " in lines[-1]
    assert lines[-1].endswith(" samples/s")


def test_without_an_epoch_there_is_no_line(capfd):
    for options in ({"epochs": 0}, {"epochs": 3, "initial_epoch": 3}):
        model_for().fit(X, Y, verbose=1, **options)
    assert capfd.readouterr() == ("", "")


def test_time_left_is_that_of_the_epochs_so_far(clock):
    lines = begun(EpochLines(stream=io.StringIO()), epochs=44, initial_epoch=40)
    for epoch, seconds in zip(range(40, 44), (1800, 10, 10, 10), strict=True):
        clock.now += seconds
        lines.on_epoch_end(epoch, {"loss": 0.123456, "samples_per_second": 12345.6})
    line = "loss 0.1235  12,346 samples/s"
    assert lines._stream.getvalue().splitlines() == [
        f"epoch 41/44  {line}, 1:30:00 left",
        f"epoch 42/44  {line}, 30:10 left",
        f"epoch 43/44  {line}, 10:07 left",
        f"epoch 44/44  {line}",
    ]


def test_a_long_epoch_breaks_its_silence(clock):
    lines = begun(EpochLines(stream=io.StringIO()), epochs=2)
    for n_done in range(1, 5):
        clock.now += 20  # of the 30 seconds after which a line is due
        lines.on_slice_end(1000, {"loss": 1 / n_done})
    lines.on_epoch_end(0, {"loss": 0.2, "samples_per_second": 50.0})
    clock.now += 40
    lines.on_slice_end(700, {"loss": 0.1})
    assert lines._stream.getvalue().splitlines() == [
        "epoch 1/2  2,000 samples so far  loss 0.5",
        "epoch 1/2  4,000 samples so far  loss 0.25",
        "epoch 1/2  loss 0.2  50 samples/s, 1:20 left",
        "epoch 2/2  700 samples so far  loss 0.1",
    ]


@modes
def test_lines_within_an_epoch_tell_of_its_slices(mode, monkeypatch, capsys):
    monkeypatch.setattr("fastnn.callbacks.progress.SILENCE", 0)
    size = {"stochastic": 1, "minibatch": 16, "batch": N_ROWS}[mode]
    history = model_for(metrics=["mae"]).fit(X, Y, epochs=2, batch_size=size, verbose=2).history
    lines = capsys.readouterr().out.splitlines()
    assert numbers(lines) == [1] * 5 + [2] * 5
    within = [line.split("  ") for line in lines[:4]]
    assert [parts[1] for parts in within] == [f"{n} samples so far" for n in (16, 32, 48, 50)]
    assert within[-1][2:] == [f"{name} {history[name][0]:.4g}" for name in ("loss", "mae")]


def test_iterations_of_lbfgs_have_lines_too(capsys):
    pytest.importorskip("scipy")
    model_for(LBFGS()).fit(X, Y, epochs=3, mode="batch", verbose=2)
    assert numbers(capsys.readouterr().out.splitlines()) == [1, 2, 3]


def test_chunks_have_lines_too(capsys):
    model_for().fit([(X, Y), (X[HALF], Y[HALF])], epochs=3, verbose=2)
    assert numbers(capsys.readouterr().out.splitlines()) == [1, 2, 3]


@pytest.mark.parametrize("stderr", [None, SimpleNamespace(write=print), io.StringIO()])
def test_where_standard_error_is_no_terminal_there_are_lines(stderr, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", stderr)
    model_for().fit(X, Y, epochs=2, verbose=1)
    assert numbers(capsys.readouterr().out.splitlines()) == [1, 2]


def test_without_tqdm_a_terminal_gets_lines(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    model_for().fit(X, Y, epochs=2, verbose=1)
    assert numbers(capsys.readouterr().out.splitlines()) == [1, 2]
    assert sys.stderr.getvalue() == ""


# ---- the bar ------------------------------------------------------------------------------------


class Look(Callback):
    """Notes how a bar stands after every slice."""

    def __init__(self, bar):
        self.bar, self.seen = bar, []

    def on_slice_end(self, n_rows, logs):
        self.seen.append((self.bar._bar.n, self.bar._bar.total, str(self.bar._bar)))


def test_a_terminal_gets_a_bar_with_epoch_rate_and_loss(monkeypatch, capsys):
    terminal = new_terminal(monkeypatch)
    model = model_for(metrics=["mae"])
    history = model.fit(X, Y, epochs=3, verbose=1, validation_data=(X, Y)).history
    last = terminal.getvalue().split("\r")[-1]
    assert re.match(r"100% \|#{10}\| epoch 3/3: \S+ samples/s, 00:00 left, loss ", last)
    for name in SHOWN:
        assert f" {name} {history[name][-1]:.4g}" in last
    assert last.endswith("\n")
    assert capsys.readouterr().out == ""


def test_within_an_epoch_the_bar_says_which(monkeypatch):
    new_terminal(monkeypatch)
    bar = ProgressBar()
    look = Look(bar)
    model_for().fit(X, Y, epochs=2, callbacks=[bar, look])
    assert [n for n, *_ in look.seen] == [16, 32, 48, 50, 66, 82, 98, 100]
    assert {total for _, total, _ in look.seen} == {100}
    texts = [text for *_, text in look.seen]
    assert ["epoch 1/2: " in text for text in texts] == [True] * 4 + [False] * 4
    assert ["epoch 2/2: " in text for text in texts] == [False] * 4 + [True] * 4
    assert texts[0].startswith(" 16% |#")
    assert all("samples/s" in text and ", loss 0." in text for text in texts)


def test_the_bar_is_as_long_as_the_epochs_that_are_left(monkeypatch):
    new_terminal(monkeypatch)
    bar = ProgressBar()
    model_for().fit(X, Y, epochs=5, initial_epoch=3, callbacks=[bar])
    assert bar._bar.n == bar._bar.total == 2 * N_ROWS
    assert "epoch 5/5: " in str(bar._bar)


def test_of_chunks_the_bar_learns_the_length_in_the_first_epoch(monkeypatch):
    new_terminal(monkeypatch)
    bar = ProgressBar()
    look = Look(bar)
    model_for().fit([(X, Y), (X[HALF], Y[HALF])], epochs=3, callbacks=[bar, look])
    rows = N_ROWS + 25
    before, after = look.seen[:6], look.seen[6:]
    assert [n for n, *_ in before] == [16, 32, 48, 50, 66, 75]
    for n, total, text in before:
        assert total is None
        assert re.match(rf"epoch 1/3: {n}\.\d samples, \S+ samples/s, loss ", text)
        assert "%" not in text
    assert len(after) == 12
    for n, total, text in after:
        assert total == 3 * rows
        assert text.startswith(f"{100 * n / total:3.0f}% |")
        assert " left, loss " in text


@pytest.mark.parametrize("options", [{"epochs": 0}, {"epochs": 3, "initial_epoch": 4}])
def test_a_bar_of_no_epochs_is_drawn_in_peace(options, monkeypatch):
    terminal = new_terminal(monkeypatch)
    model_for().fit(X, Y, verbose=1, **options)
    assert terminal.getvalue().endswith("\n")


def test_an_error_ends_the_line_of_the_bar(monkeypatch):
    terminal, bar = new_terminal(monkeypatch), Progress()

    def fail(n_rows, logs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model_for().fit(X, Y, callbacks=[bar, LambdaCallback(on_slice_end=fail)])
    assert terminal.getvalue().endswith("\n")


def test_verbose_2_writes_lines_on_a_terminal_too(monkeypatch, capsys):
    terminal = new_terminal(monkeypatch)
    model_for().fit(X, Y, epochs=2, verbose=2)
    assert numbers(capsys.readouterr().out.splitlines()) == [1, 2]
    assert terminal.getvalue() == ""


@modes
def test_a_bar_changes_no_bit(mode, monkeypatch):
    terminal = new_terminal(monkeypatch)
    plain, shown = model_for(), model_for()
    expected = plain.fit(X, Y, epochs=2, mode=mode).history["loss"]
    assert shown.fit(X, Y, epochs=2, mode=mode, verbose=1).history["loss"] == expected
    for a, b in zip(plain.get_weights(), shown.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert terminal.getvalue()


# ---- callbacks that say what they do ------------------------------------------------------------


@pytest.mark.parametrize("verbose", [0, 1])
def test_callbacks_say_what_they_do_if_asked(verbose, capsys, tmp_path):
    path = str(tmp_path / "best.npz")
    callbacks = [
        EarlyStopping("loss", min_delta=100, patience=3, verbose=verbose),
        ReduceLROnPlateau("loss", 0.5, 2, verbose, min_delta=100),
        ModelCheckpoint(path, "loss", verbose, True),
        LearningRateScheduler(lambda epoch: 0.1 if epoch == 0 else 0.05, verbose),
    ]
    model_for().fit(X, Y, epochs=9, callbacks=callbacks)
    out = capsys.readouterr().out
    if not verbose:
        assert out == ""
        return
    assert f"epoch 1: saved {path}\n" in out
    assert "epoch 2: learning rate 0.05\n" in out
    assert "learning rate 0.05 reduced to 0.025\n" in out
    assert "epoch 4: loss has stopped getting better\n" in out
    assert "the model has the weights of epoch 1\n" in out


def test_a_number_of_lines_is_lines_on_a_terminal_too(monkeypatch, capsys):
    terminal = new_terminal(monkeypatch)
    model_for().fit(X, Y, epochs=6, callbacks=[Progress(lines=3)])
    assert terminal.getvalue() == ""
    assert len(capsys.readouterr().out.splitlines()) == 3
