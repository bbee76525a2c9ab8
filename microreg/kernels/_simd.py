"""The innermost loops of the matrix product: what they compute, and in what sizes.

Each is an ordinary function here, over flat arrays and offsets into them. In compiled kernels
vector instructions (`_tiles.py`) take its place where the CPU's vector width is known; else, and
with MICROREG_PORTABLE=1, Numba compiles the functions as they stand.
"""

import functools
import os
import platform

import llvmlite.binding as llvm

from . import _cache

# vector bytes: rows of a tile, vectors in a row. The sums, a line of b and an entry of a then
# fill the registers: 32 of them with AVX-512 and NEON, 16 with AVX2
TILES = {64: (14, 2), 32: (6, 2), 16: (8, 3)}
REGISTERS = {64: "zmm", 32: "ymm"}  # vector bytes: what an x86 CPU calls such a register
PORTABLE = (8, 16, 64)  # rows, lanes and columns of a tile for compiled plain loops


@functools.cache
def vector_bytes():
    """Bytes in a vector register of this CPU, or None where that is unknown or not wanted."""
    if os.environ.get("MICROREG_PORTABLE", "0") != "0":
        return None
    if platform.machine() in ("aarch64", "arm64"):
        return 16
    return next((width for width, register in REGISTERS.items() if _multiplies(register)), None)


def _multiplies(register):
    """Whether the CPU that code is generated for has fused multiply-adds on such registers."""
    lanes = 16 if register == "zmm" else 8
    kind = f"<{lanes} x float>"
    code = f"""
        declare {kind} @llvm.fma.v{lanes}f32({kind}, {kind}, {kind})
        define {kind} @f({kind} %a) "min-legal-vector-width"="512" {{
          %b = call {kind} @llvm.fma.v{lanes}f32({kind} %a, {kind} %a, {kind} %a)
          ret {kind} %b
        }}"""
    machine = _cache.machine()
    assembly = machine.emit_assembly(llvm.parse_assembly(code))
    return any("vfmadd" in line and register in line for line in assembly.splitlines())


def tile_shape(array):
    """Rows of a tile, elements in a vector, columns of a tile, for the dtype of an array."""
    return shape_of(array.dtype.itemsize)


def shape_of(item_bytes):
    """`tile_shape` for elements of so many bytes."""
    width = vector_bytes()
    if width is None:
        return PORTABLE
    rows, vectors = TILES[width]
    lanes = width // item_bytes
    return rows, lanes, lanes * vectors


def tile(
    rows, columns, depth, segments, a, a_at, a_row, a_step, a_jump, b, b_at, b_step, b_jump,
    c, c_at, c_step, add, bias, bias_at, ending,
):  # fmt: skip
    """One tile: c[i, j] = sum over s < segments, p < depth of a(i, s, p) * b(s, p, j).

    s and p ascend; `add` adds the sum to c. Where `ending` is 0 or 1, bias[bias_at + j] is added in
    the end, and where it is 1 max(0, .) is taken. a(i, s, p) lies at a_at + i * a_row + s * a_jump
    + p * a_step, b(s, p, j) at b_at + s * b_jump + p * b_step + j and c[i, j] at c_at + i * c_step
    + j. At most as many rows and columns as `tile_shape` says.
    """
    for i in range(rows):
        line = c[c_at + i * c_step :][:columns]
        if add == 0:
            for j in range(columns):
                line[j] = type(line[j])(0)
        for s in range(segments):
            for p in range(depth):
                factor = a[a_at + i * a_row + s * a_jump + p * a_step]
                values = b[b_at + s * b_jump + p * b_step :][:columns]
                for j in range(columns):
                    line[j] += factor * values[j]
        if ending >= 0:
            offsets = bias[bias_at:][:columns]
            for j in range(columns):
                v = line[j] + offsets[j]
                line[j] = type(v)(0) if ending == 1 and v <= type(v)(0) else v


def transpose(rows, columns, source, at, step, target, target_at, target_step):
    """target[p, i] = source[i, p] for at most a vector of rows.

    Whole vectors may be written, and `columns` rounded up to a whole number of them: the target
    has room.
    """
    for p in range(columns):
        for i in range(rows):
            target[target_at + p * target_step + i] = source[at + i * step + p]


def copy(rows, columns, source, at, step, target, target_at, target_step):
    """target[p, j] = source[p, j] for at most a vector of columns; whole vectors may be written."""
    for p in range(rows):
        for j in range(columns):
            target[target_at + p * target_step + j] = source[at + p * step + j]


FUNCTIONS = (tile, transpose, copy)


def link(dtype):
    """Let kernels over `dtype` call the vector form of the three functions."""
    if vector_bytes() is not None:
        engine = _cache.engine(f"tiles-{dtype.name}", functools.partial(_emit, dtype))
        for function in FUNCTIONS:
            name = function.__name__
            _cache.define(_cache.symbol(name, dtype), engine.get_function_address(name))


def _emit(dtype):
    from . import _tiles  # imported only where something must be compiled

    return _tiles.module(dtype, *shape_of(dtype.itemsize))
