"""Any number of threads gives the same bits; how many run; how a team ends, whatever happens."""

import _thread
import gc
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from networks import BUILDS, COMBINATIONS, descent_for, make_data, make_network, make_rows

import fastnn
from fastnn import SGD, Adagrad, Adam, AdamW, Callback, Dense, RMSprop, Sequential
from fastnn.data.arrays import features
from fastnn.engine import network as _network
from fastnn.engine.network import Network
from fastnn.losses import LOSSES
from fastnn.native import team as _team
from fastnn.native import threads as _threads
from fastnn.native.team import Team

SIZES = [2, 3, 4, 7]
FASTEST = BUILDS[-2:]  # one of each number type
N_ROWS = 300

each_build = pytest.mark.parametrize("build", BUILDS, ids="-".join)
each_fast_build = pytest.mark.parametrize("build", FASTEST, ids="-".join)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


# ---- the same bits ----

PLAIN = SGD(0.05)


def outcome(
    size, build, sizes, activations, loss, batch_size, n_rows=N_ROWS, weights=None,
    optimizer=PLAIN,
):  # fmt: skip
    """The bits that training, prediction, evaluation and gradient give on `size` threads."""
    network = make_network(build, sizes, activations)
    X, y = make_rows(network, loss, n_rows)
    data, kernel = make_data(network, loss, X, y, weights), LOSSES[loss]()
    order = np.random.default_rng(1).permutation(n_rows)
    with Team(size) as team:
        assert team.size == size
        descent = descent_for(network, optimizer, kernel, data, True, team)
        orders = [order, None]
        pieces = [piece for order in orders for piece in descent.epoch(order, batch_size)]
        predictions = network.predict(features(X, network.dtype), team)
        gradient = network.gradient(data, kernel, team)
        *_, last = network.evaluate(data, kernel, team)
    assert np.isfinite(last.total)
    arrays = network.parameters, pieces[-1].predictions, predictions, gradient, last.predictions
    return [array.tobytes() for array in arrays], [piece.total for piece in pieces], last.total


def assert_same_for_any_size(*case, sizes=SIZES, **more):
    alone = outcome(1, *case, **more)
    for size in sizes:
        assert outcome(size, *case, **more) == alone


@each_build
@pytest.mark.parametrize("batch_size", [1, 5, 31, 32, 257, N_ROWS])
def test_any_mode_and_size_of_batch(build, batch_size):
    case = build, [7, 33, 18, 5], ["relu", "tanh", "softmax"], "categorical_crossentropy"
    assert_same_for_any_size(*case, batch_size)


@each_fast_build
@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.01, 0.9), Adam(), Adam(amsgrad=True), AdamW(), RMSprop(momentum=0.5), Adagrad()],
    ids=repr,
)
@pytest.mark.parametrize("batch_size", [1, 37, 90])
def test_any_optimiser(build, optimizer, batch_size):
    case = build, [19, 35, 3], ["relu", "softmax"], "categorical_crossentropy", batch_size
    assert_same_for_any_size(*case, sizes=[2, 3], n_rows=90, optimizer=optimizer)


@each_fast_build
@pytest.mark.parametrize(("hidden", "loss", "output"), COMBINATIONS)
def test_any_activation_and_loss_with_sample_weights(build, hidden, loss, output):
    weights = np.random.default_rng(3).integers(0, 3, 90)
    case = build, [19, 35, 3], [hidden, output], loss, 37
    assert_same_for_any_size(*case, sizes=[2, 3], n_rows=90, weights=weights)


@each_fast_build
@pytest.mark.parametrize(
    "sizes",
    [(1, 1), (3, 8, 8, 1), (17, 16, 1), (130, 66, 10), (50, 257), (20, 130, 200, 7)]
    + [(40, 16, 16), (90, 3, 40, 2, 6)],
)
@pytest.mark.parametrize("n_rows", [1, 2, 5, 31, 259])
def test_any_width_and_number_of_rows(build, sizes, n_rows):
    activations = ["relu"] * (len(sizes) - 2) + ["linear"]
    case = build, sizes, activations, "mean_squared_error"
    for batch_size in (min(n_rows, 32), n_rows):
        assert_same_for_any_size(*case, batch_size, n_rows=n_rows)


