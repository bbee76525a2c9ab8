"""What a kernel for a GPU says beside Python; `_instructions.py` puts machine instructions there.

A block is a number of threads that share memory, a warp 32 of them that run together.
"""

from .._native import compiled_only


@compiled_only
def thread():
    """The number of this thread in its block."""


@compiled_only
def threads():
    """How many threads a block has."""


@compiled_only
def block(axis):
    """The number of this block along axis 0, 1 or 2 of the grid."""


@compiled_only
def blocks(axis):
    """How many blocks the grid has along an axis."""


@compiled_only
def place_again():
    """(thread(), block(0), block(1)), asked for anew, so that no registers keep them till here."""


@compiled_only
def barrier():
    """Wait until every thread of the block is here; then all see what each has written."""


@compiled_only
def shuffle(value, mask):
    """What lane (own number xor mask) of the warp holds; every lane takes part."""


@compiled_only
def ballot(condition):
    """Bit i says whether the condition holds in lane i of the warp; every lane takes part."""


@compiled_only
def shared(count, like):
    """Memory for `count` numbers of the type of `like`, one for the block; `count` is constant."""


@compiled_only
def load4(pointer, index):
    """pointer[index], ..., pointer[index + 3] as a tuple, read at once; index % 4 is 0."""


@compiled_only
def store4(pointer, index, values):
    """Write a tuple of four to pointer[index], ... at once; index % 4 is 0."""


@compiled_only
def carry(target, source, count):
    """Copy one number or four at once, from memory to registers or back; aligned if four."""


@compiled_only
def offset(pointer, index):
    """The pointer to pointer[index]."""


@compiled_only
def registers(count, like):
    """Memory of this thread's own for `count` numbers, which stay in registers as long as every
    index is a constant."""


@compiled_only
def unroll(function, count, *args):
    """function(i, *args) for i = 0, ..., count - 1, each i a constant of its own code."""


@compiled_only
def outer(sums, a, b, count):
    """sums[i * count + j] += a[i] * b[j] for i, j < count, all of them in registers."""


@compiled_only
def divide(a, b):
    """(a // b, a % b) of numbers from 0 to 2^32 - 1."""


HELPERS = []  # every @helper function, for `_numba` to register


def helper(function):
    """Declare a function that kernels for a GPU call."""
    HELPERS.append(function)
    return function
