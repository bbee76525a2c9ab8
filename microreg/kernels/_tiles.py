"""The innermost loops of the matrix product as LLVM vector instructions, without Numba.

Compilers do not keep a tile of sums in vector registers by themselves, so the three functions of
`_simd.py` are written out here, for one element type and number of lanes. There is one tile for
each number of rows and vectors, with and without a mask on the last vector, and a table of them.
"""

import contextlib

import llvmlite.binding as llvm
from llvmlite import ir

I32, I64 = ir.IntType(32), ir.IntType(64)
VOID = ir.VoidType()
# the arguments of the functions of _simd.py, a pointer for each array and its offset
TILE = "iiiipiiipiipiipi"
COPY = "iipipi"


def module(dtype, rows, lanes, columns):
    """The LLVM module with tile, transpose and copy for a dtype; arguments as `tile_shape`."""
    emitter = Emitter(ir.FloatType() if dtype.itemsize == 4 else ir.DoubleType(), lanes)
    emitter.table(rows, columns // lanes)
    emitter.transpose()
    emitter.copy()
    made = llvm.parse_assembly(str(emitter.module))
    made.verify()
    return made


class Emitter:
    """Writes functions over an element type, with `lanes` elements in a vector."""

    def __init__(self, element, lanes):
        self.element, self.lanes = element, lanes
        self.pointer = element.as_pointer()
        self.vector = ir.VectorType(element, lanes)
        self.zero = ir.Constant(self.vector, None)
        self.bits = 32 if element == ir.FloatType() else 64
        self.module = ir.Module(name="tiles")
        self.module.triple = llvm.get_default_triple()

    def intrinsic(self, name, result, args):
        """An LLVM function over vectors, which llvmlite's own declare_intrinsic does not know."""
        name = f"llvm.{name}.v{self.lanes}f{self.bits}" + (".p0" if "masked" in name else "")
        if name in self.module.globals:
            return self.module.get_global(name)
        return ir.Function(self.module, ir.FunctionType(result, args), name)

    def load(self, builder, pointer, mask=None):
        """A vector from memory; where the mask is off it is 0 and nothing is read."""
        align = self.bits // 8
        if mask is None:
            return builder.load(builder.bitcast(pointer, self.vector.as_pointer()), align=align)
        kinds = [self.pointer, I32, mask.type, self.vector]
        function = self.intrinsic("masked.load", self.vector, kinds)
        return builder.call(function, [pointer, I32(align), mask, self.zero])

    def store(self, builder, value, pointer, mask=None):
        """A vector to memory; where the mask is off nothing is written."""
        align = self.bits // 8
        if mask is None:
            builder.store(value, builder.bitcast(pointer, self.vector.as_pointer()), align=align)
            return
        kinds = [self.vector, self.pointer, I32, mask.type]
        function = self.intrinsic("masked.store", VOID, kinds)
        builder.call(function, [value, pointer, I32(align), mask])

    def mask(self, builder, count):
        """On in the first `count` lanes."""
        kind = ir.IntType(self.bits)
        index = ir.Constant(ir.VectorType(kind, self.lanes), [kind(i) for i in range(self.lanes)])
        count = builder.trunc(count, kind) if self.bits == 32 else count
        return builder.icmp_signed("<", index, self.splat(builder, count))

    def splat(self, builder, value):
        """A vector with one value in every lane."""
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        one = builder.insert_element(undefined, value, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), None)
        return builder.shuffle_vector(one, undefined, zeros)

    def function(self, name, kinds):
        """A new function and a builder at its beginning."""
        kinds = [self.pointer if kind == "p" else I64 for kind in kinds]
        function = ir.Function(self.module, ir.FunctionType(VOID, kinds), name)
        return function, ir.IRBuilder(function.append_basic_block("entry"))

    def opaque(self, builder, pointer):
        """The pointer itself, through empty assembly that hides from LLVM where it comes from.

        Otherwise each row's address would be derived from the row before: one long chain.
        """
        kind = ir.FunctionType(pointer.type, [pointer.type])
        return builder.asm(kind, "", "=r,0", [pointer], False)

    def tile(self, rows, vectors, masked):
        """One tile of `rows` by `vectors`; its sums stay in registers from first to last."""
        function, builder = self.function(f"tile_{rows}_{vectors}_{masked}", TILE)
        function.linkage = "internal"
        _, columns, depth, segments, *rest = function.args
        a, row_step, step, jump, b, b_step, b_jump, c, c_step, add, bias, ending = rest
        for pointer in (a, b, c, bias):
            pointer.add_attribute("noalias")
        entry = builder.block
        names = ("segment", "loop", "next", "after")
        segment, loop, following, after = (function.append_basic_block(n) for n in names)
        used = builder.sub(columns, I64((vectors - 1) * self.lanes))
        masks = [None] * (vectors - 1) + [self.mask(builder, used) if masked else None]
        # three rows to a pointer: x86 adds 0, 1 or 2 row steps within the load itself
        starts = [builder.gep(a, [builder.mul(row_step, I64(row))]) for row in range(0, rows, 3)]
        empty = builder.icmp_signed("<=", depth, I64(0))
        builder.cbranch(empty, after, segment)
        zeros = [self.zero] * (rows * vectors)

        builder.position_at_end(segment)
        outer = [builder.phi(v.type) for v in (I64(0), b, *starts, *zeros)]
        builder.branch(loop)

        builder.position_at_end(loop)
        inner = [builder.phi(v.type) for v in outer]
        p, b_now, *others = inner
        a_now, sums = others[: len(starts)], others[len(starts) :]
        lines = [
            self.load(builder, builder.gep(b_now, [I64(v * self.lanes)]), masks[v])
            for v in range(vectors)
        ]
        fma = self.intrinsic("fma", self.vector, [self.vector] * 3)
        added = []
        for row in range(rows):
            place = builder.gep(a_now[row // 3], [builder.mul(row_step, I64(row % 3))])
            factor = self.splat(builder, builder.load(place))
            for v in range(vectors):
                added.append(builder.call(fma, [factor, lines[v], sums[row * vectors + v]]))
        a_next = [self.opaque(builder, builder.gep(pointer, [step])) for pointer in a_now]
        p_next = builder.add(p, I64(1))
        nexts = [p_next, builder.gep(b_now, [b_step]), *a_next, *added]
        builder.cbranch(builder.icmp_signed("<", p_next, depth), loop, following)
        firsts = [I64(0), *outer[1:]]
        for phi, first, later in zip(inner, firsts, nexts, strict=True):
            phi.add_incoming(first, segment)
            phi.add_incoming(later, loop)

        builder.position_at_end(following)
        count = builder.add(outer[0], I64(1))
        jumps = [b_jump] + [jump] * len(starts)
        moved = [builder.gep(q, [d]) for q, d in zip(outer[1 : len(jumps) + 1], jumps, strict=True)]
        firsts = [I64(0), b, *starts, *zeros]
        for phi, first, later in zip(outer, firsts, [count, *moved, *added], strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(later, following)
        builder.cbranch(builder.icmp_signed("<", count, segments), segment, after)

        builder.position_at_end(after)
        totals = []
        for row in range(rows):
            totals.append([builder.phi(self.vector) for _ in range(vectors)])
            for v in range(vectors):
                totals[row][v].add_incoming(self.zero, entry)
                totals[row][v].add_incoming(added[row * vectors + v], following)
        blocks = [function.append_basic_block(n) for n in ("later", "first", "sums", "biased")]
        later, first, whole, biased = blocks
        builder.cbranch(builder.icmp_signed("!=", add, I64(0)), later, first)
        builder.position_at_end(later)
        held = self.lines(builder, c, c_step, rows, masks)
        summed = [
            [builder.fadd(*pair) for pair in zip(*both, strict=True)]
            for both in zip(held, totals, strict=True)
        ]
        builder.branch(whole)
        builder.position_at_end(first)
        builder.branch(whole)
        builder.position_at_end(whole)
        values = []
        for row in range(rows):
            values.append([builder.phi(self.vector) for _ in range(vectors)])
            for v in range(vectors):
                values[row][v].add_incoming(totals[row][v], first)
                values[row][v].add_incoming(summed[row][v], later)
        plain = function.append_basic_block("plain")
        builder.cbranch(builder.icmp_signed("<", ending, I64(0)), plain, biased)
        builder.position_at_end(plain)
        self.write(builder, values, c, c_step, masks)
        builder.ret_void()
        builder.position_at_end(biased)
        offsets = self.lines(builder, bias, I64(0), 1, masks)[0]
        shifted = [[builder.fadd(x, o) for x, o in zip(r, offsets, strict=True)] for r in values]
        cut = builder.icmp_signed("==", ending, I64(1))
        lowest = builder.select(cut, self.element(0.0), self.element(float("-inf")))
        floor = self.splat(builder, lowest)
        clipped = [[self.above(builder, x, floor) for x in r] for r in shifted]
        self.write(builder, clipped, c, c_step, masks)
        builder.ret_void()
        return function

    def above(self, builder, value, floor):
        """max(value, floor); NaN stays NaN."""
        return builder.select(builder.fcmp_ordered("<=", value, floor), floor, value)

    def lines(self, builder, pointer, step, rows, masks):
        """The vectors of some lines of memory."""
        out = []
        for _ in range(rows):
            places = [builder.gep(pointer, [I64(v * self.lanes)]) for v in range(len(masks))]
            out.append([self.load(builder, p, m) for p, m in zip(places, masks, strict=True)])
            pointer = builder.gep(pointer, [step])
        return out

    def write(self, builder, values, pointer, step, masks):
        """Store the vectors of some lines."""
        for row in values:
            for v, value in enumerate(row):
                self.store(builder, value, builder.gep(pointer, [I64(v * self.lanes)]), masks[v])
            pointer = builder.gep(pointer, [step])

    def table(self, rows, vectors):
        """`tile`: jumps to the function for this many rows and columns."""
        tiles = [
            self.tile(r + 1, v + 1, masked)
            for r in range(rows)
            for v in range(vectors)
            for masked in (0, 1)
        ]
        kind = ir.ArrayType(tiles[0].type, len(tiles))
        table = ir.GlobalVariable(self.module, kind, "tiles")
        table.linkage, table.global_constant = "internal", True
        table.initializer = ir.Constant(kind, tiles)
        function, builder = self.function("tile", TILE)
        last = builder.sub(function.args[1], I64(1))
        full = builder.udiv(last, I64(self.lanes))  # whole vectors before the last one
        ends = builder.urem(last, I64(self.lanes))
        masked = builder.zext(builder.icmp_unsigned("!=", ends, I64(self.lanes - 1)), I64)
        row = builder.mul(builder.sub(function.args[0], I64(1)), I64(vectors))
        place = builder.add(builder.mul(builder.add(row, full), I64(2)), masked)
        chosen = builder.load(builder.gep(table, [I64(0), place]))
        # all take the same arguments, so this is a jump: none of them is copied
        builder.call(chosen, function.args, tail="musttail")
        builder.ret_void()

    def copy(self):
        """`copy`: a vector from each row."""
        function, builder = self.function("copy", COPY)
        rows, columns, source, step, target, target_step = function.args
        mask = self.mask(builder, columns)
        with self.loop(builder, rows) as p:
            value = self.load(builder, builder.gep(source, [builder.mul(p, step)]), mask)
            self.store(builder, value, builder.gep(target, [builder.mul(p, target_step)]))
        builder.ret_void()

    def transpose(self):
        """`transpose`: a square block of a vector's size at a time, in registers."""
        function, builder = self.function("transpose", COPY)
        rows, columns, source, step, target, target_step = function.args
        lines = []  # beyond the last row that row again: what it gives is never used
        for i in range(self.lanes):
            is_row = builder.icmp_signed("<", I64(i), rows)
            row = builder.select(is_row, I64(i), builder.sub(rows, I64(1)))
            lines.append(builder.gep(source, [builder.mul(row, step)]))
        full = builder.sdiv(columns, I64(self.lanes))
        with self.loop(builder, full) as block:
            self.block(builder, lines, None, target, target_step, block)
        rest = builder.srem(columns, I64(self.lanes))
        with builder.if_then(builder.icmp_signed("!=", rest, I64(0))):
            mask = self.mask(builder, rest)
            self.block(builder, lines, mask, target, target_step, full)
        builder.ret_void()

    def block(self, builder, lines, mask, target, target_step, block):
        """Transpose columns block * lanes... of the lines: exchange halves, quarters, ..."""
        start = builder.mul(block, I64(self.lanes))
        v = [self.load(builder, builder.gep(line, [start]), mask) for line in lines]
        distance = self.lanes // 2
        while distance:
            # lane l of line i and lane l - d of line i + d change places
            low = [i if not i & distance else i - distance + self.lanes for i in range(self.lanes)]
            high = [i + distance if not i & distance else i + self.lanes for i in range(self.lanes)]
            kind = ir.VectorType(I32, self.lanes)
            for i in range(self.lanes):
                if not i & distance:
                    pair = v[i], v[i + distance]
                    v[i] = builder.shuffle_vector(*pair, ir.Constant(kind, [I32(n) for n in low]))
                    v[i + distance] = builder.shuffle_vector(
                        *pair, ir.Constant(kind, [I32(n) for n in high])
                    )
            distance //= 2
        for i in range(self.lanes):
            row = builder.add(start, I64(i))
            self.store(builder, v[i], builder.gep(target, [builder.mul(row, target_step)]))

    @contextlib.contextmanager
    def loop(self, builder, count):
        """A loop over 0, 1, ..., count - 1."""
        before = builder.block
        body, after = builder.append_basic_block("body"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed(">", count, I64(0)), body, after)
        builder.position_at_end(body)
        index = builder.phi(I64)
        index.add_incoming(I64(0), before)
        yield index
        following = builder.add(index, I64(1))
        index.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count), body, after)
        builder.position_at_end(after)
