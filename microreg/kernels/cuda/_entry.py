"""The kernel around a function, as LLVM instructions: which thread works on what.

A kernel takes the addresses of its arrays, then its scalars, the sizes of its dimensions, and the
address of a word that ends it at once if it is not 0: how a program stops half-way. What a thread
does with them is the code's `walk`:

    pointers   the function is written for a GPU and takes all of that as it is
    tiles      it is a function for the CPU over arrays with one axis, and is given four entries of
               each at a time, in registers
    rows       it is one for the CPU, and is given one entry of the split dimension at a time
    blocks     ... the CPU's blocks, one at a time
    once       ... everything; the other threads have nothing to do
"""

from llvmlite import ir
from numba.cuda import cgutils, types
from numba.cuda.cudadrv import nvvm
from numba.cuda.np.arrayobj import make_array, populate_array

from .._spec import ELEMENT
from ._instructions import external, vector_pieces
from ._numba import CALLS, TARGET
from .plan import NAME

I32, I64 = ir.IntType(32), ir.IntType(64)
TILE = 4  # entries that a thread keeps in registers


def numba_type(name, element):
    """The type of an array's entries or of a scalar."""
    return element if name == ELEMENT else getattr(types, {"bool": "boolean"}.get(name, name))


def argument_types(code, element):
    """What the function of a code is compiled for."""
    kinds = [numba_type(a.dtype, element) for a in code.arrays]
    scalars = [numba_type(s.dtype, element) for s in code.scalars]
    if code.walk == "pointers":
        kinds = [types.uint8 if kind == types.boolean else kind for kind in kinds]
        return *map(types.CPointer, kinds), *scalars, *[types.int64] * len(code.dims)
    arrays = [types.Array(k, len(a.dims), "C") for k, a in zip(kinds, code.arrays, strict=True)]
    return *arrays, *scalars, *[types.int64] * len(code.reserved)


def build(module, code, element, body):
    """Fill a module with the kernel around a compiled function."""
    entry = _Entry(module, code, element, body)
    getattr(entry, code.walk)()
    entry.builder.ret_void()


