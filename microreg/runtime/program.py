"""A program: launches in order, lowered once to a table and run many times."""

from typing import NamedTuple

import numpy as np

from ..kernels._jit import Kernel
from ..kernels.interpreter import HEAD
from . import cpu

WIDTH = 26  # words in a row: entry, flags, then up to 24 arguments


class Launch(NamedTuple):
    """One kernel with its arguments: arrays in the order of its signature, then scalars."""

    kernel: Kernel
    args: tuple[object, ...]


class Program:
    """A fixed list of launches over fixed arrays.

    Whatever changes between two runs must lie in those arrays: scalars are part of the table.
    """

    def __init__(self, launches):
        self.launches = list(launches)
        self.table = np.zeros((len(self.launches), WIDTH), np.int64)
        self._held = {}  # arrays bound since: they must outlive the next run
        self._scratch = None
        self.work = 0
        for row, (kernel, args) in zip(self.table, self.launches, strict=True):
            if kernel.scratch is not None:
                args = (cpu.scratch(kernel, args[kernel.typed].dtype.char), *args)
            kernel.check(args)
            packed = cpu.pack(kernel, args)
            row[: len(packed) // 8] = np.frombuffer(packed, np.int64)
            self.work += kernel.work(args)

    def bind(self, launch, argument, array):
        """Let an array argument of a launch be another array, of the same shape and dtype."""
        self.table[launch, HEAD + argument] = cpu.address(array)
        self._held[launch, argument] = array

    def run(self):
        """Run every launch in order."""
        self._provide_scratch()
        cpu.run(self.table, self.work)

    def _provide_scratch(self):
        """Scratch memory of this program's own, for as many threads as there are now."""
        threads = cpu.get_num_threads()
        if self._scratch is not None and len(self._scratch) >= threads:
            return
        rows = [
            (i, kernel.scratch(kernel.dtype(args)) * kernel.dtype(args).itemsize)
            for i, (kernel, args) in enumerate(self.launches)
            if kernel.scratch is not None
        ]
        size = max((size for _, size in rows), default=0)
        self._scratch = np.empty((threads, size), np.uint8)
        for i, _ in rows:
            self.table[i, HEAD] = cpu.address(self._scratch)
