"""Instructions that compute: builders (registers, instruction) -> run(selection)."""

import numpy as np

from .registers import TYPES, Constant

BUILDERS = {}


def builder(*names):
    def declare(function):
        BUILDERS.update(dict.fromkeys(names, function))
        return function

    return declare


def _kinds(i):
    return [part for part in i.op if part in TYPES]


def _map(names, function, floats=None):
    """Instructions that apply one function to operands of their own type."""

    @builder(*names)
    def build(registers, i):
        kind = _kinds(i)[-1]
        chosen = floats if floats and kind[0] == "f" else function
        put = registers.write(i.operands[0], kind)
        inputs = [registers.read(o, kind) for o in i.operands[1:]]

        def run(selection):
            put(selection, chosen(*(x[selection] for x in inputs)))

        return run


def _shift_left(x, amount, bits):
    return np.where(
        amount >= bits, x.dtype.type(0), x << np.minimum(amount, bits - 1).astype(x.dtype)
    )


def _shift_right(x, amount, bits):
    if x.dtype.kind == "i":
        return x >> np.minimum(amount, bits - 1).astype(x.dtype)
    return np.where(
        amount >= bits, x.dtype.type(0), x >> np.minimum(amount, bits - 1).astype(x.dtype)
    )


def _quotient(a, b):
    if np.ndim(a) == 0 and np.ndim(b) == 0:
        a = np.asarray(a)
    zero = b == 0
    b = np.where(zero, b.dtype.type(1), b)
    whole = (a - np.fmod(a, b)) // b
    return np.where(zero, np.array(-1).astype(a.dtype), whole)


def _remainder(a, b):
    return np.where(b == 0, a, np.fmod(a, np.where(b == 0, b.dtype.type(1), b)))


def _fused(a, b, c):
    """a * b + c rounded once; in float64 where the rounding of the product could be seen."""
    if np.result_type(a, b, c) == np.float32:
        return np.asarray(a, np.float64) * b + c
    a, b, c = np.broadcast_arrays(a, b, c)
    product = a * b
    total = product + c
    cancels = np.flatnonzero(2 * np.abs(total) < np.abs(c))
    if len(cancels):
        lost = _lost(a[cancels], b[cancels], product[cancels])
        total[cancels] += np.where(np.isfinite(lost), lost, 0)
    return total


def _lost(a, b, product):
    """a * b - product, exactly (Dekker 1971)."""
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halves(x):
    wide = 134217729.0 * x  # 2^27 + 1
    high = wide - (wide - x)
    return high, x - high


_map(["add"], np.add)
_map(["sub"], np.subtract)
_map(["min"], np.minimum, np.fmin)
_map(["max"], np.maximum, np.fmax)
_map(["and"], np.bitwise_and)
_map(["or"], np.bitwise_or)
_map(["xor"], np.bitwise_xor)
_map(["not"], np.invert)
_map(["neg"], np.negative)
_map(["abs"], np.abs)
_map(["sqrt"], np.sqrt)
_map(["rsqrt"], lambda x: 1 / np.sqrt(x))
_map(["rcp"], lambda x: 1 / x)
_map(["div"], _quotient, np.divide)
_map(["rem"], _remainder)
_map(["ex2"], np.exp2)
_map(["lg2"], np.log2)
_map(["sin"], np.sin)
_map(["cos"], np.cos)
_map(["tanh"], np.tanh)
_map(["copysign"], lambda a, b: np.copysign(b, a))


@builder("mul", "mad", "fma", "mul24", "mad24")
def _multiply(registers, i):
    kind = _kinds(i)[-1]
    dtype = TYPES[kind]
    a, b = (registers.read(o, kind) for o in i.operands[1:3])
    wide = f"{kind[0]}{8 * min(8, 2 * dtype.itemsize)}" if "wide" in i.op else kind
    put = registers.write(i.operands[0], wide)
    c = registers.read(i.operands[3], wide) if len(i.operands) > 3 else None
    bits, double = dtype.itemsize * 8, f"{dtype.kind}{2 * dtype.itemsize}"

    def run(selection):
        x, y = a[selection], b[selection]
        if "wide" in i.op:
            value = np.multiply(x, y, dtype=double)
        elif "hi" in i.op:
            value = _high(x, y, bits, double)
        elif i.op[0] == "fma":
            put(selection, _fused(x, y, c[selection]))
            return
        else:
            value = x * y
        put(selection, value if c is None else value + c[selection])

    return run


