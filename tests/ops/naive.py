"""What an op is, written in NumPy without haste: for float64 arrays."""

import math

import numpy as np


def kept(function, axes=(1, -1), **options):
    return lambda x: function(x, axes, keepdims=True, **options)


def naive_log_softmax(axis):
    def row(x):
        return x - x.max() - np.log(np.exp(x - x.max()).sum())

    return lambda x: np.apply_along_axis(row, axis, x) if x.size else x


def naive_softmax(axis):
    return lambda x: np.exp(naive_log_softmax(axis)(x))


def naive_erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


def naive_gelu(x):
    return x * (1 + naive_erf(x / math.sqrt(2))) / 2


def naive_gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def standard(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def naive_layer_norm(axes, eps=1e-5):
    trailing = tuple(range(-axes, 0))
    return lambda x, weight=1.0, bias=0.0: standard(x, trailing, eps) * weight + bias


def along(x, values):
    """One value for each channel of x (n, channels, ...)."""
    return np.reshape(values, (-1,) + (1,) * (x.ndim - 2))


def naive_batch_norm(x, weight=1.0, bias=0.0, eps=1e-5):
    return standard(x, (0, *range(2, x.ndim)), eps) * along(x, weight) + along(x, bias)


def windows(x, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), fill=0.0):
    """What lies under a window: (n, c, out_h, out_w, kernel_h, kernel_w)."""
    stride, padding, dilation = (np.broadcast_to(v, 2) for v in (stride, padding, dilation))
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=fill)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    under = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(2, 3))
    return under[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def naive_conv2d(options):
    groups = options.get("groups", 1)
    options = {name: value for name, value in options.items() if name != "groups"}

    def conv(x, weight, bias=0.0):
        under = windows(x, weight.shape[2:], **options)
        parts = zip(np.split(under, groups, 1), np.split(weight, groups), strict=True)
        out = [np.einsum("nchwij,ocij->nohw", part, own) for part, own in parts]
        return np.concatenate(out, 1) + np.reshape(bias, (-1, 1, 1))

    return conv


def naive_max_pool2d(kernel_size, stride=None, padding=0, dilation=1):
    kernel = np.broadcast_to(kernel_size, 2)
    stride = kernel if stride is None else stride
    return lambda x: windows(x, kernel, stride, padding, dilation, -np.inf).max((-2, -1))


def naive_avg_pool2d(kernel_size, stride=None, padding=0):
    kernel = np.broadcast_to(kernel_size, 2)
    stride = kernel if stride is None else stride
    return lambda x: windows(x, kernel, stride, padding).mean((-2, -1))


def naive_conv1d(stride=1, padding=0, dilation=1):
    options = {"stride": (1, stride), "padding": (0, padding), "dilation": (1, dilation)}

    def conv(x, weight):
        batch = x if x.ndim == 3 else x[None]
        out = naive_conv2d(options)(batch[:, :, None], weight[:, :, None])[:, :, 0]
        return out if x.ndim == 3 else out[0]

    return conv


def labels(x):
    """A label for each row of x (n, k)."""
    return np.arange(len(x)) * 7 % x.shape[1]


def naive_cross_entropy(x):
    return -naive_log_softmax(1)(x)[np.arange(len(x)), labels(x)]


def naive_mse(a, b):
    return ((a - b) ** 2).mean()


def naive_bce(x, y):
    p = 1 / (1 + np.exp(-x))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
