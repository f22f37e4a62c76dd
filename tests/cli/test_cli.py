"""The command line, run as a process and, where that would be slow, in this one."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.cli import commands, tables
from fastnn.cli import options as cli

ROOT = Path(__file__).resolve().parents[2]
BREAST_CANCER = str(ROOT / "examples" / "data" / "breast_cancer.csv")
COMMAND = [sys.executable, "-m", "fastnn"]
RNG = np.random.default_rng(0)


def environment(folder):
    """This very build of fastnn, and nothing written outside the folder."""
    paths = [str(Path(fastnn.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    python_path = os.pathsep.join(filter(None, paths))
    return os.environ | {"PYTHONPATH": python_path, "MPLCONFIGDIR": str(folder)}


@pytest.fixture
def process(tmp_path):
    """Runs the command in an empty folder."""

    def run(*arguments):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def fastnn_main(tmp_path, monkeypatch, capsys):
    """Calls `main` in an empty folder; returns the exit code and both outputs."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = leaving.code
        return code, *capsys.readouterr()

    return run


def refusal(fastnn_main, *arguments):
    code, _, errors = fastnn_main(*arguments)
    assert code == 2
    *_, last = errors.splitlines()
    assert last.startswith("fastnn: error: ")
    return last.removeprefix("fastnn: error: ")


def write_table(path, X, y, names=None):
    names = names or [f"x{i}" for i in range(X.shape[1])]
    lines = [",".join([*map(repr, row), str(t)]) for row, t in zip(X.tolist(), y, strict=True)]
    path.write_text("\n".join([",".join([*names, "y"]), *lines]) + "\n")
    return path


@pytest.fixture
def two_classes(tmp_path):
    X = RNG.normal(size=(200, 3)) * [1, 100, 0.01] + [0, 1000, 5]
    return write_table(tmp_path / "two.csv", X, np.where(X[:, 0] > 0, "yes", "no"))


@pytest.fixture
def three_classes(tmp_path):
    X = RNG.normal(size=(240, 2))
    return write_table(tmp_path / "three.csv", X, np.digitize(X[:, 0], [-0.5, 0.5]) * 5)


@pytest.fixture
def numbers(tmp_path):
    """A target of large offset and scale: it must not need another learning rate."""
    X = RNG.normal(size=(300, 2))
    return write_table(tmp_path / "numbers.csv", X, 2e5 * (X[:, 0] - X[:, 1]).round(6) + 1e6)


def rows_of_results(output):
    """The table at the end: a dictionary for each mode."""
    lines = output[output.index("mode  ") :].split("\n\n")[0].splitlines()
    header, *rows = [re.split(r" {2,}", line) for line in lines]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


# ---- as a process -------------------------------------------------------------------------------


def test_train_predict_evaluate_on_real_data(process, tmp_path):
    """Every mode learns; the best is saved; its predictions and scores agree."""
    trained = process(
        *("train", BREAST_CANCER, "--target", "diagnosis", "--mode", "all"),
        *("--out", "model.npz", "--plot", "curves.png"),
    )
    assert trained.returncode == 0, trained.stderr
    results = rows_of_results(trained.stdout)
    assert list(results) == ["stochastic", "minibatch", "batch"]
    assert [row["weight updates"] for row in results.values()] == ["9,100", "750", "500"]
    assert all(float(row["held-out accuracy"]) >= 0.95 for row in results.values())
    assert all(float(row["samples/s"].replace(",", "")) > 0 for row in results.values())
    best = min(results, key=lambda mode: float(results[mode]["held-out loss"]))
    assert f"saved model.npz: the {best} model" in trained.stdout
    assert "epoch 50/50  loss" in trained.stdout
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    predicted = process("predict", "model.npz", BREAST_CANCER)
    assert predicted.returncode == 0, predicted.stderr
    with open(BREAST_CANCER, newline="") as file:
        labels = [row["diagnosis"] for row in csv.DictReader(file)]
    answers = read_csv(predicted.stdout)
    share = np.mean([a["prediction"] == b for a, b in zip(answers, labels, strict=True)])
    evaluated = process("evaluate", "model.npz", BREAST_CANCER)
    rows, loss, accuracy = evaluated.stdout.splitlines()
    assert rows.split() == ["rows", "569"]
    assert 0 < float(loss.split()[1]) < 0.2
    assert accuracy.split() == ["accuracy", f"{share:.4g}"]
    assert share > 0.95