@each_fast_build
def test_many_short_runs_on_more_threads_than_cpus(build):
    """One slice a step: every barrier of a run is passed thousands of times."""
    results = []
    for size in (1, 2, 5):
        network = make_network(build, [5, 9, 2], ["relu", "linear"])
        X, y = make_rows(network, "mean_squared_error", 64)
        data, kernel = make_data(network, "mean_squared_error", X, y), LOSSES["mean_squared_error"]
        network.slice_rows = network.block = 16
        with Team(size) as team:
            descent = descent_for(network, SGD(0.01), kernel(), data, False, team)
            for _ in range(100):
                *_, last = descent.epoch(None, 16)
        results.append((network.parameters.tobytes(), last.total))
    assert results[1:] == results[:1] * 2


@each_fast_build
def test_a_shorter_last_block_waits_for_the_block_before_it(build):
    """Its shares begin at other rows of the scratch memory that the members have in common."""
    network = make_network(build, [5, 9, 2], ["tanh", "softmax"])
    X, _ = make_rows(network, "mean_squared_error", network.block + 44)
    rows = features(X, network.dtype)
    alone = network.predict(rows).tobytes()
    with Team(3) as team:
        assert {network.predict(rows, team).tobytes() for _ in range(300)} == {alone}


# ---- the models ----


@pytest.fixture
def three_threads(monkeypatch):
    """Every call runs on three threads, on whatever machine and however small it is."""
    for module in (_threads, _network):
        monkeypatch.setattr(module, "STEP_WORK", 1e-9)
    monkeypatch.setattr(_threads, "system_limits", lambda: {"CPUs": 3})
    for name in (_threads.OWN_VARIABLE, *_threads.SHARED_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    sizes = []
    open_team = Team._open

    def noted(team):
        open_team(team)
        sizes.append(team.size)

    monkeypatch.setattr(Team, "_open", noted)
    return sizes


def new_model(seed=0):
    model = Sequential([Dense(20, "tanh"), Dense(3, "softmax")], seed=seed)
    model.compile(SGD(0.1), "categorical_crossentropy", ["accuracy"])
    return model


X = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)


@pytest.mark.parametrize(("mode", "size"), [("stochastic", 1), ("minibatch", 3), ("batch", 3)])
def test_a_model_is_the_same_for_any_number_of_threads(mode, size, three_threads):
    results = []
    for threads in (1, 2, None):
        model = new_model()
        options = {"mode": mode, "epochs": 3, "validation_split": 0.2, "threads": threads}
        history = {**model.fit(X, Y, **options).history}
        del history["seconds"], history["samples_per_second"]
        scores = model.evaluate(X, Y, threads=threads)
        arrays = [*model.get_weights(), model.predict(X, threads=threads)]
        arrays += model.gradient(X, Y, threads=threads).values()
        results.append((history, scores, [array.tobytes() for array in arrays]))
    assert results[1:] == results[:1] * 2
    fits = [] if size == 1 else [2], [] if size == 1 else [size]  # one thread needs no team
    assert three_threads == [1] * 3 + fits[0] + [2] * 3 + fits[1] + [3] * 3


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_threads_is_refused(threads):
    model, error = new_model(), (ValueError if type(threads) is int else TypeError)
    with pytest.raises(error, match=f"threads={threads!r}: expected"):
        model.fit(X, Y, threads=threads)
    assert not model.built
    model.fit(X, Y)
    calls = model.predict, lambda X, **more: model.evaluate(X, Y, **more)
    for call in (*calls, lambda X, **more: model.gradient(X, Y, **more)):
        with pytest.raises(error, match=f"threads={threads!r}: expected"):
            call(X, threads=threads)


def test_two_models_train_at_the_same_time(three_threads):
    def weights(seed):
        model = new_model(seed)
        model.fit(X, Y, epochs=20)
        return [array.tobytes() for array in model.get_weights()]

    expected = [weights(0), weights(1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(weights, [0, 1])) == expected


# ---- however it ends ----


def assert_usable(model):
    assert all(np.isfinite(array).all() for array in model.get_weights())
    assert model.history.epoch == list(range(model.epochs_trained))
    assert np.isfinite(model.fit(X, Y, epochs=2).history["loss"]).all()


def interrupting(call, when, n_calls):
    """`call`, with Ctrl-C at its n_calls-th call, before or after it has done its work."""
    counter = itertools.count(1)

    def interrupted(*arguments, **more):
        due = next(counter) == n_calls
        if due and when == "before":
            raise KeyboardInterrupt
        result = call(*arguments, **more)
        if due:
            raise KeyboardInterrupt
        return result

    return interrupted


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "place", ["start_new_thread", "put", "partial", "opens", "run", "_abort", "_dismiss"]
)
@pytest.mark.parametrize("n_calls", [1, 2, 3])
def test_an_interrupt_while_the_team_starts_works_or_ends(
    place, when, n_calls, three_threads, monkeypatch
):
    class Queue(_team.SimpleQueue):
        def put(self, job):
            put(super().put, job)

    if place == "put":
        put = interrupting(lambda call, job: call(job), when, n_calls)
        monkeypatch.setattr(_team, "SimpleQueue", Queue)
    else:
        owner = _team if hasattr(_team, place) else Team
        monkeypatch.setattr(owner, place, interrupting(getattr(owner, place), when, n_calls))
    model = new_model()
    try:
        model.fit(X, Y, epochs=5)
    except KeyboardInterrupt:
        pass
    else:
        assert n_calls > 1
        assert place in ("start_new_thread", "_abort", "_dismiss")  # these are called less often
    monkeypatch.undo()
    assert [t.name for t in threading.enumerate() if "fastnn" in t.name] == []
    assert_usable(model)


