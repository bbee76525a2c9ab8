"""The table's lines of layers: norms, and what recurrent layers and attention are made of."""

import numpy as np

import microreg as mr
from microreg.ops import attention, recurrent

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


def gated(m, x):
    m.manual_seed(5)
    return m.hard_concrete(x * x, x[-1] * 0.3, 0.9, -0.3, 1.2)


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


def naive_attention(q, k, v, added=0.0, counts=True, scale=None):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = np.where(counts, q @ k.swapaxes(-1, -2) * scale + added, -np.inf)
    if not k.shape[-2]:
        return np.zeros((*q.shape[:-1], v.shape[-1]))
    p = np.exp(scores - np.maximum(scores.max(-1, keepdims=True), -1e300))
    return p / np.maximum(p.sum(-1, keepdims=True), 1e-300) @ v


def attend(m, *inputs, **options):
    return m.scaled_dot_product_attention(*inputs, **options)


def causal(q, k, v):
    return naive_attention(q, k, v, 0.0, np.tri(q.shape[-2], k.shape[-2], dtype=bool))


def seen(shape):
    """Which keys count: some in every row, the last ones in none."""
    counts = np.random.default_rng(3).random(shape) < 0.6
    counts[..., 0], counts[..., -1] = True, False
    return counts


def attention_within(shape, empty_row=False):
    """A line in which keys count by a mask of a shape."""
    counts = seen(shape)
    counts[..., 0] &= not empty_row
    return line(
        f"attention mask {shape}{' and a row without keys' * empty_row}",
        lambda m, *x: attend(m, *x, attn_mask=m.tensor(counts)),
        real,
        [((2, 2, 5, 3), (2, 2, 4, 3), (2, 2, 4, 6))],
        lambda *x: naive_attention(*x, counts=counts),
        torch=not empty_row,
    )


def thinned(m, q, k, v):
    m.manual_seed(5)
    return m.scaled_dot_product_attention(q, k, v, dropout_p=0.4)


def attend_itself(m, x):
    attrs = {"heads": 2, "causal": True, "scale": 0.6, "p": 0.0}
    return mr.Tensor.record(attention.self_attention, (x, None, None, None), attrs)


def naive_itself(x):
    q, k, v = np.moveaxis(x.reshape(*x.shape[:2], 3, 2, -1), (2, 3), (0, 2))
    counts = np.tri(x.shape[1], dtype=bool)
    return naive_attention(q, k, v, 0.0, counts, 0.6).swapaxes(1, 2).reshape(*x.shape[:2], -1)


HEADS = [
    *[((5, 3), (4, 3), (4, 6)), ((2, 1, 3), (2, 1, 3), (2, 1, 1)), ((1, 2, 5, 3),) * 3],
    *[((1, 70, 4), (1, 130, 4), (1, 130, 5)), ((2, 1, 3, 2, 2),) * 3, ((3, 2), (0, 2), (0, 4))],
]
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
    line("hard_concrete", gated, real, SOLID, torch=False),
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
    line("attention", attend, real, HEADS, naive_attention),
    line(
        "attention scale 0.3",
        lambda m, *x: attend(m, *x, scale=0.3),
        real,
        HEADS[:3],
        lambda *x: naive_attention(*x, scale=0.3),
    ),
    line("attention causal", lambda m, *x: attend(m, *x, is_causal=True), real, HEADS[:5], causal),
    line(
        "attention bias",
        attend,
        real,
        [(*HEADS[0], (4,)), (*HEADS[2], (2, 5, 5)), (*HEADS[3], (1, 130))],
        naive_attention,
    ),
    line(
        "attention constant bias",
        lambda m, *x: attend(m, *x, attn_mask=m.linspace(-2.0, 1.5, 4, dtype=x[0].dtype)),
        real,
        HEADS[:1],
        lambda *x: naive_attention(*x, np.linspace(-2.0, 1.5, 4)),
    ),
    *[attention_within(shape) for shape in [(1, 4), (5, 4), (2, 1, 1, 4), (1, 2, 5, 4)]],
    attention_within((2, 1, 1, 4), True),
    line(
        "self_attention", attend_itself, real, one((2, 5, 12), (1, 1, 6)), naive_itself, torch=False
    ),
    line("attention dropout", thinned, real, HEADS[:3], torch=False),
]
