"""Random numbers from a counter: Philox4x32-10, and what is drawn with it.

Number i of a stream is lane i % 4 of philox(counter = offset + i // 4, key = seed), so it depends
on nothing but the state and its place: the bits are the same for any blocks and threads, and a
mask can be drawn again in the backward pass. `state` is [seed, offset].

References
----------
Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC11, section 3.
"""

import numpy as np

from ._jit import kernel, scalar

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


@scalar
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds on four counter words and two key words (uint64 holding 32 bits each)."""
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@scalar
def draw(seed, counter):
    """The four 32-bit numbers of one counter of the stream `seed`."""
    return philox(
        counter & _LOW, counter >> _32, np.uint64(0), np.uint64(0), seed & _LOW, seed >> _32
    )


@kernel("x[n] state:int64[2] -> out[n]; p start", split="n")
def dropout(x, state, out, p, start):
    """out[i] = 0 with probability p, else x[i] / (1 - p); number i decides."""
    seed, offset = np.uint64(state[0]), np.uint64(state[1]) + np.uint64(start // 4)
    limit = np.uint64(float(p) * 4294967296.0)
    scale = type(p)(1) / (type(p)(1) - p) if p < type(p)(1) else type(p)(0)
    n = x.size
    for q in range((n + 3) // 4):
        numbers = draw(seed, offset + np.uint64(q))
        i = 4 * q
        out[i] = x[i] * (scale if numbers[0] >= limit else type(p)(0))
        if i + 1 < n:
            out[i + 1] = x[i + 1] * (scale if numbers[1] >= limit else type(p)(0))
        if i + 2 < n:
            out[i + 2] = x[i + 2] * (scale if numbers[2] >= limit else type(p)(0))
        if i + 3 < n:
            out[i + 3] = x[i + 3] * (scale if numbers[3] >= limit else type(p)(0))


@kernel("-> state:int64[2] taken:int64[2]; numbers:int64")
def take(state, taken, numbers):
    """taken = state; the state moves past so many numbers."""
    taken[0] = state[0]
    taken[1] = state[1]
    state[1] += (numbers + 3) // 4
