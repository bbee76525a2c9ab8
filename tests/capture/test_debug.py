"""MICROREG_DEBUG=1 passes steps that are right and finds what is planted into others."""

import numpy as np
import pytest

import microreg as mr
from microreg.errors import CaptureError
from microreg.ops import activation, linear
from microreg.runtime import cpu

from .steps import MODELS, PENALTIES, Trained


@pytest.fixture(autouse=True)
def debugging(monkeypatch):
    monkeypatch.setattr(cpu, "CHECK", True)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_does_what_the_step_does(model, dtype):
    numbers = []
    for wrap in (lambda step: step, mr.compile):
        trained = Trained(model, "l2, max norm", "adam", dtype)
        losses = trained.losses(wrap(trained.step), 4)
        numbers.append((losses, trained.numbers()))
    np.testing.assert_allclose(numbers[0][0], numbers[1][0], 1e-5)
    for name, value in numbers[0][1].items() if dtype is np.float64 else ():
        np.testing.assert_allclose(numbers[1][1][name], value, 1e-7, 1e-10, err_msg=name)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_fit_passes(penalty):
    trained = Trained("batch norm", penalty)
    mr.fit(trained.model, (trained.X, trained.y), optimizer=trained.optimizer, epochs=2)


def wrong(op, monkeypatch):
    """Let what an op is compared with be something else."""
    name = "reference" if op.reference else "forward"
    right = getattr(op, name)
    monkeypatch.setattr(op, name, lambda *x, **attrs: right(*x, **attrs) * 1.01)


@pytest.mark.parametrize(
    ("op", "model", "kernel"),
    [(linear.linear, "relu", "linear"), (activation.gelu, "gelu, layer norm", "gelu_map")],
)
def test_a_result_other_than_the_references_is_found(op, model, kernel, monkeypatch):
    trained = Trained(model)
    wrong(op, monkeypatch)
    with pytest.raises(
        CaptureError, match=rf"row \d+, {kernel} .*steps.py:\d+: entry .* should be"
    ):
        mr.compile(trained.step)(*trained.batch(0))


def test_a_fused_launch_is_compared_with_both_of_its_ops(monkeypatch):
    """linear's reference provides what relu's is compared with."""
    x, w = mr.tensor(np.ones((2, 3))), mr.tensor(np.ones((2, 3)))
    step = mr.compile(lambda x, w: mr.relu(mr.nn.functional.linear(x, w)))
    assert (step(x, w).data == 3.0).all()
    wrong(linear.linear, monkeypatch)
    with pytest.raises(CaptureError, match=r"row 1, linear linear \+ relu .*test_debug.py"):
        step(x, w)


def test_nan_is_found_where_it_comes_up():
    step = mr.compile(lambda x: (x - 2.0).log().sum())
    assert np.isfinite(float(step(mr.tensor([3.0, 4.0]))))
    with pytest.raises(
        FloatingPointError, match=r"row 1, log_map log .*test_debug\.py.*NaN came of"
    ):
        step(mr.tensor([3.0, 1.0]))


def test_nan_that_was_given_is_nobodys_fault():
    step = mr.compile(lambda x: (x - 2.0).log().sum())
    assert np.isnan(float(step(mr.tensor([3.0, np.nan]))))


def test_a_row_that_points_elsewhere_is_found():
    trained = Trained()
    step = mr.compile(trained.step)
    for i in range(3):  # without gradients, with, and the first again
        step(*trained.batch(i))
    program = step.last.program
    row = next(i for i, x in enumerate(program.launches) if x.kernel.name == "matmul_tn")
    program.table[row, 3] += 8
    with pytest.raises(CaptureError, match=rf"row {row}, matmul_tn .*steps.py.* expected the addr"):
        step(*trained.batch(0))


def test_arguments_are_not_changed_and_are_followed():
    step = mr.compile(lambda x: x * 2.0)
    a, b = mr.tensor([1.0, 2.0]), mr.tensor([3.0, 4.0])
    assert step(a).tolist() == [2.0, 4.0] and step(b).tolist() == [6.0, 8.0]
    assert a.tolist() == [1.0, 2.0] and b.tolist() == [3.0, 4.0]