def test_interrupt_saves_the_last_weights(tmp_path):
    arguments = ["--epochs", "20000", "--out", "model.npz"]
    with subprocess.Popen(
        [*COMMAND, "train", BREAST_CANCER, "--target", "diagnosis", *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under a shell's `&` the signal would be ignored, by inheritance.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        while not running.stdout.readline().startswith("epoch "):
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert "saved model.npz: the minibatch model" in output
    model = fastnn.load(tmp_path / "model.npz")
    assert 2_000 <= model.epochs_trained < 20_000
    assert rows_of_results(output)["minibatch"]["training loss"]


def test_without_a_command_there_is_help(process):
    finished = process()
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("usage: fastnn ")
    assert "evaluate" in finished.stderr


def test_an_error_is_one_line(process):
    finished = process("train", "missing.csv", "--target", "y")
    assert finished.returncode == 2
    assert finished.stderr == "fastnn: error: missing.csv: No such file or directory\n"


def test_a_reader_that_has_enough(process, two_classes, tmp_path):
    process("train", two_classes, "--target", "y", "--out", "model.npz", "--epochs", "1")
    with subprocess.Popen(
        [*COMMAND, "predict", "model.npz", two_classes],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        running.stdout.close()
        assert running.stderr.read() == b""


@pytest.mark.parametrize("output", ["closed pipe", "/dev/full"])
def test_training_goes_on_when_its_progress_cannot_be_printed(two_classes, tmp_path, output):
    reading, writing = os.pipe()
    os.close(reading)
    if output != "closed pipe":
        os.close(writing)
        writing = os.open(output, os.O_WRONLY)
    finished = subprocess.run(
        [*COMMAND, "train", two_classes, "--target", "y", "--out", "model.npz", "--epochs", "3"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (tmp_path / "model.npz").exists()
    if output == "closed pipe":
        assert (finished.returncode, finished.stderr) == (0, "")
    else:
        assert finished.returncode == 2
        assert finished.stderr == "fastnn: error: standard output: No space left on device\n"


def test_an_error_is_one_even_if_nobody_reads_the_output(two_classes, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "train", two_classes, "--target", "y", "--learning-rate", "1e30"]
    finished = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert finished.returncode == 2
    assert b"try --learning-rate 0.1" in finished.stderr


def test_errors_do_not_turn_to_standard_output(two_classes, tmp_path):
    finished = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m fastnn predict no.npz {two_classes} 2>&-"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
    )
    assert (finished.returncode, finished.stdout) == (2, b"")


# ---- train --------------------------------------------------------------------------------------


def test_version_and_configuration(fastnn_main):
    assert fastnn_main("--version") == (0, f"fastnn {fastnn.__version__}\n", "")
    code, output, _ = fastnn_main("show-config")
    assert code == 0
    assert "SIMD" in output


def test_help_tells_the_defaults_of_each_mode(fastnn_main):
    code, output, _ = fastnn_main("train", "--help")
    assert code == 0
    for mode, recipe in commands.RECIPES.items():
        assert re.search(rf"{mode} +{recipe.epochs} +{recipe.learning_rate:g}\n", output + "\n")


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
@pytest.mark.parametrize("seed", [0, 2, 4])
def test_defaults_learn_in_every_mode(fastnn_main, mode, seed):
    _, output, _ = fastnn_main(
        *("train", BREAST_CANCER, "--target", "diagnosis", "--mode", mode, "--seed", seed)
    )
    assert float(rows_of_results(output)[mode]["held-out accuracy"]) >= 0.94
    assert "the model is not saved; --out model.npz would" in output


def test_two_classes(fastnn_main, two_classes):
    fastnn_main("train", two_classes, "--target", "y", "--out", "model.npz")
    model = fastnn.load("model.npz")
    assert list(model.layers[1:]) == [
        fastnn.Dense(16, "relu"),
        fastnn.Dense(8, "relu"),
        fastnn.Dense(1, "sigmoid"),
    ]
    assert model.metadata == {
        "features": ["x0", "x1", "x2"],
        "target": "y",
        "task": "classification",
        "classes": ["no", "yes"],
        "delimiter": ",",
        "target_mean": 0.0,
        "target_deviation": 1.0,
    }
    code, output, _ = fastnn_main("predict", "model.npz", two_classes)
    assert code == 0
    assert output.startswith("prediction,probability_no,probability_yes\n")
    with open(two_classes, newline="") as file:
        table = list(csv.DictReader(file))
    X = np.array([[float(row[name]) for name in ("x0", "x1", "x2")] for row in table])
    answers = read_csv(output)
    probability = np.float32([answer["probability_yes"] for answer in answers])
    np.testing.assert_array_equal(probability, model.predict(X)[:, 0])
    other = np.float32([answer["probability_no"] for answer in answers])
    np.testing.assert_allclose(probability + other, 1, atol=1e-6)
    for answer, p in zip(answers, probability, strict=True):
        assert answer["prediction"] == ("yes" if p > 0.5 else "no")


def test_three_classes(fastnn_main, three_classes):
    fastnn_main("train", three_classes, "--target", "y", "--out", "model.npz", "--hidden", "9")
    model = fastnn.load("model.npz")
    assert list(model.layers[1:]) == [fastnn.Dense(9, "relu"), fastnn.Dense(3, "softmax")]
    assert model.metadata["classes"] == ["0", "5", "10"]
    code, output, _ = fastnn_main("predict", "model.npz", three_classes, "--out", "answers.csv")
    assert (code, output) == (0, "")
    answers = read_csv(Path("answers.csv").read_text())
    with open(three_classes, newline="") as file:
        labels = [row["y"] for row in csv.DictReader(file)]
    assert np.mean([a["prediction"] == b for a, b in zip(answers, labels, strict=True)]) > 0.9
    names = ["probability_0", "probability_5", "probability_10"]
    assert list(answers[0]) == ["prediction", *names]
    for answer in answers:
        winner = max(names, key=lambda name: float(answer[name]))
        assert winner == f"probability_{answer['prediction']}"


@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regression_in_the_units_of_the_target(fastnn_main, numbers, mode, dtype):
    code, output, errors = fastnn_main(
        *("train", numbers, "--target", "y", "--task", "regression", "--mode", mode),
        *("--dtype", dtype, "--out", "model.npz"),
    )
    assert code == 0, errors
    loss = float(rows_of_results(output)[mode]["held-out loss"])
    _, predictions, _ = fastnn_main("predict", "model.npz", numbers)
    predicted = np.array([float(row["prediction"]) for row in read_csv(predictions)])
    with open(numbers, newline="") as file:
        y = np.array([float(row["y"]) for row in csv.DictReader(file)])
    error = np.mean((predicted - y) ** 2)
    assert error < 0.05 * y.var()
    assert 0.1 < loss / error < 10
    _, scores, _ = fastnn_main("evaluate", "model.npz", numbers)
    printed = dict(re.findall(r"^(.*\S) +(\S+)$", scores, re.MULTILINE))
    assert list(printed) == ["rows", "mean squared error", "root of it"]
    assert float(printed["mean squared error"]) == pytest.approx(error, rel=1e-3)
    assert float(printed["root of it"]) == pytest.approx(error**0.5, rel=1e-3)


def scores_of(fastnn_main, table):
    output = fastnn_main("evaluate", "model.npz", table)[1]
    return {name: float(value) for name, value in re.findall(r"^(.*\S) +(\S+)$", output, re.M)}


TARGETS = {  # of a row (a, b)
    "times": lambda a, b: 1.7e9 + 100 * (2 * a - b),
    "prices": lambda a, b: 1e9 * (1 + 0.5 * a - 0.2 * b),
    "tiny": lambda a, b: 1e-30 * (a - b),
    "large": lambda a, b: 1e300 * (a - b),
    "largest": lambda a, b: 1.2e308 * np.sign(a - b),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_are_those_of_the_saved_file(fastnn_main, tmp_path, kind, mode, dtype):
    """However far from 0 the targets are, `evaluate` says the same of the training rows."""
    X = np.random.default_rng(1).normal(size=(100, 2))
    y = TARGETS[kind](*X.T)
    path = write_table(tmp_path / "t.csv", X, y)
    code, output, errors = fastnn_main(
        *("train", path, "--target", "y", "--task", "regression", "--mode", mode, "--epochs", 60),
        *("--dtype", dtype, "--validation", 0, "--out", "model.npz", "--plot", "p.png"),
    )
    assert (code, errors) == (0, "")
    scores = scores_of(fastnn_main, path)
    shown = rows_of_results(output)[mode]["training loss"]
    assert float(shown) == scores["mean squared error"]
    answers = read_csv(fastnn_main("predict", "model.npz", path)[1])
    predicted = np.array([float(answer["prediction"]) for answer in answers])
    scale = np.abs(y).max()
    root = scale * np.sqrt(np.mean((predicted / scale - y / scale) ** 2))
    assert scores["root of it"] == pytest.approx(root, rel=1e-3)
    assert root < 0.5 * scale * (y / scale).std()
    assert all(answer["prediction"] == repr(float(answer["prediction"])) for answer in answers)


def test_python_gets_the_target_from_mean_and_deviation(fastnn_main, tmp_path):
    """As the line behind "saved" says, to the last digit."""
    X = RNG.normal(size=(50, 2))
    path = write_table(tmp_path / "t.csv", X, TARGETS["times"](*X.T))
    arguments = ["train", path, "--target", "y", "--task", "regression", "--out", "model.npz"]
    output = fastnn_main(*arguments)[1]
    formula = re.search(r"^in Python, y is (.*)$", output, re.M)[1]
    answers = eval(formula, {"fastnn": fastnn, "X": X})[:, 0]
    predicted = read_csv(fastnn_main("predict", "model.npz", path)[1])
    np.testing.assert_array_equal(answers, [float(row["prediction"]) for row in predicted])
    metadata = fastnn.load("model.npz").metadata
    assert formula.startswith(f"{metadata['target_mean']} + {metadata['target_deviation']} * ")


def test_a_constant_target_is_answered_exactly(fastnn_main, tmp_path):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(40, 2)), [0.1] * 40)
    code, output, _ = fastnn_main(
        *("train", path, "--target", "y", "--task", "regression", "--out", "model.npz"),
        *("--epochs", 2, "--plot", "p.png"),
    )
    assert code == 0
    assert "of no use yet" in output and "these rows have one target only" in output
    answers = read_csv(fastnn_main("predict", "model.npz", path)[1])
    assert {answer["prediction"] for answer in answers} == {"0.1"}


def test_models_whose_weights_hold_the_scale_still_predict(fastnn_main, numbers):
    """Metadata without mean and deviation: the outputs are the target."""
    fastnn_main("train", numbers, "--target", "y", "--task", "regression", "--out", "model.npz")
    model = fastnn.load("model.npz")
    del model.metadata["target_mean"], model.metadata["target_deviation"]
    model.save("model.npz")
    answers = read_csv(fastnn_main("predict", "model.npz", numbers)[1])
    outputs = model.predict(tables.read(numbers, target="y").X)[:, 0]
    np.testing.assert_array_equal([float(row["prediction"]) for row in answers], outputs)


@pytest.mark.parametrize("options", [[], ["--validation", "0"]])
@pytest.mark.parametrize(("task", "word"), [("regression", "mean"), ("classification", "label")])
def test_a_useless_model_is_called_so(fastnn_main, tmp_path, options, task, word):
    X = np.random.default_rng(5).normal(size=(60, 2))
    noise = np.random.default_rng(6).permutation(np.repeat([0, 1], [50, 10]))
    path = write_table(tmp_path / "t.csv", X, noise)
    arguments = ["train", path, "--target", "y", "--task", task, *options]
    _, output, _ = fastnn_main(*arguments, "--epochs", "1", "--learning-rate", "1e-9", "--seed", 0)
    assert "not clearly better than the" in output and "always answering the m" in output
    assert word in output.split("always answering")[1]
    kind = "training" if options else "held-out"
    assert f"its {kind} {'loss' if task == 'regression' else 'accuracy'} of" in output


def test_a_useful_model_is_not_called_useless(fastnn_main, two_classes, numbers):
    for path, task in ((two_classes, "classification"), (numbers, "regression")):
        _, output, _ = fastnn_main("train", path, "--target", "y", "--task", task)
        assert "of no use" not in output


def test_the_history_is_in_the_units_of_the_target(fastnn_main, numbers, monkeypatch):
    """The curves show the loss that the table shows."""
    drawn = {}
    monkeypatch.setattr(
        "fastnn.inspection.curves.loss_curves", lambda *arguments: drawn.update(arguments[0])
    )
    _, output, _ = fastnn_main(
        *("train", numbers, "--target", "y", "--task", "regression", "--plot", "curves.png")
    )
    shown = float(rows_of_results(output)["minibatch"]["held-out loss"])
    assert drawn["minibatch"].history["val_loss"][-1] == pytest.approx(shown, rel=1e-3)


def test_whole_numbers_can_be_a_regression(fastnn_main, three_classes):
    fastnn_main(
        *("train", three_classes, "--target", "y", "--task", "regression", "--out", "model.npz")
    )
    assert fastnn.load("model.npz").metadata["task"] == "regression"


def test_decimal_labels_can_be_classes(fastnn_main, tmp_path):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(40, 2)), ["0.0", "1.0"] * 20)
    code, output, _ = fastnn_main(
        "train", path, "--target", "y", "--task", "classification", "--epochs", "1"
    )
    assert code == 0
    assert "2 classes: '0.0', '1.0'" in output


def test_all_modes_begin_alike(fastnn_main, two_classes, monkeypatch):
    """The same initial weights and the same rows; nothing of one training leaks into the next."""
    seen = []
    real_fit = fastnn.Sequential.fit

    def fit(self, X, y, **settings):
        held_out = settings["validation_data"]
        seen.append([X.copy(), y.copy(), *held_out, *self.get_weights()])
        return real_fit(self, X, y, **settings)

    monkeypatch.setattr(fastnn.Sequential, "fit", fit)
    fastnn_main("train", two_classes, "--target", "y", "--mode", "all", "--epochs", "2")
    assert len(seen) == 3
    for other in seen[1:]:
        for one, two in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_held_out_rows(fastnn_main, two_classes, monkeypatch):
    """A quarter of the rows, drawn by the seed; the rest trains and alone sets the statistics."""
    seen = []
    monkeypatch.setattr(
        fastnn.Sequential,
        "fit",
        lambda self, X, y, **settings: seen.append((self, X, y, *settings["validation_data"])),
    )
    for seed in (1, 1, 2):
        fastnn_main("train", two_classes, "--target", "y", "--validation", "0.25", "--seed", seed)
    (model, X, y, X_held, y_held), again, other = seen
    assert (len(X), len(X_held)) == (150, 50)
    table = tables.read(two_classes, target="y")
    both = np.column_stack([np.vstack([X, X_held]), np.concatenate([y, y_held])])
    everything = np.column_stack([table.X, tables.label_numbers(table, ["no", "yes"])])
    np.testing.assert_array_equal(both[np.argsort(both[:, 0])], everything[table.X[:, 0].argsort()])
    np.testing.assert_allclose(model.layers[0].mean, X.mean(axis=0))
    np.testing.assert_allclose(model.layers[0].variance, X.var(axis=0))
    np.testing.assert_array_equal(X_held, again[3])
    assert not np.array_equal(X_held, other[3])


def test_nothing_held_out(fastnn_main, two_classes):
    code, output, _ = fastnn_main(
        *("train", two_classes, "--target", "y", "--validation", "0", "--mode", "all"),
        *("--epochs", "3", "--out", "model.npz"),
    )
    assert code == 0
    assert "held-out" not in output
    assert "which has the lowest training loss" in output


def test_options_reach_the_training(fastnn_main, two_classes):
    _, output, _ = fastnn_main(
        *("train", two_classes, "--target", "y", "--batch-size", "10", "--epochs", "3"),
        *("--learning-rate", "0.25", "--dtype", "float64", "--seed", "7", "--out", "model.npz"),
    )
    assert "minibatch: epochs 3, learning rate 0.25" in output
    assert rows_of_results(output)["minibatch"]["weight updates"] == "48"
    model = fastnn.load("model.npz")
    assert (model.dtype, model.seed, model.epochs_trained) == ("float64", 7, 3)


def test_the_same_seed_gives_the_same_file(fastnn_main, two_classes):
    for name in ("one.npz", "two.npz"):
        fastnn_main("train", two_classes, "--target", "y", "--epochs", "2", "--out", name)
    one, two = fastnn.load("one.npz"), fastnn.load("two.npz")
    for left, right in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("spelled", [";", "\\t", "tab", "\t"])
def test_delimiters(fastnn_main, two_classes, spelled):
    """The model remembers the delimiter, so that predict and evaluate need not be given it."""
    delimiter = ";" if spelled == ";" else "\t"
    two_classes.write_text(two_classes.read_text().replace(",", delimiter))
    arguments = ["train", two_classes, "--target", "y", "--epochs", "1", "--out", "model.npz"]
    assert fastnn_main(*arguments, "--delimiter", spelled)[0] == 0
    assert fastnn_main("evaluate", "model.npz", two_classes)[0] == 0
    assert fastnn_main("predict", "model.npz", two_classes)[0] == 0


def test_an_interrupted_comparison_keeps_the_best_so_far(fastnn_main, two_classes, monkeypatch):
    real_fit = fastnn.Sequential.fit

    def fit(self, X, y, **settings):
        if settings["mode"] == "minibatch":
            raise KeyboardInterrupt
        return real_fit(self, X, y, **settings)

    monkeypatch.setattr(fastnn.Sequential, "fit", fit)
    code, output, errors = fastnn_main(
        "train", two_classes, "--target", "y", "--mode", "all", "--out", "model.npz"
    )
    assert code == 130
    assert "interrupted" in errors
    assert list(rows_of_results(output)) == ["stochastic", "minibatch"]
    assert "saved model.npz: the stochastic model" in output
    assert fastnn.load("model.npz").epochs_trained == commands.RECIPES["stochastic"].epochs


def test_an_interrupt_before_the_training(fastnn_main, two_classes, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "read", interrupted)
    code, _, errors = fastnn_main("train", two_classes, "--target", "y", "--out", "model.npz")
    assert (code, errors) == (130, "fastnn: interrupted\n")
    assert not Path("model.npz").exists()


# ---- train: what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "options", "expected"),
    [
        (["0.5", "1.5", "2"], [], r"decimal numbers, 3 different ones; .* add --task regression"),
        (range(150), [], r"holds numbers, 150 different ones; .* add --task regression"),
        (["a", "b"], ["--task", "regression"], "row 1 .*column 'y' is 'a', .* not a number"),
        (["a", "a"], [], "every row has the same y, 'a'; a classifier needs"),
        (["a", "b"], ["--validation", "0.1"], "--validation 0.1 of 2 rows leaves no rows on one"),
        (["a", "b"], ["--validation", "0.9"], "--validation 0.9 of 2 rows leaves no rows on one"),
    ],
)
def test_targets_that_cannot_be_learned(fastnn_main, tmp_path, targets, options, expected):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(len(targets), 2)), targets)
    assert re.search(expected, refusal(fastnn_main, "train", path, "--target", "y", *options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--out", "model"], "--out model: expected a name that ends in .npz"),
        (["--out", "no/model.npz"], "--out no/model.npz: there is no folder 'no'"),
        (["--plot", "curves.txt"], "--plot curves.txt: expected a name that ends in .png or .svg"),
        (["--batch-size", "8", "--mode", "batch"], "--batch-size is for minibatches"),
        (["--batch-size", "1"], "--batch-size 1 updates the weights after every row"),
        (["--batch-size", "1", "--mode", "all"], "--batch-size 1 updates the weights after"),
        (["--batch-size", "0"], "argument --batch-size: got '0'; expected a whole number"),
        (["--epochs", "0"], "argument --epochs: got '0'; expected a whole number"),
        (["--epochs", "1.5"], "argument --epochs: got '1.5'; expected a whole number"),
        (["--seed", "-1"], "argument --seed: got '-1'; expected a whole number of at least 0"),
        (["--learning-rate", "-1"], "argument --learning-rate: got '-1'; expected a number from 0"),
        (["--learning-rate", "inf"], "argument --learning-rate: got 'inf'"),
        (["--learning-rate", "nan"], "argument --learning-rate: got 'nan'"),
        (["--learning-rate", "1_0"], "argument --learning-rate: got '1_0'; expected a number"),
        (["--learning-rate", "\u0663"], "argument --learning-rate: got '\u0663'"),
        (["--epochs", "\u0663"], "argument --epochs: got '\u0663'; expected a whole number"),
        (["--hidden", "\u0663,8"], "argument --hidden: got '\u0663,8'; expected the units"),
        (["--out", ""], "argument --out: got ''; expected the name of a file"),
        (["--plot", ""], "argument --plot: got ''; expected the name of a file"),
        (["--hiden", "3"], "unrecognized arguments: --hiden 3; did you mean --hidden?"),
        (["--learning-rate", "x"], "argument --learning-rate: got 'x'"),
        (["--validation", "1"], "argument --validation: got '1'; expected a share"),
        (["--hidden", "16,0"], "argument --hidden: got '16,0'; expected the units"),
        (["--delimiter", ";;"], "argument --delimiter: got ';;'; expected one character"),
        (["--delimiter", "\u00b7"], "argument --delimiter: got '\u00b7'; expected one character"),
        (["--delimiter", '"'], "argument --delimiter: got '\"'; expected one character"),
        (["--mode", "online"], "argument --mode: invalid choice: 'online'"),
        (["--mod", "all"], "unrecognized arguments: --mod all"),
    ],
)
def test_options_that_do_not_fit(fastnn_main, two_classes, options, expected):
    """Before any training: nothing is printed but the error."""
    assert refusal(fastnn_main, "train", two_classes, "--target", "y", *options).startswith(
        expected
    )