def test_a_helper_that_fails_ends_the_run_for_all(three_threads, monkeypatch):
    def failing(function, *arguments):
        def job():
            raise MemoryError

        return job

    monkeypatch.setattr(_team, "partial", failing)
    model = new_model()
    with pytest.raises(MemoryError):
        model.fit(X, Y)
    monkeypatch.undo()
    assert_usable(model)


def test_an_exception_in_a_callback_ends_the_team(three_threads):
    class Stop(Callback):
        def on_slice_end(self, n_rows, logs):
            assert threading.active_count() >= 3
            raise LookupError

    model = new_model()
    with pytest.raises(LookupError):
        model.fit(X, Y, callbacks=[Stop()])
    assert_usable(model)


def fail_to_start(call, arguments):
    raise RuntimeError("can't start new thread")


def lack_memory(call, arguments):
    raise MemoryError


def die_at_once(call, arguments):
    """As a thread does that has no memory for its first call."""


def begin_late(call, arguments):
    def later():
        time.sleep(0.2)
        call(*arguments)
        ended.release()

    _thread.start_new_thread(later, ())


ended = threading.Semaphore(0)


@pytest.mark.parametrize("start", [fail_to_start, lack_memory, die_at_once, begin_late])
def test_where_no_thread_begins_the_caller_works_alone(start, three_threads, monkeypatch):
    model, other = new_model(), new_model()
    other.fit(X, Y)
    monkeypatch.setattr(_team, "start_new_thread", start)
    monkeypatch.setattr(_team, "PATIENCE", 5)
    model.fit(X, Y)
    assert three_threads == [3, 1]
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if start is begin_late:
        assert all(ended.acquire(timeout=20) for _ in range(2))


def test_a_team_that_failed_in_a_run_works_alone():
    def failing(member=0, size=1, words=None):
        if size > 1:
            raise LookupError
        return 7.0

    with Team(3) as team:
        with pytest.raises(LookupError):
            team.run(failing)
        assert team.run(failing) == 7


class Struck(BaseException):
    pass


def striking(gaps):
    """A trace function that raises in the team's own functions, each time after more steps.

    Not in `__enter__`, where the interpreter looks for signals only while `_open` runs. Also what
    is left of the gaps.
    """
    left = list(gaps)

    def trace(frame, event, argument):
        if frame.f_code.co_filename != _team.__file__ or frame.f_code.co_name == "__enter__":
            return None
        frame.f_trace_opcodes = True
        if left and event in ("call", "opcode"):
            left[0] -= 1
            if left[0] <= 0:
                del left[0]
                raise Struck
        return trace

    return trace, left


@pytest.mark.parametrize("gaps", [(), (1,), (2, 2), (9,), (30, 1, 1), (60,)], ids=str)
def test_exceptions_at_any_step_leave_no_thread(gaps, monkeypatch):
    monkeypatch.setattr(_team, "PATIENCE", 100)
    network = make_network(FASTEST[0], [5, 9, 2], ["relu", "linear"])
    rows = features(make_rows(network, "mean_squared_error", 64)[0], network.dtype)
    first, left, before, n_threads = 0, [], sys.gettrace(), threading.active_count()
    while len(left) <= len(gaps):  # until the first comes after the end
        first += 1 + 2 * len(gaps)
        trace, left = striking([first, *gaps])
        sys.settrace(trace)
        try:
            with Team(3) as team:
                network.predict(rows, team)
        except Struck:
            pass
        finally:
            sys.settrace(before)
        assert threading.active_count() == n_threads, first
    assert first > 100


def test_a_closed_team_keeps_no_thread_and_no_data():
    team = Team(2)
    with team:
        team.run(lambda *arguments: 0.0)
    assert team.run(lambda *arguments: float(len(arguments)), 1, 2) == 2  # alone
    assert not any(isinstance(found, threading.Thread) for found in gc.get_referents(vars(team)))


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


