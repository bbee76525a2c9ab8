"""What a kernel for a GPU says beside Python; `_instructions.py` puts machine instructions there.

A block is a number of threads that share memory, a warp 32 of them that run together.
"""


def thread():
    """The number of this thread in its block."""
    raise NotImplementedError("only in compiled code")


def threads():
    """How many threads a block has."""
    raise NotImplementedError("only in compiled code")


def block(axis):
    """The number of this block along axis 0, 1 or 2 of the grid."""
    raise NotImplementedError("only in compiled code")


def blocks(axis):
    """How many blocks the grid has along an axis."""
    raise NotImplementedError("only in compiled code")


def place_again():
    """(thread(), block(0), block(1)), asked for anew, so that no registers keep them till here."""
    raise NotImplementedError("only in compiled code")


def barrier():
    """Wait until every thread of the block is here; then all see what each has written."""
    raise NotImplementedError("only in compiled code")


def shuffle(value, mask):
    """What lane (own number xor mask) of the warp holds; every lane takes part."""
    raise NotImplementedError("only in compiled code")


def ballot(condition):
    """Bit i says whether the condition holds in lane i of the warp; every lane takes part."""
    raise NotImplementedError("only in compiled code")


def shared(count, like):
    """Memory for `count` numbers of the type of `like`, one for the block; `count` is constant."""
    raise NotImplementedError("only in compiled code")


def load4(pointer, index):
    """pointer[index], ..., pointer[index + 3] as a tuple, read at once; index % 4 is 0."""
    raise NotImplementedError("only in compiled code")


def store4(pointer, index, values):
    """Write a tuple of four to pointer[index], ... at once; index % 4 is 0."""
    raise NotImplementedError("only in compiled code")


def carry(target, source, count):
    """Copy one number or four at once, from memory to registers or back; aligned if four."""
    raise NotImplementedError("only in compiled code")


def offset(pointer, index):
    """The pointer to pointer[index]."""
    raise NotImplementedError("only in compiled code")


def registers(count, like):
    """Memory of this thread's own for `count` numbers, which stay in registers as long as every
    index is a constant."""
    raise NotImplementedError("only in compiled code")


def unroll(function, count, *args):
    """function(i, *args) for i = 0, ..., count - 1, each i a constant of its own code."""
    raise NotImplementedError("only in compiled code")


def outer(sums, a, b, count):
    """sums[i * count + j] += a[i] * b[j] for i, j < count, all of them in registers."""
    raise NotImplementedError("only in compiled code")


def divide(a, b):
    """(a // b, a % b) of numbers from 0 to 2^32 - 1."""
    raise NotImplementedError("only in compiled code")


HELPERS = []  # every @helper function, for `_numba` to register


def helper(function):
    """Declare a function that kernels for a GPU call."""
    HELPERS.append(function)
    return function
