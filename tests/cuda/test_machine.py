"""The machine finds what it is for: faults of each kind are planted, and costs are counted."""

import numpy as np
import pytest

from microreg.kernels import matmul, reduce
from microreg.kernels._spec import Signature
from microreg.kernels.cuda import plan
from microreg.kernels.cuda._words import (
    ballot,
    barrier,
    block,
    load4,
    shared,
    shuffle,
    store4,
    thread,
    threads,
)  # fmt: skip
from microreg.runtime.cuda import Device

from .ptx import Counters, Fault, parse
from .simulated import Simulated

N, THREADS, F32 = 256, 128, np.dtype(np.float32)
DIALECTS = [(8, 0), (10, 0)]  # before 10.0 another generation of the compiler is at work

in_both = pytest.mark.parametrize("cc", DIALECTS, ids=["cc80", "cc100"])


def run(function, cc=(8, 0), change=None, grid=2, n=N, counters=None):
    """out after function(x, out, n) with x = 0, 1, ..., in blocks of 128 threads."""
    from microreg.kernels.cuda import _lower

    code = plan.Code(function, Signature("x[n] -> out[n]"), threads=THREADS)
    text = _lower.ptx(code, F32, cc)
    changed = change(text) if change else text
    assert change is None or changed != text
    device = Device(Simulated(cc))
    device.driver.machine.counters = counters
    x, out = device.upload(np.arange(n, dtype=F32)), device.empty((n,), F32)
    numbers = [plan.address(x), plan.address(out), n, 0]
    device.driver.launch(parse(changed)[plan.NAME], (grid, 1, 1), THREADS, numbers)
    return device.fetch(out)


def fault(*args, **kwargs):
    """The kind of the fault that a run ends with."""
    with pytest.raises(Fault) as found:
        run(*args, **kwargs)
    return found.value.kind


# kernels without a fault; those below differ from one of them in a line


def copy(x, out, n):
    i = block(0) * threads() + thread()
    if i < n:
        out[i] = x[i]


def copy4(x, out, n):
    i = (block(0) * threads() + thread()) * 4
    if i < n:
        store4(out, i, load4(x, i))


def reverse(x, out, n):
    """Each block's part backwards, by way of its memory."""
    memory, i = shared(128, x[0]), block(0) * threads() + thread()
    memory[thread()] = x[i]
    barrier()
    out[i] = memory[threads() - 1 - thread()]


def neighbours(x, out, n):
    i = block(0) * threads() + thread()
    out[i] = shuffle(x[i], 1)


@in_both
def test_kernels_without_a_fault_run(cc):
    x = np.arange(N, dtype=F32)
    np.testing.assert_array_equal(run(copy, cc), x)
    np.testing.assert_array_equal(run(copy4, cc), x)
    np.testing.assert_array_equal(run(reverse, cc), x.reshape(2, 128)[:, ::-1].reshape(-1))
    np.testing.assert_array_equal(run(neighbours, cc), x.reshape(-1, 2)[:, ::-1].reshape(-1))


@in_both
def test_finds_a_read_behind_the_end(cc):
    def beyond(x, out, n):
        i = block(0) * threads() + thread()
        if i < n:
            out[i] = x[i + 1]

    assert fault(beyond, cc) == "out of bounds"


@in_both
def test_finds_a_write_before_the_beginning(cc):
    def before(x, out, n):
        i = block(0) * threads() + thread()
        out[i - 1] = x[i]

    assert fault(before, cc) == "out of bounds"


@in_both
def test_finds_an_access_beyond_a_blocks_memory(cc):
    def beyond(x, out, n):
        memory, i = shared(128, x[0]), block(0) * threads() + thread()
        memory[thread() + 1] = x[i]
        barrier()
        out[i] = memory[threads() - 1 - thread()]

    assert fault(beyond, cc) == "out of bounds"


@in_both
def test_finds_a_grid_that_is_too_large(cc):
    def unchecked(x, out, n):
        i = block(0) * threads() + thread()
        out[i] = x[i]

    assert fault(unchecked, cc, grid=3) == "out of bounds"


@in_both
def test_finds_four_numbers_taken_from_where_they_are_not_aligned(cc):
    def askew(x, out, n):
        i = (block(0) * threads() + thread()) * 4
        if i + 4 < n:
            store4(out, i, load4(x, i + 1))

    assert fault(askew, cc) == "misaligned"


@in_both
def test_finds_a_race_in_a_blocks_memory(cc):
    def hasty(x, out, n):
        memory, i = shared(128, x[0]), block(0) * threads() + thread()
        memory[thread()] = x[i]
        out[i] = memory[threads() - 1 - thread()]

    assert fault(hasty, cc) == "race"


@in_both
def test_finds_a_race_with_the_next_turn(cc):
    """What a block wrote is read behind the barrier while a fast thread writes anew."""

    def turns(x, out, n):
        memory, i = shared(128, x[0]), block(0) * threads() + thread()
        total = x[i]
        for _ in range(2):
            memory[thread()] = total
            barrier()
            total += memory[threads() - 1 - thread()]
        out[i] = total

    assert fault(turns, cc) == "race"


