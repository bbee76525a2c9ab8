"""Kernels that move numbers, against NumPy's strides, casts and indices."""

import numpy as np
import pytest

from microreg.kernels import move
from microreg.runtime import strided

from .running import garbage, run

DTYPES = [np.float32, np.float64, np.int64, np.bool_]
LONG = 8192 + 700  # more than a block of results

# views, of at most four axes, of an array of the first shape
VIEWS = {
    "as it is": ((7, 9), lambda x: x),
    "transposed": ((7, 9), lambda x: x.T),
    "permuted": ((3, 4, 5), lambda x: x.transpose(2, 0, 1)),
    "part": ((6, 7, 8), lambda x: x[1:5, 2:, 3:7]),
    "every second": ((6, 9), lambda x: x[::2, 1::2]),
    "backwards": ((5, 6), lambda x: x[::-1, ::-1]),
    "rows backwards": ((5, 6), lambda x: x[::-1]),
    "columns backwards, every third": ((4, 11), lambda x: x[:, ::-3]),
    "one entry": ((4, 4), lambda x: x[2:3, 1:2]),
    "one axis backwards": ((13,), lambda x: x[::-2]),
    "two blocks of one line": ((2, LONG), lambda x: x[:, 3:]),
    "two blocks of one line, backwards": ((2, LONG), lambda x: x[:, ::-1]),
    "several blocks of lines": ((190, 130), lambda x: x[:, 1:]),
    "several blocks of columns": ((130, 190), lambda x: x.T[:, :-1]),
    "four axes": ((9, 7, 11, 13), lambda x: x.transpose(3, 1, 0, 2)[:, ::-1]),
}
REPEATED = {
    "a row": ((5,), lambda x: np.broadcast_to(x, (4, 5))),
    "a column": ((4, 1), lambda x: np.broadcast_to(x, (4, 3000))),
    "a middle axis": ((3, 1, 5), lambda x: np.broadcast_to(x, (3, 6, 5))),
    "a number": ((1,), lambda x: np.broadcast_to(x, (3, 4))),
    "backwards, twice": ((6,), lambda x: np.broadcast_to(x[::-1], (2, 6))),
}
DEEP = {  # more axes than the kernels have
    "five axes": ((2, 3, 4, 5, 6), lambda x: x.transpose(4, 2, 0, 3, 1)),
    "five axes, parts": ((3, 3, 4, 5, 6), lambda x: x[::-2, 1:, ::2, ::-1, 1:5]),
    "six axes": ((2, 3, 2, 3, 2, 3), lambda x: x.transpose(5, 0, 3, 1, 4, 2)[:, :, ::-1]),
}


def entries(shape, dtype):
    """Different numbers, as far as the dtype has so many."""
    return (np.arange(np.prod(shape)).reshape(shape) * 3 % 1009).astype(dtype)