@pytest.mark.parametrize(
    ("option", "path", "expected"),
    [
        ("--out", "/proc/model.npz", "no file can be written there"),
        ("--out", "x" * 300 + ".npz", "no file can be written there|File name too long"),
        ("--out", "folder.npz", "is a folder"),
        ("--out", "two.npz", "would overwrite .*two.npz"),
        ("--out", "pipe.npz", "not a file that a new one could replace"),
        ("--out", "full.npz", "not a file that a new one could replace"),
        ("--out", "loop.npz", "no file can be written there"),
        ("--plot", "/proc/curves.png", "no file can be written there"),
        ("--plot", "two.npz/curves.png", "there is no folder 'two.npz'"),
    ],
)
def test_files_that_cannot_be_written(fastnn_main, two_classes, tmp_path, option, path, expected):
    """Before any training."""
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "full.npz").symlink_to("/dev/full")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    before = sorted([*os.listdir(tmp_path), "two.npz"])
    table = two_classes.rename(tmp_path / "two.npz")
    code, output, errors = fastnn_main("train", table, "--target", "y", option, path)
    assert (code, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert re.search(expected, errors)
    assert sorted({*os.listdir(tmp_path), "two.csv"}) == before


@pytest.mark.parametrize("there", [False, True])
def test_a_picture_does_not_take_the_place_of_the_model(fastnn_main, two_classes, tmp_path, there):
    (tmp_path / "pl.png").symlink_to("pl.npz")
    if there:
        (tmp_path / "pl.npz").write_text("an old model")
    options = ["--target", "y", "--out", "pl.npz", "--plot", "pl.png"]
    message = refusal(fastnn_main, "train", two_classes, *options)
    assert message == "--plot pl.png would overwrite pl.npz; take another name"


def test_a_misspelled_command(fastnn_main):
    assert refusal(fastnn_main, "trian", "x.csv").endswith("; did you mean train?")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_an_empty_name_of_a_table(fastnn_main, model, command):
    message = refusal(fastnn_main, command, model, "")
    assert message == "argument data.csv: got ''; expected the name of a file"


def test_whole_numbers_with_a_point_are_labels(fastnn_main, tmp_path):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(20, 2)), ["1.0", "2.0"] * 10)
    code, output, _ = fastnn_main("train", path, "--target", "y", "--epochs", "1")
    assert code == 0
    assert "2 classes: '1.0', '2.0'" in output


