"""How a kernel is declared, compiled when first needed, and kept on disk.

A kernel is a plain function over arrays and scalars that fills its outputs:

    @kernel("x[n,d] weight[d] -> out[n,d]", split="n")
    def scale_rows(x, weight, out):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] * weight[j]

`_spec.py` describes the signature. `split` names the leading dimension along which the work is cut
into blocks; the function sees one block at a time. The blocks depend on the shape alone, never on
the number of threads, so the bits don't either. split=None runs on one thread; split="threads"
hands the function `tid` and `nt` and lets it divide the work itself.

All kernels share one machine-level entry, void entry(int64* row, int64 tid, int64 nt), with row =
[array addresses, scalars, sizes]. Numba translates the function (`_lower.py`, imported only when
something must be compiled); the machine code is stored and loaded again through llvmlite alone, so
a second process needs no compiler. Called as a Python function a kernel runs interpreted.
"""

import hashlib
import math
import struct
import weakref
from functools import cached_property
from types import ModuleType

import numpy as np

from . import _cache
from ._spec import ELEMENT, Signature

BLOCK = 8192  # elements in a block: 32 KB of float32, so that a block and its output stay in L1/L2
SCALARS = []  # every @scalar function, for `_lower` to register
KERNELS = weakref.WeakSet()  # every kernel that exists
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
GRAIN = 1 << 17  # elements below which waking another thread costs more than it saves: 50 us
FAR = 1 << 20  # elements of an array that leaves the caches


def scalar(function, fast=False):
    """Declare a scalar formula: an ordinary Python function that kernels may call.

    Its arithmetic is exact; with `fast` sums may be reordered, as in a kernel itself.
    """
    SCALARS.append((function, None, fast))
    return function


def by_type(float32, float64):
    """A scalar formula with one body for float32 and another for float64."""

    def formula(v):
        return float32(v) if isinstance(v, np.float32) else float64(v)

    formula.__name__, formula.__doc__ = float32.__name__.removesuffix("_32"), float32.__doc__
    SCALARS.append((formula, (float32, float64), False))
    return formula


def kernel(signature, split=None, block=BLOCK, grain=GRAIN, **options):
    """Declare a kernel; see the module's docstring.

    Parameters
    ----------
    signature : str
        Names, dtypes and dimensions of the arguments, as `_spec.py` describes.
    split : str or None
        The leading dimension that is cut into blocks, "threads", or None.
    block : int
        Elements per block.
    grain : int
        The work below which one thread runs.
    short : bool
        Whether inner loops are so short that only one vector is handled at a time.
    counts : tuple of str, optional
        The dimensions whose product is the work; if left out, those of the arrays that are split,
        or all but those of `scratch`.
    needs : tuple
        What the function calls beside formulas: kernels (see `_native.invoke`) and other things
        with a method `link(dtype)`.
    scratch : function, optional
        From the arguments to how many numbers of scratch memory each thread needs. The first array
        of the signature is scratch[threads,words] then, of the element type unless it names
        another, and who runs the kernel provides it.
    stops : bool
        Whether it may end a program's run: by writing something other than 0 into its last array.
    far : int, optional
        Elements from which the arrays lie outside the caches, and half-width vector registers are
        used: with accesses of whole cache lines some CPUs load far less ahead (measured: 1.8 ms
        for a layer norm of 25 MB instead of 1.2; in the cache whole lines are faster).
    """
    return lambda function: Kernel(function, signature, split, block, grain, **options)


