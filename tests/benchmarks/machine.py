"""What the machine can do at most, on one thread: multiply-adds in registers, copies in memory."""

import ctypes
import functools

import llvmlite.binding as llvm
import numpy as np
from race import race

from microreg.kernels import _cache, _simd

CHAINS = 12  # independent sums: more than latency times issue width, and no more than registers


def _code(element, lanes):
    """A loop of fused multiply-adds over CHAINS vectors, as LLVM IR."""
    kind = f"<{lanes} x {element}>"
    name = f"@llvm.fma.v{lanes}{'f32' if element == 'float' else 'f64'}"
    numbers = range(CHAINS)
    sums = "\n".join(
        f"%x{i} = phi {kind} [zeroinitializer, %entry], [%y{i}, %loop]" for i in numbers
    )
    steps = "\n".join(
        f"%y{i} = call {kind} {name}({kind} %a, {kind} %b, {kind} %x{i})" for i in numbers
    )
    store = "\n".join(
        f"%p{i} = getelementptr {kind}, {kind}* %out, i64 {i}\nstore {kind} %y{i}, {kind}* %p{i}"
        for i in numbers
    )
    return f"""
        declare {kind} {name}({kind}, {kind}, {kind})
        define void @spin({kind}* %out, i64 %count) {{
        entry:
          %a = load {kind}, {kind}* %out
          %q = getelementptr {kind}, {kind}* %out, i64 1
          %b = load {kind}, {kind}* %q
          br label %loop
        loop:
          %i = phi i64 [0, %entry], [%next, %loop]
          {sums}
          {steps}
          %next = add i64 %i, 1
          %more = icmp slt i64 %next, %count
          br i1 %more, label %loop, label %end
        end:
          {store}
          ret void
        }}"""


def peak(dtype):
    """Floating-point operations per second of fused multiply-adds on values in registers."""
    dtype = np.dtype(dtype)
    lanes = (_simd.vector_bytes() or 16) // dtype.itemsize
    element = "float" if dtype.itemsize == 4 else "double"
    code = functools.partial(llvm.parse_assembly, _code(element, lanes))
    engine = _cache.engine(f"peak-{dtype.name}", code)
    spin = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(
        engine.get_function_address("spin")
    )
    held = np.zeros(CHAINS * lanes + 16, dtype)
    start = (-held.ctypes.data % 64) // dtype.itemsize
    at, count = held[start:].ctypes.data, 20_000
    times, _ = race({"peak": lambda: spin(at, count)})
    return 2 * CHAINS * lanes * count / times["peak"]


def bandwidth():
    """Bytes read and written per second by a copy that leaves the caches."""
    source = np.ones(1 << 25, np.float32)
    target = np.empty_like(source)
    times, _ = race({"copy": lambda: np.copyto(target, source)}, rounds=5)
    return 2 * source.nbytes / times["copy"]
