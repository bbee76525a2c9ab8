"""Trainings side by side: in Python threads, after a fork, in other processes, with any team."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.penalties import L1


def train(seed, epochs=2, rows=300):
    """A hash of all that a training with dropout and shuffling comes to."""
    mr.manual_seed(seed)
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(rows, 30)).astype(np.float32), rng.integers(0, 4, rows)
    model = nn.Sequential(
        nn.Linear(30, 90), nn.BatchNorm1d(90), nn.ReLU(), nn.Dropout(0.3), nn.Linear(90, 4)
    )
    mr.attach(model, L1(1e-4))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    history = mr.fit(model, (X, y), optimizer=optimizer, epochs=epochs, batch_size=64)
    digest = hashlib.sha256(repr(history.columns).encode() + mr.get_rng_state().tobytes())
    for value in model.state_dict().values():
        digest.update(value.data.tobytes())
    return digest.hexdigest()


def in_threads(seeds, epochs=2):
    """What trainings that run at once come to."""
    found, start = {}, threading.Barrier(len(seeds))

    def work(seed):
        start.wait()
        found[seed] = train(seed, epochs)

    crowd = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in seeds]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(120)
    return [found.get(seed) for seed in seeds]


@pytest.fixture
def threads():
    before = mr.get_num_threads()
    yield mr.set_num_threads
    mr.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_four_python_threads_train_at_once_as_each_does_alone(count, threads):
    threads(count)
    want = [train(seed) for seed in range(4)]
    assert in_threads(range(4)) == want


def test_each_thread_has_a_random_stream_of_its_own():
    mr.manual_seed(7)
    want = mr.rand(3).tolist()
    drawn = []

    def draw():
        drawn.append(mr.rand(3).tolist())
        mr.manual_seed(7)
        drawn.append(mr.rand(3).tolist())

    mr.manual_seed(7)
    for _ in range(2):
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
    assert mr.rand(3).tolist() == want == drawn[1] == drawn[3]
    assert len({str(one) for one in [want, drawn[0], drawn[2]]}) == 3


def test_no_grad_of_one_thread_is_not_that_of_another():
    inside, leave, seen = threading.Event(), threading.Event(), []

    def other():
        with mr.no_grad():
            inside.set()
            leave.wait(60)
            seen.append(mr.is_grad_enabled())

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(60)
    x = mr.ones(2, requires_grad=True)
    assert mr.is_grad_enabled() and (x * 2).requires_grad
    with mr.no_grad():
        leave.set()
        thread.join()
        assert not mr.is_grad_enabled() and not (x * 2).requires_grad
    assert seen == [False] and mr.is_grad_enabled()


# other processes


SCRIPT = f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_processes import *
print(train(3), *in_threads([0, 1, 2, 3]) if "crowd" in sys.argv else ())
"""


def process(*words, **variables):
    """What a training in a process of its own comes to."""
    environment = {**os.environ, **variables}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *words]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout.split()


@pytest.mark.parametrize("count", ["1", "2", "4", "16"])
def test_a_process_gives_the_same_bits_with_any_number_of_threads(count):
    """Sixteen are many more than there are cores."""
    assert process(MICROREG_NUM_THREADS=count) == [train(3)]


@pytest.mark.parametrize(
    "layer", ["omp", *(pytest.param(name, marks=pytest.mark.long) for name in ("workqueue", "tbb"))]
)
def test_numbas_threading_layers_do_not_matter(layer):
    """No kernel runs on them; there may be none at all, as without libgomp."""
    assert process("crowd", NUMBA_THREADING_LAYER=layer, MICROREG_NUM_THREADS="2") == [
        train(3), *(train(seed) for seed in range(4))
    ]  # fmt: skip


def test_no_openmp_is_loaded():
    code = (
        "import microreg as mr, sys; mr.set_num_threads(2); "
        "w = mr.ones(300, 300, requires_grad=True); (w @ w).exp().mean().backward(); "
        "print(any('gomp' in line or 'omppool' in line for line in open('/proc/self/maps')))"
    )
    if not os.path.exists("/proc/self/maps"):
        pytest.skip("needs /proc")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.stdout == "False\n", run.stderr


def child(connection, seed):
    connection.send(train(seed))
    connection.close()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_train_then_train_in_a_child_and_here(method, threads):
    threads(2)
    context = multiprocessing.get_context(method)
    want = train(5), train(6)
    assert in_threads([5, 6]) == list(want)  # the team and other threads have worked
    here, there = context.Pipe()
    started = context.Process(target=child, args=(there, 5), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking with threads
        started.start()
    assert train(6) == want[1]
    assert here.poll(120), "the child hangs"
    assert here.recv() == want[0]
    started.join(30)
    assert started.exitcode == 0


@pytest.mark.parametrize(
    "backend", ["threading", "multiprocessing", pytest.param("loky", marks=pytest.mark.long)]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_joblib(backend):
    joblib = pytest.importorskip("joblib")
    want = [train(seed) for seed in range(3)]
    found = joblib.Parallel(2, backend=backend)(joblib.delayed(train)(seed) for seed in range(3))
    assert found == want


@pytest.mark.long
def test_the_first_compilation_is_raced_by_four_threads(tmp_path):
    """With an empty cache: all four want the same kernels at once."""
    got = process("crowd", MICROREG_CACHE_DIR=str(tmp_path))
    assert got == [train(3), *(train(seed) for seed in range(4))]
