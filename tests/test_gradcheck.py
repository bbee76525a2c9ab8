"""The checker is checked: it accepts what is right and refuses what is off by a thousandth."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.errors import DTypeError, GradcheckError
from microreg.ops._op import Op


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def square(factor, second=2.0):
    """x^2 with a vjp of factor * x * g, whose own derivative is `second` in place of factor."""
    scaled = Op("scaled", lambda x: factor * x, (lambda g, node: second * g,))
    return Op("square", lambda x: x * x, (lambda g, node: g * scaled(node.inputs[0]),))


def both(a, b):
    return (a @ b).tanh() * a.exp()[:, :1]


@pytest.mark.parametrize("order", [1, 2])
def test_right_gradients_pass(order, rng):
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    report = mr.gradcheck(both, a, b, order=order)
    assert report.ok and report.checked == 20 and report.kinks == 0
    assert report.worst.error < 1e-5
    assert mr.gradcheck(both, (a, b), order=order).ok
    assert str(report).startswith("gradcheck: both: passed: 20 entries checked, 0 left out")


@pytest.mark.parametrize("factor", [1.998, 2.002, 0.0, -2.0, np.nan])
def test_a_first_derivative_that_is_off_is_refused(factor, rng):
    op = square(factor, factor)

    def shifted(a, b):
        return a + op(b)

    with pytest.raises(GradcheckError, match=r"shifted: FAILED.*argument 1, entry \(\d, \d\)"):
        mr.gradcheck(shifted, rng.normal(size=(3, 2)), rng.normal(size=(3, 2)))
    with pytest.raises(GradcheckError, match="gradcheck: square: FAILED"):
        mr.gradcheck(op, rng.normal(size=3))


@pytest.mark.parametrize("second", [1.998, 2.002, 0.0])
def test_a_second_derivative_that_is_off_is_refused_at_order_two(second, rng):
    op, x = square(2.0, second), rng.normal(size=(3, 2))
    assert mr.gradcheck(op, x).ok
    with pytest.raises(GradcheckError, match=r"square: FAILED.*argument 0, entry \(\d, \d\)"):
        mr.gradcheck(op, x, order=2)
    with pytest.raises(GradcheckError, match="square: FAILED"):
        mr.gradgradcheck(op, x)
    assert mr.gradgradcheck(square(2.0), x).ok


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_the_tolerance_follows_the_functions_own_scale(size, rng):
    x = rng.normal(size=5)
    assert mr.gradcheck(lambda v: square(2.0)(v) * size, x).ok
    with pytest.raises(GradcheckError):
        mr.gradcheck(lambda v: square(2.002)(v) * size, x)


def test_the_worst_entry_is_named_with_both_numbers():
    def wrong_in_one_place(g, node):
        dx = g * node.inputs[0] * 2
        dx[1, 2] *= 1.01
        return dx

    op = Op("square", lambda x: x * x, (wrong_in_one_place,))
    report = mr.gradcheck(op, np.full((2, 3), 0.7), raise_exception=False)
    assert not report.ok and report.worst.entry == (1, 2) and report.worst.argument == "0"
    assert report.worst.analytic == pytest.approx(1.01 * report.worst.numeric, rel=1e-6)
    with pytest.raises(GradcheckError, match="relative error"):
        report.raise_if_failed()


def test_a_gradient_that_is_missing_is_refused(rng):
    with pytest.raises(GradcheckError, match="argument 0"):
        mr.gradcheck(lambda x: x * x.detach(), rng.normal(size=3))
    assert mr.gradcheck(
        lambda x, y: x.detach() * 0.0 + y, rng.normal(size=3), rng.normal(size=3)
    ).ok


def test_only_inputs_that_require_a_gradient_are_checked(rng):
    x = mr.tensor(rng.normal(size=3), requires_grad=True)
    report = mr.gradcheck(lambda a, b, k: a * b * k, x, rng.normal(size=3), np.arange(3))
    assert report.checked == 3 and x.grad is None


def test_float32_proves_nothing(rng):
    x = rng.normal(size=3)
    with pytest.raises(DTypeError, match=r"argument 1: expected float64, got float32; .*\.double"):
        mr.gradcheck(lambda a, b: a * b, x, x.astype(np.float32))
    with pytest.raises(DTypeError, match="at least one float64 input"):
        mr.gradcheck(lambda a: a * 1.5, np.arange(3))
    with pytest.raises(ValueError, match=r"order=3"):
        mr.gradcheck(both, x, x, order=3)
    with pytest.raises(TypeError, match="loss goes with a model"):
        mr.gradcheck(both, x, x, loss=F.mse_loss)


def test_kinks_are_left_out_and_counted():
    x = np.array([-1.3, 0.0, 0.7, 0.0, 2.9])
    report = mr.gradcheck(mr.relu, x)
    assert (report.checked, report.kinks) == (3, 2)
    assert "2 left out at kinks" in str(report)
    assert mr.gradcheck(lambda v: v.exp() + v * v, x).kinks == 0


def test_large_arguments_are_sampled(rng):
    assert mr.gradcheck(lambda x: x.tanh(), rng.normal(size=(50, 50)), samples=30).checked == 30


# models


def network():
    mr.manual_seed(5)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Dropout(0.4), nn.Linear(6, 3)
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("order", [1, 2])
def test_a_model_is_checked_in_float64_and_given_back_as_it_was(training, order, rng):
    model = network().train(training)
    model[0].weight.grad = mr.tensor(np.ones((6, 4), np.float32))
    X, y = rng.normal(size=(7, 4)).astype(np.float32), rng.integers(0, 3, 7)
    tensors = [*model.parameters(), *model.buffers()]
    before = [(t.data, t.data.copy(), t.grad) for t in tensors]
    state = mr.get_rng_state()
    report = mr.gradcheck(model, X, y, loss=F.cross_entropy, order=order, samples=8)
    assert report.ok and report.checked >= 7 * 4
    for t, (data, copy, g) in zip(tensors, before, strict=True):
        assert t.data is data and t.grad is g
        np.testing.assert_array_equal(data, copy)
    np.testing.assert_array_equal(mr.get_rng_state(), state)
    assert all(module.training is training for module in model.modules())
    assert X.dtype == np.float32


def test_a_wrong_layer_is_found_by_name(rng):
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(np.ones(6, np.float32))

        def forward(self, input):
            return square(2.002, 2.002)(input * self.scale)

    model = nn.Sequential(nn.Linear(4, 6), Square())
    before = model[1].scale.data
    with pytest.raises(
        GradcheckError, match=r"Sequential: FAILED.*argument (input|0.weight|1.scale)"
    ):
        mr.gradcheck(model, rng.normal(size=(3, 4)))
    assert model[1].scale.data is before  # given back after a failure too
    model[0].requires_grad_(False)
    model[1].requires_grad_(False)
    report = mr.gradcheck(model, rng.normal(size=(3, 4)), raise_exception=False)
    assert report.worst.argument == "input" and report.checked == 12
