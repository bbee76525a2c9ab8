"""Indices drawn at random: a tensor gives what NumPy gives, or refuses what NumPy refuses."""

import random

import numpy as np
import pytest

import microreg as mr

# with NumPy 2.1 an index outside of nothing is deprecated, not refused yet
pytestmark = pytest.mark.filterwarnings("ignore:Out of bound index found:DeprecationWarning")
QUICK, LONG = 1500, pytest.param(60_000, marks=pytest.mark.long)


def part(draw, size):
    """An index for one axis; now and then one that is too large."""
    kind = draw.randrange(8)
    if kind < 2:
        return draw.randint(-size - 1, size)
    if kind < 5:
        end = lambda: draw.choice([None, draw.randint(-size - 2, size + 2)])  # noqa: E731
        return slice(end(), end(), draw.choice([None, 1, 2, -1, -3, 3]))
    if kind == 5:
        return np.array([draw.random() < 0.5 for _ in range(size + (draw.random() < 0.1))])
    shape = draw.choice([(2,), (1,), (2, 1), (0,), ()])
    high = size - 1 + (draw.random() < 0.1)
    flat = [draw.randint(-size, max(high, 0)) for _ in range(int(np.prod(shape)))]
    made = np.array(flat, int).reshape(shape)
    return made.tolist() if draw.random() < 0.3 and made.ndim else made


def drawn(draw):
    shape = tuple(draw.choice([0, 1, 2, 3, 5]) for _ in range(draw.randint(0, 4)))
    key = [part(draw, size) for size in shape[: draw.randint(0, len(shape) + 1)]]
    for extra in (None, Ellipsis):
        if draw.random() < 0.2:
            key.insert(draw.randint(0, len(key)), extra)
    if draw.random() < 0.05:
        key.append(draw.choice([1.5, "a", {}, True, 0, mr.tensor(0)]))
    return shape, key[0] if len(key) == 1 and draw.random() < 0.5 else tuple(key)


def outcome(function):
    try:
        return function()
    except (IndexError, TypeError, ValueError) as error:
        return error


def plain(key):
    keys = key if isinstance(key, tuple) else (key,)
    keys = tuple(k.data if isinstance(k, mr.Tensor) else k for k in keys)
    return keys if isinstance(key, tuple) else keys[0]


@pytest.mark.parametrize("times", [QUICK, LONG])
def test_reading_by_any_index(times):
    draw, read, refused = random.Random(2), 0, 0
    for _ in range(times):
        shape, key = drawn(draw)
        x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        want = outcome(lambda x=x, key=key: x[plain(key)])
        t = mr.tensor(x, requires_grad=True)
        got = outcome(lambda t=t, key=key: t[key])
        if isinstance(want, Exception):
            assert isinstance(got, Exception), (shape, key, want)
            refused += 1
            continue
        assert isinstance(got, mr.Tensor), (shape, key, got)
        np.testing.assert_array_equal(got.data, want, err_msg=str((shape, key)))
        assert got.shape == np.shape(want)
        weight = np.arange(1.0, 1 + got.data.size).reshape(got.shape)
        (got * mr.tensor(weight)).sum().backward()
        gradient = np.zeros(shape)
        np.add.at(gradient, plain(key), weight)
        np.testing.assert_array_equal(t.grad.data, gradient, err_msg=str((shape, key)))
        read += 1
    assert read > times / 3 and refused > times / 20


@pytest.mark.parametrize("times", [QUICK, LONG])
def test_shapes_that_do_not_fit_are_refused_and_others_are_numpys(times):
    draw = random.Random(4)
    for _ in range(times):
        shapes = [
            tuple(draw.choice([0, 1, 2, 3]) for _ in range(draw.randint(0, 3))) for _ in range(2)
        ]
        x, y = (np.ones(shape) for shape in shapes)
        axis, target = (
            draw.randint(-3, 3),
            tuple(draw.randint(-1, 4) for _ in range(draw.randint(0, 3))),
        )
        for function in (
            lambda a, b: a + b,
            lambda a, b: a @ b,
            lambda a, b, target=target: a.reshape(target),
            lambda a, b, axis=axis: a.sum(axis),
        ):
            want = outcome(lambda x=x, y=y, function=function: function(x, y))
            got = outcome(lambda x=x, y=y, function=function: function(mr.tensor(x), mr.tensor(y)))
            if isinstance(want, Exception):
                assert isinstance(got, (Exception, mr.Tensor)), (shapes, want, got)
                assert isinstance(got, Exception), (shapes, target, want, got)
            elif not isinstance(got, Exception):
                np.testing.assert_array_equal(got.data, want)
                assert got.shape == np.shape(want)
            else:  # ours may be stricter: a matrix product of single numbers, -1 with no entries
                assert str(got), (shapes, target)
