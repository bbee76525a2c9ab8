"""What holds for every kernel beside `test_threads.py`: its machine code computes what the Python
function says, and has the same bits however it is launched and whatever lies beside a block."""

import numpy as np
import pytest

from microreg.kernels._jit import FAR
from microreg.runtime import launch

from .entries import Draw
from .registry import ENTRIES
from .running import arrays, at_once, bits, close, copied, in_a_table, interpreted

every = pytest.mark.parametrize("line", ENTRIES, ids=lambda line: line.name)


@every
def test_the_machine_code_does_what_the_python_function_says(line, dtype):
    args = line.make(Draw(dtype), line.small)
    line.kernel.check(args)
    close(line.kernel, at_once(line.kernel, args), interpreted(line.kernel, args))


@every
def test_same_bits_at_once_and_in_a_table(line, dtype):
    for n in (line.small, line.large):
        args = line.make(Draw(dtype), n)
        want = bits(line.kernel, in_a_table(line.kernel, args))
        assert bits(line.kernel, at_once(line.kernel, args)) == want


def sizes(kernel, args):
    """The size of each dimension by its name."""
    given = args if kernel.scratch is None else (np.empty((1, 0)), *args)
    return {name: given[i].shape[axis] for name, i, axis in kernel.signature.dims}


def block(kernel, args, rows, index):
    """The arguments for one block alone: its part of every array that is divided."""

    def part(spec, array):
        if spec.dims[:1] == ("blocks",):
            return array[index : index + 1]
        if spec.dims[:1] == (kernel.split,):
            return array[index * rows : (index + 1) * rows]
        return array

    divided = [part(spec, array) for spec, array in arrays(kernel, args)]
    return (*divided, *args[len(divided) :])


def block_by_block(kernel, args):
    """The arguments after a launch for each block."""
    args = copied(args)
    found = sizes(kernel, args)
    for index in range(kernel.blocks(found)):
        launch(kernel, *block(kernel, args, kernel.rows(found), index))
    return args


def divisible(kernel):
    """Whether a block can run alone: all that it writes is its own, and it asks for no place."""
    written = [a.dims[:1] for a in kernel.signature.arrays if a.written]
    own = all(dims in ((kernel.split,), ("blocks",)) for dims in written)
    placeless = not {"start", "tid", "nt"} & set(kernel.signature.reserved) or kernel.scratch
    return kernel.split not in (None, "threads") and own and placeless


DIVISIBLE = [line for line in ENTRIES if divisible(line.kernel)]


@pytest.mark.parametrize("line", DIVISIBLE, ids=lambda line: line.name)
def test_a_block_gives_what_it_gives_alone(line, dtype):
    args = line.make(Draw(dtype), line.large)
    assert line.kernel.blocks(sizes(line.kernel, args)) > 2
    want = bits(line.kernel, at_once(line.kernel, args))
    assert bits(line.kernel, block_by_block(line.kernel, args)) == want


LARGE = [line for line in ENTRIES if line.kernel.far is not None]


def beyond_caches(line, dtype):
    """Arguments of just FAR elements, as the kernel counts them."""
    one = sizes(line.kernel, line.make(Draw(dtype), 1))
    dims = [line.kernel.signature.dims[i][0] for i in line.kernel.counted]
    n = -(-FAR // int(np.prod([one[dim] for dim in dims])))
    return line.make(Draw(dtype), n)


@pytest.mark.parametrize("line", LARGE, ids=lambda line: line.name)
def test_an_array_beyond_the_caches_gives_the_same_to_rounding(line, dtype):
    """From FAR elements on other machine code runs, with vectors of half the width."""
    args = beyond_caches(line, dtype)
    assert FAR <= line.kernel.work(args) < FAR + FAR // 16 and line.kernel.far == FAR
    close(line.kernel, at_once(line.kernel, args), block_by_block(line.kernel, args))


@pytest.mark.parametrize("line", LARGE, ids=lambda line: line.name)
def test_the_machine_code_for_large_arrays_has_narrower_vectors(line):
    lower = pytest.importorskip("microreg.kernels._lower")
    text = str(lower.module(line.kernel, np.dtype(np.float32)))
    assert "_far" in text and '"prefer-vector-width"="256"' in text
