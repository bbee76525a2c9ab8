"""Initial values: the bounds and the spread that each name promises."""

import math

import numpy as np
import pytest

import microreg as mr
from microreg import nn
from microreg.nn import init

SHAPES = [(40, 60), (400, 500), (16, 8, 3, 5)]
GAINS = [("linear", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("conv2d", None)]
GAINS += [("leaky_relu", slope) for slope in (None, 0.0, 0.2, math.sqrt(5.0))]


def fans(shape):
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def uniform_within(array, bound):
    """Uniform on +-bound: inside it, close to it, with its mean and variance to 5 sigma."""
    n = array.size
    assert bound * (1 - 20 / n) < np.abs(array).max() <= bound * (1 + 1e-6)
    assert abs(array.mean()) < 5 * bound / math.sqrt(3 * n)
    assert abs(np.square(array).mean() - bound**2 / 3) < 5 * bound**2 * math.sqrt(4 / 45 / n)


def normal_with(array, std, mean=0.0):
    """Normal: mean, variance and the weight of the tails to 5 sigma."""
    n, z = array.size, (array - mean) / std
    assert abs(z.mean()) < 5 / math.sqrt(n)
    assert abs(np.square(z).mean() - 1) < 5 * math.sqrt(2 / n)
    tail = math.erfc(1.5 / math.sqrt(2))
    assert abs((np.abs(z) > 1.5).mean() - tail) < 5 * math.sqrt(tail * (1 - tail) / n)


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=str)
def weight(request, dtype):
    return mr.zeros(*request.param, dtype=dtype)


@pytest.mark.parametrize("gain", [0.5, 1.0, 5 / 3])
def test_xavier(weight, gain):
    total = sum(fans(weight.shape))
    assert init.xavier_uniform_(weight, gain) is weight
    uniform_within(weight.data, gain * math.sqrt(6 / total))
    normal_with(init.xavier_normal_(weight, gain).data, gain * math.sqrt(2 / total))


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(("nonlinearity", "a"), GAINS)
def test_kaiming(weight, mode, nonlinearity, a):
    options = {"mode": mode, "nonlinearity": nonlinearity, **({} if a is None else {"a": a})}
    slope = 0.0 if a is None else a  # kaiming's own default, not that of calculate_gain
    gain = init.calculate_gain(nonlinearity, slope)
    fan = fans(weight.shape)[mode == "fan_out"]
    assert init.kaiming_uniform_(weight, **options) is weight
    uniform_within(weight.data, gain * math.sqrt(3 / fan))
    normal_with(init.kaiming_normal_(weight, **options).data, gain / math.sqrt(fan))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.3, 0.3), (2.0, 5.0)])
def test_uniform_normal_and_constant(weight, low, high):
    uniform_within(init.uniform_(weight, low, high).data - (low + high) / 2, (high - low) / 2)
    normal_with(init.normal_(weight, low, high).data, high, low)
    for fill, value in (
        (init.zeros_, 0.0),
        (init.ones_, 1.0),
        (lambda w: init.constant_(w, high), high),
    ):
        assert (fill(weight).data == weight.dtype.type(value)).all()


@pytest.mark.parametrize(("nonlinearity", "param"), GAINS)
def test_gains_are_torchs(nonlinearity, param, torch):
    want = torch.nn.init.calculate_gain(nonlinearity, param)
    assert init.calculate_gain(nonlinearity, param) == pytest.approx(want, rel=1e-15)


def test_layers_start_as_torchs_do():
    """Weight and bias uniform on +-1/sqrt(fan_in); norms at one and zero."""
    for layer, fan_in in (
        (nn.Linear(25, 300), 25),
        (nn.Linear(400, 90, dtype=np.float64), 400),
        (nn.Conv2d(4, 200, 5), 100),
        (nn.Conv2d(3, 300, (1, 4)), 12),
    ):
        uniform_within(layer.weight.data, fan_in**-0.5)
        uniform_within(layer.bias.data, fan_in**-0.5)
    for layer in (nn.BatchNorm1d(5), nn.BatchNorm2d(5), nn.LayerNorm(5)):
        assert layer.weight.tolist() == [1] * 5 and layer.bias.tolist() == [0] * 5


def test_the_spread_is_that_of_torchs_own_samples(torch):
    torch.manual_seed(0)
    for name, options in (
        ("xavier_uniform_", {"gain": 1.7}),
        ("xavier_normal_", {"gain": 0.3}),
        ("kaiming_uniform_", {"a": 0.5, "mode": "fan_out"}),
        ("kaiming_normal_", {"nonlinearity": "relu"}),
    ):
        for shape in SHAPES:
            ours = getattr(init, name)(mr.zeros(*shape), **options).data.std()
            theirs = getattr(torch.nn.init, name)(torch.zeros(*shape), **options).std().item()
            assert ours == pytest.approx(theirs, rel=0.1)


def test_the_seed_decides():
    def start(seed):
        mr.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 3), nn.Conv2d(1, 2, 3))
        return np.concatenate([p.data.ravel() for p in model.parameters()])

    np.testing.assert_array_equal(start(1), start(1))
    assert (start(1) != start(2)).all()
    layer = nn.Linear(4, 4)
    before = layer.weight.data.copy()
    layer.reset_parameters()
    assert (layer.weight.data != before).all()


REFUSED = {
    "init: expected at least two axes for fan_in, got (3,)": (
        lambda: init.kaiming_uniform_(mr.zeros(3))
    ),
    "init(mode='fan_avg'): expected 'fan_in' or 'fan_out'": (
        lambda: init.kaiming_normal_(mr.zeros(3, 3), mode="fan_avg")
    ),
    "calculate_gain('mish'): expected one of linear, conv2d, sigmoid, tanh, relu, leaky_relu": (
        lambda: init.calculate_gain("mish")
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_error_says_what_was_expected(text):
    with pytest.raises(ValueError) as raised:
        REFUSED[text]()
    assert str(raised.value) == text
