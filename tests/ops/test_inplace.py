"""Changes in place: what they write, what they refuse, and the same within a recorded step."""

import numpy as np
import pytest

import microreg as mr
from microreg.errors import DTypeError, GraphError, ShapeError

MASK = [[True, False, False], [False, True, True]]
CHANGES = {
    "add_": lambda m, x, y: x.add_(y),
    "add_ alpha": lambda m, x, y: x.add_(y, alpha=0.3),
    "sub_": lambda m, x, y: x.sub_(2),
    "mul_": lambda m, x, y: x.mul_(y[0]),
    "div_": lambda m, x, y: x.div_(y),
    "clamp_": lambda m, x, y: x.clamp_(-0.2, 0.4),
    "masked_fill_": lambda m, x, y: x.masked_fill_(m.tensor(MASK), 0.7),
    "fill_": lambda m, x, y: x.fill_(1.5),
    "zero_": lambda m, x, y: x.zero_(),
    "copy_": lambda m, x, y: x.copy_(y),
    "+=": lambda m, x, y: x.__iadd__(y),
    "-=": lambda m, x, y: x.__isub__(0.5),
    "*=": lambda m, x, y: x.__imul__(y),
    "/=": lambda m, x, y: x.__itruediv__(y),
    "//=": lambda m, x, y: x.__ifloordiv__(0.3),
    "%=": lambda m, x, y: x.__imod__(0.3),
    "**=": lambda m, x, y: x.__ipow__(2),
    "row": lambda m, x, y: x.__setitem__(1, y[0]),
    "number": lambda m, x, y: x.__setitem__((0, 2), 5.0),
    "column": lambda m, x, y: x.__setitem__((slice(None), 1), y[:, 0]),
    "broadcast": lambda m, x, y: x.__setitem__(slice(None), y[0]),
    "mask": lambda m, x, y: x.__setitem__(m.tensor(MASK), 0.0),
    "step": lambda m, x, y: x.__setitem__((0, slice(0, 3, 2)), 9.0),
    "view": lambda m, x, y: x.reshape(6)[2:5].zero_(),
    "transposed": lambda m, x, y: x.T.copy_(y.T),
    "places": lambda m, x, y: x.__setitem__(m.tensor([1, 0]), y),
}
FREE = [name for name in CHANGES if name not in ("places",)]  # within a recorded step


@pytest.fixture
def arrays(rng):
    return rng.normal(size=(2, 3)), rng.uniform(0.5, 2, (2, 3))


@pytest.mark.parametrize("name", CHANGES)
def test_torch_writes_the_same(name, arrays, torch):
    xs = []
    for m in (mr, torch):
        x, y = (m.tensor(a.copy()) for a in arrays)
        kept = x.data if m is mr else None
        out = CHANGES[name](m, x, y)
        if out is not None and name not in ("view", "transposed"):
            assert out is x
        assert kept is None or x.data is kept
        np.testing.assert_array_equal(y.numpy(), arrays[1])
        xs.append(x.numpy())
    np.testing.assert_allclose(*xs, rtol=1e-14)


@pytest.mark.parametrize("name", FREE)
def test_a_recorded_step_writes_the_same(name, arrays):
    """To what the step itself has made: in every run anew."""

    def step(x, y):
        made = x * 1.0
        CHANGES[name](mr, made, y)
        return made + y

    recorded = mr.compile(step)
    for factor in (1.0, 0.9, 1.1):
        given = [mr.tensor(a * factor) for a in arrays]
        np.testing.assert_allclose(recorded(*given).data, step(*given).data, rtol=1e-13)
        np.testing.assert_array_equal(given[0].data, arrays[0] * factor)


def test_what_a_recorded_step_makes_is_made_in_every_run():
    @mr.compile
    def step(x):
        total = mr.zeros(3, dtype=np.float64)
        for row in x:
            total += row
        return total

    for shift in (0.0, 1.0):
        x = mr.tensor(np.arange(6.0).reshape(2, 3) + shift)
        np.testing.assert_array_equal(step(x).data, x.data.sum(0))


def test_no_gradient_flows_through_a_change():
    leaf = mr.ones(3, requires_grad=True)
    inner = leaf * 2
    for change in (
        lambda: leaf.add_(1),
        lambda: leaf.zero_(),
        lambda: inner.mul_(2),
        lambda: inner.__setitem__(0, 1.0),
        lambda: mr.ones(3).add_(leaf),
        lambda: leaf.__iadd__(1.0),
    ):
        with pytest.raises(GraphError):
            change()
    np.testing.assert_array_equal(leaf.data, 1)
    with mr.no_grad():
        leaf += 1
        leaf[0] = 7.0
    assert leaf.tolist() == [7, 2, 2] and leaf.requires_grad
    inner = leaf * 2
    inner += leaf  # as inner = inner + leaf
    inner.sum().backward()
    assert leaf.grad.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda: mr.arange(3).add_(0.5), DTypeError),
        (lambda: mr.arange(3).div_(2), DTypeError),
        (lambda: mr.ones(3).add_(mr.ones(2, 3)), ShapeError),
        (lambda: mr.ones(3).copy_(mr.ones(2)), ShapeError),
        (lambda: mr.ones(3).__setitem__(0, mr.ones(2)), ShapeError),
        (lambda: mr.ones(3).__setitem__(3, 1.0), IndexError),
        (lambda: mr.ones(3).clamp_(), ValueError),
    ],
)
def test_what_does_not_fit_is_refused(change, error):
    with pytest.raises(error):
        change()


def test_a_narrower_dtype_takes_a_wider_number(torch):
    for m in (mr, torch):
        x = m.ones(2)
        x += m.tensor([1.0, 2.0]).double()
        x[0] = m.tensor(5.0).double()
        y = m.arange(3)
        y += m.tensor([True, False, True])
        assert str(x.dtype).endswith("float32") and x.tolist() == [5, 3]
        assert str(y.dtype).endswith("int64") and y.tolist() == [1, 1, 3]
