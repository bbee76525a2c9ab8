"""The functions of `_native.py` and `_words.py` as instructions for a GPU."""

from llvmlite import ir
from numba.cuda import cgutils, types

from .. import _native
from .._instructions import DEFINITIONS
from . import _words
from ._numba import native

I32, I64 = ir.IntType(32), ir.IntType(64)
SHARED = 3  # the address space of a block's memory

for _function in (
    _native.fma,
    _native.polynomial,
    _native.float_bits,
    _native.bits_float,
    _native.values,
    _native.flatten,
):
    _definition, _options = DEFINITIONS[_function]
    native(_function, _definition, **_options)


def instruction(function, **options):
    """Declare what calls of a function become."""
    return lambda definition: native(function, definition, **options)


def external(builder, name, result, *kinds):
    """A function that libNVVM knows, declared."""
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, kinds), name)


@instruction(_native.rint)
def _rint(typing, v):
    def generate(context, builder, sig, args):
        kind = args[0].type
        name, letter = ("f32", "f") if kind == ir.FloatType() else ("f64", "d")
        asm = ir.InlineAsm(
            ir.FunctionType(kind, [kind]), f"cvt.rni.{name}.{name} $0, $1;", f"={letter},{letter}"
        )
        return builder.call(asm, args)

    return v(v), generate


def _extreme(name, function):
    """llvm.maxnum and llvm.minnum pass over NaN: a sum with it brings it back."""

    @instruction(function)
    def definition(typing, a, b):
        def generate(context, builder, sig, args):
            kind = args[0].type
            suffix = "f32" if kind == ir.FloatType() else "f64"
            call = external(builder, f"llvm.{name}.{suffix}", kind, kind, kind)
            unordered = builder.fcmp_unordered("uno", *args)
            return builder.select(unordered, builder.fadd(*args), builder.call(call, args))

        return a(a, a), generate


_extreme("maxnum", _native.maximum)
_extreme("minnum", _native.minimum)


def _register(name):
    """An index that the hardware holds, as int64."""

    def generate(builder):
        value = builder.call(external(builder, f"llvm.nvvm.read.ptx.sreg.{name}", I32), [])
        return builder.zext(value, I64)

    return generate


@instruction(_words.thread)
def _thread(typing):
    return types.int64(), lambda context, builder, sig, args: _register("tid.x")(builder)


@instruction(_words.threads)
def _threads(typing):
    return types.int64(), lambda context, builder, sig, args: _register("ntid.x")(builder)


def _by_axis(function, name):
    @instruction(function, prefer_literal=True)
    def definition(typing, axis):
        letter = "xyz"[axis.literal_value]

        def generate(context, builder, sig, args):
            return _register(f"{name}.{letter}")(builder)

        return types.int64(axis), generate


_by_axis(_words.block, "ctaid")
_by_axis(_words.blocks, "nctaid")


@instruction(_words.place_again)
def _place_again(typing):
    kind = types.UniTuple(types.int64, 3)

    def generate(context, builder, sig, args):
        found = []
        for name in ("tid.x", "ctaid.x", "ctaid.y"):
            asm = ir.InlineAsm(ir.FunctionType(I32, []), f"mov.u32 $0, %{name};", "=r", True)
            found.append(builder.zext(builder.call(asm, []), I64))
        return context.make_tuple(builder, kind, found)

    return kind(), generate


@instruction(_words.barrier)
def _barrier(typing):
    def generate(context, builder, sig, args):
        builder.call(external(builder, "llvm.nvvm.barrier0", ir.VoidType()), [])
        return context.get_dummy_value()

    return types.void(), generate


@instruction(_words.shuffle)
def _shuffle(typing, value, mask):
    """Words of 32 bits travel; a wider number goes in two."""
    pair = ir.LiteralStructType([I32, ir.IntType(1)])

    def generate(context, builder, sig, args):
        call = external(builder, "llvm.nvvm.shfl.sync.i32", pair, I32, I32, I32, I32, I32)
        lanes = builder.trunc(args[1], I32)

        def travel(word):
            out = builder.call(call, [I32(-1), I32(3), word, lanes, I32(31)])  # 3: by xor
            return builder.extract_value(out, 0)

        kind = args[0].type
        if kind == ir.FloatType():
            return builder.bitcast(travel(builder.bitcast(args[0], I32)), kind)
        word = builder.bitcast(args[0], I64)
        low = travel(builder.trunc(word, I32))
        high = travel(builder.trunc(builder.lshr(word, I64(32)), I32))
        both = builder.or_(builder.zext(low, I64), builder.shl(builder.zext(high, I64), I64(32)))
        return builder.bitcast(both, kind)

    if value not in (types.float32, types.float64, types.int64):
        return None
    return value(value, types.int64), generate


@instruction(_words.ballot)
def _ballot(typing, condition):
    def generate(context, builder, sig, args):
        call = external(builder, "llvm.nvvm.vote.ballot.sync", I32, I32, ir.IntType(1))
        bit = context.cast(builder, args[0], sig.args[0], types.boolean)
        if bit.type != ir.IntType(1):
            bit = builder.trunc(bit, ir.IntType(1))
        return builder.zext(builder.call(call, [I32(-1), bit]), I64)

    return types.int64(condition), generate


