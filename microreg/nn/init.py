"""Initial values, written into a tensor in place. Names and defaults are PyTorch's."""

import math

import numpy as np

from ..random import generator

_GAINS = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0)}


def calculate_gain(nonlinearity, param=None):
    """The factor that keeps the variance of a signal through `nonlinearity`."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1.0 + slope * slope))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain({nonlinearity!r}): expected one of {known}")
    return _GAINS[nonlinearity]


def fans(tensor):
    """(fan_in, fan_out): how many inputs make an output, how many outputs an input feeds."""
    if tensor.ndim < 2:
        raise ValueError(f"init: expected at least two axes for fan_in, got {tensor.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def uniform_(tensor, a=0.0, b=1.0):
    """Uniform on [a, b)."""
    return tensor.copy_(generator().uniform(a, b, tensor.shape).astype(tensor.dtype))


def normal_(tensor, mean=0.0, std=1.0):
    """Normal with the given mean and standard deviation."""
    return tensor.copy_(generator().normal(mean, std, tensor.shape).astype(tensor.dtype))


def constant_(tensor, val):
    return tensor.copy_(np.full(tensor.shape, val, tensor.dtype))


def zeros_(tensor):
    return constant_(tensor, 0.0)


def ones_(tensor):
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor, gain=1.0):
    """Uniform on +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010, eq. 16)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0):
    """Normal with std gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))))


def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform on +-gain * sqrt(3 / fan) (He et al. 2015)."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / _fan(tensor, mode))
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with std gain / sqrt(fan) (He et al. 2015, eq. 10)."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))


def _fan(tensor, mode):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init(mode={mode!r}): expected 'fan_in' or 'fan_out'")
    return fans(tensor)[mode == "fan_out"]