@in_both
def test_finds_blocks_that_write_the_same_word(cc):
    def crowded(x, out, n):
        out[thread()] = x[block(0) * threads() + thread()]

    assert fault(crowded, cc) == "race"


@in_both
def test_finds_a_block_that_reads_what_another_writes(cc):
    """No barrier lies between blocks."""

    def across(x, out, n):
        i = block(0) * threads() + thread()
        out[i] = x[i]
        barrier()
        out[i] = out[n - 1 - i]

    assert fault(across, cc) == "race"


@in_both
def test_finds_a_barrier_that_some_threads_pass_by(cc):
    def parted(x, out, n):
        memory, i = shared(128, x[0]), block(0) * threads() + thread()
        if thread() < 64:
            memory[thread()] = x[i]
            barrier()
            out[i] = memory[63 - thread()]

    assert fault(parted, cc) == "barrier"


@in_both
def test_finds_a_barrier_behind_an_early_end(cc):
    def ended(x, out, n):
        memory, i = shared(128, x[0]), block(0) * threads() + thread()
        if i >= n:
            return
        memory[thread()] = x[i]
        barrier()
        out[i] = memory[thread()]

    assert fault(ended, cc, n=200) == "barrier"


@in_both
def test_finds_a_shuffle_that_half_a_warp_takes_part_in(cc):
    def halves(x, out, n):
        i = block(0) * threads() + thread()
        if thread() % 32 < 16:
            out[i] = shuffle(x[i], 1)

    assert fault(halves, cc) == "lanes"


@in_both
def test_finds_a_ballot_that_a_lane_misses(cc):
    def missing(x, out, n):
        i = block(0) * threads() + thread()
        if thread() % 32 != 7:
            out[i] = type(x[0])(ballot(x[i] > type(x[0])(3)))

    assert fault(missing, cc) == "lanes"


def test_finds_a_wrong_mask_of_a_shuffle():
    assert fault(neighbours, change=lambda text: text.replace(", -1;", ", 65535;")) == "lanes"


def test_memory_that_nobody_wrote_is_seen_in_the_results():
    def idle(x, out, n):
        if block(0) == 0:
            out[thread()] = x[thread()]

    assert np.isnan(run(idle)[128:]).all()


# faults planted in the project's own kernels


def of_kernel(kernel, args, change, dtype=F32, cc=(8, 0)):
    """Launch what runs for a kernel of the CPU, its PTX changed."""
    device = Device(Simulated(cc))
    load = device.driver.load
    changes = []

    def changed(code, dtype):
        text = code.ptx(dtype, cc)
        changes.append(change(text) != text)
        return parse(change(text))[plan.NAME] if changes[-1] else load(code, dtype)

    device.driver.load = changed
    there = [device.upload(x) if isinstance(x, np.ndarray) else x for x in args]
    device.launch(kernel, tuple(there))
    assert any(changes)


def without_barriers(text):
    return text.replace("bar.sync \t0;", "").replace("barrier.sync \t0;", "")


OURS = {
    "matmul": (matmul.matmul_nn, lambda r: (r(70, 40), r(40, 68), r(70, 68))),
    "sums of columns": (
        reduce.sum_columns_partial,
        lambda r: (r(70, 9), r(reduce.sum_columns_partial.blocks({"n": 70, "d": 9}), 9)),
    ),
    "sums of long rows": (reduce.sum_rows, lambda r: (r(3, 5000), r(3))),
}


@pytest.mark.parametrize("name", OURS)
def test_a_race_is_found_where_a_kernel_loses_its_barriers(name, rng):
    kernel, make = OURS[name]
    args = make(lambda *shape: rng.normal(size=shape).astype(F32))
    with pytest.raises(Fault) as found:
        of_kernel(kernel, args, without_barriers)
    assert found.value.kind == "race"


def test_a_product_whose_memory_is_aligned_to_a_number_is_found(rng):
    """Four numbers at once need 16 bytes; a linker may put what asks for 4 anywhere."""
    args = [rng.normal(size=(64, 64)).astype(F32) for _ in range(3)]
    with pytest.raises(Fault) as found:
        of_kernel(
            matmul.matmul_nn, args, lambda t: t.replace(".shared .align 16", ".shared .align 4")
        )
    assert found.value.kind == "misaligned"


# costs


@pytest.mark.parametrize("function, per_request", [(copy, 4), (copy4, 16)])
def test_counts_the_sectors_that_a_warp_moves(function, per_request):
    counters = Counters()
    run(function, counters=counters)
    assert counters.sectors_per_request("load") == per_request
    assert counters.sectors_per_request("store") == per_request


@pytest.mark.parametrize("step, conflicts", [(1, 1), (2, 2), (3, 1), (8, 8), (32, 32)])
def test_counts_conflicts_of_banks(step, conflicts):
    def strided(x, out, n):
        memory, i = shared(4096, x[0]), block(0) * threads() + thread()
        memory[thread() * step] = x[i]
        barrier()
        out[i] = memory[thread() * step]

    counters = Counters()
    run(strided, counters=counters)
    assert counters.conflicts("store") == counters.conflicts("load") == conflicts
