"""From recorded launches to a Program: what is not needed is left out, the rest gets memory.

Memory of the recording is called by its owner, the array that `Recorder.empty` made; an argument is
a stretch of it. Passes, each over a list of steps:

    unique    a launch that repeats an earlier one gives way to it
    needed    launches whose results nobody reads are dropped
    place     an owner lives from its first launch to its last; those that do not meet share memory

An elementwise kernel may write its result over an input that nobody reads later; no other kernel
gets the same memory for an input and an output.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels.interpreter import FREE
from . import cpu
from .cuda_program import make_program
from .program import Launch, Program
from .remote import part, real

LINE = 64  # bytes: results begin at the beginning of a cache line


class Ref(NamedTuple):
    """A dense stretch of an owner's memory."""

    owner: int
    start: int
    nbytes: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self):
        """How many numbers it is."""
        return math.prod(self.shape)


class Step(NamedTuple):
    """A launch whose arguments from the recording are Refs."""

    kernel: object
    args: tuple[object, ...]
    note: object

    def refs(self, written):
        """(argument, position) of the arrays that are read, or written."""
        specs = self.kernel.signature.arrays[self.kernel.scratch is not None :]
        return [a for a, spec in zip(self.args, specs, strict=False) if spec.written == written]


class Plan:
    """The steps of a recording, and how large each owner is."""

    def __init__(self, recorder):
        self.recorder = recorder
        self.sizes = {key: owner.nbytes for key, owner in recorder.memory.items()}
        self.dtypes = {}
        self.steps = [
            Step(kernel, tuple(map(self.ref, args)), note)
            for kernel, args, note in recorder.launches
        ]

    def ref(self, x):
        """An argument as a Ref if it is memory of the recording, else as it is."""
        if not isinstance(x, np.ndarray):
            return x
        owner = self.recorder.owner(x)
        if id(owner) not in self.sizes:
            return real(x, owner)
        start = cpu.address(x) - cpu.address(owner)
        return Ref(id(owner), start, x.nbytes, x.shape, x.dtype)

    def unique(self):
        """Drop a launch that does again, on the same numbers, what an earlier one did."""
        versions, seen, same, steps = {}, {}, {}, []
        fresh = set()
        for step in self.steps:
            step = step._replace(args=tuple(_renamed(a, same) for a in step.args))
            reads, writes = step.refs(False), step.refs(True)
            made = ((w.shape, w.dtype) for w in writes)  # a number spread over more is another step
            key = (step.kernel, *(_name(a, versions) for a in reads), *_numbers(step), *made)
            pure = all(isinstance(w, Ref) and w.owner not in fresh for w in writes)
            whole = pure and all(w.nbytes == self.sizes[w.owner] for w in writes)
            earlier = seen.get(key) if whole else None
            if earlier is not None and all(versions[w.owner] == v for w, v in earlier):
                same.update((w.owner, e.owner) for w, (e, _) in zip(writes, earlier, strict=True))
                continue
            for w in writes:
                where = _place(w)
                versions[where] = versions.get(where, 0) + 1
                fresh.add(where)
            if whole:
                seen[key] = [(w, versions[w.owner]) for w in writes]
            steps.append(step)
        self.steps = steps
        return same

    def fuse(self, keep):
        """Let a kernel that can take a function along apply it, where nobody else wants its input.

        `kernel.fuses` maps scalar formulas to what becomes of the kernel's arguments.
        """
        readers = {}
        for step in self.steps:
            for a in step.args:
                if isinstance(a, Ref):
                    readers.setdefault(a.owner, []).append(step)
        gone, steps = set(), []
        for step in self.steps:
            if id(step) in gone:
                continue
            out = step.refs(True)[0]
            users = readers.get(out.owner, []) if isinstance(out, Ref) else []
            if step.kernel.fuses and len(users) == 2 and out.owner not in keep:
                follower = users[1]
                change = step.kernel.fuses.get(follower.kernel.formula)
                given = [a for a in follower.refs(False) if isinstance(a, Ref)]
                args = change and change(step.args)
                if args and len(given) == 1 and given[0].nbytes == out.nbytes:
                    result = follower.refs(True)[0]._replace(shape=out.shape)
                    args = tuple(result if a is out else a for a in args)
                    gone.add(id(follower))
                    step = step._replace(args=args, note=[step.note, follower.note])
            steps.append(step)
        self.steps = steps

    def needed(self, keep):
        """Drop launches whose results are neither kept, nor read later, nor outside memory."""
        live, steps = set(keep), []
        for step in reversed(self.steps):
            writes = step.refs(True)
            if any(not isinstance(w, Ref) or w.owner in live for w in writes):
                steps.append(step)
                live.update(a.owner for a in step.args if isinstance(a, Ref))
        self.steps = steps[::-1]

    def place(self, keep, fixed, outside):
        """Where each owner begins in one arena, and the arena's size.

        Those in `fixed` have their place already; those `outside` need none.
        """
        last = {}
        for i, step in enumerate(self.steps):
            for a in step.args:
                if isinstance(a, Ref):
                    last[a.owner] = i
        last.update(dict.fromkeys(keep, math.inf))
        lives, passed = {}, {}  # passed: whose memory an owner takes over
        settled = {*fixed, *outside}
        for i, step in enumerate(self.steps):
            for a in step.args:
                if not isinstance(a, Ref) or a.owner in settled or a.owner in passed:
                    continue
                over = self._over(step, a, i, last, settled)
                heir = a.owner if over is None else passed[over]
                passed[a.owner] = heir
                begun, _ = lives.get(heir, (i, i))
                lives[heir] = min(begun, i), last[a.owner]
                if over is not None:
                    last[over] = -1
        # kept, though no step names them: owners that were fused into others
        lives |= dict.fromkeys(keep - settled - passed.keys(), (0, math.inf))
        sizes = {owner: _up(self.sizes[owner]) for owner in lives}
        base = max((s + _up(self.sizes[o]) for o, s in fixed.items()), default=0)
        places, end = lay_out(lives, sizes, base)
        starts = {owner: places[passed.get(owner, owner)] for owner in {*lives, *passed}}
        return {**fixed, **starts}, end

    def _over(self, step, result, i, last, settled):
        """An input of an elementwise step whose memory its result may take."""
        if step.kernel.formula is None or result not in step.refs(True):
            return None
        for a in step.refs(False):
            if (
                isinstance(a, Ref)
                and last[a.owner] == i
                and a.owner not in settled
                and a.nbytes == result.nbytes == self.sizes[a.owner] == self.sizes[result.owner]
                and sum(isinstance(b, Ref) and b.owner == a.owner for b in step.args) == 1
            ):
                return a.owner
        return None