def test_labels_that_hardly_differ_are_pointed_out(fastnn_main, tmp_path):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(20, 2)), ["yes", "Yes"] * 10)
    _, output, _ = fastnn_main("train", path, "--target", "y", "--epochs", "1")
    assert "the labels 'Yes', 'yes' count as different ones" in output


def test_a_model_hardly_better_than_the_mean_is_called_so(numbers, capsys):
    problem = commands._problem(
        cli._parser().parse_args(["train", str(numbers), "--target", "y", "--task", "regression"])
    )
    rows, mean = problem.held_out.y, problem.schema.target_mean
    loss = commands._root_mean_square(mean, rows) ** 2
    for share, useless in ((0.995, True), (0.98, False)):
        scores = {"loss": share * loss, "size": (share * loss) ** 0.5}
        commands._warn_if_useless(commands.Run("batch", None, False, scores, scores), problem)
        assert ("of no use" in capsys.readouterr().out) is useless


def test_names_of_255_bytes(fastnn_main, two_classes, tmp_path):
    model, table = "m" * 251 + ".npz", "p" * 251 + ".csv"
    options = ["--target", "y", "--epochs", "1", "--out", model]
    assert fastnn_main("train", two_classes, *options)[0] == 0
    assert fastnn_main("predict", model, two_classes, "--out", table)[0] == 0
    assert len(read_csv((tmp_path / table).read_text())) == 200


