"""What a recording is made into: what is left out, fused, joined, and where results lie."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.kernels.interpreter import FREE
from microreg.runtime import cpu
from microreg.runtime.plan import LINE, lay_out

from .steps import MODELS, Trained


def kernels(function, *args):
    """The names of the kernels that a function becomes, in order."""
    step = mr.compile(function)
    step(*args)
    return [launch.kernel.name for launch in step.last.program.launches]


X = mr.tensor(np.linspace(-1.0, 1.0, 12).reshape(3, 4))
W = mr.tensor(np.linspace(0.5, 1.0, 8).reshape(2, 4))


def test_what_nobody_needs_is_left_out():
    def step(x):
        x.exp().sum()
        return x.tanh()

    assert kernels(step, X) == ["tanh_map"]


def test_what_is_done_twice_is_done_once():
    assert kernels(lambda x: x.exp() * (x.exp() + 1.0), X).count("exp_map") == 1


def test_what_changed_meanwhile_is_done_again():
    w = nn.Parameter(mr.tensor([1.0, 2.0]))
    optimizer = optim.SGD([w], lr=0.1)

    def step():
        before = w.exp()
        (w * w).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        return before, w.exp()

    before, after = mr.compile(step)()
    np.testing.assert_allclose(before.data, np.exp([1.0, 2.0]), rtol=1e-6)
    np.testing.assert_allclose(after.data, np.exp([0.8, 1.6]), rtol=1e-6)


def test_a_result_that_is_shared_is_not_joined_by_what_follows():
    """relu goes into the product only if nobody else wants the product itself."""

    def alone(x, w):
        return mr.relu(nn.functional.linear(x, w))

    def shared(x, w):
        y = nn.functional.linear(x, w)
        return mr.relu(y) + y

    def returned(x, w):
        y = nn.functional.linear(x, w)
        return mr.relu(y), y

    assert kernels(alone, X, W) == ["fill", "linear"]  # a bias of zeros
    for function in (shared, returned):
        assert "relu_map" in kernels(function, X, W)
    for function in (alone, shared, returned):
        found, want = mr.compile(function)(X, W), function(X, W)
        for a, b in zip(*map(_parts, (found, want)), strict=True):
            np.testing.assert_allclose(a.data, b.data, 1e-12)


def _parts(result):
    return result if isinstance(result, tuple) else (result,)


def test_updates_of_neighbours_are_one_launch():
    trained = Trained()
    step = mr.compile(trained.step)
    step(*trained.batch(0))
    names = [launch.kernel.name for launch in step.last.program.launches]
    assert names.count("adam") == 1  # of four parameters


def lying(program, arena):
    """For each launch the stretches of the arena that it touches: (begin, end, written)."""
    origin = cpu.address(arena)
    out = []
    for launch in program.launches:
        specs = launch.kernel.signature.arrays[launch.kernel.scratch is not None :]
        places = []
        for a, spec in zip(launch.args, specs, strict=False):
            begin = cpu.address(a) - origin
            if 0 <= begin < arena.nbytes:
                places.append((begin, begin + a.nbytes, spec.written))
        out.append(places)
    return out


def meet(a, b):
    return a[0] < b[1] and b[0] < a[1]


def recorded(model):
    trained = Trained(model, "l1", "adam", np.float32)
    step = mr.compile(trained.step)
    step(*trained.batch(0))
    return step.last.program


@pytest.mark.parametrize("model", MODELS)
def test_no_kernel_but_an_elementwise_one_writes_over_what_it_reads(model):
    program = recorded(model)
    for launch, places in zip(program.launches, lying(program, program.arena), strict=True):
        for w in (p for p in places if p[2]):
            for other in places:
                same = launch.kernel.formula is not None and other[:2] == w[:2]
                assert other is w or same or not meet(w, other), launch.kernel.name


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_read_that_was_not_written(model):
    """Every byte of the arena that a launch reads has been written by one before it."""
    program = recorded(model)
    written = np.zeros(program.arena.nbytes, bool)
    for launch, places in zip(program.launches, lying(program, program.arena), strict=True):
        for begin, end, writes in places:
            if launch.kernel.name == "adam" and not writes:
                continue  # a joined gradient has gaps between its parameters
            assert writes or written[begin:end].all(), launch.kernel.name
        for begin, end, writes in places:
            written[begin:end] |= writes


@pytest.mark.parametrize("model", MODELS)
def test_launches_without_a_barrier_between_them_do_not_meet(model):
    """Or run on thread 0 all of them."""
    program = recorded(model)
    places = lying(program, program.arena)
    group = []
    for i, launch in enumerate(program.launches):
        for j in group:
            alone = launch.kernel.split is None and program.launches[j].kernel.split is None
            for a in places[j]:
                for b in places[i]:
                    assert alone or not (a[2] or b[2]) or not meet(a, b)
        group.append(i)
        if not program.table[i, 1] & FREE:
            group = []


def test_results_begin_at_cache_lines_and_share_memory():
    program = recorded("relu")
    for launch, places in zip(program.launches, lying(program, program.arena), strict=True):
        if launch.kernel.name != "adam":
            assert all(begin % LINE == 0 for begin, _, writes in places if writes)
    x = mr.tensor(np.zeros((64, 64)))
    step = mr.compile(lambda x: (((x @ x) @ x) @ x) @ x)
    step(x)
    assert step.last.nbytes <= 3 * x.data.nbytes + LINE  # not four


@pytest.mark.parametrize("seed", range(20))
def test_places_of_what_lives_at_once_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    begins = rng.integers(0, 30, 40)
    lives = {i: (b, b + rng.integers(0, 12)) for i, b in enumerate(begins)}
    sizes = {i: LINE * int(rng.integers(1, 9)) for i in lives}
    base = LINE * int(rng.integers(0, 3))
    starts, end = lay_out(lives, sizes, base)
    busiest = max(
        sum(sizes[i] for i, (first, last) in lives.items() if first <= t <= last) for t in range(45)
    )
    assert starts.keys() == lives.keys() and base + busiest <= end <= base + 1.3 * busiest
    for i in lives:
        assert base <= starts[i] and starts[i] + sizes[i] <= end
        for j in range(i):
            if lives[i][0] <= lives[j][1] and lives[j][0] <= lives[i][1]:
                assert starts[i] + sizes[i] <= starts[j] or starts[j] + sizes[j] <= starts[i]
