"""Layers that add noise: what they do to numbers and gradients, in which mode, how often."""

import math

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.errors import ShapeError
from microreg.nn.utils.parametrize import register_parametrization

SHAPES = {  # layer, the shape of an input, the axes that stand or fall together
    "Dropout": (nn.Dropout, (40, 30), ()),
    "Dropout1d": (nn.Dropout1d, (50, 40, 7), (2,)),
    "Dropout1d, one sample": (nn.Dropout1d, (900, 5), (1,)),
    "Dropout2d": (nn.Dropout2d, (50, 30, 4, 3), (2, 3)),
    "Dropout2d, one sample": (nn.Dropout2d, (900, 2, 3), (1, 2)),
    "DropPath": (nn.DropPath, (1500, 2, 3), (1, 2)),
    "DropConnect": (nn.DropConnect, (40, 30), ()),
}
LAYERS = [
    nn.Dropout(0.3),
    nn.Dropout1d(0.3),
    nn.Dropout2d(0.3),
    nn.AlphaDropout(0.3),
    nn.DropPath(0.3),
    nn.DropConnect(0.3),
    nn.GaussianNoise(0.7),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.13, 0.5, 0.8])
@pytest.mark.parametrize("name", SHAPES)
def test_parts_are_dropped_together_or_scaled(name, p, dtype, rng):
    make, shape, together = SHAPES[name]
    x = mr.tensor((rng.normal(size=shape) + 9).astype(dtype), requires_grad=True)
    out = make(p)(x)
    assert out.dtype == dtype
    kept = out.data != 0
    heads = kept.all(together) if together else kept
    assert (heads == (kept.any(together) if together else kept)).all()
    scaled = np.where(kept, x.data / dtype(1 - p), 0)
    np.testing.assert_allclose(out.data, scaled, rtol=4 * np.finfo(dtype).eps)
    assert abs(heads.mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / heads.size)
    g = rng.normal(size=shape).astype(dtype)
    out.backward(mr.tensor(g))
    np.testing.assert_allclose(
        x.grad.data, np.where(kept, g / dtype(1 - p), 0), rtol=4 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_noise_is_for_training_follows_the_seed_and_can_be_recorded(layer):
    layer.train()
    x = mr.ones(30, 20, 4, 3)[:, :, 0] if isinstance(layer, nn.Dropout1d) else mr.ones(30, 20, 4, 3)
    mr.manual_seed(3)
    first, second = layer(x).data, layer(x).data
    assert (first != second).any()
    mr.manual_seed(3)
    step = mr.compile(layer)
    np.testing.assert_array_equal(step(x).data, first)
    np.testing.assert_array_equal(step(x).data, second)
    assert layer.eval()(x) is x and step(x).data.all()


@pytest.mark.parametrize("p", [0.1, 0.4, 0.7])
def test_alpha_dropout_keeps_mean_and_variance(p):
    x = mr.randn(200_000, dtype=np.float64)
    out = nn.AlphaDropout(p)(x).data
    assert abs(out.mean()) < 0.02 and abs(out.var() - 1) < 0.03
    a = ((1 - p) * (1 + p * 1.7580993408473766**2)) ** -0.5
    low = -a * 1.7580993408473766 * (1 - p)
    dropped = np.abs(out - low) < 1e-12
    assert abs(dropped.mean() - p) < 0.01
    shift = a * 1.7580993408473766 * p
    np.testing.assert_allclose(out[~dropped], (a * x.data + shift)[~dropped], atol=1e-12)


def test_alpha_dropout_at_its_ends_is_torchs(torch):
    x = torch.linspace(-2, 2, 7)
    for p in (0.0, 1.0):
        want = torch.nn.functional.alpha_dropout(x, p, True).numpy()
        np.testing.assert_array_equal(F.alpha_dropout(mr.tensor(x.numpy()), p, True).data, want)


@pytest.mark.parametrize("std", [0.1, 0.6, 3.0])
def test_gaussian_noise_is_added(std):
    x = mr.tensor(np.linspace(-3, 3, 100_000), requires_grad=True)
    noise = nn.GaussianNoise(std)(x)
    noise.sum().backward()
    difference = noise.data - x.data
    assert abs(difference.mean()) < 5 * std / 300 and abs(difference.std() / std - 1) < 0.02
    assert (x.grad.data == 1).all()


def test_noise_at_the_input_of_a_linear_model_is_a_ridge_penalty(rng):
    """Bishop 1995: E (y - (x + e) w)^2 = (y - x w)^2 + std^2 |w|^2."""
    x, y, w = rng.normal(size=(5, 4)), rng.normal(size=5), rng.normal(size=4)
    rows = mr.tensor(np.tile(x, (40_000, 1)))
    noisy = F.gaussian_noise(rows, 0.3) @ mr.tensor(w)
    loss = ((mr.tensor(np.tile(y, 40_000)) - noisy) ** 2).mean().item()
    assert loss == pytest.approx(((y - x @ w) ** 2).mean() + 0.09 * (w @ w), rel=0.01)


def test_dropconnect_drops_connections_of_any_layer():
    layer = nn.Linear(30, 20)
    before = layer.weight.data.copy()
    register_parametrization(layer, "weight", nn.DropConnect(0.25))
    weight = layer.weight.data
    kept = weight != 0
    assert 0.6 < kept.mean() < 0.9
    np.testing.assert_allclose(weight[kept], before[kept] / 0.75, rtol=1e-6)
    layer(mr.ones(2, 30)).sum().backward()
    assert layer.parametrizations.weight.original.grad.shape == (20, 30)
    np.testing.assert_array_equal(layer.eval().weight.data, before)


# mixup


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_mixes_rows_and_names_the_others(alpha, rng):
    x, y = rng.normal(size=(8, 3)), np.arange(8)
    drawn = []
    for _ in range(300):
        rows, other, lam = F.mixup(mr.tensor(x), y, alpha)
        assert sorted(other.tolist()) == list(range(8)) and other.dtype == mr.int64
        np.testing.assert_allclose(rows.data, lam.item() * x + (1 - lam.item()) * x[other.data])
        drawn.append(lam.item())
    assert abs(np.mean(drawn) - 0.5) < 5 * math.sqrt(1 / (4 * (2 * alpha + 1)) / 300)
    assert len({tuple(F.mixup(mr.tensor(x), y, alpha)[1].tolist()) for _ in range(20)}) == 20


# what is refused

X = mr.ones(2, 3)
REFUSED = {
    "dropout(p=-0.1): expected a probability from 0 to 1": lambda: F.dropout(X, -0.1),
    "dropout1d(p=1.5): expected a probability from 0 to 1": lambda: F.dropout1d(X, 1.5),
    "alpha_dropout(p=nan): expected a probability from 0 to 1": lambda: F.alpha_dropout(X, np.nan),
    "drop_path(p=2): expected a probability from 0 to 1": lambda: F.drop_path(X, 2),
    "gaussian_noise(std=-1): expected a finite number of at least 0": lambda: F.gaussian_noise(
        X, -1
    ),
    "Dropout2d(p=7): expected a probability from 0 to 1": lambda: nn.Dropout2d(7),
    "DropConnect(p=-1): expected a probability from 0 to 1": lambda: nn.DropConnect(-1),
    "GaussianNoise(std=inf): expected a finite number of at least 0": lambda: nn.GaussianNoise(
        math.inf
    ),
    "mixup(alpha=0): expected a finite number of more than 0": lambda: F.mixup(X, [1, 2], 0),
    "mixup: expected as many rows of input as of target, got (2, 3) and (3,)": lambda: F.mixup(
        X, [1, 2, 3]
    ),
    "dropout2d: expected x of 3 or 4 axes, the last 2 those of a channel, got (2, 3)": lambda: (
        F.dropout2d(X)
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_error_says_what_was_expected(text):
    with pytest.raises((ValueError, ShapeError)) as raised:
        REFUSED[text]()
    assert str(raised.value) == text
