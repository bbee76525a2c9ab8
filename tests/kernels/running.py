"""Running a kernel in a test: once, with its arguments checked and its inputs guarded."""

import numpy as np

from microreg.runtime import launch


def run(kernel, *args):
    """Launch a kernel; every array that it does not say it writes must be as it was before."""
    kernel.check(args)
    given = kernel.signature.arrays[kernel.scratch is not None :]
    kept = [(a, a.copy()) for spec, a in zip(given, args, strict=False) if not spec.written]
    launch(kernel, *args)
    for array, before in kept:
        np.testing.assert_array_equal(array, before)


def garbage(shape, dtype):
    """Memory for a result, full of what no result is: NaN, or 77 where there is none."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77).astype(dtype)


def wide(*arrays):
    """Arrays in float64."""
    return [x.astype(np.float64) for x in arrays]