def layout(view, memory):
    """The shape as lines, and nb, nc, sa, sb, sc, sd, origin, of a view of `memory`."""
    shape = (1,) * (4 - view.ndim) + view.shape
    steps = (0,) * (4 - view.ndim) + tuple(s // memory.itemsize for s in view.strides)
    ahead = view.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    lines = (np.prod(shape[:3]), shape[3])
    return lines, (*shape[1:3], *steps, ahead // memory.itemsize)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VIEWS | REPEATED)
def test_packing_reads_what_the_view_shows(name, dtype):
    shape, take = (VIEWS | REPEATED)[name]
    x = entries(shape, dtype)
    lines, numbers = layout(take(x), x)
    out = garbage(lines, dtype)
    run(move.pack, x.reshape(-1), out, *numbers)
    np.testing.assert_array_equal(out.reshape(take(x).shape), take(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VIEWS)
def test_unpacking_writes_the_view_and_nothing_else(name, dtype):
    shape, take = VIEWS[name]
    want, got = garbage(shape, dtype), garbage(shape, dtype)
    x = entries(take(want).size, dtype)
    take(want)[...] = x.reshape(take(want).shape)
    lines, numbers = layout(take(got), got)
    run(move.unpack, x.reshape(lines), got.reshape(-1), *numbers)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", VIEWS | REPEATED | DEEP)
def test_any_view_is_copied(name, dtype):
    """Through the function that chooses between the kernels."""
    shape, take = (VIEWS | REPEATED | DEEP)[name]
    x = entries(shape, dtype)
    view, out = take(x), garbage(take(x).shape, dtype)
    strided.pack(view, view.shape, strided.steps_of(view), out)
    np.testing.assert_array_equal(out, view)
    if name not in REPEATED:
        want, got = garbage(shape, dtype), garbage(shape, dtype)
        take(want)[...] = out
        strided.unpack(out, take(got))
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_nothing_is_moved_of_nothing(shape):
    none, x = np.empty(shape), np.arange(5.0)
    lines, numbers = layout(none, none)
    run(move.pack, x, none.reshape(lines), *numbers[:-1], 0)
    run(move.unpack, none.reshape(lines), x, *numbers[:-1], 0)
    np.testing.assert_array_equal(x, np.arange(5.0))
    assert strided.pack(none, shape, strided.steps_of(none), none) is none


@pytest.mark.parametrize("columns", [1, 3, 15, 16, 17, 40])
@pytest.mark.parametrize("rows", [1, 5, 8, 16, 31, 32, 50])
def test_matrices_are_turned(rows, columns, dtype, rng):
    for n in (0, 1, 3):
        x = rng.normal(size=(n, rows, columns)).astype(dtype)
        out = garbage((n, columns, rows), dtype)
        run(move.turn, x, out)
        np.testing.assert_array_equal(out, x.swapaxes(1, 2))


@pytest.mark.parametrize("shape", [(40, 33), (3, 40, 33), (2, 5, 4)])
def test_dense_matrices_are_turned_whatever_their_numbers(shape, dtype):
    x = entries(shape, dtype)
    x.reshape(-1)[:3] = np.nan, np.inf, -0.0
    view, out = x.swapaxes(-1, -2), garbage(x.swapaxes(-1, -2).shape, dtype)
    strided.pack(view, view.shape, strided.steps_of(view), out)
    assert out.tobytes() == np.ascontiguousarray(view).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0, 1, -3, 0.7, 1e30])
def test_filling(dtype, value):
    value = value if np.dtype(dtype).kind == "f" else int(min(value, 99))
    for size in (0, 1, 33, LONG):
        out = garbage(size, dtype)
        run(move.fill, out, value)
        np.testing.assert_array_equal(out, np.full(size, value, dtype))


@pytest.mark.parametrize("target", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("source", ["float32", "float64", "int64", "int16", "bool"])
def test_casting_is_as_in_numpy(source, target):
    values = [0.0, -0.0, 1.0, -1.0, 0.7, -0.7, 2.5, -3.99, 1e-30, 300.0]
    for size in (0, 1, 10, LONG):
        x = np.resize(values, size).astype(source)
        out = garbage(size, target)
        run(move.cast(source, target), x, out)
        np.testing.assert_array_equal(out, x.astype(target))
        assert out.dtype == target


@pytest.mark.parametrize("source, target", [("float32", "float64"), ("float64", "float32")])
def test_casting_keeps_what_is_not_finite(source, target):
    x = np.array([np.nan, np.inf, -np.inf, 1e300 if source == "float64" else 1.0], source)
    out, nonzero = garbage(4, target), garbage(4, "bool")
    run(move.cast(source, target), x, out)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, x.astype(target))
    run(move.cast(source, "bool"), x, nonzero)
    assert nonzero.all()


INDICES = {
    "in order": [0, 1, 2, 3, 4],
    "repeated": [3, 3, 0, 3, 1, 0],
    "from the end": [-1, -5, 2, -2],
    "one": [2],
    "none": [],
}
OUTSIDE = [5, -6, 6, 1 << 40, -(1 << 62), (1 << 63) - 1, -(1 << 63)]


@pytest.mark.parametrize("columns", [0, 1, 3, 40, 3000])
@pytest.mark.parametrize("name", INDICES)
def test_rows_are_taken_and_added_as_in_numpy(name, columns, dtype, rng):
    index = np.array(INDICES[name], np.int64)
    x = rng.normal(size=(5, columns)).astype(dtype)
    out = garbage((index.size, columns), dtype)
    run(move.take_rows, x, index, out)
    np.testing.assert_array_equal(out, x[index])
    g = rng.normal(size=out.shape).astype(dtype)
    want, dx = np.zeros_like(x), garbage(x.shape, dtype)
    np.add.at(want, index, g)  # which adds in the order of the index, too
    run(move.add_rows_at, g, index, dx)
    np.testing.assert_array_equal(dx, want)


@pytest.mark.parametrize("place", OUTSIDE)
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_an_index_outside_gives_nan_and_adds_nothing(columns, place, dtype, rng):
    index = np.array([1, place, -1], np.int64)
    x = rng.normal(size=(5, columns)).astype(dtype)
    out = np.zeros((3, columns), dtype)
    run(move.take_rows, x, index, out)
    np.testing.assert_array_equal(out[[0, 2]], x[[1, 4]])
    assert np.isnan(out[1]).all()
    dx = garbage(x.shape, dtype)
    run(move.add_rows_at, out, index, dx)
    want = np.zeros_like(x)
    want[[1, 4]] = x[[1, 4]]
    np.testing.assert_array_equal(dx, want)


def test_rows_of_nothing(dtype):
    none = np.zeros((0, 4), dtype)
    out = np.zeros((2, 4), dtype)
    run(move.take_rows, none, np.array([0, -1]), out)
    assert np.isnan(out).all()
    run(move.add_rows_at, out, np.array([0, -1]), none)


@pytest.mark.parametrize("kind", [np.int64, np.int16, np.bool_])
def test_rows_of_integers_are_taken(kind):
    x = entries((6, 5), kind)
    index, out = np.array([5, 0, -2]), garbage((3, 5), kind)
    run(move.take_rows, x, index, out)
    np.testing.assert_array_equal(out, x[index])


def test_entries_are_taken_and_added_row_by_row(dtype, rng):
    """Also from integers, at places counted from the end and at one place several times."""
    for kind in (dtype, np.int64):
        x = (rng.normal(size=(6, 9)) * 9).astype(kind)
        index = rng.integers(-9, 9, (6, 5))
        got, back = garbage((6, 5), kind), garbage((6, 9), kind)
        run(move.take_along_rows, x, index, got)
        np.testing.assert_array_equal(got, np.take_along_axis(x, index, 1))
        run(move.add_along_rows, got, index, back)
        want = np.zeros((6, 9), kind)
        np.add.at(want, (np.arange(6)[:, None], index), got)
        np.testing.assert_allclose(back, want, rtol=1e-6)


def test_an_entry_outside_its_row_is_not_a_number(dtype):
    x, out = np.ones((2, 3), dtype), garbage((2, 2), dtype)
    index = np.array([[3, 0], [2, -4]])
    run(move.take_along_rows, x, index, out)
    np.testing.assert_array_equal(out, [[np.nan, 1], [1, np.nan]])
    run(move.add_along_rows, np.ones((2, 2), dtype), index, x.copy())
