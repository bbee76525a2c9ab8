"""What norms leave unchanged, how they relate, and batch norm's relatives by their definitions."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.errors import ShapeError
from microreg.nn.utils import parametrizations

EPS = 1e-12


def normalized(norm, x, weight):
    """norm(x W^T) in training."""
    layer = nn.Linear(weight.shape[1], len(weight), bias=False, dtype=np.float64)
    if norm == "weight":
        parametrizations.weight_norm(layer)
        layer.parametrizations.weight.original0.data[...] = 1
        layer.parametrizations.weight.original1.data[...] = weight
        return layer(mr.tensor(x)).data
    layer.weight.data[...] = weight
    kinds = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "rms": nn.RMSNorm}
    return kinds[norm](len(weight), eps=EPS, dtype=np.float64)(layer(mr.tensor(x))).data


def first_row(x):
    return x * np.r_[3.0, np.ones(len(x) - 1)][:, None]


def third_unit(w):
    return w * np.array([1, 1, 2.5, 1, 1])[:, None]


CHANGES = {  # what happens to (data, weight matrix), and which norms do not notice
    "weight matrix rescaled": (lambda x, w: (x, 3 * w), "batch weight layer rms"),
    "weight matrix recentred": (lambda x, w: (x, w + np.array([0.3, -1, 2, 0.7])), "layer"),
    "weights of one unit rescaled": (lambda x, w: (x, third_unit(w)), "batch weight"),
    "dataset rescaled": (lambda x, w: (0.4 * x, w), "batch layer rms"),
    "dataset recentred": (lambda x, w: (x + np.array([1, -2, 0.5, 3]), w), "batch"),
    "one case rescaled": (lambda x, w: (first_row(x), w), "layer rms"),
}


@pytest.mark.parametrize("norm", ["batch", "weight", "layer", "rms"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_norm_does_not_notice(change, norm, rng):
    """Ba et al. 2016, table 1; Zhang and Sennrich 2019, table 1."""
    x, w = rng.normal(size=(8, 4)), rng.normal(size=(5, 4))
    function, unnoticed = CHANGES[change]
    difference = np.abs(normalized(norm, *function(x, w)) - normalized(norm, x, w)).max()
    assert difference < 1e-8 if norm in unnoticed.split() else difference > 1e-2


NORMS = {
    "layer": nn.LayerNorm([6, 4, 4]),
    "rms": nn.RMSNorm([6, 4, 4]),
    "group": nn.GroupNorm(3, 6),
    "instance": nn.InstanceNorm2d(6),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NORMS)
def test_a_batch_of_one_gives_the_same_bits(name, dtype, rng):
    x = rng.normal(size=(30, 6, 4, 4)).astype(dtype)
    layer = NORMS[name].to(dtype)
    whole = layer(mr.tensor(x)).data
    for i in (0, 17, 29):
        np.testing.assert_array_equal(layer(mr.tensor(x[i : i + 1])).data, whole[i : i + 1])


def test_group_norm_lies_between_layer_and_instance_norm(rng):
    x = mr.tensor(rng.normal(size=(5, 6, 4, 3)))
    one, each = F.group_norm(x, 1), F.group_norm(x, 6)
    np.testing.assert_allclose(one.data, F.layer_norm(x, [6, 4, 3]).data, atol=1e-12)
    np.testing.assert_allclose(each.data, F.instance_norm(x).data, atol=1e-12)
    rows = x.reshape(30, 12)
    np.testing.assert_allclose(
        each.data.reshape(30, 12), F.batch_norm(rows.T, None, None, training=True).data.T, atol=1e-9
    )


def test_rms_norm_is_layer_norm_of_rows_with_mean_zero(rng):
    x = rng.normal(size=(7, 9))
    x -= x.mean(1, keepdims=True)
    got, want = F.rms_norm(mr.tensor(x), 9, eps=1e-5), F.layer_norm(mr.tensor(x), 9)
    np.testing.assert_allclose(got.data, want.data, atol=1e-12)


# batch renormalization


@pytest.mark.parametrize(("r_max", "d_max"), [(1.0, 0.0), (1.3, 0.2), (3.0, 5.0), (1e6, 1e6)])
@pytest.mark.parametrize(
    ("kind", "shape"), [("1d", (9, 3)), ("1d", (4, 3, 5)), ("2d", (4, 3, 2, 3))]
)
def test_batch_renormalization_follows_its_algorithm(kind, shape, r_max, d_max, rng):
    layer = getattr(nn, f"BatchRenorm{kind}")(
        3, momentum=0.2, r_max=r_max, d_max=d_max, dtype=np.float64
    )
    layer.weight.data[...], layer.bias.data[...] = [1.5, 0.3, -1], [0.1, 2, 0]
    along, axes = (1, 3) + (1,) * (len(shape) - 2), tuple(i for i in range(len(shape)) if i != 1)
    weight, bias = (p.data.reshape(along) for p in (layer.weight, layer.bias))
    running_mean, running_std = np.zeros(3), np.ones(3)
    for t in range(1, 5):
        x = rng.normal(size=shape) * 1.7 + 0.4 * t
        mean, std = x.mean(axes), np.sqrt(x.var(axes) + layer.eps)
        r = np.clip(std / running_std, 1 / r_max, r_max)
        d = np.clip((mean - running_mean) / running_std, -d_max, d_max)
        x_hat = (x - mean.reshape(along)) / std.reshape(along)
        want = (x_hat * r.reshape(along) + d.reshape(along)) * weight + bias
        np.testing.assert_allclose(layer(mr.tensor(x)).data, want, atol=1e-11)
        running_mean = running_mean + 0.2 * (mean - running_mean)
        running_std = running_std + 0.2 * (std - running_std)
        np.testing.assert_allclose(layer.running_mean.data, running_mean, atol=1e-12)
        np.testing.assert_allclose(layer.running_std.data, running_std, atol=1e-12)
        assert layer.num_batches_tracked.item() == t
    x_hat = (x - running_mean.reshape(along)) / running_std.reshape(along)
    np.testing.assert_allclose(layer.eval()(mr.tensor(x)).data, x_hat * weight + bias, atol=1e-11)
    assert layer.num_batches_tracked.item() == 4


def test_without_clipping_renormalized_training_is_evaluation(rng):
    """With unbounded r and d the output is (x - running_mean) / running_std."""
    layer = nn.BatchRenorm1d(3, r_max=1e9, d_max=1e9, dtype=np.float64)
    layer.running_mean.data[...], layer.running_std.data[...] = [1, 2, 3], [0.5, 1, 2]
    x = mr.tensor(rng.normal(size=(6, 3)))
    want = layer.eval()(x).data
    np.testing.assert_allclose(layer.train()(x).data, want, atol=1e-12)


def test_the_gradient_of_renormalization_takes_r_and_d_as_constants(rng):
    x = mr.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    g = mr.tensor(rng.normal(size=(6, 3)))
    layer = nn.BatchRenorm1d(3, dtype=np.float64)
    (got,) = mr.grad(layer(x), x, g)
    (plain,) = mr.grad(F.batch_norm(x, None, None, training=True), x, g)
    r = np.sqrt(x.data.var(0) + layer.eps)
    np.testing.assert_allclose(got.data, plain.data * r, atol=1e-12)


# ghost batch norm


@pytest.mark.parametrize(
    ("n", "size", "parts"),
    [(12, 4, [4, 4, 4]), (11, 4, [4, 4, 3]), (9, 4, [4, 5]), (5, 8, [5]), (3, 2, [3])],
)
@pytest.mark.parametrize("after", [(), (2, 3)])
def test_ghost_batch_norm_is_batch_norm_of_each_part(n, size, parts, after, rng):
    kind = "2d" if after else "1d"
    ours = getattr(nn, f"GhostBatchNorm{kind}")(3, size, dtype=np.float64)
    plain = getattr(nn, f"BatchNorm{kind}")(3, dtype=np.float64)
    x = rng.normal(size=(n, 3, *after))
    ends = np.cumsum(parts)
    want = [plain(mr.tensor(x[b - k : b])).data for b, k in zip(ends, parts, strict=True)]
    np.testing.assert_allclose(ours(mr.tensor(x)).data, np.concatenate(want), atol=1e-12)
    for name, value in plain.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].data, value.data, atol=1e-12)
    want = plain.eval()(mr.tensor(x)).data
    np.testing.assert_array_equal(ours.eval()(mr.tensor(x)).data, want)


# gradients

LAYERS = {
    "group": lambda: nn.GroupNorm(2, 4),
    "rms": lambda: nn.RMSNorm([4, 3]),
    "instance": lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
    "renorm": lambda: nn.BatchRenorm1d(4, r_max=1e9, d_max=1e9),
    "ghost": lambda: nn.GhostBatchNorm1d(4, 3),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(3, 4)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(3, 4)).eval(),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "renorm"])
def test_gradients_are_those_of_the_value(name, order, rng):
    mr.gradcheck(LAYERS[name](), rng.normal(size=(6, 4, 3)), order=order)


@pytest.mark.parametrize("name", LAYERS)
def test_a_recorded_layer_is_the_same(name, rng):
    mr.manual_seed(3)
    layer = LAYERS[name]().double()
    mr.manual_seed(3)
    other = LAYERS[name]().double()

    def step(x):
        out = other(x)
        (out * out * out).sum().backward()
        return out

    recorded = mr.compile(step)
    for _ in range(3):
        x = rng.normal(size=(6, 4, 3))
        layer.zero_grad()
        other.zero_grad()
        out = layer(mr.tensor(x))
        (out * out * out).sum().backward()
        np.testing.assert_allclose(recorded(mr.tensor(x)).data, out.data, atol=1e-12)
        for p, q in zip(layer.parameters(), other.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.data, q.grad.data, atol=1e-10)
    for name, value in layer.state_dict().items():
        np.testing.assert_allclose(other.state_dict()[name].data, value.data, atol=1e-12)


# what is refused

X = mr.ones(2, 3)
REFUSED = {
    "group_norm(num_groups=2): expected x (n, channels, ...) with a multiple of that many "
    "channels, got (2, 3)": lambda: F.group_norm(X, 2),
    "GroupNorm(num_groups=2, num_channels=3): expected a multiple of num_groups channels": lambda: (
        nn.GroupNorm(2, 3)
    ),
    "GroupNorm(num_groups=0): expected a positive integer": lambda: nn.GroupNorm(0, 3),
    "rms_norm(normalized_shape=(2,)): got x of shape (2, 3), whose last axes are not that": (
        lambda: F.rms_norm(X, 2)
    ),
    "instance_norm: expected x (n, channels, ..., length), got (2, 3)": lambda: F.instance_norm(X),
    "instance_norm: expected more than one value per channel, got x of shape (2, 3, 1)": lambda: (
        F.instance_norm(X[:, :, None])
    ),
    "InstanceNorm1d(num_features=4): expected x (n, num_features, length) or (num_features, "
    "length), got (1, 2, 3)": lambda: nn.InstanceNorm1d(4)(X),
    "BatchRenorm1d(r_max=0.5, d_max=5.0): expected r_max of at least 1 and d_max of at least 0": (
        lambda: nn.BatchRenorm1d(3, r_max=0.5)
    ),
    "BatchRenorm1d(num_features=3): expected more than one value per channel in training, got x of "
    "shape (1, 3); use a larger batch, drop the last one, or call eval()": lambda: nn.BatchRenorm1d(
        3
    )(X[:1]),
    "GhostBatchNorm1d(virtual_batch_size=0): expected a positive integer": lambda: (
        nn.GhostBatchNorm1d(3, 0)
    ),
    "RMSNorm(normalized_shape=0): expected a positive integer": lambda: nn.RMSNorm((2, 0)),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_error_says_what_was_expected(text):
    with pytest.raises((ValueError, ShapeError)) as raised:
        REFUSED[text]()
    assert str(raised.value) == text