def test_a_mode_that_diverges_leaves_the_others(fastnn_main, numbers, monkeypatch):
    whole_fit = fastnn.Sequential.fit

    def fit(self, *arrays, **settings):
        if settings["mode"] == "minibatch":
            raise FloatingPointError("not finite")
        return whole_fit(self, *arrays, **settings)

    monkeypatch.setattr(fastnn.Sequential, "fit", fit)
    options = ["--target", "y", "--task", "regression", "--mode", "all", "--out", "model.npz"]
    code, output, errors = fastnn_main("train", numbers, *options)
    assert (code, errors) == (0, "")
    assert "training in minibatch mode diverged" in output
    assert list(rows_of_results(output)) == ["stochastic", "batch"]
    assert "saved model.npz: the " in output


@pytest.mark.parametrize("kept", [True, False])
def test_predictions_replace_a_file_only_when_complete(
    fastnn_main, model, two_classes, tmp_path, monkeypatch, kept
):
    def printed(outputs, schema):
        yield ["half", "0.5", "0.5"]
        raise OSError(28, "No space left on device")

    (tmp_path / "old.csv").write_text("old")
    if kept:
        monkeypatch.setattr(commands, "_printed", printed)
    code, _, _ = fastnn_main("predict", model, two_classes, "--out", "old.csv")
    assert code == (2 if kept else 0)
    assert ((tmp_path / "old.csv").read_text() == "old") is kept
    assert not list(tmp_path.glob(".fastnn-*"))


