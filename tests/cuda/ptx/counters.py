"""What an execution costs, counted as the hardware moves memory.

instructions    executed by each thread, by opcode
sectors         of 32 bytes, for the accesses of a warp to global memory; `requests` by warps
wavefronts      the passes in which a block's memory serves a warp: as many as the busiest of its 32
                banks has words to give, taken for half or a quarter of a warp if each thread moves
                8 or 16 bytes
"""

from collections import Counter

import numpy as np

WARP = 32


class Counters:
    def __init__(self):
        self.instructions = Counter()
        self.requests, self.sectors, self.wavefronts, self.ideal = (Counter() for _ in range(4))

    def moved(self, kind, addresses, warps, size):
        """An access to global memory; `warps` says which warp each thread belongs to."""
        keys = warps * (1 << 44) + (addresses >> 5 & ((1 << 44) - 1))
        self.sectors[kind] += len(np.unique(keys))
        self.requests[kind] += len(np.unique(warps))

    def served(self, kind, addresses, warps, lanes, size):
        """An access to a block's memory."""
        parts = max(1, size // 4)
        group = warps * parts + lanes // (WARP // parts)  # a warp, half of it, a quarter
        words = (addresses[:, None] >> 2) + np.arange(parts)
        keys = np.unique((group[:, None] * (1 << 20) + words).reshape(-1))  # one word, one transfer
        banks, count = np.unique(keys // (1 << 20) * 32 + keys % 32, return_counts=True)
        groups = banks // 32
        starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
        self.wavefronts[kind] += int(np.maximum.reduceat(count, starts).sum())
        self.ideal[kind] += len(starts)

    def sectors_per_request(self, kind):
        return self.sectors[kind] / self.requests[kind]

    def conflicts(self, kind):
        """Wavefronts for each that is needed: 1 means no bank conflicts."""
        return self.wavefronts[kind] / self.ideal[kind]