LONG_FIT = """
    import os, signal, threading, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    import numpy as np
    from fastnn import SGD, Dense, Sequential
    from fastnn.native import threads as _threads
    _threads.STEP_WORK = 1e-9
    _threads.system_limits = lambda: {"CPUs": 3}
    X = np.random.default_rng(0).normal(size=(20000, 30)).astype("f")
    model = Sequential([Dense(64, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile(SGD(1e-4), loss="binary_crossentropy")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="sends signals of POSIX")
@pytest.mark.parametrize("batch_size", [64, 20000])
def test_ctrl_c_again_and_again(batch_size):
    code = (
        LONG_FIT
        + f"""
    def fit():
        model.fit(X, X[:, 0] > 0, epochs=10**6, batch_size={batch_size}, threads=3)
    ended = 0
    for delay in [0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2] * 2:
        def send():
            global sent
            time.sleep(delay)
            sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
        sender = threading.Thread(target=send)
        try:
            sender.start()
            fit()
        except KeyboardInterrupt:
            assert time.monotonic() - sent < 5
            ended += 1
        sender.join()
        assert threading.active_count() == 1, threading.enumerate()
    assert all(np.isfinite(array).all() for array in model.get_weights())
    print(ended)
    """
    )
    result = run_python(code)
    assert (result.stderr, result.stdout) == ("", "18\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="sends signals of POSIX")
@pytest.mark.slow
def test_storms_of_signals():
    storm = Path(__file__).with_name("storm.py").read_text()
    code = storm.replace("main(*map(int, sys.argv[1:]))", "main(100, 0)")
    result = run_python(code)
    assert (result.stderr, result.stdout) == ("", "100\n")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif("tsan" in os.environ.get("LD_PRELOAD", ""), reason="needs all addresses")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="it needs memory itself")
def test_at_the_edge_of_memory_a_fit_ends():
    """A thread is started on the stack of an earlier one, and has no memory to begin."""
    code = (
        LONG_FIT
        + """
    import resource
    from fastnn.native import team as _team
    _team.PATIENCE = 20
    rows, fit = (X[:64], X[:64, 0] > 0), {"epochs": 2, "batch_size": 32, "threads": 3}
    model.fit(*rows, **fit)
    n_pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (n_pages * resource.getpagesize(), -1))
    try:
        model.fit(*rows, **fit)
    except MemoryError:
        pass
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(threading.active_count(), np.isfinite(model.fit(*rows, **fit).history["loss"]).all())
    """
    )
    assert run_python(code).stdout == "1 True\n"


def test_a_program_ends_while_a_thread_of_it_trains():
    code = (
        LONG_FIT
        + """
    y, begun = X[:, 0] > 0, threading.Event()
    fit = {"epochs": 10**6, "batch_size": 64, "callbacks": [Begun()], "threads": 3}
    threading.Thread(target=model.fit, args=(X, y), kwargs=fit, daemon=True).start()
    begun.wait()
    time.sleep(0.05)
    """
    ).replace(
        "    y, begun",
        """
    from fastnn import Callback
    class Begun(Callback):
        def on_slice_end(self, n_rows, logs):
            begun.set()
    y, begun""",
    )
    result = run_python(code)
    assert (result.stderr, result.returncode) == ("", 0)


def test_a_callback_trains_and_predicts_with_a_team_of_its_own(three_threads):
    class Nested(Callback):
        def on_epoch_end(self, epoch, logs):
            other = new_model(1)
            other.fit(X, Y)
            scores.append(other.predict(X).tobytes() + self.model.predict(X).tobytes())

    weights, scores = [], []
    for threads in (1, 3):
        model = new_model()
        model.fit(X, Y, epochs=2, callbacks=[Nested()], threads=threads)
        weights.append([array.tobytes() for array in model.get_weights()])
    assert weights[0] == weights[1]
    assert scores[:2] == scores[2:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_trains_on_after_a_fit_and_within_one():
    code = (
        LONG_FIT
        + """
    from hashlib import sha256
    from fastnn import Callback

    class Fork(Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == when:
                fork()
        def on_train_end(self, logs):
            if when == 3:
                fork()

    def fork():
        global pid
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)

    read, write = os.pipe()
    for when in (0, 1, 2, 3):
        for _ in range(2):
            model.fit(X, X[:, 0] > 0, batch_size=64, epochs=3, callbacks=[Fork()] * (not _))
        digest = sha256(b"".join(array.tobytes() for array in model.get_weights())).digest()
        if pid == 0:
            os.write(write, digest)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert os.read(read, 99) == digest
    """
    )
    result = run_python(code, PYTHONWARNINGS="ignore")
    assert (result.stderr, result.returncode) == ("", 0)


# ---- how many ----


@pytest.fixture
def eight_cpus(monkeypatch):
    monkeypatch.setattr(_threads, "system_limits", lambda: {"affinity": 8})
    for name in (_threads.OWN_VARIABLE, *_threads.SHARED_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_threads_are_an_upper_bound(eight_cpus):
    much = 1e12
    assert _threads.thread_count(None, much) == 8
    assert _threads.thread_count(3, much) == 3
    assert _threads.thread_count(100, much) == 8


def test_a_small_step_runs_on_fewer_threads(eight_cpus):
    step = _threads.STEP_WORK
    assert _threads.thread_count(8, 3 * step) == 3
    for small in (1.9 * step, 0):
        assert _threads.thread_count(8, small) == _threads.thread_count(None, small) == 1


VARIABLES = [
    ({"OMP_NUM_THREADS": "3"}, 3),
    ({"OMP_NUM_THREADS": "4,2"}, 4),
    ({"OMP_NUM_THREADS": "100"}, 8),
    ({"OMP_NUM_THREADS": "many"}, 8),
    ({"OMP_NUM_THREADS": "0"}, 8),
    ({"OMP_NUM_THREADS": ""}, 8),
    ({"LOKY_MAX_CPU_COUNT": "2"}, 2),
    ({"OMP_NUM_THREADS": "5", "LOKY_MAX_CPU_COUNT": "2"}, 2),
    ({"OMP_NUM_THREADS": "1", "FASTNN_NUM_THREADS": "6"}, 6),
    ({"FASTNN_NUM_THREADS": "100"}, 8),
    ({"FASTNN_NUM_THREADS": ""}, 8),
]


@pytest.mark.parametrize(("variables", "expected"), VARIABLES)
def test_variables_limit_the_default_but_not_what_is_asked_for(variables, expected, eight_cpus):
    for name, value in variables.items():
        eight_cpus.setenv(name, value)
    assert _threads.default_threads() == expected
    assert _threads.thread_count(7, 1e12) == 7


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "two", "²"])
def test_a_wrong_variable_of_our_own_is_named(value, eight_cpus):
    eight_cpus.setenv("FASTNN_NUM_THREADS", value)
    with pytest.raises(ValueError, match=f"FASTNN_NUM_THREADS='{value}': expected .* at least 1"):
        _threads.default_threads()


def test_a_wrong_variable_of_our_own_is_reported_at_import():
    result = run_python("import fastnn", FASTNN_NUM_THREADS="none")
    assert "ValueError: FASTNN_NUM_THREADS='none': expected" in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_affinity_limits_the_threads():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); import fastnn;"
    result = run_python(code + "print(fastnn.show_config('dicts')['Threads'])")
    assert result.stdout == "{'in use': 1, 'limited by': 'affinity', 'usable CPUs': 1}\n"


def test_show_config_tells_what_limits_the_threads(eight_cpus):
    eight_cpus.setenv("OMP_NUM_THREADS", "3")
    found = fastnn.show_config("dicts")["Threads"]
    assert found == {"in use": 3, "limited by": "OMP_NUM_THREADS", "usable CPUs": 8}


GROUPS = [  # /proc/self/cgroup, files below /sys/fs/cgroup, CPUs
    ("0::/\n", {"cpu.max": "max 100000\n"}, None),
    ("0::/\n", {"cpu.max": "300000 100000\n"}, 3),
    ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
    ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
    ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
    ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "200000 100000"}, 2),
    ("0::/../x\n", {}, None),
    ("2:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ("2:cpu,cpuacct:/a\n",
     {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"}, 4),
    ("3:cpuset:/\n1:name=systemd:/\n", {}, None),
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.parametrize(("groups", "files", "expected"), GROUPS)
def test_the_quota_of_a_control_group(groups, files, expected, tmp_path):
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in {**files, "proc/self/cgroup": groups}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _threads.cgroup_cpus(tmp_path) == expected
    assert _threads.cgroup_cpus(tmp_path / "nowhere") is None


def test_small_nets_run_alone(eight_cpus):
    network = Network(3, [Dense(8), Dense(1)], "float32")
    assert network.training_team(None, 32).size == 1
    large = Network(784, [Dense(512), Dense(10)], "float32")
    assert large.training_team(None, 256).size == 8
    assert large.forward_team(None, 1).size == 1
