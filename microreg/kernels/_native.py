"""Operations that Python has no word for.

Each is an ordinary function here, which says what it means; in compiled kernels `_lower.py` puts
one or a few machine instructions in its place.
"""

import functools

import numpy as np


def compiled_only(function):
    """Declare what has no meaning in Python, such as threads that share memory."""

    @functools.wraps(function)
    def refuse(*args):
        raise RuntimeError(
            f"{function.__name__}: expected a call in compiled code, got one in Python"
        )

    return refuse


def fma(a, b, c):
    """a * b + c, rounded once when compiled."""
    return a * b + c


def polynomial(v, coefficients):
    """c[0] + c[1] v + c[2] v^2 + ... for a constant tuple c, by Horner's rule.

    Above degree 11 the even and the odd powers apart: half as many steps wait for each other.
    """
    if len(coefficients) > 12:
        even, odd = coefficients[::2], coefficients[1::2]
        return fma(polynomial(v * v, odd), v, polynomial(v * v, even))
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = fma(value, v, c)
    return value


def rint(v):
    """v rounded to the nearest integer, ties to even, as a float."""
    return type(v)(np.rint(v))


def maximum(a, b):
    """The larger of a and b; NaN if either is."""
    return type(a)(np.maximum(a, b))


def minimum(a, b):
    """The smaller of a and b; NaN if either is."""
    return type(a)(np.minimum(a, b))


def float_bits(v):
    """The bits of a float32 as int32, of a float64 as int64."""
    return v.view(np.int32) if isinstance(v, np.float32) else np.float64(v).view(np.int64)


def bits_float(i):
    """The float32 with the bits of an int32, the float64 with those of an int64."""
    return i.view(np.float32) if isinstance(i, np.int32) else np.int64(i).view(np.float64)


def values(array, count):
    """The first `count` entries of an array as a tuple; `count` is a constant of the kernel."""
    return tuple(array[:count])


def address(array):
    """Where an array's data begins."""
    return array.ctypes.data


def flatten(array):
    """A dense array as one row."""
    return array.reshape(-1)


@compiled_only
def store(place, value):
    """Write the int64 at address `place`."""


@compiled_only
def load(place):
    """The int64 at address `place`, read atomically (acquire)."""


@compiled_only
def add(place, amount):
    """Atomically add to the int64 at address `place`; returns what it was."""


@compiled_only
def exchange(place, value):
    """Atomically replace the int64 at address `place`; returns what it was."""


@compiled_only
def call(entry, row, tid, nt):
    """Run the kernel whose entry is at address `entry` on the arguments at address `row`."""


def invoke(kernel, arguments, tid, nt):
    """Run thread `tid`'s part of a kernel that the caller `needs`: (arrays..., scalars...).

    Where the kernel expects one axis, an array with more is handed over flat.
    """
    flat = [
        value.reshape(-1) if len(spec.dims) == 1 else value
        for spec, value in zip(kernel.signature.arrays, arguments, strict=False)
    ]
    kernel.function(*flat, *arguments[len(flat) :], tid, nt)


@compiled_only
def call_plain(function):
    """Call a C function without arguments."""


def pause():
    """Tell the CPU that this is a waiting loop."""
