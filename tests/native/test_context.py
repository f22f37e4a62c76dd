"""The boundary to the core: what both sides know, and objects that misuse cannot break."""

import ast
import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from networks import BUILDS, core_of, make_data, make_network, make_rows

import fastnn
from fastnn import SGD, Adam, Callback, Dense, Sequential, _core
from fastnn.activations import ACTIVATIONS
from fastnn.engine import layout, per_sample
from fastnn.engine.gradient_descent import new_state
from fastnn.losses import LOSSES
from fastnn.optimizers import OPTIMIZERS, Optimizer

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
STUB = ast.parse(Path(fastnn.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
TEAM = {"self", "member", "size", "team"}  # not counted


# ---- what both sides know ----


@each_build
def test_every_build_says_the_same(build):
    core = core_of(*build)
    names = [name for name in vars(_core) if name.isupper()]
    assert len(names) >= 19
    for name in names:
        assert getattr(core, name) == getattr(_core, name)


def test_every_code_has_a_word_and_every_word_a_code():
    assert {activation.name for activation in ACTIVATIONS.values()} == set(_core.ACTIVATIONS)
    codes = {loss.code for loss in LOSSES.values()}
    codes |= {loss.labels_code for loss in LOSSES.values() if hasattr(loss, "labels_code")}
    assert codes == set(_core.LOSSES.values())
    assert set(_core.SLOTS) == set(_core.METHODS)
    assert set(_core.FROM_Z) < set(_core.ACTIVATIONS)
    methods = {kind().method for kind in OPTIMIZERS.values() if kind().has_rate}
    assert methods <= set(_core.METHODS)
    assert set(_core.CLIPS) <= set(Optimizer.__dataclass_fields__)


@pytest.mark.parametrize("codes", ["ACTIVATIONS", "LOSSES", "METHODS", "CLIPS", "PATHS"])
def test_codes_differ(codes):
    found = getattr(_core, codes)
    assert len(set(found.values())) == len(found)


def test_a_path_that_python_chooses_is_one_of_the_core():
    network = make_network(BUILDS[0], [3, 8, 1], ["relu", "linear"])
    rules = [SGD().rule(network.layer_rules, new_state(network, SGD()))]
    adam = Adam()
    rules.append(adam.rule(network.layer_rules, new_state(network, adam)))
    chosen = {per_sample.path_for(network, share, rule).name for share in (0, 1) for rule in rules}
    assert chosen <= set(_core.PATHS)
    assert {per_sample.one_row_path(plain=plain) for plain in (True, False)} <= set(_core.PATHS)


def test_tables_have_the_fields_of_the_structs():
    """Python addresses them by name; a field that Cython renames is missed here."""
    table, _ = layout.layer_table(3, [Dense(8), Dense(1)], [0.0, 0.0], narrow=True)
    assert table.dtype == _core.LAYER
    assert [int(table[0][name]) for name in ("n_in", "n_out", "W")] == [3, 8, 0]
    assert set(_core.LAYER_RULE.names) == {"factor", "l1", "decay", "alpha"}
    assert set(_core.STEP.names) == {"rate", "shrink", "keep", "share"}
    assert set(_core.COUNTS.names) == {"made", "clipped"}


def test_no_function_of_the_core_takes_more_than_eight_arguments():
    functions = [node for node in ast.walk(STUB) if isinstance(node, ast.FunctionDef)]
    counts = {f.name: len({a.arg for a in f.args.args} - TEAM) for f in functions}
    assert counts["minibatch"] == counts["gradient"] == 8
    assert {name: n for name, n in counts.items() if n > 8} == {}


# ---- objects ----


def context_of(network, **settings):
    return network.context(40, **settings)


def data_for(network, n_rows=40):
    return make_data(network, "mean_squared_error", *make_rows(
        network, "mean_squared_error", n_rows=n_rows
    ))  # fmt: skip


@each_build
def test_a_context_keeps_its_arrays_alive(build):
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    data = data_for(network)
    expected = network.predict(data)
    context, rows, core = context_of(network), network.core.Rows(data.X.copy()), network.core
    outputs = np.empty_like(expected)
    del network, data
    gc.collect()
    churn = [np.full(5000, np.nan) for _ in range(50)]
    core.evaluate(context, rows, None, 0, 40, outputs)
    np.testing.assert_array_equal(outputs, expected)
    assert len(churn) == 50


@each_build
def test_arrays_cannot_be_resized_while_the_core_points_at_them(build):
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    context = context_of(network)
    with pytest.raises(ValueError, match="own its data"):
        network.parameters.resize(3, refcheck=False)
    X = np.ones((4, 5), network.dtype)
    rows = network.core.Rows(X)
    with pytest.raises(ValueError, match="resize"):
        X.resize((2, 5))
    assert len(rows) == 4 and context is not None


@each_build
def test_arrays_that_could_be_resized_are_refused(build):
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    core = network.core
    layers, n = layout.layer_table(5, network.layers, [0.0, 0.0], narrow=False)
    scratch = core.aligned_zeros(core.scratch_length(layers, 16, False))
    rules, nothing = network.layer_rules, np.empty((0, 0))
    owner = np.zeros(n, network.dtype)
    for parameters, memory in ((owner, scratch), (owner[:], scratch.copy())):
        with pytest.raises(ValueError, match="could be resized"):
            core.Context(layers, rules, parameters, nothing, 16, memory)
    core.Context(layers, rules, owner[:], nothing, 16, scratch)


@each_build
def test_arrays_of_wrong_length_are_refused(build):
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    core, dtype = network.core, network.dtype
    layers, n = layout.layer_table(5, network.layers, [0.0, 0.0], narrow=False)
    rules, nothing = network.layer_rules, np.empty((0, 0))
    length = core.scratch_length(layers, 16, False)
    scratch, parameters = core.aligned_zeros(length), core.aligned_zeros(n)
    with pytest.raises(ValueError, match="scratch has"):
        core.Context(layers, rules, parameters, nothing, 16, scratch[: length // 2])
    with pytest.raises(ValueError, match="parameters has"):
        core.Context(layers, rules, parameters[:-1], nothing, 16, scratch)
    with pytest.raises(ValueError, match="normalization"):
        core.Context(layers, rules, parameters, np.ones((2, 4)), 16, scratch)
    context = core.Context(layers, rules, parameters, nothing, 16, scratch)
    with pytest.raises(ValueError, match="gradient"):
        context.set_gradient(parameters[:-1])
    with pytest.raises(ValueError, match="slots"):
        slots = parameters[:-1].reshape(1, -1)
        context.set_rule(np.zeros(1, core.CONSTANTS), rules, slots, np.zeros(1, core.COUNTS))
    with pytest.raises(ValueError, match="layer_rules"):
        wrong, counts = np.zeros(3, core.LAYER_RULE), np.zeros(1, core.COUNTS)
        context.set_rule(np.zeros(1, core.CONSTANTS), wrong, parameters[:0].reshape(0, n), counts)
    rows = core.Rows(np.ones((4, 5), dtype))
    for start, stop in ((0, 5), (-1, 3), (3, 2)):
        with pytest.raises(ValueError, match="rows"):
            core.evaluate(context, rows, None, start, stop, None)
    with pytest.raises(ValueError, match="columns"):
        core.evaluate(context, core.Rows(np.ones((4, 6), dtype)), None, 0, 4, None)
    with pytest.raises(ValueError, match="order"):
        core.evaluate(context, rows, np.arange(3), 0, 4, None)
    with pytest.raises(ValueError, match="no room"):
        core.evaluate(context, rows, None, 0, 4, np.empty((3, 2), dtype))
    with pytest.raises(ValueError, match="no targets"):
        core.minibatch(context, rows, None, 0, 4, None, 0.0, 2)
    labelled = core.Rows(np.ones((4, 5), dtype), np.ones((4, 2), dtype))
    with pytest.raises(ValueError, match="no rule"):
        core.minibatch(context, labelled, None, 0, 4, None, 0.0, 2)
    none = parameters[:0].reshape(0, n)
    context.set_rule(np.zeros(1, core.CONSTANTS), rules, none, np.zeros(1, core.COUNTS))
    context.set_steps(np.zeros(1, core.STEP))
    with pytest.raises(ValueError, match="gradient"):
        core.minibatch(context, labelled, None, 0, 4, None, 0.0, 2)
    with pytest.raises(ValueError, match="path"):
        core.stochastic(context, labelled, None, 0, 4, None)
    context.set_loss(LOSSES["mean_squared_error"]().settings(2, dtype))
    with pytest.raises(ValueError, match="targets"):
        core.evaluate(
            context,
            core.Rows(np.ones((4, 5), dtype), parameters[:4].reshape(4, 1)),
            None,
            0,
            4,
            None,
        )
    context.set_gradient(parameters.copy()[:])
    with pytest.raises(ValueError, match="no targets"):
        core.gradient(context, rows, None, 0, 4, None, 0.0, 1.0)
    core.evaluate(context, rows, None, 0, 4, None)  # what was refused has left it usable


@each_build
def test_nothing_is_computed_with_what_was_never_made(build):
    """No object without its arrays comes to be, and no table without a row is read."""
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    core, context = network.core, network.context(3)
    for kind in (core.Context, core.Snapshot):
        with pytest.raises(TypeError):
            kind.__new__(kind)
    with pytest.raises(ValueError, match="columns"):
        core.evaluate(context, core.Rows.__new__(core.Rows), None, 0, 1, None)
    for take in (context.set_loss, context.set_steps):
        with pytest.raises(TypeError):
            take(None)
    for take, table in ((context.set_loss, core.LOSS_SETTINGS), (context.set_steps, core.STEP)):
        with pytest.raises(IndexError):
            take(np.zeros(0, table))
    with pytest.raises(KeyError):
        descent = (core.CONSTANTS, core.LAYER_RULE, network.dtype, core.COUNTS)
        rule, layer_rules, slots, counts = (np.zeros(1, table) for table in descent)
        context.set_rule(rule, layer_rules[:0], slots[:0].reshape(0, 1), counts, "of no name")
    labelled = core.Rows(np.ones((4, 5), network.dtype), np.ones((4, 2), network.dtype))
    with pytest.raises(ValueError, match="path"):
        core.stochastic(context, labelled, None, 0, 4, None)


@each_build
def test_no_step_is_made_without_a_rule_and_as_many_steps_as_it_takes(build):
    network = make_network(build, [5, 9, 2], ["tanh", "linear"])
    core, context, dtype = network.core, network.context(4, stochastic=True), network.dtype
    rows = core.Rows(np.ones((4, 5), dtype), np.ones((4, 2), dtype))
    context.set_loss(LOSSES["mean_squared_error"]().settings(2, dtype))
    gradient, rule = (
        network.new_gradient(),
        SGD().rule(network.layer_rules, new_state(network, SGD())),
    )
    batches = network.context(4, training=True)
    batches.set_gradient(gradient)
    batches.set_loss(LOSSES["mean_squared_error"]().settings(2, dtype))

    def calls():
        return [
            lambda: core.stochastic(context, rows, None, 0, 4, None),
            lambda: core.minibatch(batches, rows, None, 0, 4, None, 0.0, 1),
            lambda: core.update(batches, gradient),
        ]

    def refused(match):
        before = network.parameters.copy()
        for call in calls():
            with pytest.raises(ValueError, match=match):
                call()
        np.testing.assert_array_equal(network.parameters, before)

    refused("no rule|no path")
    context.set_rule(*rule.for_core, "listed")
    batches.set_rule(*rule.for_core)
    refused("too few steps")
    for one in (context, batches):
        one.set_steps(np.zeros(3, core.STEP))
    for call in calls()[:2]:
        with pytest.raises(ValueError, match="too few steps for 4 updates"):
            call()
    with pytest.raises(ValueError, match="batch_size=0"):
        core.minibatch(batches, rows, None, 0, 4, None, 0.0, 0)
    for steps in (np.zeros(4, core.STEP), SGD().constant_step()):  # of one for all, too
        for one in (context, batches):
            one.set_steps(steps)
        for call in calls():
            call()


@pytest.mark.parametrize("method", _core.METHODS)
def test_a_rule_comes_with_what_its_method_keeps(method):
    network = make_network(BUILDS[0], [5, 9, 2], ["tanh", "linear"])
    core, context = network.core, network.context(4)
    rule, counts = np.zeros(1, core.CONSTANTS), np.zeros(1, core.COUNTS)
    rule["method"] = core.METHODS[method]
    for averages in (0, 1):
        rule["averages"], n_slots = averages, core.SLOTS[method] + averages
        context.set_rule(rule, network.layer_rules, network.new_slots(n_slots), counts)
        for wrong in {max(n_slots - 1, 0), n_slots + 1} - {n_slots}:
            with pytest.raises(ValueError, match=f"keeps {n_slots}"):
                context.set_rule(rule, network.layer_rules, network.new_slots(wrong), counts)


@each_build
def test_rows_are_refused_that_cannot_be_read_where_they_lie(build):
    core, dtype = core_of(*build), build[1]
    X = np.ones((4, 6), dtype)
    swapped = X.astype(X.dtype.newbyteorder())
    unaligned = np.frombuffer(bytes(4 * 6 * 8 + 1), np.uint8)[1:].view(np.float64).reshape(4, 6)
    for wrong in (X.T, X[:, ::2], swapped, unaligned, X.astype(np.float16), X.reshape(2, 2, 6)):
        with pytest.raises(ValueError):
            core.Rows(wrong)
    other = "float64" if dtype == "float32" else "float32"
    for y in (X[:3], X.astype(other), X[:, 0]):
        with pytest.raises(ValueError):
            core.Rows(X, y)
    assert len(core.Rows(X[::-2])) == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_threads_cannot_compute_with_one_context(dtype):
    """The second gets an error; the first finishes, and the context is free again."""
    layers = [Dense(700, "relu"), Dense(700, "relu"), Dense(1)]
    model = Sequential(layers, dtype=dtype, seed=0)
    model.build(300)
    network = fastnn.engine.network.Network(300, layers, dtype)
    core, errors, done = network.core, [], []
    context = network.context(20_000)
    rows = core.Rows(np.ones((20_000, 300), dtype))

    def compute():
        try:
            core.evaluate(context, rows, None, 0, 20_000, None)
            done.append(True)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=compute)
    thread.start()
    while thread.is_alive() and not errors:
        try:
            core.evaluate(context, rows, None, 0, 1, None)  # until the thread has begun
        except RuntimeError as error:
            errors.append(str(error))
    for change, table in ((context.set_loss, core.LOSS_SETTINGS), (context.set_steps, core.STEP)):
        with pytest.raises(RuntimeError, match="another thread"):
            change(np.zeros(1, table))
    thread.join()
    assert len(done) == len(errors) == 1 and "another thread" in errors[0]
    core.evaluate(context, rows, None, 0, 10, None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_context_at_a_time_moves_the_weights_that_several_share(dtype):
    """The second gets an error, with the weights as they were; a pass that only reads them runs."""
    network = fastnn.engine.network.Network(300, [Dense(700, "relu"), Dense(1)], dtype)
    core, n, errors = network.core, 5_000, []
    X = np.ones((n, 300), dtype)
    rows, few = core.Rows(X, X[:, :1].copy()), core.Rows(X[:1], X[:1, :1].copy())
    rule = SGD(0.0).rule(network.layer_rules, new_state(network, SGD(0.0)))
    long, short = network.context(n, training=True), network.context(1, stochastic=True, quick=True)
    for context, path in ((long, None), (short, "listed")):
        context.set_rule(*rule.for_core, path)
        context.set_loss(LOSSES["mean_squared_error"]().settings(1, dtype))
        context.set_steps(SGD(0.0).constant_step())
        context.set_gradient(network.new_gradient())
    run = (long, rows, None, 0, n, None, 0.0, 100)
    thread = threading.Thread(target=core.minibatch, args=run)
    thread.start()
    while thread.is_alive() and not errors:
        try:
            core.stochastic(short, few, None, 0, 1, None)
        except RuntimeError as error:
            errors.append(str(error))
            with pytest.raises(RuntimeError, match="another thread is training"):
                core.update(short, network.new_gradient())
            core.evaluate(network.context(1), core.Rows(X[:1]), None, 0, 1, None)
    thread.join()
    assert len(errors) == 1 and "another thread is training this model" in errors[0]
    core.stochastic(short, few, None, 0, 1, None)
    core.update(short, network.new_gradient())


def test_each_thread_predicts_and_learns_with_a_context_of_its_own():
    model = Sequential([Dense(16, "relu"), Dense(1)], seed=0)
    model.build(4)
    X = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    expected, wrong = model.predict(X), []

    def predict(i):
        for _ in range(300):
            if model.predict(X[i : i + 1]) != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=predict, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_was_prepared_serves_a_forked_process_too():
    model = Sequential([Dense(16, "relu"), Dense(1)], seed=0)
    model.compile("SGD", "mse")
    model.build(4)
    X = np.ones((1, 4), np.float32)
    model.predict(X)
    loss = model.train_on_batch(X, 1.0)
    child = os.fork()
    if child == 0:
        fine = model.train_on_batch(X, 1.0) < loss and np.isfinite(model.predict(X)).all()
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_process_that_is_forked_while_a_thread_trains_can_train():
    model = Sequential([Dense(300, "relu"), Dense(1)], seed=0)
    model.compile(SGD(1e-4), "mse")
    X = np.random.default_rng(0).normal(size=(5000, 50)).astype(np.float32)
    begun = threading.Event()

    def train():
        model.fit(X, X[:, 0], epochs=10**6, callbacks=[Begun()])

    class Begun(Callback):
        def on_epoch_end(self, epoch, logs):
            begun.set()
            if epoch > 10 and ended:
                self.model.stop_training = True

    ended = []
    thread = threading.Thread(target=train)
    thread.start()
    begun.wait()
    child = os.fork()
    if child == 0:
        model.train_on_batch(X[:64], X[:64, 0])
        fine = len(model.fit(X, X[:, 0]).epoch) == 1 and np.isfinite(model.predict(X)).all()
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    ended.append(True)
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


# ---- few rows ----


@each_build
def test_few_rows_are_taken_or_left_to_the_ordinary_checks(build):
    network = make_network(build, [3, 5, 2], ["tanh", "linear"])
    core, context = network.core, network.context(4, quick=True)
    context.most_rows = 4
    X = np.ones((2, 3), network.dtype)
    assert len(core.few_rows(context, X)) == 2
    assert len(core.few_rows(context, X[0], None, True)) == 1
    bad = X.copy()
    bad[1, 2] = np.nan
    for other in (X[0], X[:, :2], bad, X.tolist(), X.T, np.ones((5, 3)), X[:0],
                  np.ma.masked_array(X), X.astype("m8[s]"), X.astype(object), None):  # fmt: skip
        assert core.few_rows(context, other) is None
    assert core.few_rows(context, X, None, True) is None


@each_build
def test_targets_of_a_row_are_checked_by_the_core(build):
    network = make_network(build, [3, 5, 6], ["tanh", "linear"])
    core, context = network.core, network.context(1, stochastic=True)
    context.set_loss(LOSSES["mean_squared_error"]().settings(6, network.dtype))
    context.most_rows = 1
    context.lowest_target, context.highest_target = 0.0, 1.0
    X, y = np.ones((1, 3), network.dtype), np.full((1, 6), 0.5)
    assert core.few_rows(context, X, y) is not None
    for wrong in (y[0], y[:, :5], y + 0.6, y * np.nan, y.T, 0.5, y.astype(object), "a", None and y):
        if wrong is not None:
            assert core.few_rows(context, X, wrong) is None
    context.targets_add_up = True
    assert core.few_rows(context, X, y) is None
    assert core.few_rows(context, X, np.eye(6)[2:3]) is not None
    weights = network.parameters[:3].reshape(1, 3)
    assert core.few_rows(context, weights, np.eye(6)[2:3]) is None  # would move under its feet