class _Calls(dict):
    """For each element type, as NumPy's letter, the kernel as a Python function, see `_entries`."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __missing__(self, letter):
        address = self.kernel.address(np.dtype(letter), _cache.CALL)
        self[letter] = made = _cache.function(self.kernel.name, address)
        return made


class Kernel:
    """A declared kernel. `entry(dtype)` is the address of its machine code."""

    def __init__(
        self,
        function,
        signature,
        split,
        block,
        grain,
        key="",
        needs=(),
        scratch=None,
        far=None,
        counts=None,
        short=False,
        stops=False,
    ):
        self.name = function.__name__
        self.function, self.signature = function, Signature(signature)
        self.split, self.block, self.grain, self.key = split, block, grain, key
        self.needs, self.scratch, self.far, self.short = needs, scratch, far, short
        self.stops = stops
        code = function.__code__
        names = list(code.co_varnames[: code.co_argcount])
        if names != self.signature.names:
            raise SyntaxError(
                f"{self.name}: expected parameters {self.signature.names}, got {names}"
            )
        arrays = self.signature.arrays
        self.n_arrays = len(arrays)
        self.sizes = [(i, axis) for _, i, axis in self.signature.dims]
        self.flat = [len(a.dims) == 1 for a in arrays]
        self.counted = self._counted(counts)
        given = arrays[scratch is not None :]
        self.typed = next((i for i, a in enumerate(given) if a.dtype == ELEMENT), None)
        kinds = ["q" if s.dtype == "int64" else "d" for s in self.signature.scalars]
        self.pack = struct.Struct(
            "=qq" + "q" * self.n_arrays + "".join(kinds) + "q" * len(self.sizes)
        ).pack
        self.formula = None  # the scalar formula that an elementwise kernel maps, see `lift.py`
        self.maker, self.chosen = None, ()  # the function that made it, and for what
        self.untouched = ()  # written arrays that it leaves alone
        self.fuses = {}  # formulas it can apply to its result at once, see `runtime/plan.py`
        self.calls = _Calls(self)
        self._entries, self._engines = {}, {}
        KERNELS.add(self)

    def __repr__(self):
        return f"Kernel({self.name})"

    def __call__(self, *args):
        """Run interpreted, as one block: what the compiled kernel must agree with."""
        alone = {"start": 0, "tid": 0, "nt": 1}
        self.function(*args, *[alone[name] for name in self.signature.reserved])

    def dtype(self, arrays):
        """The element type for these arrays; a kernel without floats is compiled under float64."""
        return FLOATS[1] if self.typed is None else arrays[self.typed].dtype

    def scratch_dtype(self, dtype):
        """The type of scratch memory's numbers where the element type is `dtype`."""
        named = self.signature.arrays[0].dtype
        return dtype if named == ELEMENT else np.dtype(named)

    def entry(self, dtype):
        """The address of the machine code for element type `dtype`; compiled at the first call."""
        try:
            return self._entries[dtype]
        except KeyError:
            self._entries[dtype] = address = self.address(dtype, _cache.SYMBOL)
            return address

    def address(self, dtype, symbol):
        """The address of a function of this kernel's machine code."""
        if dtype not in self._engines:
            self._engines[dtype] = _cache.load(self, dtype)
        return self._engines[dtype].get_function_address(symbol)

    def link(self, dtype):
        """Let kernels that are loaded from now on call this one."""
        _cache.define(_cache.symbol(self.name, dtype), self.entry(dtype))

    @property
    def alone(self):
        """Whether nobody else touches the arrays meanwhile, so that their contents may be kept."""
        return self.split != "threads" and not any(isinstance(n, Kernel) for n in self.needs)

    @property
    def by_rows(self):
        """Whether it treats the rows that it is split along alone, whichever others there are."""
        if self.split in (None, "threads") or self.signature.reserved or self.scratch or self.stops:
            return False
        return all(
            a.dims and "blocks" not in a.dims and (a.dims[0] == self.split or not a.written)
            for a in self.signature.arrays
        )

    def measure(self, args):
        """The size of each dimension, in the order of `sizes`."""
        flat = self.flat
        return [args[i].size if flat[i] else args[i].shape[axis] for i, axis in self.sizes]

    def work(self, args):
        """The work of a launch, in units of GRAIN / grain."""
        sizes = self.measure(args)
        return math.prod(sizes[i] for i in self.counted) * GRAIN // self.grain

    def _counted(self, counts):
        """Which of `sizes` make up the work."""
        dims = [dim for dim, _, _ in self.signature.dims]
        if counts is None:
            arrays = [a for a in self.signature.arrays if a.name != "scratch"]
            split = [a for a in arrays if a.dims and a.dims[0] == self.split]
            counts = {dim for a in split or arrays for dim in a.dims}
        return [i for i, dim in enumerate(dims) if dim in counts]

    def check(self, args):
        """Raise where an argument is not what the signature says: a wrong one would be a crash.

        Where the signature says one axis, an array with any number is taken flat.
        Scratch memory is not among the arguments here.
        """
        sizes = {}
        arrays = self.signature.arrays[self.scratch is not None :]
        dtype = self.dtype(args)
        expected = len(arrays) + len(self.signature.scalars)
        if len(args) != expected:
            raise TypeError(f"{self.name}: expected {expected} arguments, got {len(args)}")
        for spec, array in zip(arrays, args, strict=False):
            want = dtype if spec.dtype == ELEMENT else np.dtype(spec.dtype)
            shape = (array.size,) if len(spec.dims) == 1 else array.shape
            if array.dtype != want or len(shape) != len(spec.dims):
                raise TypeError(
                    f"{self.name}: {spec.name}: expected {want} with {len(spec.dims)} axes, "
                    f"got {array.dtype} of shape {array.shape}"
                )
            if not array.flags.c_contiguous or (spec.written and not array.flags.writeable):
                raise TypeError(f"{self.name}: {spec.name}: expected a C-contiguous array")
            for dim, size in zip(spec.dims, shape, strict=True):
                if dim == "blocks":
                    continue
                if sizes.setdefault(dim, int(dim) if dim.isdigit() else size) != size:
                    raise TypeError(
                        f"{self.name}: {spec.name}: expected {dim} = {sizes[dim]}, got {size}"
                    )
        for spec, array in zip(arrays, args, strict=False):
            if "blocks" in spec.dims and array.shape[0] != self.blocks(sizes):
                raise TypeError(f"{self.name}: {spec.name}: expected {self.blocks(sizes)} blocks")

    @cached_property
    def inner(self):
        """The dimensions beside `split` of the array that is split and has most of them."""
        split = [a.dims for a in self.signature.arrays if a.dims and a.dims[0] == self.split]
        return max(split, key=len)[1:]

    def rows(self, sizes):
        """Rows in a block, for the sizes of the dimensions by name."""
        inner = math.prod(int(d) if d.isdigit() else sizes[d] for d in self.inner)
        return max(1, self.block // max(1, inner))

    def blocks(self, sizes):
        """The number of blocks: the length of an array's `blocks` dimension."""
        return -(-sizes[self.split] // self.rows(sizes))


def specialize(function, signature, formulas, **options):
    """A kernel made around formulas that a caller chose; its code is stored under their content."""
    made = kernel(signature, **options)(function)
    made.key = _content(formulas)
    return made


def _content(formulas):
    """A hash of what the formulas compute: their bytecode and constants, and those they call."""
    digest, queue, seen = hashlib.sha256(), list(formulas), set()
    while queue:
        function = queue.pop()
        if function in seen:
            continue
        seen.add(function)
        code = function.__code__
        digest.update(repr((code.co_name, code.co_code, code.co_consts, code.co_names)).encode())
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        named = dict(zip(code.co_freevars, cells, strict=True))
        named |= {k: function.__globals__[k] for k in code.co_names if k in function.__globals__}
        for name, value in named.items():
            if callable(value) and hasattr(value, "__code__"):
                queue.append(value)
            elif not isinstance(value, ModuleType):
                digest.update(repr((name, value)).encode())
    return digest.hexdigest()[:12]
