"""Graphs that Hypothesis builds from sixty ops: their gradients are those of the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import microreg as mr

SHAPE = (2, 3)
PLACES, MASK = np.array([[2, 0, 1], [1, 1, 0]]), np.array([[True, False, True], [False] * 3])
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
    "sine": lambda m, x: m.sin(x) + m.cos(x * 0.7),
    "tangent": lambda m, x: m.tan(m.tanh(x)),
    "hyperbolic": lambda m, x: m.sinh(m.tanh(x)) - m.cosh(m.sigmoid(x)),
    "logs": lambda m, x: m.log1p(x * x) + m.log2(m.sigmoid(x) + 1.5) - m.log10(x * x + 3.0),
    "roots": lambda m, x: m.rsqrt(x * x + 1.0) + m.reciprocal(x * x + 2.0),
    "erf": lambda m, x: m.erf(x) + m.expm1(m.tanh(x)),
    "gelu": lambda m, x: m.nn.functional.gelu(x * 0.8),
    "silu": lambda m, x: m.nn.functional.silu(x),
    "mish": lambda m, x: m.nn.functional.mish(x) * 0.9,
    "softplus": lambda m, x: m.nn.functional.softplus(x) - m.nn.functional.logsigmoid(x) * 0.2,
    "logsumexp": lambda m, x: x * 0.5 - m.logsumexp(x, 1, True),
    "log_softmax": lambda m, x: m.log_softmax(x, 0) * 0.3,
    "cumsum": lambda m, x: m.cumsum(x, 1) * 0.4,
    "prod": lambda m, x: m.prod(m.tanh(x) + 1.5, 0, True) * 0.2 + x,
    "var": lambda m, x: x - m.var(m.tanh(x), 1, keepdim=True),
    "norm": lambda m, x: x / m.norm(x * x + 1.0, dim=1, keepdim=True),
    "flip": lambda m, x: m.flip(x, (0, 1)) * 1.1,
    "lower": lambda m, x: m.tril(x) - m.triu(x, 1) * 0.5,
    "gather": lambda m, x: m.gather(x, 1, m.tensor(PLACES)),
    "select": lambda m, x: m.index_select(x, 1, m.tensor([1, 1, 0])),
    "where": lambda m, x: m.where(m.tensor(MASK), x * x * 0.1, m.tanh(x)),
    "masked": lambda m, x: x.masked_fill(m.tensor(MASK), 0.3),
    "padded": lambda m, x: m.nn.functional.pad(x, (1, -1), value=0.2),
    "repeated": lambda m, x: x.repeat(2, 1)[1:3] - m.chunk(x, 3, 1)[1],
    "unbound": lambda m, x: m.stack([row * (i + 0.5) for i, row in enumerate(m.unbind(x))]),
    "averaged": lambda m, x: m.nn.functional.avg_pool1d(x.unsqueeze(0), 3, 1, 1).squeeze(0),
    "layer norm": lambda m, x: m.nn.functional.layer_norm(x, (3,), eps=0.5),
    "expanded": lambda m, x: x[:1].expand(2, 3) + m.mean(x),
}
BINARY = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: a - b * 0.7,
    "mul": lambda m, a, b: m.tanh(a) * b,
    "div": lambda m, a, b: a / (b * b + 1.0),
    "matmul": lambda m, a, b: (a @ b.T) @ a * 0.2,
    "stack": lambda m, a, b: m.stack([a, b]).mean(0),
    "einsum": lambda m, a, b: m.einsum("ij,kj,kl->il", a, m.tanh(b), m.tanh(a)) * 0.3,
    "outer": lambda m, a, b: m.outer(a[:, 0], m.tanh(b[1])),
    "addmm": lambda m, a, b: m.addmm(a, m.tanh(b[:, :2]), m.tanh(a[:2]), beta=0.5, alpha=0.8),
    "power": lambda m, a, b: (m.sigmoid(a) + 0.5) ** m.tanh(b),
    "conv": lambda m, a, b: m.conv1d(a[None], m.tanh(b[None]), padding=1).reshape(3) + a,
    "kl": lambda m, a, b: (
        m.nn.functional.kl_div(m.log_softmax(a, 1), m.softmax(b, 1), reduction="sum") + b
    ),
    "squared": lambda m, a, b: m.nn.functional.mse_loss(a, m.tanh(b), reduction="none") * 0.1,
    "entropy": lambda m, a, b: m.nn.functional.cross_entropy(a, m.softmax(b, 1)) - a,
}
KINKED = {  # steep or bent somewhere: for the comparison with torch alone
    "abs": lambda m, x: abs(x) * 0.9,
    "relu": lambda m, x: m.relu(x - 0.1) - m.nn.functional.leaky_relu(x, 0.2),
    "elu": lambda m, x: m.nn.functional.elu(x, 0.7) + m.nn.functional.selu(x) * 0.3,
    "hard": lambda m, x: m.nn.functional.hardtanh(x) + m.nn.functional.hardswish(x) * 0.5,
    "clamp": lambda m, x: m.clamp(x, -0.7, 0.9) + x * 0.1,
    "largest": lambda m, x: m.max(x, 1, keepdim=True)[0] - m.amin(x, 0) * 0.5,
    "sorted": lambda m, x: m.sort(x, 1)[0] + m.topk(x, 1, 0)[0] * 0.2,
    "pooled": lambda m, x: m.nn.functional.max_pool1d(x[None], 3, 1, 1)[0],
    "distance": lambda m, x: m.linalg.vector_norm(x, 1, 1, keepdim=True) * 0.2 + x,
}
LEAVES = 3
ONE = UNARY | KINKED


def programs_of(names):
    step = st.one_of(
        st.tuples(st.sampled_from(sorted(names)), st.integers(0, 99)),
        st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 99), st.integers(0, 99)),
    )
    return st.lists(step, min_size=1, max_size=12)


programs, bent_programs = programs_of(UNARY), programs_of(UNARY | KINKED)


def evaluate(m, program, leaves):
    """Each step takes values made before it, so that some are used often and some never."""
    values = list(leaves)
    for name, *operands in program:
        chosen = [values[-1 - i % len(values)] for i in operands]
        values.append((ONE if len(chosen) == 1 else BINARY)[name](m, *chosen))
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
    return [np.zeros(SHAPE) if dx is None else dx.numpy(force=True) for dx in found]


def close(got, want, tolerance):
    scale = max(1.0, *(np.abs(w).max() for w in want))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("order", [1, 2])
@settings(max_examples=200)
@given(bent_programs, st.integers(0, 1000))
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


@settings(max_examples=60)
@given(bent_programs, st.integers(0, 1000))
def test_a_recorded_step_gives_the_same_gradients(program, seed):
    if any(name == "sorted" for name, *_ in program):
        return  # runs op by op, as a warning says
    arrays = drawn(seed)
    (g,) = drawn(seed + 1, 1)

    def step(*given):
        xs = [x.detach().requires_grad_() for x in given]
        out = (evaluate(mr, program, xs) * mr.tensor(g)).sum()
        found = mr.grad(out, xs, allow_unused=True)
        return [x * 0.0 if dx is None else dx for x, dx in zip(given, found, strict=True)]

    recorded = mr.compile(step)
    for _ in range(2):
        got = recorded(*map(mr.tensor, arrays))
        close([dx.data for dx in got], gradients(program, arrays, g, 1), 1e-9)
