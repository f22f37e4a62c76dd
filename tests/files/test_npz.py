"""Models go into files and come out as they were; damaged and foreign files are refused."""

import fcntl
import io
import json
import math
import os
import pickle
import resource
import signal
import stat
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import (
    L1,
    L1L2,
    L2,
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalLogLoss,
    Dense,
    Dropout,
    HalfPoissonDeviance,
    HalfSquaredError,
    Hinge,
    Huber,
    LogLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    Normalization,
    Poisson,
    RMSprop,
    Sequential,
    SharedL2,
    SquaredHinge,
    metrics,
    schedules,
)
from fastnn import initializers as init
from fastnn.files import npz as files
from fastnn.files.config import KINDS, from_config, to_config
from fastnn.optimizers import Optimizer

HOME = str(Path(fastnn.__file__).parent.parent)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)) * 10 + 3
Y = (X[:, 0] > 3).astype(int)

modes = pytest.mark.parametrize("mode", ["stochastic", "minibatch", "batch"])
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def fitted_model(dtype="float32", *, normalized=True, mode="minibatch"):
    first = Normalization()
    first.adapt(X)
    layers = [Dense(7, "relu", kernel_initializer="he_normal"), Dense(3, "tanh", use_bias=False)]
    layers = [*([first] if normalized else []), *layers, Dense(1, "sigmoid")]
    model = Sequential(layers, dtype=dtype, seed=4)
    model.compile(SGD(0.3), "binary_crossentropy", ["accuracy"])
    model.fit(X, Y, epochs=2, mode=mode)
    return model


def saved(model, folder):
    path = folder / "model.npz"
    model.save(path)
    return path


def bits(model):
    return [weights.tobytes() for weights in model.get_weights()]


