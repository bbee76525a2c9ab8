"""Broadcasting and reductions over shapes that Hypothesis finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import microreg as mr

OPERATIONS = {  # the function, and its partial derivatives
    "add": (lambda m, a, b: a + b, lambda a, b: 1.0, lambda a, b: 1.0),
    "sub": (lambda m, a, b: a - b, lambda a, b: 1.0, lambda a, b: -1.0),
    "mul": (lambda m, a, b: a * b, lambda a, b: b, lambda a, b: a),
    "div": (lambda m, a, b: a / b, lambda a, b: 1 / b, lambda a, b: -a / b**2),
    "pow": (lambda m, a, b: a**b, lambda a, b: b * a ** (b - 1), lambda a, b: a**b * np.log(a)),
    "maximum": (lambda m, a, b: m.maximum(a, b), lambda a, b: a > b, lambda a, b: b > a),
    "minimum": (lambda m, a, b: m.minimum(a, b), lambda a, b: a < b, lambda a, b: b < a),
}


def summed_to(g, shape):
    """Sum g over what broadcasting added to `shape`, entry by entry."""
    out = np.zeros(shape)
    for index in np.ndindex(g.shape):
        own = index[len(index) - len(shape) :]
        out[tuple(0 if n == 1 else i for i, n in zip(own, shape, strict=True))] += g[index]
    return out


def numbers(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 2.0, shape) for shape in shapes]


@pytest.mark.parametrize("name", OPERATIONS)
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4),
    st.integers(0, 1000),
)
def test_each_operand_gets_the_gradient_of_its_own_shape(name, shapes, seed):
    call, *slopes = OPERATIONS[name]
    arrays = numbers(seed, *shapes.input_shapes)
    xs = [mr.tensor(x, requires_grad=True) for x in arrays]
    out = call(mr, *xs)
    assert out.shape == shapes.result_shape
    np.testing.assert_allclose(out.data, call(np, *arrays), rtol=1e-15)
    (g,) = numbers(seed + 1, out.shape)
    for x, dx, slope in zip(xs, mr.grad(out, xs, mr.tensor(g)), slopes, strict=True):
        np.testing.assert_allclose(dx.data, summed_to(g * slope(*arrays), x.shape), rtol=1e-12)


@pytest.mark.parametrize("other", [2, -1.5, np.float64(0.5), np.array(3.0), [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
def test_numbers_arrays_and_lists_on_either_side(name, other, dtype):
    call, *slopes = OPERATIONS[name]
    x = mr.tensor(np.array([[0.5, 1.0, 1.7]]).astype(dtype), requires_grad=True)
    wide, plain = x.data.astype(float), np.asarray(other, float)
    got = call(mr, x, other)
    (dx,) = mr.grad(got.sum(), x)
    assert got.dtype == dx.dtype == dtype  # a number does not widen
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(got.data, call(np, wide, plain), rtol=tolerance)
    np.testing.assert_allclose(dx.data, slopes[0](wide, plain) + 0 * wide, rtol=tolerance)
    if name == "pow" and np.any(plain < 0):
        return
    got = call(mr, other, x)
    (dx,) = mr.grad(got.sum(), x)
    assert got.dtype == dx.dtype == dtype
    np.testing.assert_allclose(got.data, call(np, plain, wide), rtol=tolerance)
    np.testing.assert_allclose(dx.data, slopes[1](plain, wide) + 0 * wide, rtol=tolerance)


@given(
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=5).flatmap(
        lambda shape: st.tuples(
            st.just(shape), hnp.valid_tuple_axes(len(shape)), st.booleans(), st.integers(0, 99)
        )
    )
)
def test_a_reduction_takes_any_axes(drawn):
    shape, axes, keepdim, seed = drawn
    (array,) = numbers(seed, shape)
    options = {"axis": tuple(axes) or None, "keepdims": keepdim}  # no axes are all, as in torch
    for name, want in (
        ("sum", array.sum(**options)),
        ("mean", array.mean(**options)),
        ("amax", array.max(**options)),
        ("amin", array.min(**options)),
    ):
        x = mr.tensor(array, requires_grad=True)
        got = getattr(x, name)(axes, keepdim)
        assert got.shape == want.shape
        np.testing.assert_allclose(got.data, want, rtol=1e-14)
        got.sum().backward()
        total = got.data.size if name != "sum" else array.size
        assert x.grad.data.sum() == pytest.approx(total, rel=1e-12)


@given(hnp.array_shapes(min_dims=2, max_dims=4, max_side=4), st.randoms(use_true_random=False))
def test_a_permutation_and_its_gradient_undo_each_other(shape, random):
    dims = random.sample(range(len(shape)), len(shape))
    (array,) = numbers(3, shape)
    x = mr.tensor(array, requires_grad=True)
    out = x.permute(*dims)
    np.testing.assert_array_equal(out.data, array.transpose(dims))
    (dx,) = mr.grad(out, x, out.detach())
    np.testing.assert_array_equal(dx.data, array)
