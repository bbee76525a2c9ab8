"""Philox4x32-10 against its published vectors, and what is drawn with it."""

import numpy as np
import pytest

from microreg.kernels import random

from .running import garbage, run

VECTORS = [  # counter, key, result: the Random123 distribution's kat_vectors for philox4x32-10
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
SIZES = [0, 1, 15, 16, 17, 63, 64, 65, 8191, 8192, 8193, 50_001]
STREAMS = [(0, 0), (7, 3), (2**40 + 5, 2**33 - 2), (2**63 - 1, 1), (3, 2**32 - 17)]
PROBABILITIES = [0.0, 0.07, 0.4, 0.9, 1.0]


@pytest.mark.parametrize("counter, key, want", VECTORS, ids=["zeros", "ones", "pi"])
def test_philox_gives_the_published_numbers(counter, key, want):
    got = random.philox(*map(np.uint64, (*counter, *key)))
    assert [int(word) for word in got] == want


def state(seed, offset=0):
    return np.array([seed, offset], np.int64)


def draw(size, seed=11, offset=0):
    bits = garbage(size, np.uint32)
    run(random.draw_bits, state(seed, offset), bits)
    return bits


def keep(size, p, seed=11, offset=0):
    mask = garbage(size, np.uint8)
    run(random.keep_mask, state(seed, offset), mask, p)
    return mask


def naive_bits(size, seed, offset):
    """The numbers of a stream, as Python integers: see random.py."""
    bits = []
    for i in range(size):
        group, place = divmod(i, 64)
        counter = offset + 16 * group + place % 16
        words = [counter & 0xFFFFFFFF, counter >> 32, 0, 0, seed & 0xFFFFFFFF, seed >> 32]
        bits.append(int(random.philox(*map(np.uint64, words))[place // 16]))
    return np.array(bits, np.uint32)


@pytest.mark.parametrize("seed, offset", STREAMS)
@pytest.mark.parametrize("size", [1, 16, 63, 64, 65, 130, 200])
def test_the_bits_are_those_of_the_stream(size, seed, offset):
    np.testing.assert_array_equal(draw(size, seed, offset), naive_bits(size, seed, offset))


@pytest.mark.parametrize("p", PROBABILITIES)
@pytest.mark.parametrize("seed, offset", STREAMS)
def test_a_mask_is_on_where_the_bits_reach_p(seed, offset, p):
    for size in SIZES:
        got, bits = keep(size, p, seed, offset), draw(size, seed, offset)
        np.testing.assert_array_equal(got, bits >= p * 2**32)
        if size > 5000:
            assert abs(got.mean() - (1 - p)) <= 5 * (p * (1 - p) / size) ** 0.5


def test_a_number_does_not_depend_on_how_many_are_drawn():
    whole = draw(SIZES[-1])
    for size in SIZES:
        np.testing.assert_array_equal(draw(size), whole[:size])


@pytest.mark.parametrize("groups", [1, 2, 128, 200])
def test_a_stream_goes_on_where_its_counters_say(groups):
    numbers = 64 * groups
    taken = garbage(2, np.int64)
    moved = state(5, 100)
    run(random.take, moved, taken, random.counters(numbers))
    assert taken.tolist() == [5, 100] and moved.tolist() == [5, 100 + 16 * groups]
    whole = draw(numbers + 333, *taken)
    np.testing.assert_array_equal(draw(333, *moved), whole[numbers:])


@pytest.mark.parametrize("numbers, want", [(0, 0), (1, 16), (64, 16), (65, 32), (640, 160)])
def test_counters_are_used_up_by_groups(numbers, want):
    assert random.counters(numbers) == want


def test_streams_differ_by_seed_and_by_offset():
    masks = [keep(4000, 0.5, *s) for s in ((1, 0), (2, 0), (1, 1), (1, 1000), (2**32 + 1, 0))]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 5 * 0.5 / 4000**0.5


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.25, 7.0])
def test_a_mask_keeps_and_scales(scale, dtype, rng):
    for size in SIZES:
        x, mask = rng.normal(size=size).astype(dtype), keep(size, 0.4)
        out = garbage(size, dtype)
        run(random.apply_mask, x, mask, out, scale)
        np.testing.assert_array_equal(out, x * (mask * dtype(scale)))


def test_nan_stays_even_where_it_would_be_dropped(dtype):
    x, out = np.full(50, np.nan, dtype), np.zeros(50, dtype)
    run(random.apply_mask, x, keep(50, 0.5), out, 2.0)
    assert np.isnan(out).all()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 64, 1000])
