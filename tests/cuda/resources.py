"""What kernels for a GPU are made of, found without one: the table that `test_resources.py` checks.

    python -m tests.cuda.resources            prints it

The linker of the toolkit says how many registers a kernel takes, what it spills and how much memory
a block needs; the PTX says how it reads and in which precision it computes.
"""

import functools
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from microreg.errors import DeviceError
from microreg.kernels.cuda import plan

from ..kernels.entries import Draw
from ..kernels.registry import ENTRIES
from . import aligned

ARCHITECTURES = ((7, 5), (8, 0), (9, 0), (10, 0))
_ACCESS = re.compile(r"\b(ld|st)\.(?:volatile\.)?(global|shared)\.(?:nc\.)?(?:v(\d)\.)?[busf](\d+)")


IN_FLOAT64 = (  # in part
    "beta", "normal", "logistic", "group_lasso", "max_norm", "rms_norm", "tick_", "prod_rows",
    "cumsum_rows", "sin_", "cos_", "tan_",
)  # fmt: skip
HEAVY = "product_", "conv2d", "layer_norm_dx", "prox_", "spectral_", "attention", "normal"
# registers that let a multiprocessor, which has 65536, hold three blocks of 256 threads, or two
MOST = {(4, False): 80, (4, True): 128, (8, False): 128, (8, True): 168}


class Device(NamedTuple):
    """As much of a device as a plan asks for."""

    multiprocessors: int

    def empty(self, shape, dtype):
        return np.empty(shape, dtype)

    def constant(self, x):
        return x


class Found(NamedTuple):
    """A kernel on an architecture."""

    registers: int
    spilled: int  # bytes that found no register
    stack: int  # bytes of arrays that are no registers
    shared: int  # bytes
    widest: dict  # ("ld", "global") -> bytes of its widest access
    doubles: bool  # whether it computes in float64
    aligned: bool  # whether every array of a block's memory that is read 16 bytes at once says so


@functools.cache
def codes():
    """(code, element type) of everything that the arguments of the registries launch."""
    made = {}
    for line in (*ENTRIES, *aligned.ENTRIES):
        for kind in (np.float32, np.float64):
            for n in (line.small, line.large):
                args = line.make(Draw(kind), n)
                for device in (Device(2), Device(80)):
                    for part in _parts(line.kernel, args, device):
                        made[part.code, part.code.dtype(part.args)] = None
    return list(made)


def _parts(kernel, args, device):
    try:
        return list(plan.parts(kernel, args, device))
    except DeviceError:  # `test_kernels.py` knows which
        return []


@functools.cache
def table():
    """(code, element type, architecture) -> Found, by as many processes as there are cores."""
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        found = list(pool.map(_of, range(len(codes())), chunksize=4))
    return {
        (*codes()[i], cc): one
        for i, row in enumerate(found)
        for cc, one in zip(ARCHITECTURES, row, strict=True)
    }


def _of(i):
    code, dtype = codes()[i]
    return [examine(code.ptx(dtype, cc), cc) for cc in ARCHITECTURES]


def examine(text, cc):
    """What a kernel's PTX comes to."""
    log = _linked(text, cc)
    spilled, stack = (
        sum(map(int, re.findall(rf"(\d+) bytes {what}", log)))
        for what in (r"spill \w+", "stack frame")
    )
    widest = {}
    for op, space, many, bits in _ACCESS.findall(text):
        key = op, space
        widest[key] = max(widest.get(key, 0), int(many or 1) * int(bits) // 8)
    shared = re.search(r"(\d+) bytes smem", log)
    return Found(
        int(re.search(r"Used (\d+) registers", log).group(1)),
        spilled,
        stack,
        int(shared.group(1)) if shared else 0,
        widest,
        ".f64" in re.sub(r"\.(reg|param)[^;,]*", "", text),
        max(widest.get((op, "shared"), 0) for op in ("ld", "st")) < 16
        or all(int(n) % 16 == 0 for n in re.findall(r"\.shared \.align (\d+)", text)),
    )


def _linked(text, cc):
    """What the linker says about a kernel."""
    from cuda.bindings import nvjitlink

    handle = nvjitlink.create(3, [f"-arch=sm_{cc[0]}{cc[1]}", "-O3", "-verbose"])
    data = text.encode() + b"\0"
    nvjitlink.add_data(handle, nvjitlink.InputType.PTX, data, len(data), "kernel")
    nvjitlink.complete(handle)
    log = bytearray(nvjitlink.get_info_log_size(handle))
    nvjitlink.get_info_log(handle, log)
    nvjitlink.destroy(handle)
    return log.decode()


def wide(code):
    """Whether a kernel for float32 may compute in float64."""
    kinds = {spec.dtype for spec in (*code.arrays, *code.scalars)}
    return "float64" in kinds or code.name.startswith(IN_FLOAT64)


def bound(code, dtype):
    """The most registers that a thread may take."""
    return MOST[dtype.itemsize, code.name.startswith(HEAVY)]


def print_table():
    print(f"{'kernel':42} {'type':8}", *(f"{major}.{minor:<19}" for major, minor in ARCHITECTURES))
    for code, dtype in codes():
        found = [table()[code, dtype, cc] for cc in ARCHITECTURES]
        cells = (f"{f.registers:3} regs {f.shared:6} B {f.spilled or '':>3}" for f in found)
        print(f"{code.name:42} {dtype.name:8}", *cells)


if __name__ == "__main__":
    print_table()
