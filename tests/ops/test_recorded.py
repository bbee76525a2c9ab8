"""Every line of the table within a recorded step: value and gradients are those of eager mode."""

import warnings

import numpy as np
import pytest

import microreg as mr

from .conftest import CASES, over
from .test_table import close

DRAWN = ("dropout", "noise", "mixup", "hard_concrete")  # each run has masks of its own
REFUSED = (
    "x[mask]",
    "sort",
    "sort 0, down",
    "topk",
    "topk 1, least",
)  # run op by op: numbers decide
one_each = over(
    {
        case.line.name: case
        for case in CASES
        if all(map(np.prod, case.shapes)) and not any(word in case.line.name for word in DRAWN)
    }.values()
)


def test_a_recorded_step_gives_the_same(one_each):
    case = one_each

    def step(*arrays):
        xs = [x.detach().requires_grad_() for x in arrays]
        out = case(*xs)
        return out, *mr.grad(out, xs, mr.tensor(case.cotangent(out)))

    recorded, told = mr.compile(step), []
    for factor in (1.0, 1.0, 1.01):
        xs = [mr.tensor(x * factor) for x in case.arrays()]
        want = step(*xs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            got = recorded(*xs)
        told += [str(w.message) for w in caught]
        for a, b in zip(got, want, strict=True):
            close(a.data, b.data)
    assert [case.line.name] * len(told) == [name for name in REFUSED if name == case.line.name]


def test_an_index_out_of_range_gives_nan():
    """Where the numbers of the index are not at hand when the step is recorded."""
    steps = {
        "rows": lambda x, i: x[i],
        "columns": lambda x, i: x[:, i].T,
        "gathered": lambda x, i: x.gather(0, i.reshape(2, 1)),
    }
    x, inside, outside = mr.ones(3, 3), mr.tensor([0, 2]), mr.tensor([0, 3])
    for function in steps.values():
        step = mr.compile(function)
        assert not np.isnan(step(x, inside).data).any()
        out = step(x, outside).data
        assert np.isnan(out[1]).all() and not np.isnan(out[0]).any()
        with pytest.raises(IndexError):
            function(x, outside)
