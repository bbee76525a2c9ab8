"""Random numbers from a counter: Philox4x32-10, and what is drawn with it.

A stream is cut into groups of 64 numbers. Number 16 k + j of group b is word k of philox(counter =
offset + 16 b + j, key = seed): sixteen counters side by side fill a vector register, and each word
of the result is sixteen neighbours. A number depends on nothing but the state and its place, so the
bits are the same for any blocks and threads. `state` is [seed, offset].

References
----------
Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC11, section 3.
"""

import math

import numpy as np

from ._jit import kernel, scalar

GROUP, LANES = 64, 16  # numbers in a group, counters that make one
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@scalar
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds on four counter words and two key words (uint64 that hold 32 bits each)."""
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@scalar
def draw(seed, counter):
    """The four 32-bit numbers of one counter of the stream `seed`."""
    zero = np.uint64(0)
    return philox(counter & _LOW, counter >> _HALF, zero, zero, seed & _LOW, seed >> _HALF)


def counters(numbers):
    """How many counters so many numbers use up."""
    return -(-numbers // GROUP) * LANES


@kernel("state:int64[2] -> bits:uint32[n]; start", split="n")
def draw_bits(state, bits, start):
    """bits[i] = number i of the stream."""
    seed, offset = np.uint64(state[0]), np.uint64(state[1]) + np.uint64(start // GROUP * LANES)
    for group in range(bits.size // GROUP):
        part = bits[group * GROUP : (group + 1) * GROUP]
        for j in range(LANES):
            words = draw(seed, offset + np.uint64(group * LANES + j))
            part[j] = words[0]
            part[LANES + j] = words[1]
            part[2 * LANES + j] = words[2]
            part[3 * LANES + j] = words[3]
    done = bits.size // GROUP * GROUP
    rest = bits[done:]
    for j in range(min(LANES, rest.size)):
        words = draw(seed, offset + np.uint64(done // GROUP * LANES + j))
        for k in range(4):
            if k * LANES + j < rest.size:
                rest[k * LANES + j] = words[k]


@kernel("state:int64[2] -> mask:uint8[n]; p:float64 start", split="n")
def keep_mask(state, mask, p, start):
    """mask[i] = 0 with probability p, else 1: whether number i is at least p * 2^32."""
    seed, offset = np.uint64(state[0]), np.uint64(state[1]) + np.uint64(start // GROUP * LANES)
    limit = np.uint64(p * 4294967296.0)
    for group in range(mask.size // GROUP):
        part = mask[group * GROUP : (group + 1) * GROUP]
        for j in range(LANES):
            words = draw(seed, offset + np.uint64(group * LANES + j))
            part[j] = words[0] >= limit
            part[LANES + j] = words[1] >= limit
            part[2 * LANES + j] = words[2] >= limit
            part[3 * LANES + j] = words[3] >= limit
    done = mask.size // GROUP * GROUP
    rest = mask[done:]
    for j in range(min(LANES, rest.size)):
        words = draw(seed, offset + np.uint64(done // GROUP * LANES + j))
        for k in range(4):
            if k * LANES + j < rest.size:
                rest[k * LANES + j] = words[k] >= limit


@scalar
def unit(word):
    """A 32-bit number as a float64 in (0, 1)."""
    return (float(word) + 0.5) * (1.0 / 4294967296.0)


@scalar
def turn(u):
    """(cos, sin) of 2 pi u for u from 0 to 1: series around the nearest quarter of a turn."""
    quarter = int(4.0 * u + 0.5)
    x = 2.0 * math.pi * (u - 0.25 * quarter)
    q = x * x
    c = 1.0 - q / 182.0 * (1.0 - q / 240.0)
    c = 1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0 * (1.0 - q / 132.0 * c)))
    c = 1.0 - q / 2.0 * (1.0 - q / 12.0 * c)
    s = 1.0 - q / 156.0 * (1.0 - q / 210.0 * (1.0 - q / 272.0))
    s = 1.0 - q / 42.0 * (1.0 - q / 72.0 * (1.0 - q / 110.0 * s))
    s = x * (1.0 - q / 6.0 * (1.0 - q / 20.0 * s))
    if quarter == 1:
        return -s, c
    if quarter == 2:
        return -c, -s
    if quarter == 3:
        return s, -c
    return c, s


@scalar
def polar(one, other):
    """Two standard normal numbers from two 32-bit ones (Box, Muller 1958); at most 6.7."""
    radius = math.sqrt(-2.0 * math.log(unit(one)))
    cosine, sine = turn(unit(other))
    return radius * cosine, radius * sine


@kernel("state:int64[2] -> out[n]; start", split="n")
def normal(state, out, start):
    """out[i] = standard normal; numbers 16 k + j and 16 (k + 1) + j of a group, k even, a pair."""
    seed, offset = np.uint64(state[0]), np.uint64(state[1]) + np.uint64(start // GROUP * LANES)
    for group in range((out.size + GROUP - 1) // GROUP):
        part = out[group * GROUP : (group + 1) * GROUP]
        for j in range(min(LANES, part.size)):
            words = draw(seed, offset + np.uint64(group * LANES + j))
            a, b = polar(words[0], words[1])
            c, d = polar(words[2], words[3])
            part[j] = a
            if LANES + j < part.size:
                part[LANES + j] = b
            if 2 * LANES + j < part.size:
                part[2 * LANES + j] = c
            if 3 * LANES + j < part.size:
                part[3 * LANES + j] = d


@kernel("state:int64[2] -> out[n]; start", split="n")
def logistic(state, out, start):
    """out[i] = log u - log(1 - u) of the numbers u in (0, 1) that `draw_bits` makes."""
    seed, offset = np.uint64(state[0]), np.uint64(state[1]) + np.uint64(start // GROUP * LANES)
    for group in range((out.size + GROUP - 1) // GROUP):
        part = out[group * GROUP : (group + 1) * GROUP]
        for j in range(min(LANES, part.size)):
            words = draw(seed, offset + np.uint64(group * LANES + j))
            for k in range(4):
                if k * LANES + j < part.size:
                    u = unit(words[k])
                    part[k * LANES + j] = math.log(u) - math.log(1.0 - u)


TRIES = 32  # counters that `beta` may use: a try, of which there are two in each, succeeds with 1/2


@kernel("state:int64[2] -> out[one]; a:float64")
def beta(state, out, a):
    """out = a number of the symmetric distribution Beta(a, a).

    For a <= 1 by rejection (Joehnk 1964): with x = u^(1/a), y = v^(1/a) and x + y <= 1 it is
    x / (x + y). Above, 1/2 + sqrt(1 - u^(2 / (2a - 1))) cos(2 pi v) / 2 (Ulrich 1984).
    """
    seed, offset = np.uint64(state[0]), np.uint64(state[1])
    if a > 1.0:
        words = draw(seed, offset)
        radius = math.sqrt(1.0 - unit(words[0]) ** (2.0 / (2.0 * a - 1.0)))
        out[0] = 0.5 + 0.5 * radius * turn(unit(words[1]))[0]
        return
    for t in range(2 * TRIES):
        words = draw(seed, offset + np.uint64(t // 2))
        one, other = (words[0], words[1]) if t % 2 == 0 else (words[2], words[3])
        x, y = math.log(unit(one)) / a, math.log(unit(other)) / a
        out[0] = 1.0 / (1.0 + math.exp(y - x))
        if math.exp(x) + math.exp(y) <= 1.0:
            return


@kernel("x[n] mask:uint8[n] -> out[n]; scale", split="n")
def apply_mask(x, mask, out, scale):
    """out[i] = x[i] * scale where the mask is on, else 0."""
    for i in range(x.size):
        out[i] = x[i] * (scale if mask[i] != 0 else type(scale)(0))


@kernel("-> state:int64[2] taken:int64[2]; counters:int64")
def take(state, taken, counters):
    """taken = state; the state moves past so many counters."""
    taken[0] = state[0]
    taken[1] = state[1]
    state[1] += counters


@kernel("state:int64[2] -> order:int64[n]")
def shuffle(state, order):
    """order = a random permutation of 0, ..., n - 1 (Fisher and Yates; Durstenfeld 1964)."""
    seed, offset = np.uint64(state[0]), np.uint64(state[1])
    n = order.size
    for i in range(n):
        order[i] = i
    for q in range((n + 3) // 4):
        words = draw(seed, offset + np.uint64(q))
        for k in range(4):
            i = n - 1 - (4 * q + k)
            if i > 0:
                j = np.int64((words[k] * np.uint64(i + 1)) >> _HALF)
                kept = order[i]
                order[i] = order[j]
                order[j] = kept
