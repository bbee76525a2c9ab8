"""The functions of `_native.py` as machine instructions: one intrinsic and one overload each."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, overload, register_model, typeof_impl

from . import _native
from ._cache import symbol
from ._jit import Kernel

I64 = ir.IntType(64)
POINTER = I64.as_pointer()


def _llvm(builder, name, *args):
    """Call llvm.name for the type of the first argument."""
    kind = args[0].type
    suffix = "f32" if kind == ir.FloatType() else "f64"
    function = builder.module.declare_intrinsic(
        f"llvm.{name}.{suffix}", fnty=ir.FunctionType(kind, [kind] * len(args))
    )
    return builder.call(function, args)


@intrinsic
def _fma(typingctx, a, b, c):
    return a(a, a, a), lambda context, builder, sig, args: _llvm(builder, "fma", *args)


@intrinsic
def _polynomial(typingctx, v, coefficients):
    def generate(context, builder, sig, args):
        def evaluate(v, c):
            if len(c) > 12:
                square = builder.fmul(v, v)
                return _llvm(builder, "fma", evaluate(square, c[1::2]), v, evaluate(square, c[::2]))
            value = c[-1]
            for term in c[-2::-1]:
                value = _llvm(builder, "fma", value, v, term)
            return value

        terms = [builder.extract_value(args[1], i) for i in range(coefficients.count)]
        return evaluate(args[0], terms)

    return v(v, coefficients), generate


@intrinsic
def _rint(typingctx, v):
    return v(v), lambda context, builder, sig, args: _llvm(builder, "rint", *args)


@intrinsic
def _maximum(typingctx, a, b):
    return a(a, a), lambda context, builder, sig, args: _llvm(builder, "maximum", *args)


@intrinsic
def _minimum(typingctx, a, b):
    return a(a, a), lambda context, builder, sig, args: _llvm(builder, "minimum", *args)


@intrinsic
def _float_bits(typingctx, v):
    kind = types.int32 if v == types.float32 else types.int64

    def generate(context, builder, sig, args):
        return builder.bitcast(args[0], context.get_data_type(kind))

    return kind(v), generate


@intrinsic
def _bits_float(typingctx, i):
    kind = types.float32 if i == types.int32 else types.float64

    def generate(context, builder, sig, args):
        return builder.bitcast(args[0], context.get_data_type(kind))

    return kind(i), generate


@intrinsic(prefer_literal=True)
def _values(typingctx, array, count):
    kind = types.UniTuple(array.dtype, count.literal_value)

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        entries = [
            builder.load(builder.gep(data, [ir.Constant(I64, i)])) for i in range(kind.count)
        ]
        return context.make_tuple(builder, kind, entries)

    return kind(array, count), generate


@intrinsic
def _address(typingctx, array):
    def generate(context, builder, sig, args):
        struct = context.make_array(sig.args[0])(context, builder, args[0])
        return builder.ptrtoint(struct.data, I64)

    return types.int64(array), generate


@intrinsic
def _store(typingctx, place, value):
    def generate(context, builder, sig, args):
        builder.store(args[1], builder.inttoptr(args[0], POINTER))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _load(typingctx, place):
    def generate(context, builder, sig, args):
        return builder.load_atomic(builder.inttoptr(args[0], POINTER), "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def _add(typingctx, place, amount):
    def generate(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], POINTER)
        return builder.atomic_rmw("add", pointer, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _exchange(typingctx, place, value):
    def generate(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], POINTER)
        return builder.atomic_rmw("xchg", pointer, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def _call(typingctx, entry, row, tid, nt):
    def generate(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [I64] * 3)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


class KernelType(types.Opaque):
    """A kernel as a constant of another."""

    def __init__(self, kernel):
        self.kernel = kernel
        super().__init__(f"Kernel({kernel.name})")


register_model(KernelType)(models.OpaqueModel)
typeof_impl.register(Kernel)(lambda value, context: KernelType(value))
lower_constant(KernelType)(lambda context, builder, kind, value: context.get_dummy_value())


@intrinsic
def _invoke(typingctx, kernel, arguments, tid, nt):
    callee = kernel.kernel

    def generate(context, builder, sig, args):
        arrays = []
        row = []
        for i, kind in enumerate(arguments.types):
            value = builder.extract_value(args[1], i)
            if isinstance(kind, types.Array):
                arrays.append(context.make_array(kind)(context, builder, value))
                value = builder.ptrtoint(arrays[-1].data, I64)
            row.append(value)
        for i, axis in callee.sizes:
            flat = len(callee.signature.arrays[i].dims) == 1
            shape = arrays[i].shape
            row.append(arrays[i].nitems if flat else builder.extract_value(shape, axis))
        place = cgutils.alloca_once(builder, I64, size=len(row))
        for i, value in enumerate(row):
            builder.store(value, builder.gep(place, [ir.Constant(I64, i)]))
        name = symbol(callee.name, arguments.types[0].dtype)
        kind = ir.FunctionType(ir.VoidType(), [POINTER, I64, I64])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [place, *args[2:]])
        return context.get_dummy_value()

    return types.void(kernel, arguments, tid, nt), generate


@intrinsic
def _call_plain(typingctx, function):
    def generate(context, builder, sig, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def _pause(typingctx):
    def generate(context, builder, sig, args):
        triple = builder.module.triple
        if triple.startswith(("x86", "i386", "i686")):
            name, operands = "llvm.x86.sse2.pause", []
        elif triple.startswith(("aarch64", "arm64")):
            name, operands = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
        else:
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [o.type for o in operands])
        builder.call(builder.module.declare_intrinsic(name, fnty=kind), operands)
        return context.get_dummy_value()

    return types.void(), generate


overload(_native.fma)(lambda a, b, c: lambda a, b, c: _fma(a, b, c))
overload(_native.polynomial)(
    lambda v, coefficients: lambda v, coefficients: _polynomial(v, coefficients)
)
overload(_native.rint)(lambda v: lambda v: _rint(v))
overload(_native.maximum)(lambda a, b: lambda a, b: _maximum(a, b))
overload(_native.minimum)(lambda a, b: lambda a, b: _minimum(a, b))
overload(_native.float_bits)(lambda v: lambda v: _float_bits(v))
overload(_native.bits_float)(lambda i: lambda i: _bits_float(i))
overload(_native.values, prefer_literal=True)(
    lambda array, count: lambda array, count: _values(array, count)
)
overload(_native.address)(lambda array: lambda array: _address(array))
overload(_native.store)(lambda place, value: lambda place, value: _store(place, value))
overload(_native.load)(lambda place: lambda place: _load(place))
overload(_native.add)(lambda place, amount: lambda place, amount: _add(place, amount))
overload(_native.exchange)(lambda place, value: lambda place, value: _exchange(place, value))
overload(_native.call)(
    lambda entry, row, tid, nt: lambda entry, row, tid, nt: _call(entry, row, tid, nt)
)
overload(_native.invoke)(
    lambda kernel, arguments, tid, nt: (
        lambda kernel, arguments, tid, nt: _invoke(kernel, arguments, tid, nt)
    )
)
overload(_native.call_plain)(lambda function: lambda function: _call_plain(function))
overload(_native.pause)(lambda: lambda: _pause())
