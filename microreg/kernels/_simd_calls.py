"""The functions of `_simd.py` in compiled kernels: calls to their vector form, or themselves."""

from llvmlite import ir
from llvmlite.binding import llvm_version_info
from numba import types
from numba.core import cgutils

from . import _simd
from ._cache import symbol
from ._jit import scalar
from ._numba import native

# of a pointer that a function does not hold on to, in the words of this LLVM
_NOT_KEPT = "captures(none)" if llvm_version_info[0] >= 21 else "nocapture"


def _tile_shape(typing, array):
    kind = types.UniTuple(types.int64, 3)
    shape = _simd.shape_of(array.dtype.bitwidth // 8)

    def generate(context, builder, signature, args):
        return context.make_tuple(builder, kind, [ir.Constant(ir.IntType(64), n) for n in shape])

    return kind(array), generate


native(_simd.tile_shape, _tile_shape)


def _vector_form(function):
    """Call the vector form: an array and the offset after it become one pointer."""

    def definition(typing, *kinds):
        is_array = [isinstance(kind, types.Array) for kind in kinds]
        element = kinds[is_array.index(True)].dtype

        def generate(context, builder, signature, args):
            values = []
            for i, kind in enumerate(kinds):
                if is_array[i]:
                    data = context.make_array(kind)(context, builder, args[i]).data
                    values.append(builder.gep(data, [args[i + 1]]))
                elif not (i and is_array[i - 1]):
                    values.append(args[i])
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            name = symbol(function.__name__, element)
            callee = cgutils.get_or_insert_function(builder.module, kind, name)
            for argument in callee.args:
                if argument.type.is_pointer:
                    argument.add_attribute(_NOT_KEPT)
            builder.call(callee, values)
            return context.get_dummy_value()

        return types.void(*kinds), generate

    native(function, definition)


for _function in _simd.FUNCTIONS:
    if _simd.vector_bytes() is None:
        scalar(_function, fast=True)
    else:
        _vector_form(_function)
