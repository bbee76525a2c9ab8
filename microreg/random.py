"""The random state: two integers, a seed and how much of its stream is used up.

Everything random (initial weights, dropout masks, shuffling) comes from counter-based generators
keyed by the seed, so equal seeds give equal runs for any number of threads.
"""

import numpy as np

from .kernels import random as kernels
from .runtime import launch
from .runtime.remote import recorder

state = np.zeros(2, np.int64)  # [seed, counters used]; kernels read it in place


def manual_seed(seed):
    """Start the random stream of `seed` anew.

    Parameters
    ----------
    seed : int
        From 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ValueError(f"manual_seed({seed!r}): expected an integer from 0 to 2**63 - 1")
    state[:] = seed, 0


def take(counters):
    """A copy of the state, for a kernel that uses so many counters; the state moves past them."""
    recording = recorder()
    if recording is not None:
        taken = recording.empty(state.shape, state.dtype)
        recording.launch(kernels.take, (state, taken, counters))
        return taken
    taken = state.copy()
    state[1] += counters
    return taken


def generator():
    """A NumPy Generator for draws made in Python; each call gives another part of the stream."""
    if recorder() is not None:
        recorder().refuse("random numbers drawn in Python")
    seed, used = (int(word) for word in take(1))
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, used, 1]))


def permutation(order):
    """Fill `order`, int64, with a random permutation of 0, 1, ..."""
    launch(kernels.shuffle, take(order.size // 4 + 1), order)


def get_rng_state():
    """A copy of the state, to be given back to `set_rng_state`."""
    return state.copy()


def set_rng_state(saved):
    """Continue the stream where `saved` was taken."""
    found = np.asarray(saved)
    if found.shape != (2,) or found.dtype.kind not in "iu" or (found < 0).any():
        raise ValueError(f"set_rng_state: expected what get_rng_state gave, got {saved!r}")
    state[:] = found