def _high(x, y, bits, double):
    if bits < 64:
        return (np.multiply(x, y, dtype=double) >> bits).astype(x.dtype)
    whole = np.asarray(x, object) * y  # Python's integers have room
    return np.asarray(whole >> 64, object).astype(x.dtype)


@builder("shl", "shr")
def _shift(registers, i):
    kind = _kinds(i)[-1]
    function = _shift_left if i.op[0] == "shl" else _shift_right
    put, x = registers.write(i.operands[0], kind), registers.read(i.operands[1], kind)
    amount, bits = registers.read(i.operands[2], "u32"), TYPES[kind].itemsize * 8

    def run(selection):
        put(selection, function(x[selection], amount[selection], bits))

    return run


COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater,
    "hs": np.greater_equal,
}  # fmt: skip


def _unordered(compare):
    return lambda a, b: compare(a, b) | np.isnan(a) | np.isnan(b)


COMPARE |= {f"{name}u": _unordered(COMPARE[name]) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
COMPARE["num"] = lambda a, b: ~(np.isnan(a) | np.isnan(b))
COMPARE["nan"] = lambda a, b: np.isnan(a) | np.isnan(b)
JOIN = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _ordered(name, compare):
    """`ne` holds only where both are numbers; NumPy's holds for NaN."""
    if name == "ne":
        return lambda a, b: compare(a, b) & ~(np.isnan(a) | np.isnan(b))
    return compare


@builder("setp")
def _set_predicate(registers, i):
    kind = _kinds(i)[-1]
    compare = COMPARE[i.op[1]]
    if kind[0] == "f":
        compare = _ordered(i.op[1], compare)
    join = JOIN.get(i.op[2])
    names = i.operands[0].split("|")
    puts = [registers.write(name, "pred") for name in names]
    a, b = (registers.read(o, kind) for o in i.operands[1:3])
    third = i.operands[3] if join else None
    flip = bool(third) and third.startswith("!")
    c = registers.read(third.lstrip("!"), "pred") if third else None

    def run(selection):
        value = compare(a[selection], b[selection])
        results = [value, ~value]
        for put, result in zip(puts, results, strict=False):
            if join:
                other = ~c[selection] if flip else c[selection]
                result = join(result, other)
            put(selection, result)

    return run


@builder("selp")
def _select(registers, i):
    kind = _kinds(i)[-1]
    put = registers.write(i.operands[0], kind)
    a, b = (registers.read(o, kind) for o in i.operands[1:3])
    which = registers.read(i.operands[3], "pred")

    def run(selection):
        put(selection, np.where(which[selection], a[selection], b[selection]))

    return run


ROUND = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@builder("cvt")
def _convert(registers, i):
    to, kind = _kinds(i)[-2:]
    put, x = registers.write(i.operands[0], to), registers.read(i.operands[1], kind)
    target = TYPES[to]
    rounding = next((ROUND[part] for part in i.op if part in ROUND), None)

    def run(selection):
        value = x[selection]
        if rounding and kind[0] == "f":
            value = rounding(value)
        if kind[0] == "f" and to[0] != "f":
            value = _to_integer(value, target)
        elif "sat" in i.op and to[0] == "f":
            value = np.clip(np.nan_to_num(value), 0, 1)
        put(selection, np.asarray(value).astype(target))

    return run


def _to_integer(value, target):
    """Out of range goes to the nearest end, NaN to 0."""
    limits = np.iinfo(target)
    value = np.nan_to_num(np.asarray(value, np.float64), nan=0.0)
    high, low = value >= float(limits.max), value <= float(limits.min)
    whole = np.where(high | low, 0, value).astype(target)
    return np.where(high, target.type(limits.max), np.where(low, target.type(limits.min), whole))


@builder("mov", "cvta")
def _move(registers, i):
    kind = _kinds(i)[-1]
    target, source = i.operands
    if "{" in source or "{" in target:
        return _packed(registers, kind, target, source)
    put, x = registers.write(target, kind), registers.read(source, kind)

    def run(selection):
        put(selection, x[selection])

    return run


def _packed(registers, kind, target, source):
    """One wide register from several, or the other way round."""
    wide = TYPES[kind].itemsize
    names = [n.strip() for n in (target if "{" in target else source).strip("{}").split(",")]
    part = f"b{8 * wide // len(names)}"
    bits, mask = 8 * wide // len(names), (1 << (8 * wide // len(names))) - 1
    whole = f"b{8 * wide}"
    if "{" in target:
        x = registers.read(source, whole)
        puts = [(k, registers.write(n, part)) for k, n in enumerate(names) if n != "_"]

        def run(selection):
            value = x[selection]
            dtype = value.dtype.type
            for k, put in puts:
                put(selection, (value >> dtype(bits * k)) & dtype(mask))

        return run
    put, parts = registers.write(target, whole), [registers.read(n, part) for n in names]
    dtype = TYPES[whole].type

    def join(selection):
        value = dtype(0)
        for k, x in enumerate(parts):
            value = value | (np.asarray(x[selection]).astype(dtype) << dtype(bits * k))
        put(selection, value)

    return join


@builder("prmt")
def _permute(registers, i):
    put = registers.write(i.operands[0], "b32")
    a, b, chosen = (registers.read(o, "u32") for o in i.operands[1:4])

    def run(selection):
        both = np.asarray(a[selection], np.uint64) | (
            np.asarray(b[selection], np.uint64) << np.uint64(32)
        )
        how, out = np.asarray(chosen[selection], np.uint64), np.uint64(0)
        for k in range(4):
            byte = both >> ((how >> np.uint64(4 * k) & np.uint64(7)) * np.uint64(8)) & np.uint64(
                255
            )
            sign = (how >> np.uint64(4 * k + 3)) & np.uint64(1)
            byte = np.where(sign, np.where(byte >> np.uint64(7), 255, 0).astype(np.uint64), byte)
            out = out | byte << np.uint64(8 * k)
        put(selection, out)

    return run


@builder("bfe")
def _extract(registers, i):
    kind = _kinds(i)[-1]
    put, x = registers.write(i.operands[0], kind), registers.read(i.operands[1], kind)
    start, count = (registers.read(o, "u32") for o in i.operands[2:4])
    if not (isinstance(start, Constant) and isinstance(count, Constant)):
        raise NotImplementedError("bfe with places in registers")
    first, some, bits = int(start.value), int(count.value), TYPES[kind].itemsize * 8
    up = bits - first - some

    def run(selection):
        value = x[selection]
        kept = value << value.dtype.type(up) if up > 0 else value
        put(selection, kept >> value.dtype.type(bits - some))

    return run


@builder("bfi")
def _insert(registers, i):
    kind = _kinds(i)[-1]
    put, a, b = (
        registers.write(i.operands[0], kind),
        *(registers.read(o, kind) for o in i.operands[1:3]),
    )
    start, count = (registers.read(o, "u32") for o in i.operands[3:5])
    if not (isinstance(start, Constant) and isinstance(count, Constant)):
        raise NotImplementedError("bfi with places in registers")
    at = int(start.value)
    dtype, mask = TYPES[kind].type, (1 << int(count.value)) - 1

    def run(selection):
        kept = b[selection] & ~dtype(mask << at)
        put(selection, kept | (a[selection] & dtype(mask)) << dtype(at))

    return run


@builder("shf")
def _funnel(registers, i):
    put = registers.write(i.operands[0], "b32")
    low, high, amount = (registers.read(o, "u32") for o in i.operands[1:4])
    left = "l" in i.op

    def run(selection):
        both = np.asarray(high[selection], np.uint64) << np.uint64(32) | low[selection]
        by = np.asarray(amount[selection], np.uint64)
        by = by & np.uint64(31) if "wrap" in i.op else np.minimum(by, np.uint64(32))
        put(
            selection, (both << by >> np.uint64(32) if left else both >> by) & np.uint64(0xFFFFFFFF)
        )

    return run


@builder("clz", "popc", "brev", "bfind")
def _count(registers, i):
    kind = _kinds(i)[-1]
    put, x = registers.write(i.operands[0], "u32"), registers.read(i.operands[1], f"u{kind[1:]}")
    bits = TYPES[kind].itemsize * 8

    def run(selection):
        value = np.asarray(x[selection])
        if i.op[0] == "popc":
            put(selection, np.bitwise_count(value))
            return
        if i.op[0] == "brev":
            out = np.zeros_like(value)
            for k in range(bits):
                out |= ((value >> value.dtype.type(k)) & value.dtype.type(1)) << value.dtype.type(
                    bits - 1 - k
                )
            put(selection, out)
            return
        top = np.zeros(value.shape, np.int64) - 1
        for k in range(bits):
            top[(value >> value.dtype.type(k)) & value.dtype.type(1) == 1] = k
        put(selection, (bits - 1 - top if i.op[0] == "clz" else top).astype(np.uint32))

    return run
