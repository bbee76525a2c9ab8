"""Every norm with every optimizer and two losses: 200 recorded steps whose losses are torch's."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim

STEPS, TOLERANCE = 200, 1e-7
NORMS = {
    "batch norm": lambda lib: lib.BatchNorm1d(16, momentum=0.3),
    "layer norm": lambda lib: lib.LayerNorm(16),
    "RMS norm": lambda lib: lib.RMSNorm(16, eps=1e-5),
    "group norm": lambda lib: lib.GroupNorm(2, 16),
}
RULES = {
    "SGD": ("SGD", {"lr": 0.05}),
    "momentum": ("SGD", {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.002, "dampening": 0.1}),
    "Nesterov": ("SGD", {"lr": 0.02, "momentum": 0.7, "nesterov": True}),
    "Adam": ("Adam", {"lr": 0.004, "weight_decay": 0.01}),
    "AMSGrad": ("Adam", {"lr": 0.004, "betas": (0.8, 0.9), "amsgrad": True}),
    "AdamW": ("AdamW", {"lr": 0.003, "weight_decay": 0.1}),
    "RMSprop": ("RMSprop", {"lr": 0.001, "momentum": 0.5}),
    "centered": ("RMSprop", {"lr": 0.002, "alpha": 0.95, "eps": 1e-3, "centered": True}),
    "Adagrad": ("Adagrad", {"lr": 0.02, "lr_decay": 0.001}),
}
LOSSES = {"cross-entropy": "cross_entropy", "mean square": "mse_loss"}


def network(lib, norm):
    return lib.Sequential(
        lib.Linear(6, 16), NORMS[norm](lib), lib.Tanh(), lib.Linear(16, 16), NORMS[norm](lib),
        lib.GELU(), lib.Linear(16, 4),
    ).double()  # fmt: skip


@pytest.fixture(scope="module")
def batches():
    """Four batches: labels or targets that depend on the inputs, with noise."""
    rng = np.random.default_rng(17)
    made = []
    for _ in range(4):
        x = rng.normal(size=(12, 6))
        y = np.tanh(x[:, :4] * x[:, 2:]) + 0.3 * rng.normal(size=(12, 4))
        made.append((x, y.argmax(1), y))
    return made


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("norm", NORMS)
def test_a_recipe_follows_torch(norm, rule, loss, batches, torch):
    ours, theirs = network(nn, norm), network(torch.nn, norm)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    name, options = RULES[rule]
    optimizer = getattr(optim, name)(ours.parameters(), **options)
    other = getattr(torch.optim, name)(theirs.parameters(), **options)
    ours_of, theirs_of = getattr(F, LOSSES[loss]), getattr(torch.nn.functional, LOSSES[loss])

    @mr.compile
    def step(x, y):
        value = ours_of(ours(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value

    found, want = [], []
    for t in range(STEPS):
        x, labels, targets = batches[t % 4]
        y = labels if loss == "cross-entropy" else targets
        found.append(step(mr.tensor(x), mr.tensor(y)).item())
        value = theirs_of(theirs(torch.tensor(x)), torch.tensor(y))
        other.zero_grad()
        value.backward()
        other.step()
        want.append(value.item())
    np.testing.assert_allclose(found, want, rtol=TOLERANCE)
    assert np.mean(found[-4:]) < 0.9 * np.mean(found[:4])
    state = theirs.state_dict()
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(value.data, state[name].numpy(), rtol=1e-5, atol=1e-7)