def test_predictions_can_be_written_to_standard_output_by_name(process, two_classes):
    process("train", two_classes, "--target", "y", "--out", "model.npz", "--epochs", "1")
    finished = process("predict", "model.npz", two_classes, "--out", "/dev/stdout")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert len(read_csv(finished.stdout)) == 200


def test_python_finds_the_columns_by_name(fastnn_main, model, two_classes):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(two_classes).drop(columns="y")
    loaded = fastnn.load(model)
    assert loaded.feature_names == ("x0", "x1", "x2")
    shuffled = frame[["x2", "x0", "x1"]]
    np.testing.assert_array_equal(loaded.predict(shuffled), loaded.predict(frame.to_numpy()))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--epochs", "9" * 30], "argument --epochs: got '9999.* 18 digits at most"),
        (["--seed", "9" * 5000], "argument --seed: got '9999.* 18 digits at most"),
        (["--hidden", "9" * 30], "argument --hidden: got"),
        (["--hidden", "9" * 12], ".*the weights of such a network take"),
    ],
)
def test_numbers_without_end(fastnn_main, two_classes, options, expected):
    assert re.match(expected, refusal(fastnn_main, "train", two_classes, "--target", "y", *options))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "not enough memory."),
        (OverflowError("too\nlarge"), "too large"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), "'utf-8' codec can't decode"),
        (OSError(28, "No space left on device"), "standard output: No space left on device"),
        (RecursionError("deep"), "unexpected RecursionError: deep (test_cli.py, line"),
        (csv.Error("bad"), "unexpected Error: bad (test_cli.py, line"),
    ],
)
def test_whatever_is_raised_is_one_line(fastnn_main, two_classes, monkeypatch, error, expected):
    def raises(*arguments, **settings):
        raise error

    monkeypatch.setattr(tables, "read", raises)
    assert refusal(fastnn_main, "train", two_classes, "--target", "y").startswith(expected)


