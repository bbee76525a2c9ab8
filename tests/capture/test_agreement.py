"""A recorded step does what the step itself does."""

import numpy as np
import pytest

import microreg as mr
from microreg.runtime import get_num_threads, set_num_threads

from .steps import MODELS, OPTIMIZERS, PENALTIES, Trained

COMBINED = [
    *((model, "none", "adam") for model in MODELS),
    *(("relu", penalty, "adam") for penalty in PENALTIES),
    *(("gelu, layer norm", "l1", optimizer) for optimizer in OPTIMIZERS),
    ("batch norm", "l2, max norm", "nesterov"),
    ("dropout", "groups", "rmsprop"),
    ("cnn", "l1", "adagrad"),
    ("attention", "elastic net", "adamw"),
]


def close(a, b, tolerance):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], tolerance, tolerance / 10, err_msg=name)


@pytest.mark.parametrize(("model", "penalty", "optimizer"), COMBINED)
def test_recorded_training_is_eager_training(model, penalty, optimizer):
    """Parameters, statistics, the optimizer's state and the random state after 20 steps."""
    eager, other = Trained(model, penalty, optimizer), None
    losses = eager.losses(eager.step, 20)
    wanted = eager.numbers()
    other = Trained(model, penalty, optimizer)
    compiled = mr.compile(other.step)
    np.testing.assert_allclose(other.losses(compiled, 20), losses, 1e-9)
    close(other.numbers(), wanted, 1e-8)
    assert compiled.last is not None


@pytest.mark.parametrize("model", MODELS)
def test_losses_agree_in_float32(model):
    eager = Trained(model, "l1", "adam", np.float32)
    losses = eager.losses(eager.step, 200)
    other = Trained(model, "l1", "adam", np.float32)
    found = other.losses(mr.compile(other.step), 200)
    np.testing.assert_allclose(found, losses, 1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_same_bits_for_any_number_of_threads(model, monkeypatch):
    from microreg.kernels._jit import Kernel
    from microreg.runtime import cpu

    keep = property(lambda self: 1, lambda self, grain: None)
    monkeypatch.setattr(Kernel, "grain", keep, raising=False)
    monkeypatch.setattr(cpu, "LATE", 10**9)
    before, runs = get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            set_num_threads(threads)
            trained = Trained(model, "l1", "adam", np.float32)
            losses = trained.losses(mr.compile(trained.step), 12)
            runs.append((losses, trained.numbers()))
    finally:
        set_num_threads(before)
    for losses, numbers in runs[1:]:
        assert losses == runs[0][0]
        for name, value in numbers.items():
            np.testing.assert_array_equal(value, runs[0][1][name], err_msg=name)