def contents(path):
    """The configuration and the arrays of a file."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("config").tobytes()), arrays


def write(path, config, arrays, save=np.savez):
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    save(path, config=np.frombuffer(text, np.uint8), **arrays)


# ---- out and in again ---------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("normalized", [False, True])
def test_a_loaded_model_is_the_saved_one(tmp_path, dtype, normalized):
    model = fitted_model(dtype, normalized=normalized)
    loaded = fastnn.load(saved(model, tmp_path))
    assert bits(loaded) == bits(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == dtype
    assert loaded.evaluate(X, Y, return_dict=True) == model.evaluate(X, Y, return_dict=True)
    assert (loaded.dtype, loaded.seed, loaded.epochs_trained) == (dtype, 4, 2)
    assert loaded.layers[-3:] == model.layers[-3:]


@modes
@dtypes
def test_training_goes_on_bit_for_bit(tmp_path, mode, dtype):
    model = fitted_model(dtype, mode=mode)
    loaded = fastnn.load(saved(model, tmp_path))
    losses = [each.fit(X, Y, epochs=3, mode=mode).history["loss"] for each in (model, loaded)]
    assert losses[0] == losses[1]
    assert bits(loaded) == bits(model)
    assert loaded.epochs_trained == model.epochs_trained == 5


def test_saving_does_not_change_the_model(tmp_path):
    model = fitted_model()
    before = bits(model)
    saved(model, tmp_path)
    assert bits(model) == before
    assert model.epochs_trained == 2


def test_statistics_of_the_normalization_come_along(tmp_path):
    model = fitted_model()
    loaded = fastnn.load(saved(model, tmp_path))
    np.testing.assert_array_equal(loaded.layers[0].mean, model.layers[0].mean)
    np.testing.assert_array_equal(loaded.layers[0].variance, model.layers[0].variance)


def test_metadata_come_along(tmp_path):
    model = fitted_model()
    model.metadata = {"names": ["ä", "no\nyes"], "rate": 0.1, "deep": {"none": None, "n": 3}}
    assert fastnn.load(saved(model, tmp_path)).metadata == model.metadata


def test_a_model_that_is_not_compiled_stays_so(tmp_path):
    model = Sequential([Dense(2, "relu"), Dense(1)], seed=0)
    model.build(5)
    loaded = fastnn.load(saved(model, tmp_path))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="not compiled"):
        loaded.fit(X, Y)


@pytest.mark.parametrize("loss", ["mse", "sparse_categorical_crossentropy"])
def test_other_names_of_a_loss_come_back(tmp_path, loss):
    model = Sequential([Dense(2, "softmax")], seed=0)
    model.compile(loss=loss)
    model.build(5)
    y = np.eye(2)[Y]
    loaded = fastnn.load(saved(model, tmp_path))
    assert loaded.evaluate(X, y) == model.evaluate(X, y)


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        (Huber(0.1 + 0.2), "linear"),
        (BinaryCrossentropy(label_smoothing=0.1), "sigmoid"),
        (CategoricalCrossentropy(label_smoothing=0.1), "softmax"),
    ],
    ids=["huber", "binary", "categorical"],
)
def test_settings_of_a_loss_come_along(tmp_path, loss, output):
    model = Sequential([Dense(2, output)], seed=0)
    model.compile(loss=loss)
    model.build(5)
    y = np.eye(2)[Y]
    others = [fastnn.load(saved(model, tmp_path)), pickle.loads(pickle.dumps(model))]
    model.fit(X, y)
    for other in others:
        other.fit(X, y)
        assert bits(other) == bits(model)
        assert other.evaluate(X, y) == model.evaluate(X, y)


def test_learning_rate_is_kept_exactly(tmp_path):
    model = fitted_model("float64")
    model.compile(SGD(0.1 + 0.2), "binary_crossentropy")
    loaded = fastnn.load(saved(model, tmp_path))
    for each in (model, loaded):
        each.fit(X, Y)
    assert bits(loaded) == bits(model)


def test_a_large_seed_is_kept_exactly(tmp_path):
    model = Sequential([Dense(1)], seed=2**63 + 1)
    model.build(5)
    assert fastnn.load(saved(model, tmp_path)).seed == 2**63 + 1


def test_more_than_nine_layers_come_back_in_order(tmp_path):
    model = Sequential([Dense(3, "tanh", kernel_initializer="he_normal")] * 12, seed=0)
    model.build(3)
    loaded = fastnn.load(saved(model, tmp_path))
    assert bits(loaded) == bits(model)


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
def test_paths_may_be_text_or_path_objects(tmp_path, kind):
    path = kind(tmp_path / "model.npz")
    fitted_model().save(path)
    assert fastnn.load(path).built


def test_a_file_holds_plain_arrays_and_json(tmp_path):
    config, arrays = contents(saved(fitted_model(), tmp_path))
    assert config["format"] == "fastnn"
    assert config["version"] == 3
    assert {name: array.shape for name, array in arrays.items()} == {
        "W1": (5, 7),
        "b1": (7,),
        "W2": (7, 3),
        "W3": (3, 1),
        "b3": (1,),
        "mean": (5,),
        "variance": (5,),
    }


# ---- every kind of object -----------------------------------------------------------------------

OBJECTS = [
    SGD(0.1 + 0.2, momentum=0.5, nesterov=True, weight_decay=0.1),
    Adam(amsgrad=True, epsilon=1e-5),
    AdamW(0.1, weight_decay=0.25),
    RMSprop(rho=0.5, momentum=0.25),
    Adagrad(0.3),
    L1(0.1),
    L2(0.2),
    L1L2(0.1, 0.2),
    init.Zeros(),
    init.Ones(),
    init.Constant(0.1 + 0.2),
    init.RandomNormal(1, 2),
    init.RandomUniform(1, 2),
    init.TruncatedNormal(1, 2),
    init.VarianceScaling(1.5, "in", "normal"),
    init.Orthogonal(0.5),
    init.Stored((3, 2)),
    Dense(3, "elu", True, init.Constant(2), init.Ones(), L1L2(0.1, 0.2), False, 0.5),
    LBFGS(5),
    Dropout(0.1),
    Huber(2),
    BinaryCrossentropy(label_smoothing=0.1),
    CategoricalCrossentropy(label_smoothing=0.1),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Poisson(),
    Hinge(),
    SquaredHinge(),
    LogLoss(label_smoothing=0.1),
    CategoricalLogLoss(),
    HalfSquaredError(reduction="mean_with_sample_weight"),
    HalfPoissonDeviance(),
    SharedL2(0.5),
    SGD("auto"),
    SGD(0.1, use_ema=True, ema_momentum=None),
    LBFGS(5, 1e-9, 1e-4, 100),
    schedules.ExponentialDecay(0.1, 10, 0.5),
    Adam(schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True), global_clipnorm=2.0),
    RMSprop(use_ema=True, ema_momentum=0.5, clipvalue=1.0),
    schedules.PiecewiseConstantDecay([1, 5], [0.1, 0.2, 0.3]),
    schedules.PolynomialDecay(0.1, 10, 0.01, 2.0, cycle=True),
    schedules.CosineDecay(0.0, 10, 0.1, warmup_target=0.1, warmup_steps=3),
    schedules.CosineDecayRestarts(0.1, 10, 2.0, 0.5, 0.1),
    schedules.InverseTimeDecay(0.1, 10, 0.5),
    schedules.InverseScaling(0.1, 0.25),
    schedules.OneCycle(0.1, 100),
    metrics.Accuracy(),
    metrics.BinaryAccuracy(0.25, name="quarter"),
    metrics.CategoricalAccuracy(),
    metrics.TopKAccuracy(3, name="top_3"),
    metrics.MeanAbsoluteError(name="mae"),
    metrics.MeanSquaredError(),
    metrics.RootMeanSquaredError(),
    metrics.R2Score(),
]


@pytest.mark.parametrize("thing", OBJECTS, ids=repr)
def test_an_object_comes_back_from_its_entry(thing):
    entry = json.loads(json.dumps(to_config(thing)))
    assert entry["kind"].split(".")[-1] == type(thing).__name__
    back = from_config(entry)
    assert back == thing
    assert repr(back) == repr(thing)


def test_every_kind_is_tried():
    assert {type(thing) for thing in OBJECTS} == set(KINDS.values())


REGULARIZERS = [thing for thing in OBJECTS if isinstance(thing, L1 | L2 | L1L2 | SharedL2)]
INITIALIZERS = [
    thing
    for thing in OBJECTS
    if isinstance(thing, init.Initializer) and not isinstance(thing, init.Stored)
]


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=repr)
def test_every_regulariser_survives_a_file(tmp_path, regularizer):
    model = Sequential([Dense(2, kernel_regularizer=regularizer), Dense(1)], seed=0)
    model.compile("SGD", "mse")
    model.build(5)
    loaded = fastnn.load(saved(model, tmp_path))
    assert loaded.layers == model.layers
    assert loaded.evaluate(X, Y) == model.evaluate(X, Y)


@pytest.mark.parametrize("initializer", [*INITIALIZERS, *init.INITIALIZERS], ids=repr)
def test_every_initialiser_survives_a_file(tmp_path, initializer):
    model = Sequential([Dense(2, kernel_initializer=initializer)], seed=0)
    model.build(5)
    loaded = fastnn.load(saved(model, tmp_path))
    assert loaded.layers == model.layers
    assert bits(loaded) == bits(model)
    twin = Sequential(loaded.layers, seed=0)
    twin.build(5)
    assert bits(twin) == bits(model)


@pytest.mark.parametrize("optimizer", [t for t in OBJECTS if isinstance(t, Optimizer)], ids=repr)
def test_every_optimiser_survives_a_file(tmp_path, optimizer):
    model = Sequential([Dense(2, "tanh"), Dense(1, "sigmoid")], seed=0)
    model.compile(optimizer, "binary_crossentropy")
    mode = "batch" if optimizer.compares_costs else "minibatch"
    model.fit(X, Y, mode=mode)
    loaded = fastnn.load(saved(model, tmp_path))
    assert loaded.optimizer == optimizer
    for each in (model, loaded):
        each.fit(X, Y, mode=mode)
    assert bits(loaded) == bits(model)


def test_of_an_array_a_file_keeps_the_shape(tmp_path):
    W, b = np.arange(10.0).reshape(5, 2), np.ones(2)
    model = Sequential([Dense(2, kernel_initializer=W, bias_initializer=b), Dense(1)], seed=0)
    model.compile("SGD", "mse")
    model.fit(X, Y)
    path = saved(model, tmp_path)
    loaded = fastnn.load(path)
    assert bits(loaded) == bits(model)
    first = loaded.layers[0]
    assert first.kernel_initializer == init.Stored((5, 2))
    assert first.bias_initializer == init.Stored((2,))
    assert loaded.layers[1] == model.layers[1]
    with pytest.raises(ValueError, match="loaded from a file"):
        Sequential(loaded.layers).build(5)
    loaded.save(path)  # and again
    assert bits(fastnn.load(path)) == bits(model)


def test_a_copy_keeps_the_array_itself():
    model = Sequential([Dense(2, kernel_initializer=np.ones((5, 2)))], seed=0)
    model.build(5)
    assert pickle.loads(pickle.dumps(model)).layers == model.layers


def test_a_part_that_is_not_of_the_package_is_refused_before_anything_is_written(tmp_path):
    @dataclass(frozen=True)
    class Zeros(init.Initializer):
        def __call__(self, rng, shape):
            return np.zeros(shape)

    model = Sequential([Dense(2, kernel_initializer=Zeros())])
    model.build(5)
    with pytest.raises(ValueError, match="Zeros.*which a file could not restore"):
        saved(model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "L3"}, "kind='L3' is unknown; known are .*Dense, .*L2"),
        ({"l2": 0.1}, "kind=None is unknown"),
        ({"kind": ["L2"]}, "is unknown"),
        ({"kind": "L2", "l1": 0.1}, "L2: .*unexpected keyword argument 'l1'"),
        ({"kind": "L2", "l2": "much"}, "L2: l2='much': expected a number"),
        ({"kind": "Dense"}, "Dense: .*missing.*'units'"),
        ({"kind": "Dense", "units": 3, "kernel_regularizer": {"kind": "L2", "l2": -1}}, "l2=-1"),
    ],
)
def test_a_wrong_entry_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        from_config(entry)


def test_the_kinds_that_are_known_may_be_others():
    entry = {"kind": "twice", "x": {"kind": "twice", "x": 3}}
    assert from_config(entry, {"twice": lambda x: 2 * x}) == 12
    with pytest.raises(ValueError, match="'L2' is unknown; known are twice"):
        from_config({"kind": "L2"}, {"twice": float})


# ---- saving that fails --------------------------------------------------------------------------


def test_saving_again_replaces_the_file(tmp_path):
    model = fitted_model()
    path = saved(model, tmp_path)
    model.fit(X, Y)
    model.save(path)
    assert bits(fastnn.load(path)) == bits(model)
    assert list(tmp_path.iterdir()) == [path]


def fail_halfway(file, *arguments, **arrays):
    file.write(b"half of a model")
    raise OSError("no space left")


def fail(*arguments):
    raise OSError("no space left")


@pytest.mark.parametrize(
    ("where", "name", "failure"), [(np, "savez", fail_halfway), (os, "replace", fail)]
)
@pytest.mark.parametrize("there_before", [False, True])
def test_a_failed_save_leaves_the_old_file_whole(
    tmp_path, monkeypatch, where, name, failure, there_before
):
    path, model = tmp_path / "model.npz", fitted_model()
    if there_before:
        model.save(path)
    before = bits(model)
    model.fit(X, Y)
    with monkeypatch.context() as patch:
        patch.setattr(where, name, failure)
        with pytest.raises(OSError, match="no space left"):
            model.save(path)
    assert list(tmp_path.iterdir()) == [path] * there_before
    if there_before:
        assert bits(fastnn.load(path)) == before


def test_metadata_that_json_cannot_hold_leave_the_old_file_whole(tmp_path):
    model = fitted_model()
    path = saved(model, tmp_path)
    content = path.read_bytes()
    model.metadata = {"when": object()}
    with pytest.raises(ValueError, match="metadata must be what JSON can hold"):
        model.save(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def nested_list(depth):
    return [nested_list(depth - 1)] if depth else 1


HOLDING_ITSELF = {}
HOLDING_ITSELF["more"] = HOLDING_ITSELF


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (["names"], r"metadata is \['names'\]; expected a dictionary"),
        ({"deep": nested_list(100)}, "metadata included, is nested more than 100 deep"),
        ({"deep": nested_list(900)}, "nested more than 100 deep"),
        (HOLDING_ITSELF, "metadata is nested more than 100 deep, or holds itself"),
        ({"long": 10**100}, "a whole number of 101 digits; expected 100 at most"),
        ({"long": 10**5000}, "metadata must be what JSON can hold"),
    ],
    ids=["no dictionary", "deep", "very deep", "holding itself", "long", "very long"],
)
def test_metadata_that_load_would_refuse_are_refused(tmp_path, metadata, message):
    model = small_model()
    model.metadata = metadata
    with pytest.raises(ValueError, match=message):
        saved(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_metadata_at_the_limits_come_along(tmp_path):
    model = small_model()
    model.metadata = {"deep": nested_list(97), "long": 10**99}
    path = saved(model, tmp_path)
    loaded = fastnn.load(path)
    assert loaded.metadata == model.metadata
    assert pickle.loads(pickle.dumps(loaded)).metadata == model.metadata
    loaded.save(path)


@pytest.mark.parametrize("name", ["model", "model.h5", "model.npz.txt"])
@pytest.mark.parametrize("method", ["save", "load"])
def test_a_name_that_is_not_npz_is_refused(tmp_path, name, method):
    model = fitted_model()
    call = model.save if method == "save" else fastnn.load
    with pytest.raises(ValueError, match=r"models are \.npz files, e\.g\. 'model\.npz'"):
        call(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fitted_model().save(tmp_path / "nowhere" / "model.npz")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_that_name_is_left_alone(tmp_path):
    path = tmp_path / "model.npz"
    path.mkdir()
    with pytest.raises(OSError):
        fitted_model().save(path)
    assert list(tmp_path.iterdir()) == [path]


# ---- whose file it is, and who else writes it ---------------------------------------------------


def small_model(n_features=3):
    model = Sequential([Dense(1)], seed=0)
    model.build(n_features)
    return model


def test_saving_over_a_link_leaves_a_link(tmp_path):
    model, link = small_model(), tmp_path / "latest.npz"
    (tmp_path / "runs").mkdir()
    link.symlink_to("runs/1.npz")  # where nothing lies yet
    for _ in range(2):
        model.save(link)
        assert os.readlink(link) == "runs/1.npz"
        assert not (tmp_path / "runs" / "1.npz").is_symlink()
        assert bits(fastnn.load(link)) == bits(model)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["1.npz"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "model.npz"
    path.touch()
    path.chmod(mode)
    small_model().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_permissions_of_a_new_file_are_those_of_any(tmp_path):
    (tmp_path / "any").touch()
    path = saved(small_model(), tmp_path)
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("stem", ["x" * 236, "x" * 251, "\N{EURO SIGN}" * 83], ids=len)
def test_a_name_may_be_as_long_as_the_system_takes(tmp_path, stem):
    model, path = small_model(), tmp_path / f"{stem}.npz"
    model.save(path)
    assert bits(fastnn.load(path)) == bits(model)


def test_what_is_no_file_is_not_replaced(tmp_path):
    path = tmp_path / "model.npz"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a file that a new one could replace.*model.npz"):
        small_model().save(path)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_file_that_may_not_be_written_to_is_not_replaced(tmp_path, monkeypatch):
    path = saved(small_model(), tmp_path)
    content = path.read_bytes()
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # root may write to any
    with pytest.raises(PermissionError, match="model.npz"):
        small_model(4).save(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch):
    path = saved(small_model(), tmp_path)
    monkeypatch.setattr(os, "access", lambda path, how: path != tmp_path)
    with pytest.raises(PermissionError, match="the folder .* may not be written to.*model.npz"):
        small_model().save(path)


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path = saved(small_model(), tmp_path)
    content = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(OSError, match="model.npz"):
            small_model(10_000).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_several_threads_may_save_to_one_path(tmp_path):
    path = tmp_path / "model.npz"
    models = [small_model(n_features) for n_features in (30_000, 50_000)]
    errors = []

    def save(model):
        try:
            for _ in range(20):
                model.save(path)
                fastnn.load(path)
        except (OSError, ValueError) as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert bits(fastnn.load(path)) in [bits(model) for model in models]
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from fastnn import Dense, Sequential
os.replace = os.fsync = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
model = Sequential([Dense(1)], seed=0)
model.build(3)
model.save(sys.argv[1])
"""