@pytest.mark.parametrize(
    ("variable", "value"), [("FASTNN_ISA", "v9"), ("FASTNN_NUM_THREADS", "none")]
)
@pytest.mark.parametrize("as_module", [True, False])
def test_a_wrong_environment_is_one_line(tmp_path, variable, value, as_module):
    script = tmp_path / "fastnn"
    script.write_text("import sys\nfrom fastnn.cli import main\nsys.exit(main())\n")
    command = ["-m", "fastnn"] if as_module else [str(script)]
    finished = subprocess.run(
        [sys.executable, *command, "show-config"],
        cwd=tmp_path,
        env=environment(tmp_path) | {variable: value},
        capture_output=True,
        text=True,
    )
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith(f"fastnn: error: {variable}='{value}'")
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk(process, two_classes, tmp_path):
    process("train", two_classes, "--target", "y", "--out", "model.npz", "--epochs", "1")
    for out in ("/dev/full", "/dev/stdout"):
        with open("/dev/full", "w") as full:
            finished = subprocess.run(
                [*COMMAND, "predict", "model.npz", str(two_classes), "--out", out],
                cwd=tmp_path,
                env=environment(tmp_path),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert finished.returncode == 2
        assert finished.stderr == f"fastnn: error: {out}: No space left on device\n"


def test_a_closed_output(two_classes, tmp_path):
    finished = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m fastnn show-config >&-"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("fastnn: error: standard output is closed")


def test_a_label_that_the_terminal_cannot_show(tmp_path):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(20, 2)), ["\u00e9", "\u2192"] * 10)
    finished = subprocess.run(
        [*COMMAND, "train", str(path), "--target", "y", "--epochs", "1"],
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "2 classes: '\\xe9', '\\u2192'" in finished.stdout


def test_matplotlib_missing(fastnn_main, two_classes, monkeypatch):
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    message = refusal(fastnn_main, "train", two_classes, "--target", "y", "--plot", "curves.png")
    assert "pip install matplotlib" in message


def test_divergence_is_said_in_words_of_the_command_line(fastnn_main, numbers):
    message = refusal(
        fastnn_main,
        *("train", numbers, "--target", "y", "--task", "regression", "--learning-rate", "1e6"),
    )
    assert message.endswith("try --learning-rate 0.1")


# ---- predict and evaluate -----------------------------------------------------------------------


@pytest.fixture
def model(fastnn_main, two_classes):
    fastnn_main("train", two_classes, "--target", "y", "--epochs", "3", "--out", "model.npz")
    return "model.npz"


def test_columns_go_by_name(fastnn_main, model, two_classes, tmp_path):
    _, expected, _ = fastnn_main("predict", model, two_classes)
    lines = [line.split(",") for line in two_classes.read_text().splitlines()]
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join(",".join([c, "text", a, b]) for a, b, c, _ in lines) + "\n")
    code, output, _ = fastnn_main("predict", model, turned)
    assert (code, output) == (0, expected)


@pytest.mark.parametrize("victim", ["model", "table"])
def test_predictions_do_not_overwrite_what_they_are_made_from(
    fastnn_main, model, two_classes, tmp_path, victim
):
    path = tmp_path / model if victim == "model" else two_classes
    content = path.read_bytes()
    message = refusal(fastnn_main, "predict", model, two_classes, "--out", path)
    assert "would overwrite" in message
    assert path.read_bytes() == content


def test_another_delimiter_than_in_the_training(fastnn_main, model, two_classes, tmp_path):
    _, expected, _ = fastnn_main("predict", model, two_classes)
    other = tmp_path / "other.csv"
    other.write_text(two_classes.read_text().replace(",", ";"))
    assert fastnn_main("predict", model, other, "--delimiter", ";")[1] == expected
    assert fastnn_main("evaluate", model, other, "--delimiter", ";")[0] == 0


def test_many_predictions(fastnn_main, model, two_classes, monkeypatch):
    _, expected, _ = fastnn_main("predict", model, two_classes)
    monkeypatch.setattr(commands, "PRINTED_ROWS", 7)
    assert fastnn_main("predict", model, two_classes)[1] == expected


@pytest.mark.parametrize(("dtype", "code"), [("float32", 2), ("float64", 0)])
def test_numbers_are_as_large_as_the_model_takes(fastnn_main, two_classes, tmp_path, dtype, code):
    arguments = ["--target", "y", "--epochs", "1", "--dtype", dtype, "--out", "model.npz"]
    fastnn_main("train", two_classes, *arguments)
    (tmp_path / "t.csv").write_text("x0,x1,x2,y\n1e39,1000,5,yes\n")
    for command in ("predict", "evaluate"):
        finished, _, errors = fastnn_main(command, "model.npz", "t.csv")
        assert finished == code
        assert ("too large for float32; train with --dtype float64" in errors) == (code == 2)


def test_a_missing_column(fastnn_main, model, tmp_path):
    (tmp_path / "t.csv").write_text("x0,x2,y\n1,2,yes\n")
    message = refusal(fastnn_main, "predict", model, "t.csv")
    assert message.startswith("t.csv: there is no column 'x1'. The columns are 'x0', 'x2'")


def test_a_missing_target(fastnn_main, model, tmp_path):
    (tmp_path / "t.csv").write_text("x0,x1,x2\n1,2,3\n")
    assert fastnn_main("predict", model, "t.csv")[0] == 0
    message = refusal(fastnn_main, "evaluate", model, "t.csv")
    assert message.startswith("t.csv: there is no column 'y'")


