"""A program: launches in order, lowered once to a table and run many times."""

from typing import NamedTuple

import numpy as np

from ..kernels._jit import Kernel
from ..kernels.interpreter import HEAD, STOPS
from . import cpu

WIDTH = 32  # words in a row: entry, flags, then up to 30 arguments


class Launch(NamedTuple):
    """One kernel with its arguments: arrays in the order of its signature, then scalars."""

    kernel: Kernel
    args: tuple[object, ...]
    note: object = None  # what it belongs to


class Program:
    """A fixed list of launches over fixed arrays.

    Whatever changes between two runs must lie in those arrays: scalars are part of the table.
    """

    def __init__(self, launches, arena=None):
        self.launches, self.arena = list(launches), arena
        self.table = np.zeros((len(self.launches), WIDTH), np.int64)
        self.work = 0
        self.stop = cpu.NEVER  # where a kernel that `stops` writes to end a run
        self._held = {}  # arrays bound since: they must outlive the next run
        self._scratch = [
            (i, kernel.scratch(args), kernel.scratch_dtype(kernel.dtype(args)))
            for i, (kernel, args, _) in enumerate(self.launches)
            if kernel.scratch is not None
        ]
        self._provide_scratch()
        words = {i: np.empty((0, words), dtype) for i, words, dtype in self._scratch}
        for i, (kernel, args, _) in enumerate(self.launches):
            kernel.check(args)
            given = (words[i], *args) if i in words else args
            packed = cpu.pack(kernel, given)
            self.table[i, : len(packed) // 8] = np.frombuffer(packed, np.int64)
            if kernel.stops:
                self.table[i, 1], self.stop = STOPS, args[kernel.n_arrays - 1]
            self.work += kernel.work(given)
        self._point_to_scratch()

    def argument(self, launch, argument):
        """The array or number that an argument of a launch is now."""
        return self._held.get((launch, argument), self.launches[launch].args[argument])

    def owns(self, array):
        """Whether an array lies in the arena: nobody sees what happens there."""
        if self.arena is None:
            return False
        return 0 <= cpu.address(array) - cpu.address(self.arena) < self.arena.nbytes

    def bind(self, launch, argument, array):
        """Let an array argument of a launch be another array, of the same shape and dtype."""
        self.point(launch, argument, cpu.address(array))
        self._held[launch, argument] = array

    def point(self, launch, argument, address):
        """`bind` to the array at an address; the caller keeps it alive."""
        column = HEAD + argument + (self.launches[launch].kernel.scratch is not None)
        self.table[launch, column] = address

    def run(self, steps=1):
        """Run every launch in order, so many times."""
        if self._scratch and self._threads < cpu.get_num_threads():
            self._provide_scratch()
            self._point_to_scratch()
        if cpu.CHECK:
            self._run_slowly(steps)
        else:
            cpu.run(self.table, self.work, steps, self.stop)

    def _run_slowly(self, steps):
        from .debug import run  # which stands on this

        for _ in range(steps):
            run(self)
            if self.stop[0]:
                break

    def _provide_scratch(self):
        """Scratch memory of this program's own, for as many threads as there are now."""
        self._threads = cpu.get_num_threads()
        size = max((words * dtype.itemsize for _, words, dtype in self._scratch), default=0)
        self._memory = np.empty(self._threads * size, np.uint8)

    def _point_to_scratch(self):
        for i, _, _ in self._scratch:
            self.table[i, HEAD] = cpu.address(self._memory)
