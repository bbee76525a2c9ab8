"""Attention over heads, fused into one kernel, and the same on a projection that holds q, k and v.

    attention(q, k, v, allowed, bias, keep)        q (n, heads, queries, d), k and v with keys
    self_attention(x, allowed, bias, keep)         x (n, time, 3 * width) -> (n, time, width)

allowed (n, keys), bool: keys that count. bias, of four axes that broadcast to (n, heads, queries,
keys): added to the scores; no gradient comes back to it. keep (n, heads, queries, keys), 0 or 1:
what dropout with probability p leaves. Each may be None.
"""

import numpy as np

from ..kernels import attention as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty
from ..runtime.strided import expand, steps_of, stretch
from ._op import Op
from .arithmetic import not_equal, where
from .linear import matmul
from .loss import softmax
from .reduction import amax
from .shape import cast, reshape, stop, swap_last, transpose

NOTHING = np.empty(0, np.uint8)


def _readable(x):
    """x if the rows of its last axis are dense and nothing runs backwards, else a dense copy."""
    steps = steps_of(x)
    return x if x.size and steps[-1] == 1 and min(steps) >= 0 else dense(x)


class Layout:
    """Takes arrays as flat stretches of memory; `words` says how they lie in them."""

    def __init__(self, q, k, v, causal):
        self.words = np.zeros(kernels.WORDS, np.int64)
        self.words[:7] = *q.shape[:3], k.shape[2], q.shape[3], v.shape[3], causal

    def place(self, name, x):
        """The memory of x, four axes, the last one dense; axes of length 1 count for all."""
        memory, origin = stretch(x, x.shape, steps_of(x)) if x.size else (x.reshape(-1), 0)
        steps = [0 if n == 1 else s for n, s in zip(x.shape[:3], steps_of(x), strict=False)]
        at = getattr(kernels, name)
        self.words[at : at + 4] = origin, *steps
        return memory


def _given(layout, q, k, v, allowed, bias, keep):
    """What the kernels of both directions read."""
    arrays = [layout.place(*pair) for pair in zip("QKV", map(_readable, (q, k, v)), strict=True)]
    allowed = NOTHING if allowed is None else dense(allowed).view(np.uint8)
    if bias is None:
        added = np.empty(0, q.dtype)
    else:
        keys = k.shape[2]
        whole = bias if bias.shape[3] == keys else expand(bias, (*bias.shape[:3], keys))
        added = layout.place("BIAS", _readable(whole))
    keep = NOTHING if keep is None else dense(keep)
    return *arrays, allowed, added, keep, layout.words


def _heads_last(n, heads, length, d, like):
    """New memory (n, length, heads, d), seen as (n, heads, length, d)."""
    return empty((n, length, heads, d), like.dtype, like).transpose(0, 2, 1, 3)


def _scales(scale, p):
    return float(scale), 1.0 / (1.0 - p) if p < 1.0 else 0.0


def _forward_into(out, q, k, v, allowed, bias, keep, causal, scale, p):
    layout = Layout(q, k, v, causal)
    given = _given(layout, q, k, v, allowed, bias, keep)
    n, heads, queries, _ = q.shape
    lse = empty((n * heads, queries), q.dtype, q)
    launch(kernels.attention, *given, layout.place("OUT", out), lse, *_scales(scale, p))
    return lse


def _backward_into(made, g, q, k, v, allowed, bias, keep, lse, causal, scale, p):
    layout = Layout(q, k, v, causal)
    given = _given(layout, q, k, v, allowed, bias, keep)
    g = layout.place("G", _readable(g))
    made = [layout.place(*pair) for pair in zip(("DQ", "DK", "DV"), made, strict=True)]
    launch(kernels.attention_backward, g, *given, lse, *made, *_scales(scale, p))


def _attention_forward(q, k, v, allowed, bias, keep, *, causal, scale, p):
    out = _heads_last(*q.shape[:3], v.shape[3], q)
    return out, _forward_into(out, q, k, v, allowed, bias, keep, causal, scale, p)