class _Entry:
    def __init__(self, module, code, element, body):
        self.code, self.body = code, body
        kinds = [numba_type(a.dtype, element) for a in code.arrays]
        scalars = [numba_type(s.dtype, element) for s in code.scalars]
        given = [TARGET.get_data_type(kind).as_pointer() for kind in kinds]
        given += [TARGET.get_value_type(kind) for kind in scalars] + [I64] * len(code.dims)
        given.append(I64.as_pointer())
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), given), NAME)
        nvvm.set_cuda_kernel(function)
        nvvm.set_launch_bounds(function, code.bounds)
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.gate(function.args[-1])
        n, m = len(kinds), len(kinds) + len(scalars)
        self.given, self.numbers = list(function.args[:n]), list(function.args[n:m])
        self.dims = list(function.args[m:-1])
        self.sizes = dict(zip(code.dims, self.dims, strict=True))
        self.arrays = [
            types.Array(k, len(a.dims), "C") for k, a in zip(kinds, code.arrays, strict=True)
        ]
        self.split = code.split
        if code.walk == "tiles":  # numbers that all entries share are read once, not in every turn
            for spec, pointer in zip(code.arrays, self.given, strict=True):
                if not spec.written and self.split not in spec.dims:
                    pointer.add_attribute("noalias")

    def gate(self, word):
        """End here if there is such a word and it is not 0."""
        builder = self.builder
        nowhere = builder.icmp_unsigned("==", word, word.type(None))
        with builder.if_then(builder.not_(nowhere)):
            ended = builder.icmp_signed("!=", builder.load(word), I64(0))
            with builder.if_then(ended):
                builder.ret_void()

    # the walks

    def pointers(self):
        self.call([*self.given, *self.numbers, *self.dims])

    def once(self):
        zero = self.builder.icmp_signed("==", self.number(), I64(0))
        with self.builder.if_then(zero):
            self.run(I64(0), self.sizes.get(self.split), I64(0))

    def rows(self):
        with self.stride(self.sizes[self.split]) as row:
            self.run(row, I64(1), I64(0))

    def blocks(self):
        builder, count = self.builder, self.sizes[self.split]
        inner = I64(1)
        for dim in self.code.inner:
            inner = builder.mul(inner, self.size(dim))
        rows = self.larger(builder.sdiv(I64(self.code.block), self.larger(inner)))
        total = builder.sdiv(builder.sub(builder.add(count, rows), I64(1)), rows)
        with self.stride(total) as index:
            start = builder.mul(index, rows)
            left = builder.sub(count, start)
            some = builder.select(builder.icmp_signed("<", left, rows), left, rows)
            self.run(start, some, index)

    def tiles(self):
        builder, count = self.builder, self.sizes[self.split]
        whole = builder.ashr(count, I64(2))
        with self.stride(whole) as index:
            self.tile(builder.shl(index, I64(2)))
        rest = builder.add(builder.shl(whole, I64(2)), self.number())
        with builder.if_then(builder.icmp_signed("<", rest, count)):
            self.run(rest, I64(1), I64(0))

    # what they are made of

    def tile(self, start):
        """The function on entries start, ..., start + 3, in registers."""
        builder, values, held = self.builder, [], []
        for spec, kind, pointer in zip(self.code.arrays, self.arrays, self.given, strict=True):
            if spec.dims != (self.split,) or spec.name in self.code.untouched:
                values.append(self.view(spec, kind, pointer, I64(0), count=I64(TILE)))
                continue
            place = builder.gep(pointer, [start])
            registers = cgutils.alloca_once(builder, ir.ArrayType(pointer.type.pointee, TILE))
            first = builder.gep(registers, [I32(0), I32(0)])
            for source, target in vector_pieces(builder, place, first):
                builder.store(builder.load(source, align=source.align), target, align=target.align)
            if spec.written:
                held.append((place, first))
            values.append(self.array(kind, first, [I64(TILE)]))
        self.call([*values, *self.numbers])
        for place, first in held:
            for target, source in vector_pieces(builder, place, first):
                builder.store(builder.load(source, align=source.align), target, align=target.align)

    def run(self, start, count, index):
        """The function on `count` entries of the split dimension from `start` on."""
        values = [
            self.view(spec, kind, pointer, start, index, count)
            for spec, kind, pointer in zip(self.code.arrays, self.arrays, self.given, strict=True)
        ]
        reserved = {"start": start, "tid": I64(0), "nt": I64(1)}
        self.call([*values, *self.numbers, *(reserved[name] for name in self.code.reserved)])

    def view(self, spec, kind, pointer, start, index=None, count=None):
        index = I64(0) if index is None else index
        shape = [self.size(dim) for dim in spec.dims]
        first = spec.dims[0] if spec.dims else None
        if first == "threads":  # scratch memory
            pointer = self.builder.gep(pointer, [self.builder.mul(self.number(), shape[1])])
        elif first in ("blocks", self.split) and first is not None:
            step = I64(1)
            for length in shape[1:]:
                step = self.builder.mul(step, length)
            at = self.builder.mul(index if first == "blocks" else start, step)
            pointer = self.builder.gep(pointer, [at])
            if first == self.split:
                shape[0] = count
        return self.array(kind, pointer, shape)

    def array(self, kind, pointer, shape):
        """An array structure."""
        array = make_array(kind)(TARGET, self.builder)
        size = TARGET.get_abi_sizeof(pointer.type.pointee)
        strides = [I64(size)]
        for length in reversed(shape[1:]):
            strides.insert(0, self.builder.mul(strides[0], length))
        populate_array(
            array, data=pointer, shape=shape, strides=strides[-len(shape):] if shape else [],
            itemsize=I64(size), meminfo=None,
        )  # fmt: skip
        return array._getvalue()

    def call(self, values):
        kinds = self.body.signature.args
        kind = CALLS.get_function_type(types.none, kinds)
        name = self.body.fndesc.llvm_func_name
        callee = cgutils.get_or_insert_function(self.builder.module, kind, name)
        CALLS.call_function(self.builder, callee, types.none, kinds, values)

    def size(self, dim):
        if dim in ("blocks", "threads"):
            return I64(1)
        return I64(int(dim)) if dim.isdigit() else self.sizes[dim]

    def larger(self, value):
        """value, or 1 if it is less."""
        return self.builder.select(self.builder.icmp_signed("<", value, I64(1)), I64(1), value)

    def register(self, name):
        function = external(self.builder, f"llvm.nvvm.read.ptx.sreg.{name}", I32)
        return self.builder.zext(self.builder.call(function, []), I64)

    def number(self):
        """The number of this thread in the grid."""
        ahead = self.builder.mul(self.register("ctaid.x"), self.register("ntid.x"))
        return self.builder.add(ahead, self.register("tid.x"))

    def stride(self, count):
        """A loop over this thread's share of so many."""
        step = self.builder.mul(self.register("nctaid.x"), self.register("ntid.x"))
        return _loop(self.builder, self.number(), count, step)


class _loop:
    """for index in range(start, stop, step), as a context that gives the index."""

    def __init__(self, builder, start, stop, step):
        self.builder, self.start, self.stop, self.step = builder, start, stop, step

    def __enter__(self):
        builder = self.builder
        before = builder.block
        self.head, body = builder.append_basic_block("loop"), builder.append_basic_block("body")
        self.after = builder.append_basic_block("after")
        builder.branch(self.head)
        builder.position_at_end(self.head)
        self.index = builder.phi(I64)
        self.index.add_incoming(self.start, before)
        inside = builder.icmp_signed("<", self.index, self.stop)
        builder.cbranch(inside, body, self.after)
        builder.position_at_end(body)
        return self.index

    def __exit__(self, *_):
        builder = self.builder
        self.index.add_incoming(builder.add(self.index, self.step), builder.block)
        builder.branch(self.head)
        builder.position_at_end(self.after)
