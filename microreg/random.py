"""The random state: two integers, a seed and how much of its stream is used up.

Everything random (initial weights, dropout masks, shuffling) comes from counter-based generators
keyed by the seed, so equal seeds give equal runs for any number of threads. Each Python thread has
a state of its own: what others draw meanwhile changes nothing.
"""

import itertools
import threading

import numpy as np

from .kernels import random as kernels
from .runtime import launch
from .runtime.remote import recorder

_threads = itertools.count()


class _State(threading.local):
    """`words` is [seed, counters used]; kernels read it in place.

    The first thread begins with seed 0, a thread that was not seeded with one drawn for it.
    """

    def __init__(self):
        number = next(_threads)
        drawn = np.random.SeedSequence(number).generate_state(1, np.uint64)[0] >> np.uint64(1)
        self.words = np.array([int(drawn) if number else 0, 0], np.int64)


_state = _State()
_state.words[:] = 0  # the first thread is the one that imports


def manual_seed(seed):
    """Start the random stream of `seed` anew, for this thread.

    Parameters
    ----------
    seed : int
        From 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ValueError(f"manual_seed({seed!r}): expected an integer from 0 to 2**63 - 1")
    _state.words[:] = seed, 0


def take(counters):
    """A copy of the state, for a kernel that uses so many counters; the state moves past them."""
    recording, state = recorder(), _state.words
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
    return _state.words.copy()


def set_rng_state(saved):
    """Continue the stream where `saved` was taken."""
    found = np.asarray(saved)
    if found.shape != (2,) or found.dtype.kind not in "iu" or (found < 0).any():
        raise ValueError(f"set_rng_state: expected what get_rng_state gave, got {saved!r}")
    _state.words[:] = found
