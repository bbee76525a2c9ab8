"""The machine: which threads execute what, in which order.

Threads of several blocks start together. At a branch they part into groups; the group that is least
far in the program runs next, until it branches or comes to where another group waits, which it
joins. At a barrier a group waits for the rest of its block; when nobody is left to run, all threads
of a block must stand at one barrier.
"""

import numpy as np

from .access import SHARED_WINDOW
from .arithmetic import BUILDERS
from .fault import Fault
from .memory import Accesses, Shared
from .registers import ALL, Registers

SIDE_BY_SIDE = (
    1 << 13
)  # threads: enough to make NumPy's calls worthwhile, few enough for the caches
WARP = 32
CONTROL = ("bra", "ret", "exit", "bar", "barrier")
SILENT = ("membar", "fence")


class Machine:
    """Runs kernels on a `Memory`. With `races` it looks for them; `counters` counts."""

    def __init__(self, memory, races=True, counters=None):
        self.memory, self.races, self.counters = memory, races, counters
        self._bodies = {}

    def launch(self, function, grid, threads, params):
        """Run a kernel: `grid` blocks (x, y, z) of so many threads on integers and floats."""
        if threads % WARP:
            raise ValueError(f"expected whole warps, got {threads} threads")
        if function.threads and threads > function.threads:
            raise ValueError(f"{function.name} is compiled for {function.threads} threads")
        self.memory.epoch.begin()
        total = int(np.prod(grid))
        together = max(1, min(total, SIDE_BY_SIDE // threads))
        for first in range(0, total, together):
            blocks = min(together, total - first)
            body = self._body(function, blocks, threads)
            with np.errstate(all="ignore"):
                body.run(first, grid, params)

    def _body(self, function, blocks, threads):
        key = id(function), blocks, threads
        if key not in self._bodies:
            self._bodies[key] = function, Body(self, function, blocks, threads)
        return self._bodies[key][1]


class Body:
    """A kernel made ready for so many blocks side by side."""

    def __init__(self, machine, function, blocks, threads):
        self.machine, self.function, self.blocks, self.size = machine, function, blocks, threads
        self.count = blocks * threads
        self.registers = Registers(function.registers, self.count)
        self.threads = np.arange(self.count)
        self.local = np.zeros(self.count * max(8, function.local_size), np.uint8)
        self.steps = [self._step(i) for i in function.code]
        self.guards = [
            (self.registers.read(i.guard, "pred"), i.negated) if i.guard else None
            for i in function.code
        ]
        self.kinds = [i.op[0] if i.op[0] in CONTROL else None for i in function.code]

    def _step(self, i):
        if i.op[0] in CONTROL or i.op[0] in SILENT:
            return None
        if i.op[0] not in BUILDERS:
            raise NotImplementedError(f"{'.'.join(i.op)} in line {i.line}")
        if i.op[0] in ("mov", "cvta") and self._address(i) is not None:
            return self._symbol(i)
        of_memory = i.op[0] in ("ld", "ldu", "st", "shfl", "vote")
        if i.op[0] == "cvta" and "shared" in i.op:
            return self._window(i)
        return BUILDERS[i.op[0]](self if of_memory else self.registers, i)

    def _address(self, i):
        """What a symbol stands for where an instruction takes its address."""
        name = i.operands[1]
        for space in ("shared", "local"):
            if name in self.symbols(space):
                return self.symbols(space)[name]
        return None

    def _symbol(self, i):
        kind = i.op[-1]
        put, value = self.registers.write(i.operands[0], kind), self._address(i)
        if i.op[0] == "cvta" and "shared" in i.op:
            value += SHARED_WINDOW
        return lambda selection: put(selection, value)

    def _window(self, i):
        """Between a block's memory and where it lies among generic addresses."""
        kind = i.op[-1]
        put, x = self.registers.write(i.operands[0], kind), self.registers.read(i.operands[1], kind)
        sign = -1 if "to" in i.op else 1
        shift = np.uint64(SHARED_WINDOW)

        def run(selection):
            put(selection, x[selection] - shift if sign < 0 else x[selection] + shift)

        return run

    def symbols(self, space):
        if space == "shared":
            return self.function.shared
        return self.function.local if space == "local" else {}

    def threads_of(self, selection):
        return self.threads[selection]

    # a run

    def run(self, first, grid, params):
        self._prepare(first, grid, params)
        pending, waiting = {0: self.threads}, {}
        self.ended = 0
        while pending or waiting:
            if not pending:
                pending = self._meet(waiting)
                waiting = {}
            at = min(pending)
            group = pending.pop(at)
            self._advance(at, group, pending, waiting)

    def _prepare(self, first, grid, params):
        fix, block = self.registers.fix, first + self.threads // self.size
        self.number = first * self.size + self.threads + 1
        self.block_index = self.threads // self.size
        for name, value in {
            "%tid.x": self.threads % self.size, "%tid.y": 0, "%tid.z": 0,
            "%ntid.x": self.size, "%ntid.y": 1, "%ntid.z": 1,
            "%ctaid.x": block % grid[0], "%ctaid.y": block // grid[0] % grid[1],
            "%ctaid.z": block // (grid[0] * grid[1]),
            "%nctaid.x": grid[0], "%nctaid.y": grid[1], "%nctaid.z": grid[2],
            "%laneid": self.threads % WARP, "%warpid": self.threads % self.size // WARP,
        }.items():  # fmt: skip
            fix(name)[:] = value
        if len(params) != len(self.function.params):
            raise ValueError(f"expected {len(self.function.params)} arguments, got {len(params)}")
        for (name, size), value in zip(self.function.params, params, strict=True):
            array = fix(name)
            if isinstance(value, (float, np.floating)):
                array.view(np.float32 if size == 4 else np.float64)[:: 8 // size] = value
            else:
                array[:] = int(value) % (1 << 64)
        self.shared = Shared(self.blocks, self.function.shared_size)
        self.private = Accesses(self.shared.words, self.size)
        self.common = Accesses(self.machine.memory.words, self.size)

    def _advance(self, at, group, pending, waiting):
        """Run a group up to where it parts, ends, waits or meets another."""
        code, steps, kinds, guards = self.function.code, self.steps, self.kinds, self.guards
        everyone = len(group) == self.count
        selection = ALL if everyone else group
        limit = min(pending, default=len(code))
        counters = self.machine.counters
        while at < limit:
            kind = kinds[at]
            chosen, guard = selection, guards[at]
            if guard is not None:
                predicate, negated = guard
                held = predicate[selection] ^ negated
            if kind is None:
                if guard is not None:
                    chosen = group[held]
                if counters:
                    counters.instructions[code[at].op[0]] += len(group)
                step = steps[at]
                if step is not None and (guard is None or len(chosen)):
                    self._do(step, chosen, at)
            elif kind == "bra":
                target = self.function.labels[code[at].operands[0]]
                if guard is None:
                    self._join(pending, target, group)
                    return
                if held.all():
                    self._join(pending, target, group)
                    return
                if held.any():
                    self._join(pending, target, group[held])
                    self._join(pending, at + 1, group[~held])
                    return
            elif kind in ("bar", "barrier"):
                if "warp" not in code[at].op:
                    self._join(waiting, at, group)
                    return
            else:  # the end
                leaving = group if guard is None else group[held]
                self.ended += len(leaving)
                if guard is not None and len(leaving) < len(group):
                    self._join(pending, at + 1, group[~held])
                return
            at += 1
        if at < len(code):
            self._join(pending, at, group)
        else:
            self.ended += len(group)

    @staticmethod
    def _join(groups, at, threads):
        held = groups.get(at)
        groups[at] = threads if held is None else np.sort(np.concatenate([held, threads]))

    def _do(self, step, selection, at):
        try:
            step(selection)
        except Fault as fault:
            i = self.function.code[at]
            raise Fault(
                fault.kind,
                f"{str(fault).partition(': ')[2]}; {self.function.name}, line {i.line}: "
                f"{'.'.join(i.op)} {', '.join(i.operands)}",
            ) from None

    def _meet(self, waiting):
        """Let threads go on behind a barrier that all of their block have come to."""
        come = np.zeros(self.blocks, np.int64)
        for at, group in waiting.items():
            count = np.bincount(group // self.size, minlength=self.blocks)
            come += count
            if ((count > 0) & (count < self.size)).any():
                line = self.function.code[at].line
                raise Fault(
                    "barrier",
                    f"{self.function.name}, line {line}: some threads of a block are at this "
                    "barrier, others are at another one or have ended",
                )
        self.machine.memory.epoch.now += 1
        return {at + 1: group for at, group in waiting.items()}

    # memory

    def reach(self, space, place, selection, size, writes):
        """(bytes, places in them) of an access, checked and counted."""
        threads = self.threads[selection]
        addresses = place.addresses(selection, len(threads))
        if space == "generic" and len(addresses):
            apart = addresses >= SHARED_WINDOW
            apart &= addresses < SHARED_WINDOW + (1 << 32)
            if apart.any() != apart.all():
                raise NotImplementedError("generic addresses of two spaces in one access")
            space = "shared" if apart.any() else "global"
            addresses = addresses - SHARED_WINDOW if space == "shared" else addresses
        if space == "local":
            room = max(8, self.function.local_size)
            return self.local, addresses + threads * room
        counters, kind = self.machine.counters, "store" if writes else "load"
        if space == "shared":
            at = self.shared.check(addresses, size, self.block_index[selection])
            memory, races = self.shared.bytes, self.private
            if counters:
                counters.served(kind, addresses, threads // WARP, threads % WARP, size)
        else:
            at = self.machine.memory.check(addresses, size)
            memory, races = self.machine.memory.bytes, self.common
            if counters:
                counters.moved(kind, at, threads // WARP, size)
        if self.machine.races:
            self._watch(races, at, size, selection, writes)
        return memory, at

    def _watch(self, races, at, size, selection, writes):
        numbers, epoch = self.number[selection], self.machine.memory.epoch
        look = races.store if writes else races.load
        for k in range(max(1, size // 4)):
            bad = look((at >> 2) + k, numbers, epoch)
            if bad.any() and size >= 4:
                where = int(at[bad][0]) + 4 * k
                raise Fault(
                    "race", f"thread {int(numbers[bad][0]) - 1} and another at byte {where}"
                )
