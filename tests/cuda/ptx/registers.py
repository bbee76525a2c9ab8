"""Registers of all threads as arrays of bits, and operands as views of them."""

import numpy as np

BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
TYPES = {"pred": np.dtype(bool), "f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
for _n in (8, 16, 32, 64):
    TYPES |= {f"u{_n}": np.dtype(f"u{_n // 8}"), f"b{_n}": np.dtype(f"u{_n // 8}")}
    TYPES[f"s{_n}"] = np.dtype(f"i{_n // 8}")
ALL = slice(None)


class Constant:
    """An operand that is the same for every thread."""

    def __init__(self, value):
        self.value = value

    def __getitem__(self, selection):
        return self.value


def immediate(text, dtype):
    """A number as PTX writes it."""
    if text[:2].lower() in ("0f", "0d"):  # the bits of a float, whatever they are used as
        kind = np.float32 if text[1].lower() == "f" else np.float64
        bits = np.frombuffer(bytes.fromhex(text[2:])[::-1], kind)[0]
        return bits if dtype.kind == "f" else bits.view(BITS[dtype.itemsize])
    value = int(text.rstrip("U"), 0)
    if dtype.kind == "b":
        return np.bool_(value)
    if dtype.kind == "f":
        return dtype.type(value)
    return np.uint64(value % (1 << 64)).astype(BITS[dtype.itemsize]).view(dtype)


class Registers:
    """A register file for `count` threads."""

    def __init__(self, sizes, count):
        self.count = count
        self.held = {name: np.zeros(count, BITS[size]) for name, size in sizes.items()}
        self.fixed = {}  # special registers and parameters, set before a run

    def fix(self, name):
        """A register of 64 bits that the machine sets."""
        return self.fixed.setdefault(name, np.zeros(self.count, np.uint64))

    def raw(self, name):
        if name in self.held:
            return self.held[name]
        return self.fix(name)

    def read(self, text, kind):
        """An operand, to be indexed by a selection of threads."""
        dtype = TYPES[kind]
        if text.startswith("%") or not (text[0].isdigit() or text[0] == "-"):
            array = self.raw(text)
            if dtype.itemsize > array.itemsize:
                raise NotImplementedError(f"{text} read as {kind}")
            return array.view(dtype)[:: array.itemsize // dtype.itemsize]
        return Constant(immediate(text, dtype))

    def write(self, text, kind):
        """A function (selection, value) that sets a register, widened if it is wider."""
        dtype, array = TYPES[kind], self.raw(text)
        if dtype.itemsize == array.itemsize:
            view = array.view(dtype)
        else:
            view = array.view(f"{'i' if dtype.kind == 'i' else 'u'}{array.itemsize}")

        def put(selection, value):
            view[selection] = value

        return put
