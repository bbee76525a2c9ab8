"""Random numbers for a GPU: the CPU's bits, a thread for each counter."""

import numpy as np

from .. import random as cpu
from ..random import GROUP, LANES
from ._words import block, helper, thread
from .plan import THREADS, twin


def _grid(sizes):
    return -(-cpu.counters(sizes["n"]) // THREADS)


@helper
def _mine(state):
    """(the place of this thread's first number, its four numbers, 16 apart)."""
    number = block(0) * THREADS + thread()
    words = cpu.draw(np.uint64(state[0]), np.uint64(state[1]) + np.uint64(number))
    return number // LANES * GROUP + number % LANES, words


@twin(cpu.draw_bits, grid=_grid)
def draw_bits(state, bits, n):
    """bits[i] = number i of the stream."""
    at, words = _mine(state)
    for k in range(4):
        if at + k * LANES < n:
            bits[at + k * LANES] = words[k]


@twin(cpu.keep_mask, grid=_grid)
def keep_mask(state, mask, p, n):
    """mask[i] = 0 with probability p, else 1: whether number i is at least p * 2^32."""
    limit = np.uint64(p * 4294967296.0)
    at, words = _mine(state)
    for k in range(4):
        if at + k * LANES < n:
            mask[at + k * LANES] = words[k] >= limit
