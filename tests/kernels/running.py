"""Running a kernel in a test, in every way there is, with its inputs guarded."""

import ctypes
import functools

import numpy as np

from microreg.kernels._jit import GRAIN
from microreg.kernels.interpreter import HEAD
from microreg.runtime import Launch, Program, cpu, launch

# of the largest entry: the order of a sum, a product and a sum rounded once
ROUNDING = {np.float32: 4e-6, np.float64: 1e-14}

_PART = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64)


def run(kernel, *args):
    """Launch a kernel; every array that it does not say it writes must be as it was before."""
    kernel.check(args)
    kept = [(a, a.copy()) for spec, a in arrays(kernel, args) if not spec.written]
    launch(kernel, *args)
    for array, before in kept:
        np.testing.assert_array_equal(array, before)


def garbage(shape, dtype):
    """Memory for a result, full of what no result is: NaN, or 77 where there is none."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77).astype(dtype)


def arrays(kernel, args):
    """(its specification, array) of each array argument; scratch memory is not among them."""
    return list(zip(kernel.signature.arrays[kernel.scratch is not None :], args, strict=False))


def copied(args):
    return tuple(x.copy() if isinstance(x, np.ndarray) else x for x in args)


def bits(kernel, args):
    """The bits of every array that the kernel writes."""
    return [array.tobytes() for spec, array in arrays(kernel, args) if spec.written]


def at_once(kernel, args):
    """The arguments after a launch of its own; those given stay as they are."""
    args = copied(args)
    launch(kernel, *args)
    return args


def in_a_table(kernel, args, work=0):
    """The arguments after a program of this one launch."""
    args = copied(args)
    program = Program([Launch(kernel, args)])
    program.work = work
    program.run()
    return args


def by_the_team(kernel, args):
    """The arguments after every thread has done its part, however little there is to do."""
    return in_a_table(kernel, args, GRAIN)


def last_thread_first(kernel, args, threads):
    """The arguments after the last thread has done its part, then the last but one, and so on.

    It shows whether a part reads what another writes, or writes where another does; a thread that
    works in another's scratch memory finds it full of NaN, and that no longer.
    """
    args = copied(args)
    given, dtype = args, kernel.dtype(args)
    if kernel.scratch is not None:
        given = (garbage((threads, kernel.scratch(args)), kernel.scratch_dtype(dtype)), *args)
    row = cpu.pack(kernel, given)[8 * HEAD :]
    part = _PART(kernel.entry(dtype))
    for tid in reversed(range(threads)):
        part(row, tid, threads)
        if kernel.scratch is not None:
            assert np.isnan(given[0][:tid]).all(), f"thread {tid} writes in another's scratch"
    return args


class Guarded(np.ndarray):
    """An array that refuses places outside, and those counted from the end: no kernel may.

    The end of a slice may lie beyond: it is cut off there, in machine code too.
    """

    def __getitem__(self, key):
        return super().__getitem__(_inside(self.shape, key))

    def __setitem__(self, key, value):
        super().__setitem__(_inside(self.shape, key), value)


def _inside(shape, key):
    for size, k in zip(shape, key if isinstance(key, tuple) else (key,), strict=False):
        if isinstance(k, slice):
            inside = all(end is None or end >= 0 for end in (k.start, k.stop))
        else:
            inside = 0 <= k < size
        if not inside:
            raise IndexError(f"{k} in an axis of {size}")
    return key


def interpreted(kernel, args):
    """The arguments after the Python function itself, which must stay inside of its arrays."""
    args = given = copied(args)
    dtype = kernel.dtype(args)
    if kernel.scratch is not None:
        given = (np.zeros((1, kernel.scratch(args)), kernel.scratch_dtype(dtype)), *args)
    with np.errstate(all="ignore"):
        kernel(*map(functools.partial(_guarded, dtype), given))
    return args


def _guarded(dtype, x):
    if isinstance(x, np.ndarray):
        return x.view(Guarded)
    return dtype.type(x) if isinstance(x, float) else x


def close(kernel, got, want, times=1):
    """The results are the same up to rounding in the kernel's dtype, or so many times that."""
    coarse = kernel.dtype(got).type if kernel.typed is not None else np.float32
    for (spec, x), y in zip(arrays(kernel, got), want, strict=False):
        if spec.written and x.dtype.kind == "f":
            largest = np.abs(y[np.isfinite(y)]).max(initial=0.0)
            tolerance = times * max(ROUNDING[coarse], ROUNDING[x.dtype.type])
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * largest)
        elif spec.written:
            np.testing.assert_array_equal(x, y)
