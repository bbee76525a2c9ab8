"""The functions of `_native.py` as machine instructions: each is typed and generated here."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import models, register_model, typeof_impl
from numba.np import arrayobj

from . import _native
from ._cache import symbol
from ._jit import Kernel
from ._numba import native

DEFINITIONS = {}  # for other targets, which share some of them


def instruction(function, **options):
    """Declare what calls of a function of `_native.py` become."""

    def declare(definition):
        DEFINITIONS[function] = definition, options
        native(function, definition, **options)
        return definition

    return declare


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


@instruction(_native.fma)
def _fma(typing, a, b, c):
    return a(a, a, a), lambda context, builder, sig, args: _llvm(builder, "fma", *args)


@instruction(_native.polynomial)
def _polynomial(typing, v, coefficients):
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


@instruction(_native.rint)
def _rint(typing, v):
    return v(v), lambda context, builder, sig, args: _llvm(builder, "rint", *args)


def _choice(a, name, sign):
    """The larger or the smaller of two numbers of one type."""

    def generate(context, builder, sig, args):
        if a in types.real_domain:
            return _llvm(builder, name, *args)
        unsigned = a == types.boolean or not a.signed
        compare = builder.icmp_unsigned if unsigned else builder.icmp_signed
        return builder.select(compare(sign, *args), *args)

    return a(a, a), generate


@instruction(_native.maximum)
def _maximum(typing, a, b):
    return _choice(a, "maximum", ">")


@instruction(_native.minimum)
def _minimum(typing, a, b):
    return _choice(a, "minimum", "<")


@instruction(_native.float_bits)
def _float_bits(typing, v):
    kind = types.int32 if v == types.float32 else types.int64

    def generate(context, builder, sig, args):
        return builder.bitcast(args[0], context.get_data_type(kind))

    return kind(v), generate


@instruction(_native.bits_float)
def _bits_float(typing, i):
    kind = types.float32 if i == types.int32 else types.float64

    def generate(context, builder, sig, args):
        return builder.bitcast(args[0], context.get_data_type(kind))

    return kind(i), generate


@instruction(_native.values, prefer_literal=True)
def _values(typing, array, count):
    kind = types.UniTuple(array.dtype, count.literal_value)

    def generate(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        entries = [
            builder.load(builder.gep(data, [ir.Constant(I64, i)])) for i in range(kind.count)
        ]
        return context.make_tuple(builder, kind, entries)

    return kind(array, count), generate


@instruction(_native.address)
def _address(typing, array):
    def generate(context, builder, sig, args):
        struct = context.make_array(sig.args[0])(context, builder, args[0])
        return builder.ptrtoint(struct.data, I64)

    return types.int64(array), generate


@instruction(_native.flatten)
def _flatten(typing, array):
    kind = types.Array(array.dtype, 1, "C")

    def generate(context, builder, sig, args):
        whole = context.make_array(array)(context, builder, args[0])
        flat = context.make_array(kind)(context, builder)
        arrayobj.populate_array(
            flat,
            data=whole.data,
            shape=[whole.nitems],
            strides=[whole.itemsize],
            itemsize=whole.itemsize,
            meminfo=None,
        )
        return flat._getvalue()

    return kind(array), generate


@instruction(_native.store)
def _store(typing, place, value):
    def generate(context, builder, sig, args):
        builder.store(args[1], builder.inttoptr(args[0], POINTER))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@instruction(_native.load)
def _load(typing, place):
    def generate(context, builder, sig, args):
        return builder.load_atomic(builder.inttoptr(args[0], POINTER), "acquire", 8)

    return types.int64(types.int64), generate


@instruction(_native.add)
def _add(typing, place, amount):
    def generate(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], POINTER)
        return builder.atomic_rmw("add", pointer, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@instruction(_native.exchange)
def _exchange(typing, place, value):
    def generate(context, builder, sig, args):
        pointer = builder.inttoptr(args[0], POINTER)
        return builder.atomic_rmw("xchg", pointer, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@instruction(_native.call)
def _call(typing, entry, row, tid, nt):
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


@instruction(_native.invoke)
def _invoke(typing, kernel, arguments, tid, nt):
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


@instruction(_native.call_plain)
def _call_plain(typing, function):
    def generate(context, builder, sig, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@instruction(_native.pause)
def _pause(typing):
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