@instruction(_words.shared, prefer_literal=True)
def _shared(typing, count, like):
    """Aligned to 16 bytes, so that four numbers at once can be read from it."""
    like = types.unliteral(like)

    def generate(context, builder, sig, args):
        kind = ir.ArrayType(context.get_data_type(like), count.literal_value)
        name = builder.module.get_unique_name("microreg_shared")
        memory = ir.GlobalVariable(builder.module, kind, name, SHARED)
        memory.linkage, memory.align = "internal", 16
        memory.initializer = ir.Constant(kind, ir.Undefined)
        generic = builder.addrspacecast(memory, kind.as_pointer(), "generic")
        return builder.bitcast(generic, context.get_data_type(like).as_pointer())

    return types.CPointer(like)(count, like), generate


def vector_pieces(builder, *pointers):
    """Four numbers in memory as vectors of 16 bytes or less: for each, its place by each pointer.

    The places carry how they are aligned as `align`.
    """
    kind = pointers[0].type.pointee
    size = {ir.FloatType(): 4, ir.DoubleType(): 8}.get(kind) or max(8, kind.width) // 8
    width = 4 if size <= 4 else 2
    vector = ir.VectorType(kind, width).as_pointer()
    for part in range(4 // width):
        places = []
        for pointer in pointers:
            place = builder.gep(builder.bitcast(pointer, vector), [I64(part)])
            place.align = size * width
            places.append(place)
        yield places


@instruction(_words.load4)
def _load4(typing, pointer, index):
    kind = types.UniTuple(pointer.dtype, 4)

    def generate(context, builder, sig, args):
        numbers = []
        for (place,) in vector_pieces(builder, builder.gep(args[0], [args[1]])):
            piece = builder.load(place, align=place.align)
            numbers += [builder.extract_element(piece, I32(i)) for i in range(piece.type.count)]
        return context.make_tuple(builder, kind, numbers)

    return kind(pointer, types.int64), generate


@instruction(_words.store4)
def _store4(typing, pointer, index, values):
    taken = types.UniTuple(pointer.dtype, 4)

    def generate(context, builder, sig, args):
        done = 0
        for (place,) in vector_pieces(builder, builder.gep(args[0], [args[1]])):
            piece = ir.Constant(place.type.pointee, ir.Undefined)
            for i in range(piece.type.count):
                number = builder.extract_value(args[2], done + i)
                piece = builder.insert_element(piece, number, I32(i))
            done += piece.type.count
            builder.store(piece, place, align=place.align)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, taken), generate


@instruction(_words.carry, prefer_literal=True)
def _carry(typing, target, source, count):
    def generate(context, builder, sig, args):
        pairs = [args[:2]] if count.literal_value == 1 else vector_pieces(builder, *args[:2])
        for to, place in pairs:
            align = getattr(place, "align", None)
            builder.store(builder.load(place, align=align), to, align=align)
        return context.get_dummy_value()

    return types.void(target, source, count), generate


@instruction(_words.offset)
def _offset(typing, pointer, index):
    def generate(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), generate


@instruction(_words.registers, prefer_literal=True)
def _registers(typing, count, like):
    like = types.unliteral(like)

    def generate(context, builder, sig, args):
        kind = ir.ArrayType(context.get_data_type(like), count.literal_value)
        memory = cgutils.alloca_once(builder, kind)
        return builder.gep(memory, [I32(0), I32(0)])

    return types.CPointer(like)(count, like), generate


@instruction(_words.unroll, prefer_literal=True)
def _unroll(typing, function, count, *args):
    args = args[0] if len(args) == 1 and isinstance(args[0], types.BaseTuple) else args
    kinds = tuple(types.unliteral(kind) for kind in args)
    called = function.get_call_type(typing, (types.int64, *kinds), {})

    def generate(context, builder, sig, values):
        *_, packed = values
        given = [builder.extract_value(packed, i) for i in range(len(kinds))]
        call = context.get_function(function, called)
        for i in range(count.literal_value):
            call(builder, [I64(i), *given])
        return context.get_dummy_value()

    return types.void(function, count, types.StarArgTuple(kinds)), generate


@instruction(_words.outer, prefer_literal=True)
def _outer(typing, sums, a, b, count):
    size = count.literal_value

    def generate(context, builder, sig, args):
        kind = args[0].type.pointee
        suffix = "f32" if kind == ir.FloatType() else "f64"
        fma = external(builder, f"llvm.fma.{suffix}", kind, kind, kind, kind)

        def entries(pointer):
            return [builder.load(builder.gep(pointer, [I64(i)])) for i in range(size)]

        rows, columns = entries(args[1]), entries(args[2])
        for i, x in enumerate(rows):
            for j, y in enumerate(columns):
                place = builder.gep(args[0], [I64(i * size + j)])
                builder.store(builder.call(fma, [x, y, builder.load(place)]), place)
        return context.get_dummy_value()

    return types.void(sums, a, b, count), generate


@instruction(_words.divide)
def _divide(typing, a, b):
    kind = types.UniTuple(types.int64, 2)

    def generate(context, builder, sig, args):
        a, b = (builder.trunc(x, I32) for x in args)
        quotient = builder.udiv(a, b)
        rest = builder.sub(a, builder.mul(quotient, b))
        return context.make_tuple(
            builder, kind, [builder.zext(quotient, I64), builder.zext(rest, I64)]
        )

    return kind(types.int64, types.int64), generate