def test_what_a_killed_process_has_left_is_removed_by_the_next_save(tmp_path):
    path, other = saved(small_model(), tmp_path), tmp_path / "other.npz"
    content = path.read_bytes()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, path], env=os.environ | {"PYTHONPATH": HOME})
    assert path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 2  # the second run has removed what the first had left
    small_model().save(other)
    assert len(list(tmp_path.iterdir())) == 3  # only a save to the same path removes it
    small_model().save(path)
    assert {*tmp_path.iterdir()} == {path, other}


def test_what_another_process_is_writing_stays(tmp_path, monkeypatch):
    path, seen = tmp_path / "model.npz", []

    def save_once_more(descriptor):
        monkeypatch.undo()
        small_model(4).save(path)
        seen.extend(tmp_path.iterdir())

    monkeypatch.setattr(os, "fsync", save_once_more)
    small_model(3).save(path)
    assert len(seen) == 2
    assert fastnn.load(path).get_weights()[0].shape == (3, 1)
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_written_where_nothing_can_be_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", fail)
    model, path = small_model(), tmp_path / "model.npz"
    for _ in range(2):
        model.save(path)
    assert bits(fastnn.load(path)) == bits(model)
    assert list(tmp_path.iterdir()) == [path]


# ---- files that are damaged or foreign ----------------------------------------------------------


