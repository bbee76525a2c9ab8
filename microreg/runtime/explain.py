"""What a program does, as a table to read."""

import time

import numpy as np

from ..kernels.reduce import merge
from . import cpu
from .program import Launch, Program

ROUNDS = 30


def explain(program):
    """Kernel, shapes, bytes and microseconds of every launch; each is run by itself for the time.

    The launches run on copies of their arrays, so nothing changes.
    """
    rows = [("", "kernel", "shapes", "KiB", "us", "of")]
    nothing = microseconds(Launch(merge, (np.zeros(1), np.zeros(1))))  # what a call costs
    total = 0.0
    for i, launch in enumerate(program.launches):
        n = launch.kernel.n_arrays - (launch.kernel.scratch is not None)
        arrays = launch.args[:n]
        shapes = " ".join("x".join(map(str, a.shape)) or "1" for a in arrays)
        size = sum(a.nbytes for a in arrays) / 1024
        us = max(0.0, microseconds(launch) - nothing)
        total += us
        rows.append(
            (str(i), launch.kernel.name, shapes, f"{size:.1f}", f"{us:.2f}", origin(launch.note))
        )
    rows.append(("", "sum", "", "", f"{total:.2f}", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    left = (False, True, True, False, False, True)
    return "\n".join(
        "  ".join(
            cell.ljust(w) if flush else cell.rjust(w)
            for cell, w, flush in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    )


def origin(note):
    """The op and the line that a launch belongs to."""
    ops = applied(note)
    if ops:
        return f"{' + '.join(one.op.name for one in ops)} {ops[0].line}"
    return "update" if hasattr(note, "home") else ""


def applied(note):
    """The ops that a launch belongs to: several where one has been fused into another."""
    return note if isinstance(note, list) else [note] if hasattr(note, "op") else []


def microseconds(launch):
    """The median time of one launch on copies of its arrays."""
    copies = {}
    args = [_copied(a, copies) if isinstance(a, np.ndarray) else a for a in launch.args]
    alone = Program([launch._replace(args=tuple(args))])
    alone.run()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        alone.run()
        times.append(time.perf_counter() - start)
    return sorted(times)[ROUNDS // 2] * 1e6


def _copied(array, copies):
    where = cpu.address(array), array.shape
    if where not in copies:
        copies[where] = array.copy()
    return copies[where]
