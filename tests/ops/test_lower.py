"""Ops written with launches alone, on every layout: NumPy says what is right.

`test_table.py` compares them on the table's shapes; here are all ways to broadcast, to reduce and
to lie in memory.
"""

import itertools

import numpy as np
import pytest

from microreg.errors import CaptureError, ShapeError
from microreg.ops import arithmetic, reduction, shape

TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}  # of the largest entry
FULL = (2, 3, 4)
# (2, 3, 4) with some axes of length one, and without leading axes
PARTS = [
    kept[lead:]
    for kept in itertools.product(*((n, 1) for n in FULL))
    for lead in range(4)
    if all(n == 1 for n in kept[:lead])
]
ORDERS = {  # how an array may lie in memory
    "dense": lambda x: x,
    "last axis first": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 0)), 0, -1),
    "backwards": lambda x: np.ascontiguousarray(x.T).T,
    "part": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
}
BINARY = {
    "sub": np.subtract,
    "maximum": np.maximum,
    "power": np.power,
    "less": np.less,
    "equal": np.equal,
}


def numbers(size, dtype, seed=0):
    """Positive, with ties."""
    drawn = np.random.default_rng(seed).uniform(0.3, 2.0, size)
    return np.asarray(np.round(drawn, 1), dtype)


def close(got, want, dtype):
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    tolerance = TOLERANCE[dtype] * np.abs(want).max(initial=0.0)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", BINARY)
def test_any_two_shapes_are_broadcast(name, dtype):
    op = getattr(arithmetic, name)
    for first, second in itertools.product(PARTS, PARTS):
        a, b = numbers(first, dtype), numbers(second, dtype, 1)
        close(op.lower(a, b), np.asarray(BINARY[name](a, b)), dtype)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", BINARY)
def test_arrays_meet_however_they_lie(name, order, dtype):
    op, lay = getattr(arithmetic, name), ORDERS[order]
    for shapes in ((FULL, FULL), (FULL, (3, 1)), ((2, 1, 4), FULL), ((2, 1, 4), (3, 1))):
        a, b = (lay(numbers(s, dtype, i)) for i, s in enumerate(shapes))
        close(op.lower(a, b), BINARY[name](a, b), dtype)
        close(op.lower(a, np.ascontiguousarray(b)), BINARY[name](a, b), dtype)
        for number in (0.7, 2):
            close(op.lower(a, number), BINARY[name](a, dtype(number)), dtype)
            close(op.lower(number, a), BINARY[name](dtype(number), a), dtype)


@pytest.mark.parametrize("a, b", [((3,), (4,)), ((2, 3), (3, 2)), ((0,), (2,))])
def test_shapes_that_do_not_broadcast_are_refused(a, b):
    with pytest.raises(ShapeError, match="do not broadcast"):
        arithmetic.add.lower(np.zeros(a), np.zeros(b))


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_expanding_and_summing_to_a_shape(part, dtype):
    x, whole = numbers(part, dtype), numbers(FULL, dtype, 1)
    for lay in ORDERS.values():
        if part:
            x = lay(x)
        got = arithmetic.expand.lower(x, shape=FULL)
        close(got, np.broadcast_to(x, FULL), dtype)
        want = arithmetic.sum_to.forward(whole, shape=part)
        close(arithmetic.sum_to.lower(lay(whole), shape=part), np.asarray(want), dtype)


BOX = (3, 4, 2, 5)
SUBSETS = [axes for n in range(5) for axes in itertools.combinations(range(4), n)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axes", SUBSETS, ids=str)
def test_any_axes_are_reduced(axes, order, dtype):
    x = ORDERS[order](numbers(BOX, dtype))
    for op, function in (
        (reduction.sum, np.sum),
        (reduction.amax, np.max),
        (reduction.amin, np.min),
    ):
        for keepdims in (False, True):
            got = op.lower(x, axes=axes, keepdims=keepdims)
            close(got, np.asarray(function(x, axis=axes, keepdims=keepdims)), dtype)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4), ()], ids=str)
