"""From a declared kernel to an LLVM module. The only file that knows Numba and its options.

Imported when something must be compiled, never by `import microreg`.
"""

import re

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable
from numba.np import arrayobj

from . import _instructions, _simd_calls  # noqa: F401  machine forms of _native's functions
from ._cache import SYMBOL
from ._jit import SCALARS
from ._spec import ELEMENT

OPTIONS = {
    "error_model": "numpy",  # 1/0 is inf: a branch that raises would stop vectorisation
    "_nrt": False,  # no reference counting: kernels allocate nothing
}
# sums may be reordered and fused; never nnan or ninf, which would delete the checks for NaN
FAST = {"fastmath": {"reassoc", "nsz", "contract", "arcp"}}
# exact arithmetic for formulas: reordering would break argument reduction; fma is written out.
# Said aloud, because Numba lets a function inherit its caller's setting
EXACT = {"fastmath": False}
I64 = ir.IntType(64)


def module(kernel, dtype):
    """The optimised LLVM module of `kernel` for element type `dtype`, with its entry as SYMBOL."""
    _register()
    body = numba.njit(**OPTIONS, **FAST)(kernel.function)
    entry = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(
        _entry(kernel, numba.from_dtype(dtype), body)
    )
    signature = types.void(types.CPointer(types.int64), types.int64, types.int64)
    entry.compile(signature)
    native = entry.get_compile_result(signature).fndesc.llvm_func_name
    text = entry.inspect_llvm(entry.signatures[0])
    made = llvm.parse_assembly(text + _C_ENTRY.format(symbol=SYMBOL, native=native))
    made.verify()
    _refuse_foreign_calls(kernel, made)
    return made


_C_ENTRY = """
define void @{symbol}(ptr %row, i64 %tid, i64 %nt) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @"{native}"(ptr %result, ptr %error, ptr %row, i64 %tid, i64 %nt)
  ret void
}}
"""
_LIBM = re.compile(r"llvm\.|microreg_|(sqrt|exp|log|pow|fabs|floor|ceil|mem(cpy|set|move))f?$")


def _refuse_foreign_calls(kernel, made):
    """Code that calls into Python's or Numba's runtime would not load without them."""
    names = [f.name for f in made.functions if f.is_declaration and not _LIBM.match(f.name)]
    if names:
        raise TypeError(f"{kernel.name}: a kernel must not raise or allocate; it calls {names}")


def _entry(kernel, element, body):
    """The loop over this thread's blocks, as a function of (row, tid, nt)."""
    unpack = _unpack(kernel, element)
    if kernel.split is None:

        def entry(row, tid, nt):
            if tid == 0:
                body(*unpack(row, 0, 0, 0, tid, nt))

    elif kernel.split == "threads":

        def entry(row, tid, nt):
            body(*unpack(row, 0, 0, 0, tid, nt))

    else:
        slot = kernel.signature.slot(kernel.split)
        block = kernel.block
        fixed = 1
        slots = []
        for dim in kernel.inner:
            if dim.isdigit():
                fixed *= int(dim)
            else:
                slots.append(kernel.signature.slot(dim))
        slots = tuple(slots) or (slot,)
        free = 1 if len(kernel.inner) > 0 and not all(d.isdigit() for d in kernel.inner) else 0

        def entry(row, tid, nt):
            inner = fixed
            if free:
                for s in slots:
                    inner *= row[s]
            rows = max(1, block // max(1, inner))
            count = row[slot]
            index = tid
            while index * rows < count:
                start = index * rows
                body(*unpack(row, start, min(rows, count - start), index, tid, nt))
                index += nt

    return entry


def _unpack(kernel, element):
    """An intrinsic (row, start, count, index, tid, nt) -> the tuple of the body's arguments."""
    sig = kernel.signature
    n_arrays = len(sig.arrays)

    def numba_type(name):
        return element if name == ELEMENT else numba.from_dtype(np.dtype(name))

    array_types = [types.Array(numba_type(a.dtype), len(a.dims), "C") for a in sig.arrays]
    scalar_types = [numba_type(s.dtype) for s in sig.scalars]
    out = types.Tuple([*array_types, *scalar_types] + [types.int64] * len(sig.reserved))

    @intrinsic
    def unpack(typingctx, row, start, count, index, tid, nt):
        def generate(context, builder, signature, args):
            row, start, count, index, tid, nt = args

            def slot(i):
                return builder.load(builder.gep(row, [ir.Constant(I64, i)]))

            def size(dim):
                if dim == "blocks":
                    return ir.Constant(I64, 1)
                return ir.Constant(I64, int(dim)) if dim.isdigit() else slot(sig.slot(dim))

            def make_array(i, spec, kind):
                data_type = context.get_data_type(kind.dtype)
                item = context.get_abi_sizeof(data_type)
                shape = [size(dim) for dim in spec.dims]
                strides = [ir.Constant(I64, item)]
                for length in reversed(shape[1:]):
                    strides.insert(0, builder.mul(strides[0], length))
                place = slot(i)
                if spec.dims and spec.dims[0] == "blocks":
                    place = builder.add(place, builder.mul(index, strides[0]))
                elif spec.dims and spec.dims[0] == kernel.split:
                    place = builder.add(place, builder.mul(start, strides[0]))
                    shape[0] = count
                array = arrayobj.make_array(kind)(context, builder)
                arrayobj.populate_array(
                    array,
                    data=builder.inttoptr(place, data_type.as_pointer()),
                    shape=shape,
                    strides=strides,
                    itemsize=ir.Constant(I64, item),
                    meminfo=None,
                )
                return array._getvalue()

            def make_scalar(i, kind):
                value = slot(n_arrays + i)
                if isinstance(kind, types.Integer):
                    return value
                value = builder.bitcast(value, ir.DoubleType())
                return value if kind == types.float64 else builder.fptrunc(value, ir.FloatType())

            arrays = zip(sig.arrays, array_types, strict=True)
            values = [make_array(i, *x) for i, x in enumerate(arrays)]
            values += [make_scalar(*x) for x in enumerate(scalar_types)]
            reserved = {"start": start, "tid": tid, "nt": nt, "row": builder.ptrtoint(row, I64)}
            values += [reserved[name] for name in sig.reserved]
            return context.make_tuple(builder, out, values)

        return out(row, start, count, index, tid, nt), generate

    return unpack


_registered = 0


def _register():
    """Make every @scalar function known to Numba; `_instructions` did so for `_native`'s."""
    global _registered
    for function, typed in SCALARS[_registered:]:
        if typed is None:
            register_jitable(**OPTIONS, **EXACT)(function)
        else:
            _register_typed(function, *typed)
    _registered = len(SCALARS)


def _register_typed(function, float32, float64):
    for one in (float32, float64):
        register_jitable(**OPTIONS, **EXACT)(one)

    @overload(function, jit_options=OPTIONS | EXACT)
    def choose(v):
        if v == types.float32:
            return lambda v: float32(v)
        return lambda v: float64(v)
