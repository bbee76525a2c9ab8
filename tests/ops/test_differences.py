"""What docs/differences.md says is so, on both sides."""

import warnings

import numpy as np
import pytest

import microreg as mr
from microreg.errors import DTypeError, GraphError, ShapeError

from .conftest import Library

NAN, INF = float("nan"), float("inf")
OURS = Library(mr)


def numbers(result):
    return np.asarray(result.tolist(), float)


VALUES = {  # what gives other numbers: a call, ours, torch's
    "sign of NaN": (lambda m: m.sign(m.tensor([NAN])), [NAN], [0.0]),
    "a root of -inf": (lambda m: m.tensor([-INF]) ** -0.5, [0.0], [NAN]),
}
REFUSED = {  # which torch answers: a call, our error, the kind of torch's answer
    "mean of nothing": (lambda m: m.zeros(0).mean(), ShapeError),
    "var of nothing": (lambda m: m.zeros(0).var(), ShapeError),
    "loss of nothing": (lambda m: m.mse_loss(m.zeros(0), m.zeros(0)), ShapeError),
    "loss that broadcasts": (lambda m: m.mse_loss(m.zeros(3, 1), m.ones(3)), ShapeError),
    "softmax without dim": (lambda m: m.softmax(m.ones(2, 3)), TypeError),
    "cells of nothing": (lambda m: m.adaptive_avg_pool2d(m.ones(1, 2, 2), 0), ShapeError),
    "a power of bools": (lambda m: m.tensor([True]) ** True, DTypeError),
    "an entry of no leaf": (
        lambda m: (m.ones(3, requires_grad=True) * 2).__setitem__(0, 1.0),
        GraphError,
    ),
    "axis for dim": (lambda m: m.ones(3).sum(axis=0), TypeError),
}
ACCEPTED = {  # which torch refuses: a call, its result
    "a mask taken off": (lambda m: m.ones(2) - m.tensor([True, False]), [0.0, 1.0]),
    "mean of integers": (lambda m: m.tensor([1, 2]).mean(), 1.5),
    "softplus of integers": (lambda m: m.softplus(m.tensor([0])), [np.log(2)]),
    "a negative step": (lambda m: m.arange(3)[::-1], [2, 1, 0]),
    "reflection of a vector": (lambda m: m.pad(m.arange(3), (1, 1), "reflect"), [1, 0, 1, 2, 1]),
    "two dtypes": (lambda m: m.linear(m.ones(1, 2), m.ones(1, 2).double()), [[2.0]]),
    "an empty range": (lambda m: m.arange(3, 0), []),
}


@pytest.mark.parametrize("name", VALUES)
def test_other_numbers(name, torch):
    call, ours, theirs = VALUES[name]
    np.testing.assert_array_equal(numbers(call(OURS)), ours)
    np.testing.assert_array_equal(numbers(call(Library(torch))), theirs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, torch):
    call, error = REFUSED[name]
    with pytest.raises(error):
        call(OURS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(Library(torch))


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted(name, torch):
    call, want = ACCEPTED[name]
    np.testing.assert_allclose(numbers(call(OURS)), want, rtol=1e-6)
    with pytest.raises((RuntimeError, ValueError, TypeError, NotImplementedError)):
        call(Library(torch))


def test_inplace_leaves_the_input_as_it_was():
    x = mr.tensor([-1.0, 2.0])
    assert mr.nn.ReLU(inplace=True)(x).tolist() == [0.0, 2.0] and x.tolist() == [-1.0, 2.0]


def test_numpy_sees_arrays_and_gives_arrays():
    x = mr.ones(2)
    assert type(np.exp(x)) is np.ndarray and type(np.ones(2) + x) is mr.Tensor
    assert type(np.concatenate([x, x])) is np.ndarray


def test_a_view_never_fails():
    x = mr.ones(2, 3).T
    assert x.view(6).shape == (6,) and x.contiguous() is x
