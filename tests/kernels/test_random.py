"""Philox4x32-10 against its published vectors, and what is drawn with it."""

import numpy as np
import pytest

from microreg.kernels import random
from microreg.runtime import get_num_threads, launch, set_num_threads

VECTORS = [  # counter, key, result: the Random123 distribution's kat_vectors for philox4x32-10
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
SIZES = [0, 1, 2, 3, 5, 8191, 8192, 8193, 50_001]


@pytest.mark.parametrize("counter, key, want", VECTORS, ids=["zeros", "ones", "pi"])
def test_philox_gives_the_published_numbers(counter, key, want):
    got = random.philox(*map(np.uint64, (*counter, *key)))
    assert [int(word) for word in got] == want


def state(seed, offset=0):
    return np.array([seed, offset], np.int64)


def drop(x, p, seed=11, offset=0):
    out = np.full_like(x, np.nan)
    launch(random.dropout, x, state(seed, offset), out, p)
    return out


def naive_kept(size, p, seed, offset):
    """Which entries stay: number i of the stream, as Python integers."""
    kept = []
    for i in range(size):
        counter = offset + i // 4
        words = [counter & 0xFFFFFFFF, counter >> 32, 0, 0, seed & 0xFFFFFFFF, seed >> 32]
        kept.append(int(random.philox(*map(np.uint64, words))[i % 4]) >= int(p * 2**32))
    return np.array(kept, bool)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.07, 0.4, 0.9, 1.0])
def test_entries_are_zero_or_scaled(dtype, p):
    for size in SIZES:
        x = np.linspace(1, 2, size).astype(dtype)
        got = drop(x, p)
        kept = got != 0
        scale = dtype(1) / (dtype(1) - dtype(p)) if p < 1 else dtype(0)
        np.testing.assert_allclose(got[kept], x[kept] * scale, rtol=2 * np.finfo(dtype).eps)
        if size > 5000:
            assert abs(kept.mean() - (1 - p)) <= 5 * (p * (1 - p) / size) ** 0.5


@pytest.mark.parametrize("seed, offset", [(0, 0), (7, 3), (2**40 + 5, 2**33 - 2), (2**63 - 1, 1)])
def test_compiled_mask_is_the_stream(seed, offset):
    got = drop(np.ones(23), 0.37, seed, offset) != 0
    np.testing.assert_array_equal(got, naive_kept(23, 0.37, seed, offset))


def test_streams_differ_by_seed_and_by_offset():
    x = np.ones(4000)
    masks = [drop(x, 0.5, seed, offset) for seed, offset in ((1, 0), (2, 0), (1, 1), (1, 1000))]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 5 * 0.5 / 4000**0.5
    np.testing.assert_array_equal(masks[0][4000 - 3996 :], drop(x, 0.5, 1, 1)[:-4])


def test_nan_stays_even_where_it_would_be_dropped():
    assert np.isnan(drop(np.full(50, np.nan, np.float32), 0.5)).all()


def test_bits_do_not_depend_on_the_threads(monkeypatch):
    monkeypatch.setattr(random.dropout, "grain", 1)
    before = get_num_threads()
    try:
        results = []
        for count in (1, 2, 4):
            set_num_threads(count)
            results.append(drop(np.ones(100_003, np.float32), 0.3).tobytes())
    finally:
        set_num_threads(before)
    assert results[0] == results[1] == results[2]