@pytest.mark.parametrize("seed, offset", STREAMS)
def test_shuffling_gives_a_permutation(size, seed, offset):
    order, again, other = (garbage(size, np.int64) for _ in range(3))
    run(random.shuffle, state(seed, offset), order)
    run(random.shuffle, state(seed, offset), again)
    run(random.shuffle, state(seed, offset + random.counters(size) + 1), other)
    assert sorted(order.tolist()) == list(range(size))
    np.testing.assert_array_equal(order, again)
    assert size < 64 or (order != other).any()


def test_every_permutation_is_as_likely():
    """All 24 orders of four things; the chi-squared statistic has mean 23, deviation 6.8."""
    counts, order = {}, garbage(4, np.int64)
    for i in range(6000):
        run(random.shuffle, state(3, i), order)
        counts[tuple(order)] = counts.get(tuple(order), 0) + 1
    assert len(counts) == 24
    assert sum((c - 250) ** 2 / 250 for c in counts.values()) < 23 + 5 * 6.8


def naive_normal(size, seed, offset):
    """Pairs of bits by the formula of Box and Muller."""
    bits = naive_bits(64 * -(-size // 64), seed, offset).reshape(-1, 2, 2, 16)
    u, v = (bits[:, :, 0] + 0.5) / 2**32, (bits[:, :, 1] + 0.5) / 2**32
    radius = np.sqrt(-2 * np.log(u))
    pairs = [radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)]
    return np.stack(pairs, axis=2).reshape(-1)[:size]


@pytest.mark.parametrize("seed, offset", STREAMS[:3])
@pytest.mark.parametrize("size", [1, 16, 17, 33, 64, 65, 130])
def test_normal_numbers_are_made_of_pairs_of_bits(size, seed, offset, dtype):
    out = garbage(size, dtype)
    run(random.normal, state(seed, offset), out)
    want = naive_normal(size, seed, offset)
    np.testing.assert_allclose(out, want, rtol=0, atol=8 * np.finfo(dtype).eps)


def test_normal_numbers_are_normal(dtype):
    out = garbage(200_000, dtype)
    run(random.normal, state(5), out)
    for power, (moment, spread) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        assert abs((out.astype(float) ** power).mean() - moment) < 5 * np.sqrt(spread / out.size)
    assert abs((out < 1.0).mean() - 0.841345) < 5 * 0.366 / np.sqrt(out.size)
    assert abs(np.corrcoef(out[:-16], out[16:])[0, 1]) < 5 / np.sqrt(out.size)  # pairs


@pytest.mark.parametrize("a", [0.05, 0.4, 1.0, 1.7, 20.0])
def test_beta_numbers_follow_their_distribution(a, dtype):
    stats = pytest.importorskip("scipy.stats")
    drawn = np.empty(4000)
    for i in range(drawn.size):
        out = garbage(1, dtype)
        run(random.beta, state(3, i * random.TRIES), out, a)
        drawn[i] = out[0]
    assert (drawn >= 0).all() and (drawn <= 1).all()
    if a > 0.1:  # below, many round to 0 or 1
        assert stats.kstest(drawn, stats.beta(a, a).cdf).pvalue > 1e-3
    assert abs(drawn.mean() - 0.5) < 5 * np.sqrt(1 / (4 * (2 * a + 1)) / drawn.size)
    assert abs(drawn.var() * 4 * (2 * a + 1) - 1) < 0.12
