"""What is made from nothing: numbers, shapes and dtypes are torch's."""

import numpy as np
import pytest

import microreg as mr

KINDS = {"float32": np.float32, "float64": np.float64, "int64": np.int64, "bool": np.bool_}
MADE = {
    "zeros": lambda m, d: m.zeros(2, 3),
    "zeros of a tuple": lambda m, d: m.zeros((2, 3), dtype=d("int64")),
    "zeros, no axes": lambda m, d: m.zeros(()),
    "ones": lambda m, d: m.ones(2, 0),
    "ones of bools": lambda m, d: m.ones(2, dtype=d("bool")),
    "full": lambda m, d: m.full((2,), 1.5),
    "full of integers": lambda m, d: m.full((2, 2), 3),
    "full of bools": lambda m, d: m.full((2,), True),
    "full as float64": lambda m, d: m.full((2,), 3, dtype=d("float64")),
    "arange": lambda m, d: m.arange(5),
    "arange from": lambda m, d: m.arange(2, 5),
    "arange back": lambda m, d: m.arange(5, 0, -2),
    "arange of floats": lambda m, d: m.arange(0, 1, 0.3),
    "arange as float32": lambda m, d: m.arange(3, dtype=d("float32")),
    "linspace": lambda m, d: m.linspace(0, 1, 5),
    "linspace back": lambda m, d: m.linspace(3, -1, 4, dtype=d("float64")),
    "linspace of one": lambda m, d: m.linspace(2, 5, 1),
    "eye": lambda m, d: m.eye(3),
    "eye, wide": lambda m, d: m.eye(2, 3, dtype=d("float64")),
    "zeros_like": lambda m, d: m.zeros_like(m.ones(2, 3).double()),
    "ones_like": lambda m, d: m.ones_like(m.arange(3)),
    "ones_like as bools": lambda m, d: m.ones_like(m.arange(3), dtype=d("bool")),
    "full_like": lambda m, d: m.full_like(m.ones(2), 7),
    "full_like of integers": lambda m, d: m.full_like(m.arange(2), 2.5),
    "tensor of floats": lambda m, d: m.tensor([1, 2.5]),
    "tensor of integers": lambda m, d: m.tensor([[1], [2]]),
    "tensor of bools": lambda m, d: m.tensor([True, False]),
    "tensor of a mixture": lambda m, d: m.tensor([True, 2]),
    "tensor of a number": lambda m, d: m.tensor(3.0),
    "tensor of an array": lambda m, d: m.tensor(np.arange(3.0)),
    "tensor as": lambda m, d: m.tensor([1.7, 0.0], dtype=d("int64")),
    "as_tensor": lambda m, d: m.as_tensor([1.0, 2.0]),
    "from_numpy": lambda m, d: m.from_numpy(np.arange(3)),
}
DRAWN = {  # of which only shape, dtype and bounds are torch's
    "rand": (lambda m, d: m.rand(2, 300), 0, 1),
    "rand as": (lambda m, d: m.rand((3, 200), dtype=d("float64")), 0, 1),
    "randn": (lambda m, d: m.randn(2, 300), -6, 6),
    "randint": (lambda m, d: m.randint(3, 7, (400,)), 3, 6),
    "randint to": (lambda m, d: m.randint(4, (2, 200)), 0, 3),
    "rand_like": (lambda m, d: m.rand_like(m.ones(400).double()), 0, 1),
    "randn_like": (lambda m, d: m.randn_like(m.ones(400)), -6, 6),
    "randint_like": (lambda m, d: m.randint_like(m.ones(400), 2, 5), 2, 4),
    "randperm": (lambda m, d: m.randperm(50), 0, 49),
    "empty": (lambda m, d: m.empty(2, 3), -np.inf, np.inf),
    "empty_like": (lambda m, d: m.empty_like(m.arange(3)), -np.inf, np.inf),
}


def kinds(m):
    return lambda name: KINDS[name] if m is mr else getattr(m, name)


def described(x):
    return tuple(x.shape), str(x.dtype).removeprefix("torch."), x.requires_grad


@pytest.mark.parametrize("name", MADE)
def test_torch_makes_the_same(name, torch):
    ours, theirs = (MADE[name](m, kinds(m)) for m in (mr, torch))
    assert described(ours) == described(theirs)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-7)


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn_looks_like_torchs(name, torch):
    call, low, high = DRAWN[name]
    ours, theirs = (call(m, kinds(m)) for m in (mr, torch))
    assert described(ours) == described(theirs)
    x = ours.numpy()
    if np.isfinite(low):
        assert low <= x.min() < x.max() <= high
    if name == "randperm":
        np.testing.assert_array_equal(np.sort(x), np.arange(50))
    elif name.startswith("randint"):
        np.testing.assert_array_equal(np.unique(x), np.arange(low, high + 1))


@pytest.mark.parametrize("name", ["zeros", "ones", "rand", "randn", "empty"])
def test_a_leaf_may_ask_for_a_gradient(name):
    x = getattr(mr, name)(2, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.is_leaf and x.grad.tolist() == [[2.0] * 3] * 2