def test_sums_of_nothing_are_zero(shape, dtype):
    x = np.zeros(shape, dtype)
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            got = reduction.sum.lower(x, axes=axes, keepdims=False)
            close(got, np.asarray(x.sum(axis=axes)), dtype)


@pytest.mark.parametrize(
    "shapes", [(FULL, FULL, FULL), (FULL, (), (3, 1)), ((3, 1), (4,), (2, 1, 1))]
)
def test_where_takes_arrays_and_numbers(shapes, dtype):
    condition = numbers(shapes[0], dtype) > 1
    a, b = numbers(shapes[1], dtype), numbers(shapes[2], dtype, 1)
    for one, other in itertools.product((a, 0.5, -2), (b, 0.0, 3)):
        got = arithmetic.where.lower(condition, one, other)
        want = np.asarray(np.where(condition, one, other))
        given = [x.dtype for x in (one, other) if isinstance(x, np.ndarray)]
        want = want.astype(np.result_type(*given) if given else np.float32)
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype and got.shape == want.shape


KEYS = {
    "rows": np.array([2, 0, 2]),
    "from the end": np.array([-1, -4, 1]),
    "matrix": np.array([[0, 1], [3, -2]]),
    "list": [3, 3, 0],
    "two": (np.array([0, 3, -1]), np.array([1, -3, 0])),
    "two, broadcast": (np.array([[0], [2]]), np.array([1, 2])),
    "a number beside": (np.array([0, 3]), 1),
    "three": (np.array([0, 3]), np.array([1, 2]), np.array([0, -1])),
    "and all": (np.array([1, 2]), slice(None)),
    "none": np.array([], np.int64),
    "int32": np.array([1, 3], np.int32),
    "slices": (slice(1, None), slice(None, None, -1)),
    "a number": 2,
    "a new axis": (None, slice(0, 3, 2)),
    "dots": (..., 1),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", KEYS)
def test_indexing_and_what_undoes_it(name, order, dtype):
    x, key = ORDERS[order](numbers((4, 3, 2), dtype)), KEYS[name]
    got = shape.index.lower(x, key=key)
    close(got, np.asarray(x[key]), dtype)
    g = ORDERS[order](numbers(got.shape, dtype, 1)) if got.ndim else numbers((), dtype)
    want = np.zeros_like(x, order="C")
    np.add.at(want, key, g)
    close(shape.scatter.lower(g, shape=x.shape, key=key), want, dtype)


@pytest.mark.parametrize("key", [np.array([True, False]), (slice(None), np.array([1, 1]))], ids=str)
def test_other_keys_are_refused_while_recording(key):
    with pytest.raises(CaptureError, match="expected integer arrays for the first axes"):
        shape.index.lower(np.zeros((2, 2)), key=key)


@pytest.mark.parametrize("far", [4, -5, 1 << 40])
def test_a_position_outside_is_refused_where_it_is_known(far):
    """Several indices become one position, which would be another entry's."""
    key = (np.array([0, 1]), np.array([2, far]))
    text = rf"axis 1: expected positions from -4 to 3, got {min(far, 2)} to {max(far, 2)}$"
    for call in (
        lambda: shape.index.lower(np.zeros((3, 4)), key=key),
        lambda: shape.scatter.lower(np.zeros(2), shape=(3, 4), key=key),
    ):
        with pytest.raises(IndexError, match=text):
            call()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("order", ORDERS)
def test_arrays_are_joined_along_any_axis(order, axis, dtype):
    parts = []
    for i, n in enumerate((1, 3, 0, 2)):
        size = list(FULL)
        size[axis] = n
        parts.append(ORDERS[order](numbers(size, dtype, i)))
    got = shape.concatenate.lower(*parts, axis=axis)
    close(got, np.concatenate(parts, axis), dtype)
