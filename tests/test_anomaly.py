"""detect_anomaly: the op and the line where NaN or infinity arises, and nothing else."""

import threading

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.graph import Value
from microreg.runtime.remote import homes

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
HERE = "test_anomaly.py:"


def numbers(*values):
    return mr.tensor(list(values), requires_grad=True)


FORWARD = {
    "log": (lambda x: x.log(), "log made NaN"),
    "div": (lambda x: 1.0 / (x - 2.0), "made infinity"),
    "exp": (lambda x: (x * 1e3).exp(), "exp made infinity"),
    "mul": (lambda x: (x * 1e30) * (x * 1e30), "mul made infinity"),
    "sum": (lambda x: (x.abs() * 1e38).sum(), "sum made infinity"),
    "matmul": (lambda x: (x * 1e30) @ (x * 1e30), "made infinity"),
}


@pytest.mark.parametrize("name", FORWARD)
def test_the_op_and_the_line_are_named(name):
    function, words = FORWARD[name]
    x = numbers(-1.0, 2.0, 3.0)
    function(x)  # not watched
    with pytest.raises(FloatingPointError, match=words) as caught, mr.detect_anomaly():
        function(x)
    assert HERE in str(caught.value) and "of finite numbers at" in str(caught.value)


def test_a_gradient_is_traced_to_the_line_of_its_forward():
    x = numbers(0.0, 4.0)
    with mr.detect_anomaly():
        y = x.sqrt()
        z = (y * 3.0).sum()
    with pytest.raises(FloatingPointError, match="the gradient of sqrt became infinity") as caught:
        z.backward()
    line = test_a_gradient_is_traced_to_the_line_of_its_forward.__code__.co_firstlineno + 3
    assert f"{HERE}{line}" in str(caught.value)


def test_the_module_is_named():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    model[2].weight.data[...] = 3e38
    model[0].bias.data[...] = 10.0
    with (
        pytest.raises(FloatingPointError, match=r"linear made .* in Linear\(3, 1"),
        mr.detect_anomaly(),
    ):
        model(mr.ones(4, 2))


def test_what_is_not_finite_from_the_start_is_let_through():
    x = numbers(np.nan, 1.0)
    with mr.detect_anomaly():
        assert np.isnan((x * 2).sum().item())
        scores = F.softmax(mr.where(mr.tensor([True, False]), mr.ones(2), -np.inf), -1)
    np.testing.assert_array_equal(scores.data, [1.0, 0.0])


def test_nothing_changes_but_time(rng):
    X, y = mr.tensor(rng.normal(size=(12, 4))), mr.tensor(rng.integers(0, 3, 12))
    runs = []
    for watch in (False, True):
        mr.manual_seed(2)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 3))
        model.double()
        optimizer = optim.Adam(model.parameters())

        def train(model=model, optimizer=optimizer):
            for _ in range(4):
                optimizer.zero_grad()
                F.cross_entropy(model(X), y).backward()
                optimizer.step()

        mr.detect_anomaly()(train)() if watch else train()
        runs.append([p.data.copy() for p in model.parameters()])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert Value.record.__module__ == "microreg.graph" and not homes


def test_fit_and_compiled_steps_are_watched_op_by_op(rng):
    X, y = rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 3, 20)
    model = nn.Linear(4, 3)

    def loss(output, target):
        return F.cross_entropy(output, target) + (output - output).sum().sqrt()

    words = "^detect_anomaly: the gradient of sqrt became"
    with pytest.raises(FloatingPointError, match=words) as caught, mr.detect_anomaly():
        mr.fit(model, (X, y), loss=loss, epochs=1)
    assert HERE in str(caught.value)
    assert all(np.isfinite(p.data).all() for p in model.parameters())
    step = mr.compile(lambda x: x.log())
    step(mr.ones(3))
    with pytest.raises(FloatingPointError, match="log made NaN"), mr.detect_anomaly():
        step(-mr.ones(3))
    assert np.isnan(step(-mr.ones(3)).data).all()


def test_other_threads_are_not_watched():
    found = []

    def other():
        found.append(mr.tensor([-1.0]).log().item())

    with mr.detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        with mr.detect_anomaly():
            pass
        with pytest.raises(FloatingPointError, match="log made NaN"):
            mr.tensor([-1.0]).log()
    assert np.isnan(found[0])
    mr.tensor([-1.0]).log()
