"""How a kernel for a GPU is declared, which ones do what a kernel for the CPU does, and their PTX.

A `Code` is a function with a signature as in `../_spec.py`. Most kernels need none of their own:
the function written for the CPU is run by every thread on one entry, row or block of the split
dimension (`generic`). Where that would be slow a function for the GPU takes its place:

    @twin(reduce.sum_rows, threads=128, grid=...)
    def sum_rows(x, out, n, d): ...

It is given pointers, the scalars and the sizes of the dimensions, and its name and its arguments
are those of the kernel for the CPU. `parts` gives the launches for a kernel and its arguments.
"""

import functools
import hashlib
from importlib import metadata
from typing import NamedTuple

from ...errors import DeviceError
from .. import _cache
from .._jit import FLOATS
from .._spec import ELEMENT

NAME = "microreg_kernel"  # of every kernel in its module
THREADS = 256
GRID = 1 << 20  # blocks at most where threads go on with what lies behind
SCRATCH = 1 << 23  # numbers of scratch memory for all threads, if one needs no more
ALIGNED = 16  # bytes: what vector loads need


class Code:
    """A GPU kernel. `walk` says what a thread does with the function, see `_entry.py`.

    bounds : (threads, blocks), the most threads of a block and the fewest blocks that shall fit on
    a multiprocessor, for the compiler to spare registers.
    """

    def __init__(
        self, function, signature, walk="pointers", threads=THREADS, split=None, key="",
        name=None, fewest=None, untouched=(), block=1, inner=(), scratch=False,
    ):  # fmt: skip
        self.name, self.function, self.walk = name or function.__name__, function, walk
        self.threads, self.split, self.key = threads, split, key
        self.bounds = (threads,) if fewest is None else (threads, fewest)
        self.untouched, self.block, self.inner = untouched, block, inner
        skipped = sum(a.name == "scratch" for a in signature.arrays) * (not scratch)
        self.arrays = signature.arrays[skipped:]
        self.scalars, self.reserved = signature.scalars, signature.reserved
        dims = [(name, i - skipped, axis) for name, i, axis in signature.dims if i >= skipped]
        self.dims = [name for name, _, _ in dims]
        self.places = [(i, axis if len(self.arrays[i].dims) > 1 else None) for _, i, axis in dims]
        self.typed = next((i for i, a in enumerate(self.arrays) if a.dtype == ELEMENT), None)

    def __repr__(self):
        return f"Code({self.name}, {self.walk})"

    def measure(self, args):
        """The sizes of the dimensions."""
        return [args[i].size if axis is None else args[i].shape[axis] for i, axis in self.places]

    def dtype(self, args):
        """The element type for these arguments."""
        return FLOATS[1] if self.typed is None else args[self.typed].dtype

    def ptx(self, dtype, cc):
        """The PTX for an element type and a compute capability: from disk, or compiled now."""

        def compile():
            from . import _lower  # numba-cuda: only when there is something to compile

            return _lower.ptx(self, dtype, cc).encode()

        return _cache.text(f"{self._file(dtype, cc)}.ptx", compile).decode()

    def cubin(self, dtype, cc):
        """The machine code: from disk, or linked now, by the toolkit's linker and not by the
        driver's, which may be older than the PTX."""

        def link():
            from . import _lower

            return _lower.link(self.ptx(dtype, cc), cc)

        return _cache.text(f"{self._file(dtype, cc)}.cubin", link)

    def _file(self, dtype, cc):
        """The name of a file for this code; the compiler's version is part of it."""
        parts = self.name, self.key, self.walk, dtype.name, f"cc{cc[0]}{cc[1]}", _version()
        return "-".join(filter(None, parts))


@functools.cache
def _version():
    """The versions of what makes PTX and machine code, shortened."""
    known = []
    for name in ("numba-cuda", "nvidia-nvvm", "nvidia-nvjitlink"):
        try:
            known.append(metadata.version(name))
        except metadata.PackageNotFoundError:  # from a toolkit that is no package
            known.append("")
    return hashlib.sha256(repr(known).encode()).hexdigest()[:8]


class Part(NamedTuple):
    """A launch of a code."""

    code: Code
    grid: tuple[int, int, int]
    threads: int
    args: tuple[object, ...]  # arrays, then scalars


TWINS: dict = {}  # kernel, or the function that made it -> function(kernel, args, device) -> Parts