def _attention_gradients(g, q, k, v, allowed, bias, keep, lse, *, causal, scale, p):
    made = tuple(_heads_last(*x.shape, x) for x in (q, k, v))
    _backward_into(made, g, q, k, v, allowed, bias, keep, lse, causal, scale, p)
    return made


def probabilities(q, k, allowed, bias, *, causal, scale):
    """The softmax of the scores, (n, heads, queries, keys), composed of other ops."""
    scores = matmul(q, swap_last(k)) * scale
    if bias is not None:
        scores = scores + bias
    if allowed is not None:
        scores = where(allowed[:, None, None, :], scores, -np.inf)
    if causal:
        scores = where(np.tril(np.ones(scores.shape[2:], np.bool_)), scores, -np.inf)
    if not k.shape[2]:
        return scores
    # a query without a key has no softmax, and gives 0
    any_left = not_equal(amax(stop(scores), axes=(3,), keepdims=True), -np.inf)
    return where(any_left, softmax(where(any_left, scores, 0.0)), 0.0)


def _attention_reference(q, k, v, allowed, bias, keep, *, causal, scale, p):
    found = probabilities(q, k, allowed, bias, causal=causal, scale=scale)
    if keep is not None:
        found = found * (cast(keep, dtype=q.dtype) * _scales(scale, p)[1])
    return matmul(found, v)


def _parts(x, heads):
    """q, k and v in a projection (n, time, 3 * heads * d), as (n, heads, time, d)."""
    n, time, width = x.shape
    part = width // 3
    for i in range(3):
        one = x[:, :, i * part : (i + 1) * part].reshape(n, time, heads, part // heads)
        yield one.transpose(0, 2, 1, 3)


def _as_it_lies(x, width):
    """New memory (n, time, width), time first if x lies so."""
    n, time, _ = x.shape
    if x.strides[0] < x.strides[1]:
        return empty((time, n, width), x.dtype, x).transpose(1, 0, 2)
    return empty((n, time, width), x.dtype, x)


def _self_attention_forward(x, allowed, bias, keep, *, heads, causal, scale, p):
    x = _readable(x)
    n, time, width = x.shape
    out = _as_it_lies(x, width // 3)
    head = out.reshape(n, time, heads, width // 3 // heads).transpose(0, 2, 1, 3)
    return out, _forward_into(head, *_parts(x, heads), allowed, bias, keep, causal, scale, p)


def _self_attention_gradients(g, x, allowed, bias, keep, lse, *, heads, causal, scale, p):
    x, g = _readable(x), _readable(g)
    n, time, width = x.shape
    dx = _as_it_lies(x, width)
    g = g.reshape(n, time, heads, width // 3 // heads).transpose(0, 2, 1, 3)
    given = *_parts(x, heads), allowed, bias, keep, lse
    _backward_into(_parts(dx, heads), g, *given, causal, scale, p)
    return dx


def _self_attention_reference(x, allowed, bias, keep, *, heads, **attrs):
    n, time, width = x.shape
    split = reshape(x, shape=(n, time, 3, heads, width // 3 // heads))
    q, k, v = (transpose(split[:, :, i], axes=(0, 2, 1, 3)) for i in range(3))
    out = _attention_reference(q, k, v, allowed, bias, keep, **attrs)
    return reshape(transpose(out, axes=(0, 2, 1, 3)), shape=(n, time, width // 3))


attention_backward = Op("attention_backward", _attention_gradients)
attention = Op(
    "attention",
    _attention_forward,
    lambda g, node: attention_backward(g, *node.inputs, *node.saved, **node.attrs),
    _attention_reference,
    saves=True,
)
self_attention_backward = Op("self_attention_backward", _self_attention_gradients)
self_attention = Op(
    "self_attention",
    _self_attention_forward,
    (lambda g, node: self_attention_backward(g, *node.inputs, *node.saved, **node.attrs),),
    _self_attention_reference,
    saves=True,
)
