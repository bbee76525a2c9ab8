"""The functions of `_simd.py` in compiled kernels: calls to their vector form, or themselves."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from . import _simd
from ._cache import symbol


@overload(_simd.tile_shape)
def _tile_shape(array):
    rows, lanes, columns = _simd.shape_of(array.dtype.bitwidth // 8)
    return lambda array: (rows, lanes, columns)


def _vector_form(function):
    """Call the vector form: an array and the offset after it become one pointer."""

    @intrinsic
    def call(typingctx, arguments):
        is_array = [isinstance(kind, types.Array) for kind in arguments.types]
        element = arguments.types[is_array.index(True)].dtype

        def generate(context, builder, sig, args):
            given = [builder.extract_value(args[0], i) for i in range(len(is_array))]
            values = []
            for i, kind in enumerate(arguments.types):
                if is_array[i]:
                    data = context.make_array(kind)(context, builder, given[i]).data
                    values.append(builder.gep(data, [given[i + 1]]))
                elif not is_array[i - 1]:
                    values.append(given[i])
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            name = symbol(function.__name__, element)
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
            return context.get_dummy_value()

        return types.void(arguments), generate

    overload(function)(lambda *arguments: lambda *arguments: call(arguments))


OPTIONS = {"error_model": "numpy", "_nrt": False, "fastmath": {"reassoc", "nsz", "contract"}}
for _function in _simd.FUNCTIONS:
    if _simd.vector_bytes() is None:
        register_jitable(**OPTIONS)(_function)
    else:
        _vector_form(_function)