def test_an_unknown_label(fastnn_main, model, tmp_path):
    (tmp_path / "t.csv").write_text("x0,x1,x2,y\n1,2,3,yes\n1,2,3,maybe\n")
    message = refusal(fastnn_main, "evaluate", model, "t.csv")
    assert message == (
        "t.csv: row 2 (the header not counted), column 'y' is 'maybe'; "
        "the model knows the labels 'no', 'yes'"
    )


def test_one_class_alone_can_be_evaluated(fastnn_main, model, tmp_path):
    (tmp_path / "t.csv").write_text("x0,x1,x2,y\n3,1000,5,yes\n")
    code, output, _ = fastnn_main("evaluate", model, "t.csv")
    assert code == 0
    assert output.splitlines()[0].split() == ["rows", "1"]


def test_labels_that_need_quotation_marks(fastnn_main, tmp_path):
    path = write_table(tmp_path / "t.csv", RNG.normal(size=(40, 2)), ['"a,b"', '"say ""c"""'] * 20)
    fastnn_main("train", path, "--target", "y", "--epochs", "1", "--out", "model.npz")
    answers = read_csv(fastnn_main("predict", "model.npz", path)[1])
    assert list(answers[0]) == ["prediction", "probability_a,b", 'probability_say "c"']
    assert {answer["prediction"] for answer in answers} <= {"a,b", 'say "c"'}


def test_files_that_are_no_models(fastnn_main, two_classes, tmp_path):
    assert "missing.npz" in refusal(fastnn_main, "predict", "missing.npz", two_classes)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    assert "damaged" in refusal(fastnn_main, "predict", "broken.npz", two_classes)
    other = fastnn.Sequential([fastnn.Dense(1)])
    other.build(3)
    other.save(tmp_path / "other.npz")
    message = refusal(fastnn_main, "evaluate", "other.npz", two_classes)
    assert message.startswith("other.npz does not say which columns it takes")


@pytest.mark.parametrize(
    "changes",
    [
        {"features": 3},
        {"features": ["x0", 1, "x2"]},
        {"classes": ["no"]},
        {"classes": ["no", "yes", "maybe"]},
        {"target_mean": None},
        {"target_deviation": float("nan")},
        {"features": None},
        {"target": 3},
        {"classes": None},
        {"classes": [["no"], {}]},
        {"delimiter": 5},
        {"delimiter": ""},
        {"task": ["regression"]},
        {"unknown": 1},
        {"features": "ab"},
        {"features": ["x0", "x1", "x1"]},
        {"features": ["x0", "x1", "y"]},
        {"classes": {"no": 1, "yes": 2}},
        {"classes": ["no", "no"]},
        {"task": "regression"},
        {"task": "other"},
        {"target": "\ud800"},
    ],
    ids=str,
)
def test_metadata_of_another_kind(fastnn_main, model, two_classes, changes):
    changed = fastnn.load(model)
    changed.metadata |= changes
    changed.save(model)
    for command in ("predict", "evaluate"):
        message = refusal(fastnn_main, command, model, two_classes)
        assert message.startswith("model.npz does not say which columns it takes")


def test_a_learning_rate_of_0_is_not_the_default(fastnn_main, two_classes):
    options = "--target", "y", "--epochs", "1", "--learning-rate", "0"
    code, output, _ = fastnn_main("train", two_classes, *options)
    assert code == 0
    assert "learning rate 0\n" in output


# ---- explain ------------------------------------------------------------------------------------


@pytest.fixture
def explained(fastnn_main, tmp_path):
    """A model of a small regression, and its table."""
    table = tmp_path / "t.csv"
    table.write_text("a,b,y\n1,2,3.5\n2,1,4.5\n0,1,1\n3,3,6.25\n4,1,7\n")
    code, _, errors = fastnn_main(
        *("train", "t.csv", "--target", "y", "--task", "regression", "--hidden", "3"),
        *("--validation", "0", "--out", "m.npz"),
    )
    assert code == 0, errors
    return "m.npz", "t.csv"


def test_explain_shows_the_chain_rule_and_then_the_update(fastnn_main, explained):
    before = Path("m.npz").read_bytes()
    code, out, _ = fastnn_main("explain", *explained, "--row", "2")
    assert code == 0
    chain_rule, update = out.split("GRADIENT DESCENT")
    assert "dL/dz2    = dL/dyhat ∘ dyhat/dz2" in chain_rule
    assert re.search(r"x +=  ?\[2  1\]", chain_rule)
    assert re.search(r"W1\[0,0\] := \S+ - 0\.1 · \S+ = \S+", update)
    assert Path("m.npz").read_bytes() == before
    code, latex, _ = fastnn_main("explain", *explained, "--format", "latex", "--digits", "8")
    assert code == 0
    assert r"\begin{align*}" in latex


def test_explain_refuses_rows_that_are_not_there(fastnn_main, explained):
    assert refusal(fastnn_main, "explain", *explained, "--row", "9") == (
        "--row 9: t.csv has 5 rows; rows are counted from 1"
    )
    assert "at least 1" in refusal(fastnn_main, "explain", *explained, "--row", "0")
    assert "digits" in refusal(fastnn_main, "explain", *explained, "--digits", "40")
    assert "html" in refusal(fastnn_main, "explain", *explained, "--format", "html")


def test_train_ends_with_a_line_if_something_is_wrong(fastnn_main, tmp_path):
    rows = "\n".join(f"{i},{i % 7},{i % 2}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}\n")
    arguments = ["train", "t.csv", "--target", "y", "--epochs", "3"]
    code, out, _ = fastnn_main(*arguments, "--learning-rate", "1e-9")
    assert code == 0
    assert re.search("of no use yet|something is wrong", out)
    code, out, _ = fastnn_main("train", "t.csv", "--target", "y", "--epochs", "200")
    assert "something is wrong" not in out
