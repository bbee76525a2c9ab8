"""Layers beside torch's: training and evaluation over several steps, with every option."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn
from microreg.errors import DTypeError, ShapeError

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-9}
STEPS = 5
ROWS, SEQUENCES, IMAGES = (7, 3), (4, 3, 5), (4, 3, 8, 7)
ACTIVATIONS = ["ReLU6", "Hardtanh", "LeakyReLU", "ELU", "SELU", "CELU", "SiLU", "Mish", "Softplus"]
ACTIVATIONS += ["Softsign", "Hardswish", "LogSigmoid"]
LAYERS = [  # class, its arguments, the shape of an input
    ("Linear", (3, 4), {}, ROWS),
    ("Linear", (3, 1), {"bias": False}, ROWS),
    ("Linear", (5, 2), {}, SEQUENCES),
    ("Linear", (3, 2), {}, (3,)),
    ("Conv2d", (3, 2, 3), {}, IMAGES),
    ("Conv2d", (3, 4, (2, 3)), {"stride": 2, "bias": False}, IMAGES),
    ("Conv2d", (3, 1, 3), {"stride": (1, 3), "padding": (2, 1)}, IMAGES),
    ("Conv2d", (3, 5, 2), {"dilation": (3, 2), "padding": 1}, IMAGES),
    ("Conv2d", (3, 2, 1), {"stride": 3}, IMAGES),
    ("Conv2d", (6, 4, 3), {"groups": 2, "padding": 1}, (2, 6, 5, 4)),
    ("Conv2d", (3, 3, (2, 3), 1, 0, 2, 3, False), {}, IMAGES),
    ("Conv2d", (3, 2, (3, 5)), {"padding": "same", "dilation": (2, 1)}, IMAGES),
    ("Conv2d", (3, 2, 3), {"padding": (2, 1), "padding_mode": "reflect"}, IMAGES),
    ("Conv2d", (3, 2, 3), {"padding": "same", "padding_mode": "circular"}, IMAGES),
    ("Conv2d", (3, 2, 3), {"padding": "valid", "padding_mode": "replicate"}, IMAGES),
    ("Conv1d", (3, 4, 2), {}, SEQUENCES),
    ("Conv1d", (3, 6, 3, 2), {"padding": 1, "groups": 3}, SEQUENCES),
    ("Conv1d", (3, 2, 3), {"padding": "same", "dilation": 2, "bias": False}, SEQUENCES),
    ("Conv1d", (3, 2, 3), {"padding": 2, "padding_mode": "replicate"}, SEQUENCES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("MaxPool2d", ((3, 2),), {"stride": (1, 2)}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, IMAGES),
    ("MaxPool2d", (2,), {"stride": 1, "dilation": (2, 3)}, IMAGES),
    ("BatchNorm1d", (3,), {}, ROWS),
    ("BatchNorm1d", (3,), {"momentum": 0.37}, SEQUENCES),
    ("BatchNorm1d", (3,), {"momentum": None, "eps": 0.1}, ROWS),
    ("BatchNorm1d", (3,), {"momentum": 1.0, "affine": False}, ROWS),
    ("BatchNorm1d", (3,), {"momentum": 0.0, "eps": 1e-3}, ROWS),
    ("BatchNorm1d", (3,), {"track_running_stats": False}, ROWS),
    ("BatchNorm2d", (3,), {}, IMAGES),
    ("BatchNorm2d", (3,), {"momentum": None, "affine": False}, IMAGES),
    ("LayerNorm", (3,), {}, ROWS),
    ("LayerNorm", ((3, 5),), {"eps": 0.1}, SEQUENCES),
    ("LayerNorm", (5,), {"bias": False, "eps": 1e-3}, SEQUENCES),
    ("LayerNorm", ([8, 7],), {"elementwise_affine": False}, IMAGES),
    ("LayerNorm", ((3, 8, 7),), {}, IMAGES),
    ("RMSNorm", (3,), {}, ROWS),
    ("RMSNorm", ((3, 5),), {"eps": 0.1}, SEQUENCES),
    ("RMSNorm", (7,), {"elementwise_affine": False, "eps": 1e-3}, IMAGES),
    ("GroupNorm", (1, 3), {}, ROWS),
    ("GroupNorm", (3, 3), {"eps": 0.1}, SEQUENCES),
    ("GroupNorm", (2, 6), {"eps": 1e-3}, (4, 6, 3, 2)),
    ("GroupNorm", (3, 6), {"affine": False}, (1, 6, 5, 1)),
    ("InstanceNorm1d", (3,), {}, SEQUENCES),
    ("InstanceNorm1d", (3,), {"affine": True, "eps": 0.1}, SEQUENCES[1:]),
    ("InstanceNorm1d", (3,), {"track_running_stats": True, "momentum": 0.3}, SEQUENCES),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, IMAGES),
    ("InstanceNorm2d", (3,), {"track_running_stats": True, "momentum": None}, IMAGES),
    ("InstanceNorm2d", (3,), {"eps": 1e-3}, IMAGES[1:]),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (0, 2), {}, IMAGES),
    ("Flatten", (2,), {"end_dim": -1}, IMAGES),
    ("Identity", (), {}, ROWS),
    ("ReLU", (), {}, ROWS),
    ("Tanh", (), {}, SEQUENCES),
    ("Sigmoid", (), {}, ROWS),
    ("GELU", (), {}, ROWS),
    ("GELU", (), {"approximate": "tanh"}, IMAGES),
    ("MaxPool2d", (3, 2), {"ceil_mode": True}, IMAGES),
    ("MaxPool1d", (2,), {}, SEQUENCES),
    ("MaxPool1d", (3, 2, 1), {"ceil_mode": True}, SEQUENCES),
    ("AvgPool1d", (2,), {}, SEQUENCES),
    ("AvgPool1d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, SEQUENCES),
    ("AdaptiveAvgPool1d", (2,), {}, SEQUENCES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, IMAGES),
    ("AvgPool2d", ((2, 3), 1), {"divisor_override": 5}, IMAGES),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((3, None),), {}, IMAGES),
    *[(name, (), {}, ROWS) for name in ACTIVATIONS],
    ("Hardtanh", (-0.3, 0.7), {}, ROWS),
    ("LeakyReLU", (0.3,), {}, ROWS),
    ("ELU", (0.7,), {}, ROWS),
    ("Softplus", (2.3, 4.0), {}, ROWS),
    ("Softmax", (1,), {}, SEQUENCES),
    ("LogSoftmax", (-1,), {}, ROWS),
    ("Softmin", (0,), {}, ROWS),
]


def title(layer):
    name, args, options, _ = layer
    return f"{name}{args}" + "".join(f" {k}={v}" for k, v in options.items())


def close(got, want):
    want = want.detach().numpy()
    assert got.shape == want.shape and got.dtype == want.dtype
    tolerance = TOLERANCE[got.dtype] if got.dtype.kind == "f" else 0
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", LAYERS, ids=title)
def test_a_layer_follows_torchs(layer, dtype, torch, rng):
    name, args, options, shape = layer
    ours = getattr(nn, name)(*args, **options).to(dtype)
    theirs = getattr(torch.nn, name)(*args, **options).to(getattr(torch, np.dtype(dtype).name))
    for p in ours.parameters():  # not the ones and zeros that norms start with
        p.data[...] = rng.normal(size=p.shape)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    assert ours.training and theirs.training
    for step in range(2 * STEPS):
        if step in (STEPS, STEPS + 2):  # evaluation in between, then training goes on
            ours.train(step != STEPS)
            theirs.train(step != STEPS)
        array = (rng.normal(size=shape) * (1 + step) + step).astype(dtype)
        x, other = mr.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        out, want = ours(x), theirs(other)
        g = rng.normal(size=out.shape).astype(dtype)
        (out * 1.0).backward(mr.tensor(g))
        (want * 1.0).backward(torch.tensor(g))
        close(out.data, want)
        close(x.grad.data, other.grad)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(p.grad.data, q.grad)
        for b, c in zip(ours.buffers(), theirs.buffers(), strict=True):
            close(b.data, c)
        ours.zero_grad()
        theirs.zero_grad()


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.45, 1.0, None])
@pytest.mark.parametrize(
    ("kind", "shape"), [("1d", (6, 3)), ("1d", (2, 3, 5)), ("2d", (2, 3, 4, 2))]
)
def test_running_statistics_follow_their_recursion(kind, shape, momentum, rng):
    layer = getattr(nn, f"BatchNorm{kind}")(3, momentum=momentum, dtype=np.float64)
    mean, var, axes = np.zeros(3), np.ones(3), tuple(i for i in range(len(shape)) if i != 1)
    for t in range(1, STEPS + 1):
        x = rng.normal(size=shape) * t - t
        layer(mr.tensor(x))
        part = 1 / t if momentum is None else momentum
        mean = (1 - part) * mean + part * x.mean(axes)
        var = (1 - part) * var + part * x.var(axes, ddof=1)
        np.testing.assert_allclose(layer.running_mean.data, mean, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(layer.running_var.data, var, rtol=1e-12)
        assert layer.num_batches_tracked.item() == t and layer.num_batches_tracked.dtype == mr.int64
    layer.eval()
    along = (1, 3) + (1,) * (len(shape) - 2)
    want = (x - mean.reshape(along)) / np.sqrt(var.reshape(along) + 1e-5)
    np.testing.assert_allclose(layer(mr.tensor(x)).data, want, rtol=1e-10, atol=1e-12)
    assert layer.num_batches_tracked.item() == STEPS  # evaluation counts no batch
    layer.reset_parameters()
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]
    assert layer.num_batches_tracked.item() == 0 and layer.weight.tolist() == [1, 1, 1]


def test_batch_norm_of_a_batch_is_standardised(rng):
    x = mr.tensor(rng.normal(size=(40, 3)) * [1, 10, 0.1] + [0, 5, -3])
    for out in (nn.BatchNorm1d(3, dtype=np.float64)(x), nn.LayerNorm(40, dtype=np.float64)(x.T).T):
        np.testing.assert_allclose(out.data.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(out.data.var(0), 1, rtol=2e-3)  # eps


# dropout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (10_007,), (3, 41, 50)], ids=str)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.83])
def test_dropout_zeroes_or_scales(p, shape, dtype, rng):
    mr.manual_seed(3)
    layer = nn.Dropout(p)
    x = mr.tensor((rng.normal(size=shape) + 3).astype(dtype), requires_grad=True)
    out = layer(x)
    kept = out.data != 0
    assert out.dtype == dtype
    np.testing.assert_allclose(
        out.data[kept], x.data[kept] / dtype(1 - p), rtol=2 * np.finfo(dtype).eps
    )
    sigma = np.sqrt(p * (1 - p) / x.numel())
    assert abs(kept.mean() - (1 - p)) <= 5 * sigma
    g = rng.normal(size=shape).astype(dtype)
    out.backward(mr.tensor(g))
    np.testing.assert_allclose(
        x.grad.data, np.where(kept, g / dtype(1 - p), 0), rtol=2 * np.finfo(dtype).eps
    )
    mean = layer(mr.ones(200, 200)).data.mean()
    assert abs(mean - 1) <= 5 * np.sqrt(p / (1 - p) / 40_000)


def test_dropout_draws_anew_and_follows_the_seed():
    layer, x = nn.Dropout(0.5), mr.ones(1000)
    mr.manual_seed(5)
    first, second = layer(x).data, layer(x).data
    assert 380 < (first != second).sum() < 620
    mr.manual_seed(5)
    np.testing.assert_array_equal(layer(x).data, first)
    rows = layer(mr.ones(400, 400)).data > 0  # neighbours are independent
    for a, b in ((rows[1:], rows[:-1]), (rows[:, 1:], rows[:, :-1]), (rows[:, 4:], rows[:, :-4])):
        assert abs((a == b).mean() - 0.5) < 5 * 0.5 / 400


def test_dropout_at_its_ends():
    x = mr.tensor([1.0, -2.0], requires_grad=True)
    assert nn.Dropout(0.7).eval()(x) is x and nn.Dropout(0.0)(x) is x
    out = nn.Dropout(1.0)(x)
    out.sum().backward()
    assert out.tolist() == [0, 0] and x.grad.tolist() == [0, 0]


def test_layers_keep_their_arguments():
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=(1, 0), bias=False, dtype=np.float64)
    assert layer.weight.shape == (4, 3, 3, 3) and layer.bias is None
    assert (layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (2, 2), (1, 0))
    assert layer.weight.dtype == nn.Linear(2, 1, dtype="float64").bias.dtype == mr.float64
    assert nn.LayerNorm([2, 3]).normalized_shape == (2, 3) and nn.LayerNorm(4).weight.shape == (4,)
    assert nn.BatchNorm1d(2, track_running_stats=False).running_mean is None


# what is refused

X = mr.ones(2, 3)
REFUSED = {
    "Linear(in_features=0): expected a positive integer": (ValueError, lambda: nn.Linear(0, 2)),
    "Linear(out_features=2.0): expected a positive integer": (
        ValueError,
        lambda: nn.Linear(1, 2.0),
    ),
    "Conv2d(in_channels=-1): expected a positive integer": (
        ValueError,
        lambda: nn.Conv2d(-1, 2, 3),
    ),
    "Conv2d(out_channels=True): expected a positive integer": (
        ValueError,
        lambda: nn.Conv2d(1, True, 3),
    ),
    "Conv2d(kernel_size=0): expected one or two integers of at least 1": (
        ValueError,
        lambda: nn.Conv2d(1, 1, 0),
    ),
    "Conv2d(stride=(1, 0)): expected one or two integers of at least 1": (
        ValueError,
        lambda: nn.Conv2d(1, 1, 1, stride=(1, 0)),
    ),
    "BatchNorm1d(num_features=0): expected a positive integer": (
        ValueError,
        lambda: nn.BatchNorm1d(0),
    ),
    "LayerNorm(normalized_shape=0): expected a positive integer": (
        ValueError,
        lambda: nn.LayerNorm((3, 0)),
    ),
    "Dropout(p=1.01): expected a probability from 0 to 1": (ValueError, lambda: nn.Dropout(1.01)),
    "Dropout(p=nan): expected a probability from 0 to 1": (ValueError, lambda: nn.Dropout(np.nan)),
    "BatchNorm1d(num_features=4): expected x (n, num_features) or (n, num_features, length), got "
    "(2, 3)": (ShapeError, lambda: nn.BatchNorm1d(4)(X)),
    "BatchNorm2d(num_features=3): expected x (n, num_features, h, w), got (2, 3)": (
        ShapeError,
        lambda: nn.BatchNorm2d(3)(X),
    ),
    "layer_norm(normalized_shape=(4,)): got x of shape (2, 3), whose last axes are not that": (
        ShapeError,
        lambda: nn.LayerNorm(4)(X),
    ),
    "linear: expected x (..., 4) for weight (5, 4), got (2, 3)": (
        ShapeError,
        lambda: nn.Linear(4, 5)(X),
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_error_says_what_was_expected(text):
    error, call = REFUSED[text]
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == text


def test_one_value_per_channel_is_refused_in_training_alone():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ShapeError) as raised:
        layer(X[:1])
    assert str(raised.value) == (
        "BatchNorm1d(num_features=3): expected more than one value per channel in training, got x "
        "of shape (1, 3); use a larger batch, drop the last one, or call eval()"
    )
    with pytest.raises(DTypeError, match="batch_norm: expected inputs of float32 or float64"):
        layer(X.long())
    assert layer.num_batches_tracked.item() == 0 and layer.running_mean.tolist() == [0, 0, 0]
    assert layer.eval()(X[:1]).shape == (1, 3)
    assert layer.train()(mr.ones(1, 3, 2)).shape == (1, 3, 2)