def lay_out(lives, sizes, base=0):
    """Where each stretch of memory begins, from `base` on, and where the last ends.

    lives has the first and the last moment of each. The largest is placed first, each in the lowest
    gap among those that it meets: seldom more than what lives at the busiest moment.
    """
    starts = {}
    for name in sorted(lives, key=sizes.get, reverse=True):
        first, last = lives[name]
        met = [o for o in starts if lives[o][0] <= last and first <= lives[o][1]]
        at = base
        for start, end in sorted((starts[o], starts[o] + sizes[o]) for o in met):
            if start - at >= sizes[name]:
                break
            at = max(at, end)
        starts[name] = at
    return starts, max((at + sizes[o] for o, at in starts.items()), default=base)


def _up(nbytes):
    return max(LINE, -(-nbytes // LINE) * LINE)


def _place(x):
    """What a write changes: an owner, or memory outside, all of it as one."""
    return x.owner if isinstance(x, Ref) else "outside"


def _name(x, versions):
    """An argument and the version of its numbers, as a key."""
    start = x.start if isinstance(x, Ref) else cpu.address(x)
    return _place(x), start, x.shape, x.dtype, versions.get(_place(x), 0)


def _numbers(step):
    return [a for a in step.args if not isinstance(a, (Ref, np.ndarray))]


def _renamed(x, same):
    return x._replace(owner=same[x.owner]) if isinstance(x, Ref) and x.owner in same else x


def arrays_in(arena, starts, refs):
    """The arrays that Refs stand for, in an arena laid out by `Plan.place`."""
    return [
        part(arena, r.shape, r.dtype, starts[r.owner] + r.start) if isinstance(r, Ref) else r
        for r in refs
    ]


def new_arena(size, device=None):
    """Memory for an arena, beginning at a cache line."""
    if device is not None:
        return device.empty((size,), np.uint8)
    memory = np.empty(size + LINE, np.uint8)
    ahead = -cpu.address(memory) % LINE
    return memory[ahead : ahead + size]


def program(steps, starts, arena):
    """The Program of the steps, with no barrier where the next steps do not need it."""
    launches = [Launch(s.kernel, tuple(arrays_in(arena, starts, s.args)), s.note) for s in steps]
    made = make_program(launches, arena)
    if not isinstance(made, Program):
        return made
    for i in _free_of_barrier(launches):
        made.table[i, 1] |= FREE
    return made


def _free_of_barrier(launches):
    """Launches behind which threads need not wait for each other.

    A barrier stands before a launch that touches what one since the last barrier wrote, or writes
    what one read. Kernels of one thread in a row need none between them: thread 0 runs them all.
    """
    free, reads, writes, alone = [], [], [], True
    for i, launch in enumerate(launches):
        specs = launch.kernel.signature.arrays[launch.kernel.scratch is not None :]
        mine = [[], []]
        for a, spec in zip(launch.args, specs, strict=False):
            begin = cpu.address(a)
            mine[spec.written].append((begin, begin + a.nbytes))
        serial = launch.kernel.split is None
        meets = _meet(mine[1], reads + writes) or _meet(mine[0], writes)
        if i and meets and not (serial and alone):
            reads, writes, alone = [], [], True
        elif i and not launches[i - 1].kernel.stops:
            free.append(i - 1)
        elif i:
            reads, writes, alone = [], [], True
        reads, writes, alone = reads + mine[0], writes + mine[1], alone and serial
    return free


def _meet(some, others):
    return any(a < d and c < b for a, b in some for c, d in others)