def refused(path, message=None):
    with pytest.raises(ValueError, match=message) as info:
        fastnn.load(path)
    assert str(path) in str(info.value)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        fastnn.load(tmp_path / "absent.npz")


def test_what_cannot_be_opened_is_the_systems_error(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(IsADirectoryError, match="folder.npz"):
        fastnn.load(tmp_path / "folder.npz")


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = saved(fitted_model(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "is not a fastnn model, or is damaged")


@pytest.mark.parametrize(
    "content",
    [
        np.random.default_rng(1).bytes(5000),
        b"PK\x03\x04" + np.random.default_rng(1).bytes(5000),
        b"{}",
        pickle.dumps({"config": "fastnn"}),
        pickle.dumps(np.zeros(3)),
    ],
    ids=["random", "random after a zip signature", "JSON", "pickle", "pickled array"],
)
def test_other_bytes_are_refused(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    refused(path, "is not a fastnn model, or is damaged")


def test_a_single_array_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    refused(path, "is not a fastnn model, or is damaged")


def payload_of(path, name):
    """Where the bytes of an array lie in the file: from, to."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        content = archive.read(member)
    start = path.read_bytes().index(content)
    return start, start + len(content)


@pytest.mark.parametrize("name", ["config", "W1", "b1", "W3", "mean", "variance"])
def test_a_flipped_bit_in_an_array_is_found(tmp_path, name):
    path = saved(fitted_model(), tmp_path)
    _, stop = payload_of(path, name)
    content = bytearray(path.read_bytes())
    content[stop - 3] ^= 1
    path.write_bytes(content)
    refused(path, "damaged: Bad CRC-32")


@pytest.mark.parametrize(("name", "old", "new"), [("W1", b"<f4", b"<f2"), ("mean", b"<f8", b"<f4")])
def test_a_number_type_that_was_changed_to_a_shorter_one_is_found(tmp_path, name, old, new):
    """Arrays so large that reading half of them does not reach the checksum at the end."""
    model = Sequential([Normalization(np.ones(5000), np.ones(5000)), Dense(2)], seed=0)
    model.build(5000)
    path = saved(model, tmp_path)
    start, _ = payload_of(path, name)
    content = path.read_bytes()
    path.write_bytes(content[:start] + content[start:].replace(old, new, 1))
    refused(path, "is not a fastnn model, or is damaged")


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_no_changed_byte_gives_another_model_or_another_error(tmp_path, mask):
    model = Sequential([Dense(1, use_bias=False)], seed=0)
    model.build(2)
    path = saved(model, tmp_path)
    content = path.read_bytes()
    positions = set(range(len(content)))
    for name in ("config", "W1"):  # of the arrays a few bytes will do
        start, stop = payload_of(path, name)
        positions -= set(range(start, stop)) - set(range(start, stop, 16))
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= mask
        path.write_bytes(damaged)
        try:
            loaded = fastnn.load(path)
        except ValueError:
            continue
        assert bits(loaded) == bits(model)  # it was a date or the like


@pytest.mark.parametrize("name", ["W1", "config", "mean"])
def test_a_pickle_inside_is_never_read(tmp_path, name):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    arrays["config"] = np.frombuffer(json.dumps(config).encode(), np.uint8)
    arrays[name] = np.array([Trap()], dtype=object)
    np.savez(path, allow_pickle=True, **arrays)
    refused(path, "is not a fastnn model, or is damaged")
    assert not (tmp_path / "sprung").exists()


def test_a_compressed_file_is_refused(tmp_path):
    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    write(path, config, arrays, np.savez_compressed)
    refused(path, "compressed")


def test_a_file_that_is_rewritten_alike_is_read(tmp_path):
    """What the next tests do to a file is refused for the change they make, not for the rest."""
    model = fitted_model()
    path = saved(model, tmp_path)
    write(path, *contents(path))
    assert bits(fastnn.load(path)) == bits(model)


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_is_refused_before_it_is_read(tmp_path, monkeypatch, kind):
    path = saved(small_model(), tmp_path)
    with zipfile.ZipFile(path, "a", kind) as archive, archive.open("zeros.npy", "w") as file:
        np.save(file, np.zeros(1000))
    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    refused(path, "damaged: zeros.npy is compressed")


def test_members_that_lie_in_each_other_are_refused(tmp_path):
    """Each holds the next one: an archive whose members are longer than itself together."""
    path, content, directory = tmp_path / "model.npz", bytes(1000), b""
    for number in range(3):
        name, checksum = b"%d.npy" % number, zlib.crc32(content)
        rest = checksum, len(content), len(content), len(name), 0
        content = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, *rest) + name + content
        place = (2 - number) * (30 + len(name))
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, *rest, 0, 0, 0, 0, place
        )
        directory += name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 3, 3, len(directory), len(content), 0)
    path.write_bytes(content + directory + end)
    refused(path, "damaged: 1.npy overlaps another member")


def test_a_second_member_of_a_name_is_refused(tmp_path):
    path = saved(small_model(1), tmp_path)
    content = path.read_bytes()
    assert content.count(b"b1.npy") == 2
    path.write_bytes(content.replace(b"b1.npy", b"W1.npy"))
    refused(path, "damaged: two members have the same name")


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }" % (b"9" * 400),
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s1,), }" % (b"(" * 300),
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }",
        b"'" * 3,
        b"\xff",
        b"",
    ],
    ids=range(8),
)
def test_a_header_that_is_not_numpys_is_refused(tmp_path, header):
    path = saved(small_model(), tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1)
        archive.writestr("x.npy", start + header + b"\n" + bytes(4))
    refused(path, "damaged: x.npy is not an array of numbers as a model has them")


def test_random_changes_give_a_model_or_the_one_error(tmp_path):
    """Also behind the checksums, which are made to fit again."""
    rng = np.random.default_rng(0)
    model = Sequential([Dense(2, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile(Adam(0.1), "binary_crossentropy", ["accuracy"])
    model.fit(X, Y)
    content, path = saved(model, tmp_path).read_bytes(), tmp_path / "changed.npz"
    for _ in range(500):
        changed = bytearray(content)
        place, count = int(rng.integers(len(content))), int(rng.integers(1, 9))
        removed, put_in = [(count, b""), (0, rng.bytes(count)), (1, rng.bytes(1))][rng.integers(3)]
        changed[place : place + removed] = put_in
        path.write_bytes(with_fitting_checksums(bytes(changed)))
        try:
            loaded = fastnn.load(path)
        except ValueError as error:
            assert str(path) in str(error)
            continue
        with suppress(FloatingPointError):  # a weight was made huge
            assert loaded.predict(X).shape == (40, 1)
        loaded.save(path)


def with_fitting_checksums(content):
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members, place = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return content
    changed = bytearray(content)
    for member in members:
        start = content.find(b"\x93NUMPY", member.header_offset)
        checksum = zlib.crc32(content[start : start + member.file_size])
        changed[place + 16 : place + 20] = struct.pack("<I", checksum)
        place += 46 + sum(struct.unpack("<3H", content[place + 28 : place + 34]))
    return bytes(changed)


@pytest.mark.parametrize("version", [0, 1, 2, 4, "3.0", None])
def test_another_format_version_is_refused(tmp_path, version):
    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    write(path, config | {"version": version}, arrays)
    refused(path, f"format version {version}; this fastnn reads version 3")


def test_a_missing_config_is_refused(tmp_path):
    path = saved(fitted_model(), tmp_path)
    _, arrays = contents(path)
    np.savez(path, **arrays)
    refused(path, "is not a fastnn model")


@pytest.mark.parametrize(
    "config", [b"", b"{", b"[]", b"3", b"null", b'"fastnn"', b"{}", b"\xff\xfe", b'{"format": "x"}']
)
def test_a_config_that_is_not_ours_is_refused(tmp_path, config):
    path = saved(fitted_model(), tmp_path)
    _, arrays = contents(path)
    write(path, config, arrays)
    refused(path)


def nested(kind, depth):
    """An entry in an entry in an entry ..."""
    entry = {"kind": kind}
    for _ in range(depth):
        entry = {"kind": kind, "deeper": entry}
    return entry


DENSE = {"kind": "Dense", "units": 7}
STORED = {"kind": "Stored"}
RATES = {"kind": "InverseScaling", "initial_learning_rate": 0.1}  # can be called, as a function
LAYERS = [
    {"kind": "Normalization"},
    DENSE,
    {"kind": "Dense", "units": 3, "use_bias": False},
    {"kind": "Dense", "units": 1, "activation": "sigmoid"},
]
SETTINGS = {"kind": "SGD", "learning_rate": 0.3}
COMPILED = {"loss": {"kind": "BinaryCrossentropy"}, "optimizer": SETTINGS, "step": 0, "metrics": []}
WRONG_ENTRIES = [
    {"n_features": 6},
    {"n_features": 0},
    {"n_features": "5"},
    {"n_features": None},
    {"dtype": "int8"},
    {"dtype": None},
    {"seed": -1},
    {"seed": "x"},
    {"epochs_trained": -1},
    {"epochs_trained": "2"},
    {"layers": []},
    {"layers": None},
    {"layers": [3]},
    {"layers": ["Dense"]},
    {"layers": [DENSE]},
    {"layers": [DENSE, {"kind": "Dense", "units": 3}, {"kind": "Dense", "units": 2}]},
    {"layers": [{"kind": "Conv2D", "units": 7}]},
    {"layers": [{"units": 7}]},
    {"layers": [DENSE | {"activation": "swish"}]},
    {"layers": LAYERS[:1] + [DENSE | {"color": "red"}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"kernel_regularizer": {"kind": "L3"}}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"kernel_regularizer": {"l2": 0.1}}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"kernel_regularizer": SETTINGS}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"kernel_initializer": {"kind": "L2"}}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"bias_initializer": {"kind": "Dense"}}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"kind": ["Dense"]}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [nested("Zeros", 90)] + LAYERS[2:]},
    {"layers": {}},
    {"metadata": []},
    {"metadata": None},
    {"epochs_trained": 2**53 + 1},
    {"compiled": COMPILED | {"step": 10**40}},
    {"compiled": COMPILED | {"step": math.inf}},
    {"compiled": COMPILED | {"rate": math.nan, "step": 1}},
    {"compiled": COMPILED | {"metrics": {"kind": "metrics.R2Score"}}},
    {"compiled": COMPILED | {"metrics": ""}},
    {"compiled": COMPILED | {"metrics": [RATES]}},
    {"compiled": COMPILED | {"loss": RATES}},
    {"layers": LAYERS[:1] + [DENSE | {"kernel_initializer": STORED | {"shape": "x"}}] + LAYERS[2:]},
    {"layers": LAYERS[:1] + [DENSE | {"kernel_initializer": STORED | {"shape": [-1]}}]},
    {"compiled": 3},
    {"compiled": {"loss": {"kind": "BinaryCrossentropy"}}},
    {"compiled": COMPILED | {"loss": {"kind": "Nothing"}}},
    {"compiled": COMPILED | {"loss": {"kind": ["Huber"]}}},
    {"compiled": COMPILED | {"loss": {"kind": "BinaryCrossentropy", "label_smoothing": 2}}},
    {"compiled": COMPILED | {"loss": {"kind": "BinaryCrossentropy", "delta": 1.0}}},
    {"compiled": COMPILED | {"metrics": ["f1"]}},
    {"compiled": COMPILED | {"metrics": "accuracy"}},
    {"compiled": COMPILED | {"metrics": [SETTINGS]}},
    {"compiled": COMPILED | {"metrics": [{"kind": "metrics.TopKAccuracy", "k": 0}]}},
    {"compiled": COMPILED | {"metrics": [{"kind": "MeanSquaredError"}]}},
    {"compiled": COMPILED | {"step": -1}},
    {"compiled": COMPILED | {"step": 0.5}},
    {"compiled": COMPILED | {"optimizer": SETTINGS | {"learning_rate": -1}}},
    {"compiled": COMPILED | {"optimizer": SETTINGS | {"colour": "red"}}},
    {"compiled": COMPILED | {"optimizer": SETTINGS | {"kind": "Lion"}}},
    {"compiled": COMPILED | {"optimizer": {"learning_rate": 0.1}}},
    {"compiled": COMPILED | {"optimizer": DENSE}},
    {"metadata": 3},
]


def test_entries_without_what_has_a_default_are_read(tmp_path):
    """What the next test adds to them is why they are refused."""
    model = fitted_model()
    path = saved(model, tmp_path)
    config, arrays = contents(path)
    write(path, config | {"layers": LAYERS, "compiled": COMPILED}, arrays)
    assert bits(fastnn.load(path)) == bits(model)


@pytest.mark.parametrize("wrong", WRONG_ENTRIES, ids=lambda wrong: str(wrong)[:200])
def test_a_wrong_entry_in_the_config_is_refused(tmp_path, wrong):
    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    write(path, config | wrong, arrays)
    refused(path, "does not describe a fastnn model")


@pytest.mark.parametrize("wrong", [{"n_features": 10**15}, {"layers": [DENSE | {"units": 10**15}]}])
def test_a_size_that_no_memory_holds_is_refused(tmp_path, wrong):
    path = saved(fitted_model(normalized=False), tmp_path)
    config, arrays = contents(path)
    write(path, config | wrong, arrays)
    refused(path, "does not describe a fastnn model")


ENTRIES = [
    "n_features",
    "dtype",
    "seed",
    "epochs_trained",
    "layers",
    "compiled",
    "metadata",
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_missing_entry_in_the_config_is_refused(tmp_path, entry):
    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    assert set(config) == {"format", "version", *ENTRIES}
    del config[entry]
    write(path, config, arrays)
    refused(path, "does not describe a fastnn model")


WRONG_ARRAYS = {
    "one missing": lambda arrays: arrays.pop("b3"),
    "no statistics": lambda arrays: arrays.pop("mean"),
    "one too many": lambda arrays: arrays.update(W4=np.zeros((1, 1))),
    "transposed": lambda arrays: arrays.update(W1=arrays["W1"].T.copy()),
    "another name": lambda arrays: arrays.update(W9=arrays.pop("W1")),
    "NaN": lambda arrays: arrays.update(b1=arrays["b1"] * np.nan),
    "a NaN mean": lambda arrays: arrays.update(mean=arrays["mean"] * np.nan),
    "short statistics": lambda arrays: arrays.update(
        mean=arrays["mean"][:4], variance=arrays["variance"][:4]
    ),
    "negative variance": lambda arrays: arrays.update(variance=-arrays["variance"]),
}


@pytest.mark.parametrize("wrong", WRONG_ARRAYS)
def test_wrong_arrays_are_refused(tmp_path, wrong):
    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    WRONG_ARRAYS[wrong](arrays)
    write(path, config, arrays)
    refused(path, "does not describe a fastnn model")


@pytest.mark.parametrize("dtype", ["U4", "U0", "V0", "V8", "S4", "c8", "f2", "i4", "M8[s]", "?"])
def test_an_array_of_other_than_a_models_numbers_is_refused(tmp_path, dtype):
    path = saved(fitted_model(), tmp_path)
    config, arrays = contents(path)
    write(path, config, arrays | {"b1": np.zeros(7, dtype)})
    refused(path, "damaged: b1.npy is not an array of numbers as a model has them")


def test_arrays_are_found_by_name_in_any_order(tmp_path):
    model = Sequential([Dense(3), Dense(3), Dense(3)], seed=0)
    model.build(3)
    path = saved(model, tmp_path)
    config, arrays = contents(path)
    write(path, config, dict(reversed(arrays.items())))
    assert bits(fastnn.load(path)) == bits(model)


def test_a_member_that_is_no_array_is_refused(tmp_path):
    path = saved(fitted_model(), tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", io.StringIO("hello").read())
    refused(path)


def test_an_array_that_claims_to_be_huge_is_refused_before_it_is_read(tmp_path):
    path = saved(fitted_model(), tmp_path)
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in members.items():
            file = io.BytesIO()
            header = np.lib.format.header_data_from_array_1_0(array)
            if name == "W1":
                header["shape"] = (10**13,)
            np.lib.format.write_array_header_1_0(file, header)
            archive.writestr(f"{name}.npy", file.getvalue() + array.tobytes())
    with pytest.raises(ValueError, match="W1.npy is not as long as its header says"):
        fastnn.load(path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        fitted_model().save(tmp_path / "nowhere" / "model.npz")


def test_other_files_beside_a_model_stay(tmp_path):
    """A pipe of the name that a file of an earlier writer could have is not waited for."""
    path = tmp_path / "model.npz"
    prefix = f".fastnn-{zlib.crc32(b'model.npz'):08x}-"
    os.mkfifo(tmp_path / f"{prefix}x")
    os.mkfifo(tmp_path / f"{prefix}{'0' * 8}")
    (tmp_path / f"{prefix}notes").write_text("mine")
    (tmp_path / f"{prefix}{'1' * 8}").write_text("left by a writer that was killed")
    files.save(path, {}, {})
    names = {name.removeprefix(prefix) for name in os.listdir(tmp_path)}
    assert names == {"model.npz", "x", "0" * 8, "notes"}


def test_a_file_of_somebody_else_in_a_shared_folder(tmp_path, monkeypatch):
    """In a folder with the sticky bit only the owner can replace a file."""
    path = tmp_path / "model.npz"
    files.save(path, {}, {})
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 12345)
    with pytest.raises(PermissionError, match="only its owner may replace"):
        files.save(path, {}, {})
