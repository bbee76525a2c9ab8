"""Programs and the thread team: the same bits for any number of threads, from any thread."""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from microreg.kernels._jit import specialize
from microreg.runtime import Launch, Program, cpu, get_num_threads, launch, set_num_threads


def scale(x, out, factor):
    for i in range(x.size):
        out[i] = factor * x[i]


def add(x, y, out):
    for i in range(x.size):
        out[i] = x[i] + y[i]


def partial_sums(x, partial):
    total = x[0] * 0
    for i in range(x.size):
        total += x[i] / (1 + i)
    partial[0] = total


def merge(partial, total):
    total[0] = 0
    for i in range(partial.size):
        total[0] += partial[i]


def sign_in(seen, tid, nt):
    seen[tid] = nt


def small_blocks(function, signature, split="n"):
    """A kernel with many blocks on little data, for which the team is always woken."""
    return specialize(function, signature, [function], split=split, block=64, grain=1)


SCALE = small_blocks(scale, "x[n] -> out[n]; factor")
ADD = small_blocks(add, "x[n] y[n] -> out[n]")
PARTIAL = small_blocks(partial_sums, "x[n] -> partial[blocks]")
MERGE = small_blocks(merge, "partial[b] -> total[one]", None)
SIGN_IN = small_blocks(sign_in, "-> seen:int64[n]; tid nt", "threads")


@pytest.fixture
def rng():
    return np.random.default_rng(17)


@pytest.fixture(autouse=True)
def keep_threads(monkeypatch):
    """Never let the team rest, however busy the machine; give the number of threads back."""
    monkeypatch.setattr(cpu, "LATE", 10**9)
    monkeypatch.setattr(cpu._team, "_rest", 0)
    before = get_num_threads()
    yield
    set_num_threads(before)


def chain(x):
    """y = 1.3 x + x and the sum of y, in four launches; the arrays that they write."""
    scaled, y, total = np.empty_like(x), np.empty_like(x), np.zeros(1, x.dtype)
    partial = np.empty(-(-x.size // 64), x.dtype)
    launches = [
        Launch(SCALE, (x, scaled, 1.3)),
        Launch(ADD, (scaled, x, y)),
        Launch(PARTIAL, (y, partial)),
        Launch(MERGE, (partial, total)),
    ]
    return Program(launches), y, total


@pytest.mark.parametrize("threads", [2, 4])
def test_every_thread_of_the_team_works(threads):
    set_num_threads(threads)
    for _ in range(20):
        seen = np.zeros(threads + 1, np.int64)
        launch(SIGN_IN, seen)
        np.testing.assert_array_equal(seen, [threads] * threads + [0])


def test_after_a_slow_job_one_thread_works_alone_for_a_while(monkeypatch):
    set_num_threads(2)
    monkeypatch.setattr(cpu, "LATE", -1)
    monkeypatch.setattr(cpu, "REST", 1e9)
    counts = []
    for share, rest in ((1e9, None), (-1.0, None), (-1.0, None), (-1.0, 0.0)):
        monkeypatch.setattr(cpu, "SHARE", share)  # below 0 every job counts as a slow one
        if rest is not None:
            cpu._team._rest = rest  # the while is over
        seen = np.zeros(3, np.int64)
        launch(SIGN_IN, seen)
        counts.append(int(seen[0]))
    assert counts == [2, 2, 1, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 4099])
def test_a_program_gives_the_same_bits_for_any_number_of_threads(n, dtype, rng):
    x = rng.normal(size=n).astype(dtype)
    results = []
    for threads in (1, 2, 4):
        set_num_threads(threads)
        program, y, total = chain(x)
        for _ in range(3):
            y[:] = total[:] = np.nan
            program.run()
        results.append((y.tobytes(), total.tobytes()))
        np.testing.assert_allclose(y, 2.3 * x, rtol=1e-6)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_launch_at_once_equals_a_program(threads, rng):
    set_num_threads(threads)
    x = rng.normal(size=777)
    program, y, _ = chain(x)
    program.run()
    scaled, out = np.empty_like(x), np.empty_like(x)
    launch(SCALE, x, scaled, 1.3)
    launch(ADD, scaled, x, out)
    np.testing.assert_array_equal(out, y)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_bound_array_is_read_and_kept_alive(threads, rng):
    set_num_threads(threads)
    program, y, _ = chain(rng.normal(size=300))
    for _ in range(5):
        new = rng.normal(size=300)
        want = 2.3 * new
        program.bind(0, 0, new)
        program.bind(1, 1, new)
        del new
        rng.normal(size=300)  # would take the place of an array that was let go
        program.run()
        np.testing.assert_allclose(y, want, rtol=1e-15)


def test_empty_arrays_and_empty_programs():
    for threads in (1, 2):
        set_num_threads(threads)
        launch(SCALE, np.zeros(0), np.zeros(0), 2.0)
        Program([]).run()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((np.ones(3), np.ones(4), 1.0), "scale: out: expected n = 3, got 4"),
        ((np.ones(3), np.ones(3, np.float32), 1.0), "expected float64 with 1 axes, got float32"),
        ((np.ones((2, 2)), np.ones(3), 1.0), "scale: out: expected n = 4, got 3"),
        ((np.ones(6)[::2], np.ones(3), 1.0), "expected a C-contiguous array"),
        ((np.ones(3), np.ones(3)), "expected 3 arguments, got 2"),
    ],
)
def test_a_program_verifies_its_arguments(args, words):
    with pytest.raises(TypeError, match=words):
        Program([Launch(SCALE, args)])


@pytest.mark.parametrize("threads", [0, -1, 64, 1.5, "2", None])
def test_set_num_threads_refuses_nonsense(threads):
    before = get_num_threads()
    with pytest.raises(ValueError, match="expected an integer from 1 to 63"):
        set_num_threads(threads)
    assert get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_several_python_threads_may_launch_at_once(threads, rng):
    set_num_threads(threads)
    inputs = [rng.normal(size=500 + 100 * i) for i in range(5)]
    wrong, start = [], threading.Barrier(len(inputs))

    def hammer(x):
        program, y, _ = chain(x)
        start.wait()
        for factor in range(1, 60):
            out = np.empty_like(x)
            launch(SCALE, x, out, float(factor))
            y[:] = np.nan
            program.run()
            if not (np.array_equal(out, factor * x) and np.allclose(y, 2.3 * x, rtol=1e-14)):
                wrong.append(factor)

    crowd = [threading.Thread(target=hammer, args=(x,), daemon=True) for x in inputs]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(timeout=60)
        assert not one.is_alive()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_child_of_a_fork_computes_on(threads, rng):
    set_num_threads(threads)
    x = rng.normal(size=1000)
    program, y, _ = chain(x)
    program.run()
    want = y.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking with threads
        child = os.fork()
    if child == 0:
        y[:] = np.nan
        try:
            program.run()
            launch(SCALE, x, x.copy(), 2.0)
        finally:
            os._exit(0 if np.array_equal(y, want) else 1)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child of a fork hangs")
        time.sleep(0.01)
    assert ended == (child, 0)
    program.run()
    np.testing.assert_array_equal(y, want)
