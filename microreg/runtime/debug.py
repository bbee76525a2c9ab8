"""MICROREG_DEBUG=1: a program runs row by row, and what each row did is verified.

    addresses   every row calls its kernel on the arrays of its launch
    NaN         no launch makes one of numbers that are none
    meaning     an op's results are those of its reference, or of the op itself called at once

An error names the row, the kernel and the line that the row was recorded for. Results of a recorded
step do not share memory then, so that inputs are still there to compare with.
"""

import numpy as np

from ..errors import CaptureError
from ..kernels.interpreter import HEAD
from . import cpu
from .explain import applied, origin

CLOSE = {"f": 1e-3, "d": 1e-9}  # of the largest entry


def run(program):
    """Run a program once, or until a kernel stops it."""
    outside = False  # whether the op at work has changed numbers that are not its results
    for i, launch in enumerate(program.launches):
        args = tuple(program.argument(i, j) for j in range(len(launch.args)))
        where = f"row {i}, {launch.kernel.name} {origin(launch.note)}"
        _verify(program.table[i], launch.kernel, args, where)
        before = any(map(_has_nan, args))
        cpu.run(program.table[i : i + 1], program.work)
        if launch.kernel.stops and program.stop[0]:
            return
        if not before and any(map(_has_nan, args)):
            raise FloatingPointError(f"{where}: NaN came of numbers that are none")
        outside |= any(not program.owns(a) for a in _written(launch.kernel, args))
        if i + 1 == len(program.launches) or _first(program.launches[i + 1]) is not _first(launch):
            _compare(applied(launch.note), outside, where)
            outside = False


def _first(launch):
    return next(iter(applied(launch.note)), launch)


def _verify(row, kernel, args, where):
    kernel.check(args)
    scratch = kernel.scratch is not None
    arrays = args[: kernel.n_arrays - scratch]
    expected = [kernel.entry(kernel.dtype(args)), *map(cpu.address, arrays)]
    found = [int(row[0]), *row[HEAD + scratch :][: len(arrays)].tolist()]
    if found != expected:
        raise CaptureError(f"{where}: expected the addresses {expected}, got {found}")


def _has_nan(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f" and bool(np.isnan(x).any())


def _written(kernel, args):
    specs = kernel.signature.arrays[kernel.scratch is not None :]
    return [a for a, spec in zip(args, specs, strict=False) if spec.written]


def _compare(ops, outside, where):
    """Compare the results of the last op with what it means; provide those of ops fused into it."""
    for one in ops:
        if one.op.reference is None and outside:
            return  # once more would change them twice
        with np.errstate(all="ignore"):
            wanted = one.again()
        if one is not ops[-1]:
            one.outputs[0][...] = wanted
            continue
        out = one.outputs[0]
        close = CLOSE.get(out.dtype.char, 0.0)
        scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-30)
        if not np.allclose(out, wanted, close, close * scale, equal_nan=True):
            difference = np.abs(out.astype(float) - wanted)
            worst = np.unravel_index(np.nanargmax(difference), out.shape)
            raise CaptureError(
                f"{where}: entry {tuple(map(int, worst))} is {out[worst]}, it should be "
                f"{wanted[worst]}"
            )
