"""Whole training runs follow torch's, step by step, in float64."""

from collections import OrderedDict

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim

STEPS, TOLERANCE = 30, 1e-7
RULES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.03, "momentum": 0.7, "nesterov": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.003, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.002}),
]


def dense(lib):
    return lib.Sequential(
        OrderedDict(
            first=lib.Linear(6, 16),
            norm=lib.BatchNorm1d(16),
            gelu=lib.GELU(),
            second=lib.Linear(16, 12, bias=False),
            rows=lib.LayerNorm(12),
            tanh=lib.Tanh(),
            last=lib.Linear(12, 4),
        )
    )


def convolutional(lib):
    return lib.Sequential(
        lib.Conv2d(2, 4, 3, padding=1),
        lib.BatchNorm2d(4, momentum=0.3),
        lib.ReLU(),
        lib.MaxPool2d(2),
        lib.Conv2d(4, 3, 2, stride=2),
        lib.Sigmoid(),
        lib.Flatten(),
        lib.Linear(12, 4),
    )


NETWORKS = {"dense": (dense, (6,)), "convolutional": (convolutional, (2, 8, 8))}


def batches(shape):
    """Three batches in turn, which leave something to learn by heart."""
    rng = np.random.default_rng(41)
    made = [(rng.normal(size=(16, *shape)), rng.integers(0, 4, 16)) for _ in range(3)]
    return [made[step % 3] for step in range(STEPS)]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("rule", "options"), RULES, ids=str)
def test_losses_and_weights_are_torchs(network, rule, options, torch):
    make, shape = NETWORKS[network]
    ours, theirs = make(nn).double(), make(torch.nn).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    step = getattr(optim, rule)(ours.parameters(), **options)
    other = getattr(torch.optim, rule)(theirs.parameters(), **options)
    losses = []
    for X, y in batches(shape):
        loss = F.cross_entropy(ours(mr.tensor(X)), mr.tensor(y), label_smoothing=0.05)
        want = torch.nn.functional.cross_entropy(
            theirs(torch.tensor(X)), torch.tensor(y), label_smoothing=0.05
        )
        assert loss.item() == pytest.approx(want.item(), rel=TOLERANCE)
        losses.append(loss.item())
        for value, optimizer in ((loss, step), (want, other)):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    for name, value in theirs.state_dict().items():
        got = ours.state_dict()[name].data
        np.testing.assert_allclose(got, value.numpy(), rtol=0, atol=TOLERANCE, err_msg=name)
    assert sum(losses[-6:]) < sum(losses[:6])  # it learned something
    X, _ = batches(shape)[0]
    got = ours.eval()(mr.tensor(X)).data
    np.testing.assert_allclose(
        got, theirs.eval()(torch.tensor(X)).detach().numpy(), rtol=0, atol=10 * TOLERANCE
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_float32_stays_float32_and_close(network):
    make, shape = NETWORKS[network]
    wide = make(nn).double()
    narrow = make(nn)
    narrow.load_state_dict(wide.state_dict())
    runs = []
    for model, dtype in ((wide, np.float64), (narrow, np.float32)):
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        losses = []
        for X, y in batches(shape):
            loss = F.cross_entropy(model(mr.tensor(X.astype(dtype))), y)
            assert loss.dtype == dtype
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}
        assert {p.grad.dtype for p in model.parameters()} == {np.dtype(dtype)}
        runs.append(losses)
    np.testing.assert_allclose(runs[1], runs[0], rtol=2e-3)


def test_a_number_can_be_trained():
    """A parameter without axes, whose gradient NumPy would make a scalar."""
    for make in (optim.SGD, optim.Adam, optim.RMSprop):
        w = nn.Parameter(np.array(5.0))
        optimizer = make([w], lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            ((w - 2.0) * (w - 2.0)).backward()
            assert type(w.grad.data) is np.ndarray
            optimizer.step()
        assert w.shape == () and abs(w.item() - 2) < 0.1


def test_the_same_seed_gives_the_same_bits():
    def run():
        mr.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Dropout(0.3), nn.Linear(20, 4))
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        for X, y in batches((6,)):
            loss = F.cross_entropy(model(mr.tensor(X.astype(np.float32))), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [p.data.tobytes() for p in model.parameters()]

    assert run() == run()
