"""Graphs that Hypothesis builds from a dozen ops: their gradients are those of the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microreg as mr

SHAPE = (2, 3)
UNARY = {  # smooth, and bounded so that a composition of many stays in range
    "tanh": lambda m, x: m.tanh(x),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "exp of tanh": lambda m, x: m.tanh(x).exp(),
    "log of 2 + square": lambda m, x: (x * x + 2.0).log(),
    "sqrt of 1 + square": lambda m, x: (x * x + 1.0).sqrt(),
    "softmax": lambda m, x: m.softmax(x, 1),
    "power": lambda m, x: (m.sigmoid(x) + 0.5) ** 1.7,
    "centre": lambda m, x: x - x.mean(0, keepdim=True),
    "row": lambda m, x: x[1] * 0.5 + x[[0, 0]],
    "transposed": lambda m, x: x.T.reshape(2, 3) * 0.9,
    "sum": lambda m, x: x.sum(1, keepdim=True) * 0.3 + x,
    "joined": lambda m, x: m.cat([x[:, 1:], x[:, :1]], 1),
}
BINARY = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: a - b * 0.7,
    "mul": lambda m, a, b: m.tanh(a) * b,
    "div": lambda m, a, b: a / (b * b + 1.0),
    "matmul": lambda m, a, b: (a @ b.T) @ a * 0.2,
    "stack": lambda m, a, b: m.stack([a, b]).mean(0),
}
LEAVES = 3
step = st.one_of(
    st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 99)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 99), st.integers(0, 99)),
)
programs = st.lists(step, min_size=1, max_size=12)


def evaluate(m, program, leaves):
    """Each step takes values made before it, so that some are used often and some never."""
    values = list(leaves)
    for name, *operands in program:
        chosen = [values[-1 - i % len(values)] for i in operands]
        values.append((UNARY if len(chosen) == 1 else BINARY)[name](m, *chosen))
    return values[-1]


def drawn(seed, count=LEAVES):
    return [x.copy() for x in np.random.default_rng(seed).normal(size=(count, *SHAPE))]


def gradients(program, arrays, g, order):
    """By microreg: the gradients of <value, g>, or for order 2 of the squares of those."""
    xs = [mr.tensor(x, requires_grad=True) for x in arrays]
    out = (evaluate(mr, program, xs) * mr.tensor(g)).sum()
    if order == 2:
        found = mr.grad(out, xs, create_graph=True, allow_unused=True)
        out = sum((dx * dx).sum() for dx in found if dx is not None)
        if not out.requires_grad:  # linear in everything
            return [np.zeros(SHAPE)] * len(xs)
    found = mr.grad(out, xs, allow_unused=True)
    return [np.zeros(SHAPE) if dx is None else dx.data for dx in found]


def by_torch(torch, program, arrays, g, order):
    xs = [torch.tensor(x, requires_grad=True) for x in arrays]
    out = (evaluate(torch, program, xs) * torch.tensor(g)).sum()
    if order == 2:
        found = torch.autograd.grad(out, xs, create_graph=True, allow_unused=True)
        out = sum((dx * dx).sum() for dx in found if dx is not None)
        if not out.requires_grad:
            return [np.zeros(SHAPE)] * len(xs)
    found = torch.autograd.grad(out, xs, allow_unused=True)
    return [np.zeros(SHAPE) if dx is None else dx.numpy() for dx in found]


def close(got, want, tolerance):
    scale = max(1.0, *(np.abs(w).max() for w in want))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("order", [1, 2])
@settings(max_examples=200)
@given(programs, st.integers(0, 1000))
def test_torch_gives_the_same_gradients(order, torch, program, seed):
    arrays = drawn(seed)
    (g,) = drawn(seed + 1, 1)
    want = by_torch(torch, program, arrays, g, order)
    close(gradients(program, arrays, g, order), want, 1e-9)


@given(programs, st.integers(0, 1000))
def test_a_difference_of_values_gives_the_same_slope(program, seed):
    """Along a random direction through all leaves, which needs no torch."""
    arrays, direction, (g,) = drawn(seed), drawn(seed + 1), drawn(seed + 2, 1)
    found = gradients(program, arrays, g, 1)
    slope = sum((dx * d).sum() for dx, d in zip(found, direction, strict=True))

    def value(t):
        moved = [mr.tensor(x + t * d) for x, d in zip(arrays, direction, strict=True)]
        return (evaluate(mr, program, moved).data * g).sum()

    h = 1e-3  # with four values the error is h^4
    numeric = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    assert slope == pytest.approx(numeric, rel=1e-6, abs=1e-7)


@given(programs, st.integers(0, 1000))
def test_a_graph_kept_or_asked_in_part_gives_the_same_bits(program, seed):
    arrays = drawn(seed)
    xs = [mr.tensor(x, requires_grad=True) for x in arrays]
    out = evaluate(mr, program, xs)
    before = out.data.copy()
    together = mr.grad(out.sum(), xs, retain_graph=True, allow_unused=True)
    for x, dx in zip(xs, together, strict=True):
        (alone,) = mr.grad(out.sum(), x, retain_graph=True, allow_unused=True)
        assert (alone is None) == (dx is None)
        if dx is not None:
            np.testing.assert_array_equal(alone.data, dx.data)
    out.sum().backward()
    for x, dx, array in zip(xs, together, arrays, strict=True):
        assert (x.grad is None) == (dx is None)
        if dx is not None:
            np.testing.assert_array_equal(x.grad.data, dx.data)
        np.testing.assert_array_equal(x.data, array)
    np.testing.assert_array_equal(out.data, before)