def twin(*kernels, grid, threads=THREADS, signature=None, **options):
    """Declare a function for the GPU that does what kernels for the CPU do.

    grid(sizes) gives the blocks, from the sizes of the dimensions by name: a number, or one for
    each of up to three axes; or those and the number of threads in a block.
    """

    def declare(function):
        for kernel in kernels:
            code = Code(function, kernel.signature, threads=threads, name=kernel.name, **options)
            TWINS[kernel] = lambda kernel, args, device, code=code: [at(code, grid, args)]
        return function

    return declare


def at(code, grid, args):
    """The launch of a code with its usual grid."""
    sizes = dict(zip(code.dims, code.measure(args), strict=True))
    blocks = grid(sizes)
    threads = code.threads
    if isinstance(blocks, tuple) and isinstance(blocks[0], tuple):
        blocks, threads = blocks
    return Part(code, three(blocks), threads, args)


def three(blocks):
    blocks = blocks if isinstance(blocks, tuple) else (blocks,)
    return (*blocks, *[1] * (3 - len(blocks)))


def parts(kernel, args, device):
    """What is launched on a device for a kernel of the CPU; without scratch memory among `args`."""
    made = TWINS.get(kernel) or TWINS.get(kernel.maker)
    found = made(kernel, args, device) if made else None
    return [_generic(kernel, args, device)] if found is None else found


_generics = {}


def _generic(kernel, args, device):
    """The kernel's own function, run by as many threads as there is work for."""
    walk = "tiles" if _elementwise(kernel) and _aligned(kernel, args) else _walk(kernel)
    code = _generics.get((kernel, walk))
    if code is None:
        _generics[kernel, walk] = code = generic(kernel, walk)
    arrays = args if kernel.scratch is None else (_room(kernel, args, 0, device), *args)
    sizes = dict(zip(code.dims, code.measure(arrays), strict=True))
    count = sizes.get(kernel.split, 1)
    units = {"once": 1, "tiles": -(-count // 4), "rows": count}.get(walk)
    units = kernel.blocks(sizes) if units is None else units
    threads = 32 if units <= 32 or kernel.scratch is not None else THREADS
    grid = max(1, min(GRID, -(-units // threads)))
    if kernel.scratch is not None:
        grid = max(1, min(grid, SCRATCH // (threads * max(1, sizes["words"]))))
        args = (_room(kernel, args, grid * threads, device), *args)
    return Part(code, three(grid), threads, args)


def numbers(array):
    """Numbers by which a launch is planned, from where they can be read."""
    host = getattr(array, "host", None)
    return array if host is None else host


def _room(kernel, args, threads, device):
    """Scratch memory for so many threads."""
    dtype = kernel.scratch_dtype(kernel.dtype(args))
    return device.empty((threads, kernel.scratch([numbers(x) for x in args])), dtype)


def missing(kernel):
    """The error for a kernel that no GPU can run."""
    return DeviceError(
        f"{kernel.name}: expected arrays on the CPU, got arrays on cuda, for which this kernel has "
        "no counterpart; move them with .cpu()"
    )


def generic(kernel, walk):
    if kernel.needs or kernel.split == "threads":
        raise missing(kernel)
    return Code(
        kernel.function, kernel.signature, walk, name=kernel.name, split=kernel.split,
        key=kernel.key, untouched=kernel.untouched, block=kernel.block,
        inner=kernel.inner if walk == "blocks" else (), scratch=True,
    )  # fmt: skip


def _walk(kernel):
    """How a thread divides the work of a kernel for the CPU."""
    if kernel.split is None:
        return "once"
    placed = set(kernel.signature.reserved) - {"start"}
    if kernel.scratch is not None:  # a thread's number says which memory is its own
        placed -= {"tid"}
    whole = placed or any("blocks" in a.dims for a in kernel.signature.arrays)
    return "blocks" if whole or "start" in kernel.signature.reserved else "rows"


def _elementwise(kernel):
    """Whether the kernel treats entries of arrays with one axis one by one."""
    split = [a for a in kernel.signature.arrays if kernel.split in a.dims]
    alone = kernel.scratch is None and _walk(kernel) == "rows"
    return alone and all(a.dims == (kernel.split,) for a in split)


def _aligned(kernel, args):
    """Whether four entries at once can be read from the arrays that are divided."""
    return all(
        address(x) % min(ALIGNED, 4 * x.itemsize) == 0
        for x, spec in zip(args, kernel.signature.arrays, strict=False)
        if spec.dims == (kernel.split,)
    )


def address(array):
    return array.__array_interface__["data"][0]
