"""What a recorded step may return: strided views, inputs, several results, in any container."""

from typing import NamedTuple

import numpy as np
import pytest

import microreg as mr


class Pair(NamedTuple):
    first: mr.Tensor
    second: mr.Tensor


FUNCTIONS = {
    "transposed": lambda x: (x * 2).T,
    "column": lambda x: (x * 2)[:, 1],
    "every other": lambda x: (x + 1)[:, ::2],
    "backwards": lambda x: (x + 1)[::-1],
    "the input": lambda x: x,
    "a view of the input": lambda x: x[1:],
    "the input transposed": lambda x: x.T,
    "the input reshaped": lambda x: x.reshape(-1),
    "both": lambda x: (x, x * 2),
    "twice": lambda x: [x + 1, x + 1],
    "named": lambda x: Pair(x.exp(), x),
    "dict": lambda x: {"rows": x.sum(1), "x": x},
    "one in one": lambda x: ([x + 1], {"y": (x.T,)}),
}


def flat(value):
    if isinstance(value, mr.Tensor):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    return [t for v in inside for t in flat(v)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_the_function(name, rng):
    function = FUNCTIONS[name]
    step = mr.compile(function)
    kept = []
    for _ in range(3):
        x = mr.tensor(rng.normal(size=(4, 5)).T)
        got, want = step(x), function(x)
        assert type(got) is type(want)
        kept.append((flat(got), flat(want)))
        for one in flat(got):
            assert one.data.flags.c_contiguous and not np.shares_memory(one.data, x.data)
    for got, want in kept:  # later runs leave earlier results alone
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one.data, other.data, rtol=1e-14)


def test_a_gradient_that_lies_transposed_is_left_as_it_is(rng):
    w = mr.nn.Parameter(rng.normal(size=(3, 2)))

    def step(x):
        (w.T * x).sum().backward()

    recorded = mr.compile(step)
    for _ in range(2):
        w.grad = None
        x = mr.tensor(rng.normal(size=(2, 3)))
        recorded(x)
        np.testing.assert_array_equal(w.grad.data, x.data.T)


def test_an_array_beside_a_tensor_counts_as_one(rng):
    w = mr.tensor(rng.normal(size=3))
    step = mr.compile(lambda x: x * w - x)
    for _ in range(2):
        x = rng.normal(size=(2, 3))
        np.testing.assert_allclose(step(x).data, x * w.data - x)


def test_one_number_spread_over_two_shapes_is_not_taken_for_the_same(rng):
    w = mr.nn.Parameter(rng.normal(size=(4, 3)))

    def step(x):
        w.grad = None
        few, many = x[0] * w, x * w
        ((few * few).sum() + (many * many).sum()).backward()

    recorded = mr.compile(step)
    for _ in range(3):
        x = mr.tensor(rng.normal(size=(2, 4, 3)))
        step(x)
        want = w.grad.data.copy()
        recorded(x)
        np.testing.assert_allclose(w.grad.data, want, rtol=1e-13)


def test_a_choice_is_recorded(rng):
    mask = mr.tensor(rng.random((4, 1)) > 0.5)
    step = mr.compile(lambda x: mr.where(x > 0.3, mr.where(mask, x, 2.0), x * x))
    for _ in range(2):
        x = mr.tensor(rng.normal(size=(4, 5)))
        want = np.where(x.data > 0.3, np.where(mask.data, x.data, 2.0), x.data**2)
        np.testing.assert_array_equal(step(x).data, want)
