"""Instructions that load, store, and pass numbers between the lanes of a warp."""

import re

import numpy as np

from .arithmetic import builder
from .fault import Fault
from .registers import TYPES, Constant

SHARED_WINDOW = 1 << 44  # where a block's memory lies among generic addresses
WARP = 32
_ADDRESS = re.compile(r"\[\s*([%$\w]+)?\s*(?:\+?\s*(-?\d+))?\s*\]")
_SPACES = ("global", "shared", "local", "const", "param")


class Place:
    """The operand [register + offset] or [symbol + offset]."""

    def __init__(self, body, text, space):
        name, offset = _ADDRESS.match(text).groups()
        self.offset = int(offset or 0)
        if name in body.symbols(space):
            self.offset += body.symbols(space)[name]
            self.register = Constant(np.int64(0))
        else:
            small = body.registers.raw(name).itemsize == 4
            self.register = body.registers.read(name, "u32" if small else "s64")

    def addresses(self, selection, count):
        base = np.asarray(self.register[selection]).astype(np.int64)
        return np.broadcast_to(base + self.offset, (count,))


def _names(text):
    return [n.strip() for n in text.strip("{}").split(",")]


def _parts(body, i, target, address):
    kind = next(part for part in i.op[::-1] if part in TYPES)
    space = next((s for s in _SPACES if s in i.op), "generic")
    return kind, space, _names(target), Place(body, address, space)


@builder("ld", "ldu")
def _load(body, i):
    if "param" in i.op:
        return _from_parameter(body, i)
    kind, space, names, place = _parts(body, i, *i.operands)
    puts = [body.registers.write(n, kind) for n in names]
    size = TYPES[kind].itemsize

    def run(selection):
        memory, at = body.reach(space, place, selection, size * len(puts), False)
        index, typed = at // size, memory.view(TYPES[kind])
        for k, put in enumerate(puts):
            put(selection, typed[index + k])

    return run


@builder("st")
def _store(body, i):
    if "param" in i.op:
        return _to_parameter(body, i)
    kind, space, names, place = _parts(body, i, i.operands[1], i.operands[0])
    values = [body.registers.read(n, kind) for n in names]
    size = TYPES[kind].itemsize

    def run(selection):
        memory, at = body.reach(space, place, selection, size * len(values), True)
        index, typed = at // size, memory.view(TYPES[kind])
        for k, x in enumerate(values):
            typed[index + k] = x[selection]

    return run


def _parameter(text):
    """A parameter stands in a register of its own."""
    name, offset = _ADDRESS.match(text).groups()
    if int(offset or 0):
        raise NotImplementedError(f"a parameter of several parts: {text}")
    return name


def _from_parameter(body, i):
    kind = i.op[-1]
    put = body.registers.write(i.operands[0], kind)
    x = body.registers.fix(_parameter(i.operands[1])).view(TYPES[kind])
    x = x[:: 8 // TYPES[kind].itemsize]

    def run(selection):
        put(selection, x[selection])

    return run


def _to_parameter(body, i):
    kind = i.op[-1]
    target = body.registers.fix(_parameter(i.operands[0])).view(TYPES[kind])
    target = target[:: 8 // TYPES[kind].itemsize]
    x = body.registers.read(i.operands[1], kind)

    def run(selection):
        target[selection] = x[selection]

    return run


@builder("bar", "barrier", "membar", "fence")
def _nothing(body, i):
    return None  # the machine itself waits


class Lanes:
    """The lanes that execute an instruction, warp by warp, checked against its mask."""

    def __init__(self, threads, mask):
        warps, row = np.unique(threads // WARP, return_inverse=True)
        self.at = row, threads % WARP
        self.here = np.zeros((len(warps), WARP), bool)
        self.here[self.at] = True
        asked = np.asarray(mask, np.uint64).reshape(-1, 1) >> np.arange(
            WARP, dtype=np.uint64
        ) & np.uint64(1)
        asked = np.broadcast_to(asked.astype(bool), (len(threads), WARP))
        if (asked & ~self.here[row]).any():
            raise Fault("lanes", "a mask names lanes that are elsewhere")
        if not asked[np.arange(len(threads)), self.at[1]].all():
            raise Fault("lanes", "a lane is not in its own mask")

    def spread(self, values):
        out = np.zeros(self.here.shape, values.dtype)
        out[self.at] = values
        return out


@builder("shfl")
def _shuffle(body, i):
    _, _, mode, kind = i.op
    names = i.operands[0].split("|")
    put = body.registers.write(names[0], kind)
    inside = body.registers.write(names[1], "pred") if len(names) > 1 else None
    x, by, clamp, mask = (
        body.registers.read(o, k)
        for o, k in zip(i.operands[1:5], (kind, "u32", "u32", "u32"), strict=True)
    )

    def run(selection):
        threads = body.threads_of(selection)
        lanes = Lanes(threads, mask[selection])
        row, lane = lanes.at
        values = lanes.spread(np.broadcast_to(x[selection], threads.shape))
        step, bound = np.asarray(by[selection], np.int64), np.asarray(clamp[selection], np.int64)
        segment = ~(bound >> 8) & 31
        last = (lane & ~segment & 31) | (bound & segment)
        source = {
            "bfly": lane ^ step, "up": lane - step, "down": lane + step,
            "idx": (lane & ~segment & 31) | (step & segment),
        }[mode]  # fmt: skip
        valid = source >= (lane & ~segment & 31) if mode == "up" else source <= last
        source = np.where(valid, source, lane)
        if not lanes.here[row, source].all():
            raise Fault("lanes", "a shuffle reads a lane that is elsewhere")
        put(selection, values[row, source])
        if inside:
            inside(selection, valid)

    return run


@builder("vote")
def _vote(body, i):
    mode = i.op[2]
    put = body.registers.write(i.operands[0], "b32" if mode == "ballot" else "pred")
    flip = i.operands[1].startswith("!")
    condition = body.registers.read(i.operands[1].lstrip("!"), "pred")
    mask = body.registers.read(i.operands[2], "u32")

    def run(selection):
        threads = body.threads_of(selection)
        lanes = Lanes(threads, mask[selection])
        held = np.broadcast_to(condition[selection], threads.shape)
        held = lanes.spread(~held if flip else held)
        row = lanes.at[0]
        if mode == "ballot":
            bits = (held.astype(np.uint64) << np.arange(WARP, dtype=np.uint64)).sum(1)
            put(selection, bits[row].astype(np.uint32))
        else:
            found = held.any(1) if mode == "any" else (held | ~lanes.here).all(1)
            put(selection, found[row])

    return run
