"""Launches that go through the same rows one after the other become one that goes tile by tile.

A kernel fits if it treats rows alone (`Kernel.by_rows`): each array is cut along the rows or is
the same for all of them. Results that only the chain itself reads are never written out: they live
in a buffer of one tile. The bits stay: such a kernel gives the same for a row wherever it is cut.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace

import numpy as np

from ..kernels._jit import FLOATS
from ..kernels._spec import ArraySpec
from ..kernels.chain import ARRAY, BUFFER, CONSTANT, run_tiles
from . import cpu
from .plan import LINE, Ref, lay_out

TILE = 4096  # bytes of the largest array in a tile: measured, of 4 to 64 KiB the fastest
LEAST = 1 << 19  # bytes of an array below which it is near enough anyway
MOST = 16  # arrays of a chain


def chains(plan, keep):
    """Let launches that follow each other through the same rows do so tile by tile."""
    last = {a.owner: i for i, s in enumerate(plan.steps) for a in s.args if isinstance(a, Ref)}
    steps, group = [], []

    def close(end):
        of_chain = [a for step in group for a in _arrays(step) if isinstance(a.memory, Ref)]
        written = {a.memory.owner for a in of_chain if a.written}
        read = {a.memory.owner for a in of_chain if not a.written}
        inner = {o for o in written & read if last[o] < end and o not in keep}
        steps.extend([_joined(group, inner)] if inner else group)
        group.clear()

    for i, step in enumerate(plan.steps):
        if _fits(step, plan.sizes):
            if not _may_join(group, step):
                close(i)
            group.append(step)
        else:
            if not all(_apart(step, other) for other in group):
                close(i)
            steps.append(step)  # ahead of a group that it has nothing to do with
    close(len(plan.steps))
    plan.steps = steps


class _Array(SimpleNamespace):
    """An array of a step: its memory, whether it is cut along the rows, whether it is written."""

    @property
    def place(self):
        m = self.memory
        return (m.owner, m.start, m.nbytes) if isinstance(m, Ref) else (0, cpu.address(m), m.nbytes)

    def meets(self, other):
        (owner, start, size), (another, begin, length) = self.place, other.place
        return owner == another and start < begin + length and begin < start + size


def _arrays(step):
    """The arrays of a step."""
    kernel = step.kernel
    specs = kernel.signature.arrays[kernel.scratch is not None :]
    return [
        _Array(memory=a, cut=spec.dims[0] == kernel.split, written=spec.written)
        for a, spec in zip(step.args, specs, strict=False)
    ]


def _fits(step, sizes):
    """Whether a step treats rows alone, and there is enough to do."""
    if not step.kernel.by_rows:
        return False
    arrays = _arrays(step)
    for a in arrays:
        if isinstance(a.memory, Ref) and a.memory.nbytes > sizes[a.memory.owner]:
            return False  # the gradients of several parameters in one
    return max(a.memory.nbytes for a in arrays if a.cut) >= LEAST


def _rows(step):
    """How many rows a step goes through."""
    i = next(i for i, a in enumerate(_arrays(step)) if a.cut)
    shape = step.args[i].shape
    return math.prod(shape) if step.kernel.flat[i] else shape[0]


def _may_join(group, step):
    """Whether a step can go through the rows together with those before it.

    Memory that one of two steps writes and the other touches must be cut in the same way by both.
    """
    sizes = [_rows(s) for s in [*group, step]]
    if any(size % min(sizes) for size in sizes):
        return False
    mine, others = _arrays(step), [a for s in group for a in _arrays(s)]
    if len({a.place for a in [*mine, *others]}) > MOST:
        return False
    return all(
        a.cut and b.cut and a.place == b.place
        for a in mine
        for b in others
        if (a.written or b.written) and a.meets(b)
    )


def _apart(one, other):
    """Whether it does not matter which of two steps runs first."""
    pairs = ((a, b) for a in _arrays(one) for b in _arrays(other))
    return not any((a.written or b.written) and a.meets(b) for a, b in pairs)


def _joined(group, inner):
    """The step that does what the steps of a group do; `inner` are owners that it alone touches."""
    outer = {}
    for a in (a for step in group for a in _arrays(step)):
        if not isinstance(a.memory, Ref) or a.memory.owner not in inner:
            held = outer.setdefault(a.place, a)
            held.written |= a.written
    kernel = Chain(group, outer, inner)
    args = kernel.subs, *(a.memory for a in outer.values())
    notes = [note for s in group for note in (s.note if isinstance(s.note, list) else [s.note])]
    return group[0]._replace(kernel=kernel, args=args, note=notes)


class Chain:
    """The kernels of a chain as one, see `kernels/chain.py`; its arrays are those of them all."""

    split, formula, by_rows, stops = "rows", None, False, False
    fuses: Mapping[object, object] = MappingProxyType({})

    def __init__(self, group, outer, inner):
        self.name = " + ".join(step.kernel.name for step in group)
        specs = [ArraySpec("", "", (), a.written) for a in outer.values()]
        first = [ArraySpec(name, "int64", (), False) for name in ("scratch", "subs")]
        self.signature = SimpleNamespace(arrays=first + specs)
        self.n_arrays = len(first) + len(specs)
        self._work = sum(step.kernel.work(step.args) for step in group)
        rows = min(map(_rows, group))
        widest = max(a.memory.nbytes for s in group for a in _arrays(s) if a.cut)
        tile = max(1, TILE * rows // widest)
        buffers, self._words = _buffers(group, inner, tile, rows)
        columns = {place: i + len(first) for i, place in enumerate(outer)}
        subs = [word for s in group for word in self._sub(s, columns, buffers, rows)]
        self.subs = np.array([len(group), rows, tile, self._words, *subs], np.int64)

    def _sub(self, step, columns, buffers, rows):
        """The description of one kernel; its row gets a place in the thread's memory."""
        kernel, words, moves = step.kernel, [], []
        for i, a in enumerate(_arrays(step)):
            if isinstance(a.memory, Ref) and a.memory.owner in buffers:
                words += [BUFFER, buffers[a.memory.owner]]
            else:
                words += [ARRAY, columns[a.place]]
                moves += [i, a.memory.nbytes // rows] if a.cut else []
        entry, nothing = kernel.entry(kernel.dtype(step.args)), [0] * kernel.n_arrays
        rest = *step.args[kernel.n_arrays :], *kernel.measure(step.args)
        packed = np.frombuffer(kernel.pack(entry, 0, *nothing, *rest), np.int64)[2:]
        words += [w for number in packed[kernel.n_arrays :].tolist() for w in (CONSTANT, number)]
        count, place = len(packed), self._words
        self._words += count
        size = kernel.signature.slot(kernel.split)
        head = entry, count, 8 * place, size, _rows(step) // rows, len(moves) // 2
        return [*head, *words, *moves]

    def scratch(self, args):
        """Words of memory that each thread needs."""
        return self._words

    def scratch_dtype(self, dtype):
        return dtype

    def dtype(self, args):
        return FLOATS[1]

    def entry(self, dtype):
        return run_tiles.entry(FLOATS[1])

    def check(self, args):
        """Nothing to say: the kernels' own arguments were checked when they were recorded."""

    def measure(self, args):
        return ()

    def work(self, args):
        return self._work

    def pack(self, *words):
        return np.array(words, np.int64).tobytes()


def _buffers(group, inner, tile, rows):
    """Where in a thread's memory a tile of each inner result lies, in bytes; the words they take.

    A kernel never writes where it reads.
    """
    lives, sizes = {}, {}
    for i, step in enumerate(group):
        for a in _arrays(step):
            if isinstance(a.memory, Ref) and a.memory.owner in inner:
                owner = a.memory.owner
                lives[owner] = lives.get(owner, (i, i))[0], i
                if a.cut:
                    sizes[owner] = _tile_bytes(a.memory.nbytes, tile, rows)
    starts, end = lay_out(lives, sizes)
    return starts, end // 8


def _tile_bytes(nbytes, tile, rows):
    return -(-nbytes // rows * tile // LINE) * LINE
