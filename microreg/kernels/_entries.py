"""The machine-level entries around a kernel's function, written as LLVM instructions.

    microreg_entry(int64* row, int64 tid, int64 nt)     one thread's part; row = [array addresses,
                                                        scalars, sizes]
    microreg_call(self, PyObject** args, int64 count)   called by Python itself: array objects and
                                                        numbers

`microreg_call` reads addresses and sizes from the array objects, where NumPy keeps them, and runs
the whole kernel, if its work is below the kernel's grain, without letting go of the interpreter. It
returns self then, which is numpy.ndarray, and its first argument if it did nothing, because there
is more work or an argument is no ndarray.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.np import arrayobj

from ._cache import CALL, HEAD, SYMBOL

NAMES = (SYMBOL, CALL)
FAR_NAME = "_far"
I32, I64, VOID = ir.IntType(32), ir.IntType(64), ir.VoidType()
WORD = I64.as_pointer()
OBJECT = ir.IntType(8).as_pointer()


def module(kernel, kinds, body, target):
    """A module with both entries; `body` describes the compiled function of argument `kinds`."""
    made = target.codegen()._create_empty_module(kernel.name)
    entry = _entry(made, kernel, kinds, body, target)
    _call(made, kernel, entry)
    return made


def _entry(made, kernel, kinds, body, target):
    function = ir.Function(made, ir.FunctionType(VOID, [WORD, I64, I64]), SYMBOL)
    function.attributes.add("noinline")  # two copies could round differently
    row, tid, nt = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    if kernel.far is not None:
        work, first = I64(1), kernel.n_arrays + len(kernel.signature.scalars)
        for i in kernel.counted:
            work = builder.mul(work, _word(builder, row, first + i))
        far = builder.icmp_signed(">=", work, I64(kernel.far))

    def run(start, count, index):
        values = _arguments(builder, target, kernel, kinds, row, start, count, index, tid, nt)
        kind = target.call_conv.get_function_type(types.none, kinds)
        callee = cgutils.get_or_insert_function(made, kind, body.llvm_func_name)
        if kernel.far is not None:
            wide = cgutils.get_or_insert_function(made, kind, body.llvm_func_name + FAR_NAME)
            callee = builder.select(far, wide, callee)
        status, _ = target.call_conv.call_function(builder, callee, types.none, kinds, values)
        if config.BOUNDSCHECK:  # nobody could catch an error: the process ends
            with builder.if_then(status.is_error):
                builder.call(made.declare_intrinsic("llvm.trap", (), ir.FunctionType(VOID, [])), [])

    zero = I64(0)
    if kernel.split is None:
        with builder.if_then(builder.icmp_signed("==", tid, zero)):
            run(zero, zero, zero)
    elif kernel.split == "threads":
        run(zero, zero, zero)
    else:
        _blocks(builder, kernel, row, tid, nt, run)
    builder.ret_void()
    return function


def _blocks(builder, kernel, row, tid, nt, run):
    """The loop over blocks tid, tid + nt, ... of the split dimension; see `Kernel.rows`."""
    inner = I64(1)
    for dim in kernel.inner:
        size = I64(int(dim)) if dim.isdigit() else _word(builder, row, kernel.signature.slot(dim))
        inner = builder.mul(inner, size)
    count = _word(builder, row, kernel.signature.slot(kernel.split))
    rows = builder.sdiv(I64(kernel.block), _larger(builder, inner))
    rows = _larger(builder, rows)
    if not kernel.inner:
        rows = I64(kernel.block)
    head, body = builder.append_basic_block("blocks"), builder.append_basic_block("block")
    after = builder.append_basic_block("after")
    before = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(tid, before)
    start = builder.mul(index, rows)
    builder.cbranch(builder.icmp_signed("<", start, count), body, after)
    builder.position_at_end(body)
    left = builder.sub(count, start)
    some = builder.select(builder.icmp_signed("<", left, rows), left, rows)
    run(start, some, index)
    index.add_incoming(builder.add(index, nt), builder.block)
    builder.branch(head)
    builder.position_at_end(after)


def _larger(builder, value):
    """value, or 1 if it is less."""
    return builder.select(builder.icmp_signed("<", value, I64(1)), I64(1), value)


def _word(builder, row, i):
    return builder.load(builder.gep(row, [I64(i)]))


def _arguments(builder, target, kernel, kinds, row, start, count, index, tid, nt):
    """What the function takes: array structures, scalars, reserved numbers."""
    signature = kernel.signature

    def size(dim):
        if dim == "blocks":
            return I64(1)
        return I64(int(dim)) if dim.isdigit() else _word(builder, row, signature.slot(dim))

    values = []
    for i, (spec, kind) in enumerate(zip(signature.arrays, kinds, strict=False)):
        data_type = target.get_data_type(kind.dtype)
        shape = [size(dim) for dim in spec.dims]
        strides = [I64(target.get_abi_sizeof(data_type))]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        place = _word(builder, row, i)
        if spec.dims and spec.dims[0] == "blocks":
            place = builder.add(place, builder.mul(index, strides[0]))
        elif spec.dims and spec.dims[0] == kernel.split != "threads":
            place = builder.add(place, builder.mul(start, strides[0]))
            shape[0] = count
        array = arrayobj.make_array(kind)(target, builder)
        arrayobj.populate_array(
            array,
            data=builder.inttoptr(place, data_type.as_pointer()),
            shape=shape,
            strides=strides,
            itemsize=I64(target.get_abi_sizeof(data_type)),
            meminfo=None,
        )
        values.append(array._getvalue())
    for i, spec in enumerate(signature.scalars):
        value = _word(builder, row, len(signature.arrays) + i)
        values.append(
            value if spec.dtype == "int64" else _number(builder, value, kinds[len(values)])
        )
    reserved = {"start": start, "tid": tid, "nt": nt, "row": builder.ptrtoint(row, I64)}
    return values + [reserved[name] for name in signature.reserved]


def _number(builder, word, kind):
    """A scalar of the element type, from the float64 as which it lies in a row."""
    value = builder.bitcast(word, ir.DoubleType())
    if isinstance(kind, types.Boolean):
        return builder.fcmp_unordered("!=", value, ir.DoubleType()(0.0))
    if isinstance(kind, types.Integer):
        return builder.fptosi(value, ir.IntType(kind.bitwidth))
    return builder.fptrunc(value, ir.FloatType()) if kind == types.float32 else value


def _call(made, kernel, entry):
    kind = ir.FunctionType(OBJECT, [OBJECT, OBJECT.as_pointer(), I64])
    function = ir.Function(made, kind, CALL)
    kind_of_array, args, _ = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))

    def external(name, result, argument):
        kind = ir.FunctionType(result, [argument])
        return cgutils.get_or_insert_function(made, kind, name)

    def give(value):
        builder.call(external("Py_IncRef", VOID, OBJECT), [value])
        builder.ret(value)

    def field(object, offset):
        """The word at a byte offset from an object's head."""
        return builder.load(builder.bitcast(builder.gep(object, [I64(HEAD + offset)]), WORD))

    objects = [
        builder.load(builder.gep(args, [I64(i)]))
        for i in range(kernel.n_arrays + len(kernel.signature.scalars))
    ]
    arrays, numbers = objects[: kernel.n_arrays], objects[kernel.n_arrays :]
    expected = builder.ptrtoint(kind_of_array, I64)
    foreign = ir.Constant(ir.IntType(1), 0)
    for array in arrays:  # an object's head ends with its type
        foreign = builder.or_(foreign, builder.icmp_signed("!=", field(array, -8), expected))
    with builder.if_then(foreign, likely=False):
        give(objects[0])
    sizes = []  # in an array object: data, the number of axes, the address of the sizes
    for i, axis in kernel.sizes:
        lengths = builder.inttoptr(field(arrays[i], 16), WORD)
        if kernel.flat[i]:
            count = builder.zext(builder.trunc(field(arrays[i], 8), I32), I64)
            sizes.append(_product(builder, lengths, count))
        else:
            sizes.append(_word(builder, lengths, axis))
    work = I64(1)
    for i in kernel.counted:
        work = builder.mul(work, sizes[i])
    with builder.if_then(builder.icmp_signed(">=", work, I64(kernel.grain)), likely=False):
        give(objects[0])
    words = [field(array, 0) for array in arrays]
    for spec, number in zip(kernel.signature.scalars, numbers, strict=True):
        if spec.dtype == "int64":
            words.append(builder.call(external("PyLong_AsLongLong", I64, OBJECT), [number]))
        else:
            to_float = external("PyFloat_AsDouble", ir.DoubleType(), OBJECT)
            words.append(builder.bitcast(builder.call(to_float, [number]), I64))
    row = cgutils.alloca_once(builder, I64, size=max(1, len(words + sizes)))
    for i, word in enumerate(words + sizes):
        builder.store(word, builder.gep(row, [I64(i)]))
    builder.call(entry, [row, I64(0), I64(1)])
    give(kind_of_array)


def _product(builder, numbers, count):
    """The product of so many numbers in memory; 1 if there are none."""
    before = builder.block
    head, body = builder.append_basic_block("product"), builder.append_basic_block("factor")
    after = builder.append_basic_block("all")
    builder.branch(head)
    builder.position_at_end(head)
    i, total = builder.phi(I64), builder.phi(I64)
    i.add_incoming(I64(0), before)
    total.add_incoming(I64(1), before)
    builder.cbranch(builder.icmp_signed("<", i, count), body, after)
    builder.position_at_end(body)
    i.add_incoming(builder.add(i, I64(1)), body)
    total.add_incoming(builder.mul(total, builder.load(builder.gep(numbers, [i]))), body)
    builder.branch(head)
    builder.position_at_end(after)
    return total
