"""The table's lines of layers: norms, and what recurrent layers and attention are made of."""

import numpy as np

import microreg as mr
from microreg.ops import recurrent

from .naive import along, standard
from .table import CUBE, SOLID, line, one, real

CHANNELS = [((4, 6), (6,), (6,)), ((2, 4, 3), (4,), (4,)), ((1, 6, 2, 3), (6,), (6,))]
BARE = one((4, 6), (2, 4, 3), (1, 6, 2, 3))


def naive_rms_norm(axes, eps):
    trailing = tuple(range(-axes, 0))

    def norm(x, weight=1.0):
        return x / np.sqrt((x * x).mean(trailing, keepdims=True) + eps) * weight

    return norm


def naive_group_norm(groups, eps=1e-5):
    def norm(x, weight=1.0, bias=0.0):
        parts = x.reshape(len(x), groups, -1)
        return standard(parts, (2,), eps).reshape(x.shape) * along(x, weight) + along(x, bias)

    return norm


def norm_rows(axes, eps=None):
    return lambda m, x, *weight: m.rms_norm(x, x.shape[-axes:], *weight, eps=eps)


def sum_of_parts(m, x):
    first, *_, last = m.unbind(x)
    return first * last.exp()


def noisy(m, x):
    m.manual_seed(5)
    return m.gaussian_noise(x * x, 0.4)


def mixed_rows(m, x):
    m.manual_seed(5)
    rows, other, lam = m.mixup(x, x.exp(), 0.7)
    return rows * lam + other


def naive_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell(m, gates, c):
    h, c = mr.Tensor.record(recurrent.lstm_cell, (gates, c), {})
    return h * c + h


def naive_lstm_cell(gates, c):
    i, f, g, o = np.split(gates, 4, axis=1)
    c = naive_sigmoid(f) * c + naive_sigmoid(i) * np.tanh(g)
    h = naive_sigmoid(o) * np.tanh(c)
    return h * c + h


def gru_cell(m, a, b, h):
    return mr.Tensor.record(recurrent.gru_cell, (a, b, h), {})


def naive_gru_cell(a, b, h):
    (a_r, a_z, a_n), (b_r, b_z, b_n) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
    z = naive_sigmoid(a_z + b_z)
    return (1 - z) * np.tanh(a_n + naive_sigmoid(a_r + b_r) * b_n) + z * h


WORDS = np.array([[0, 4, 2], [2, 2, 3]])  # not 1, whose gradient is left out
LSTMS = [((n, 4 * h), (n, h)) for n, h in [(1, 1), (3, 5), (0, 2), (2, 17)]]
GRUS = [((n, 3 * h), (n, 3 * h), (n, h)) for n, h in [(1, 1), (3, 5), (0, 2), (2, 17)]]
MORE = [
    line("rms_norm", norm_rows(1), real, [((5, 7), (7,)), ((40, 130), (130,))]),
    line("rms_norm eps", norm_rows(1, 0.1), real, [((1, 3), (3,))], naive_rms_norm(1, 0.1)),
    line("rms_norm empty", norm_rows(1), real, [((0, 4), (4,))]),
    line("rms_norm bare", norm_rows(2, 0.3), real, CUBE, naive_rms_norm(2, 0.3)),
    *[
        line(
            f"group_norm {n}",
            lambda m, x, *affine, n=n: m.group_norm(x, n, *affine),
            real,
            shapes,
            naive_group_norm(n),
        )
        for n, shapes in {1: CHANNELS + BARE, 2: CHANNELS}.items()
    ],
    line("instance_norm", lambda m, x: m.instance_norm(x), real, BARE[1:]),
    line("gaussian_noise", noisy, real, SOLID, torch=False),
    line("mixup", mixed_rows, real, SOLID, torch=False),
    *[
        line(
            f"embedding {n}",
            lambda m, w, n=n: m.embedding(m.tensor(WORDS), w, n),
            real,
            one((5, 3), (6, 1)),
            lambda w: w[WORDS],
        )
        for n in (None, 1)
    ],
    line("lstm_cell", lstm_cell, real, LSTMS, naive_lstm_cell, torch=False),
    line("gru_cell", gru_cell, real, GRUS, naive_gru_cell, torch=False),
    line("unbind", sum_of_parts, real, SOLID[1:], lambda x: x[0] * np.exp(x[-1])),
    line("unbind -1", lambda m, x: m.unbind(x, -1)[1], real, CUBE, lambda x: x[..., 1]),
    line("stack unbind", lambda m, x: m.stack(m.unbind(x, 1)), real, CUBE),
]
