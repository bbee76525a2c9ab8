"""Memory of the machine, and what is checked at each access.

Allocations lie in one stretch at addresses that no process has, with red zones between them. New
memory is full of 0xff, which is NaN, so a number read before it is written shows in the results.

A race: two threads touch one word, at least one of them writes, and no barrier of their block lies
between. For each word the last writer and the readers since are kept. Words of other launches don't
count: a launch sees everything that earlier ones did.
"""

import numpy as np

from .fault import Fault

BASE = 1 << 45
GAP = 256  # bytes between allocations, and what they are aligned to
SEVERAL = -(1 << 60)  # readers in several blocks; -1 - b: several of block b


class Words:
    """Who touched each word of 4 bytes: thread and epoch of the last write and the last read."""

    def __init__(self, count):
        self.writer, self.reader = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.written, self.read = np.zeros(count, np.int32), np.zeros(count, np.int32)

    def clear(self):
        for array in (self.writer, self.reader, self.written, self.read):
            array[:] = 0


class Accesses:
    """The race detector over a `Words`. Threads are numbered from 1 over all of a launch."""

    def __init__(self, words, block_size):
        self.words, self.block_size = words, block_size

    def block(self, thread):
        return np.where(thread > 0, (thread - 1) // self.block_size, -1 - thread)

    def _clash(self, mine, other, when, epoch):
        touched = (when >= epoch.launch) & (other != mine)
        apart = self.block(mine) != self.block(other)
        return touched & (apart | (when == epoch.now))

    def load(self, at, thread, epoch):
        w = self.words
        bad = self._clash(thread, w.writer[at], w.written[at], epoch)
        before, block = w.reader[at], self.block(thread)
        ours = self.block(before) == block
        several = np.where(ours, -1 - block, SEVERAL)
        forgotten = (w.read[at] < epoch.launch) | (ours & (w.read[at] < epoch.now))
        alone = forgotten | (before == thread)
        w.reader[at] = now = np.where(alone, thread, several)
        w.read[at] = epoch.now
        others = w.reader[at] != now  # several read it in this very instruction
        if others.any():
            there, mine = at[others], block[others]
            w.reader[there] = -1 - mine
            apart = w.reader[there] != -1 - mine
            w.reader[there[apart]] = SEVERAL
        return bad

    def store(self, at, thread, epoch):
        w = self.words
        bad = self._clash(thread, w.writer[at], w.written[at], epoch)
        bad |= self._clash(thread, w.reader[at], w.read[at], epoch)
        w.writer[at] = thread
        w.written[at] = epoch.now
        return bad | (w.writer[at] != thread)  # several wrote it in this very instruction


class Epoch:
    """Time: it moves at each barrier and each launch."""

    def __init__(self):
        self.now = self.launch = 1

    def begin(self):
        self.now += 1
        self.launch = self.now


class Memory:
    """Global memory."""

    def __init__(self, size=1 << 28):
        self.bytes = np.zeros(size, np.uint8)
        self.valid = np.zeros(size, bool)
        self.words = Words(size // 4)
        self.top, self.sizes, self.free = GAP, {}, {}
        self.epoch = Epoch()

    def allocate(self, nbytes):
        """The address of so many new bytes."""
        room = -(-max(1, nbytes) // GAP) * GAP + GAP
        held = self.free.get(room)
        at = held.pop() if held else self.top
        if not held and at == self.top:
            self.top += room
        if self.top > len(self.bytes):
            raise MemoryError(f"the machine's memory of {len(self.bytes)} bytes is full")
        self.bytes[at : at + nbytes] = 0xFF
        self.valid[at : at + nbytes] = True
        self.sizes[at] = nbytes
        return BASE + at

    def release(self, address):
        at = address - BASE
        nbytes = self.sizes.pop(at)
        self.valid[at : at + nbytes] = False
        self.free.setdefault(-(-max(1, nbytes) // GAP) * GAP + GAP, []).append(at)

    def part(self, address, nbytes):
        """The bytes at an address, to be read or written from outside."""
        at = address - BASE
        if nbytes and not (at >= 0 and self.valid[at : at + nbytes].all()):
            raise Fault("out of bounds", f"a copy of {nbytes} bytes at {address:#x}")
        return self.bytes[at : at + nbytes]

    def check(self, addresses, size):
        """Places in `bytes` of accesses of `size` bytes."""
        at = addresses - BASE
        if (at % size).any():
            raise Fault("misaligned", f"{size} bytes at {addresses[at % size != 0][0]:#x}")
        inside = (at >= 0) & (at + size <= len(self.bytes))
        inside[inside] = self.valid[at[inside]] & self.valid[at[inside] + (size - 1)]
        if not inside.all():
            raise Fault("out of bounds", f"{size} bytes at {addresses[~inside][0]:#x}")
        return at


class Shared:
    """The memory of the blocks that run side by side, a row for each."""

    def __init__(self, blocks, size):
        self.size = -(-max(size, 16) // 16) * 16
        self.limit = size
        self.bytes = np.full(blocks * self.size, 0xFF, np.uint8)
        self.words = Words(blocks * self.size // 4)

    def check(self, addresses, size, block):
        if (addresses % size).any():
            wrong = addresses[addresses % size != 0][0]
            raise Fault("misaligned", f"{size} bytes at {int(wrong)} of a block's memory")
        inside = (addresses >= 0) & (addresses + size <= self.limit)
        if not inside.all():
            raise Fault("out of bounds", f"{size} bytes at {int(addresses[~inside][0])} of a block")
        return addresses + block * self.size
