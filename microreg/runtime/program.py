"""A program: launches in order, lowered once to a table and run many times."""

from typing import NamedTuple

import numpy as np

from ..kernels._jit import GRAIN, Kernel
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
        self.work = 0
        for row, (kernel, args) in zip(self.table, self.launches, strict=True):
            kernel.check(args)
            arrays = args[: kernel.n_arrays]
            sizes = [arrays[i].shape[axis] for i, axis in kernel.sizes]
            entry = kernel.entry(kernel.dtype(arrays))
            packed = kernel.pack(
                entry, 0, *map(cpu.address, arrays), *args[kernel.n_arrays :], *sizes
            )
            row[: len(packed) // 8] = np.frombuffer(packed, np.int64)
            self.work += kernel.work(sizes) * GRAIN // kernel.grain

    def bind(self, launch, argument, array):
        """Let an array argument of a launch be another array, of the same shape and dtype."""
        self.table[launch, HEAD + argument] = cpu.address(array)
        self._held[launch, argument] = array

    def run(self):
        """Run every launch in order."""
        cpu.run(self.table, self.work)
