"""Scaled dot-product attention."""

import math

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ops import attention as ops
from ..tensor import Tensor
from ._inputs import a_tensor, alike
from .elementwise import where
from .noise import _mask, _probability

WHO = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None
):
    """softmax(scale * query @ key^T + attn_mask) @ value.

    Parameters
    ----------
    query, key, value : Tensor
        (..., queries, d), (..., keys, d) and (..., keys, e), axes in front alike.
    attn_mask : Tensor, optional
        Broadcast to (..., queries, keys). bool: True where a key counts for a query; floating:
        added to the scores.
    dropout_p : float, default 0
        Probability with which an entry of the softmax is dropped, whether in training or not.
    is_causal : bool, default False
        Query i sees the keys up to i.
    scale : float, optional
        1 / sqrt(d) if left out.

    Notes
    -----
    A query for which no key counts gives 0.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NIPS 2017, equation 1.
    """
    q, k, v = alike(WHO, *(a_tensor(x, WHO) for x in (query, key, value)))
    ahead = q.shape[:-2]
    if (
        min(q.ndim, k.ndim, v.ndim) < 2
        or k.shape[:-2] != ahead
        or v.shape[:-1] != k.shape[:-1]
        or q.shape[-1] != k.shape[-1]
    ):
        raise ShapeError(
            f"{WHO}: expected query (..., queries, d), key (..., keys, d), value (..., keys, e), "
            f"got {q.shape}, {k.shape} and {v.shape}"
        )
    if attn_mask is not None and is_causal:
        raise ValueError(f"{WHO}: expected attn_mask or is_causal, got both")
    _probability(dropout_p, WHO)
    lead = ((1, *ahead) if len(ahead) < 2 else (math.prod(ahead[:-1]), ahead[-1]))[-2:]
    lead = lead if len(lead) == 2 else (1, 1)
    q4, k4, v4 = (x if x.ndim == 4 else x.reshape(*lead, *x.shape[-2:]) for x in (q, k, v))
    scores = *ahead, q.shape[-2], k.shape[-2]
    allowed, bias = masks(attn_mask, scores, lead, q.dtype)
    keep = _mask(q, (*lead, *scores[-2:]), dropout_p) if dropout_p else None
    attrs = {"causal": bool(is_causal), "p": float(dropout_p)}
    attrs["scale"] = q.shape[-1] ** -0.5 if scale is None else float(scale)
    out = attend(ops.attention, (q4, k4, v4), allowed, bias, keep, attrs)
    return out.reshape(*q.shape[:-1], v.shape[-1])


def attend(op, inputs, allowed, bias, keep, attrs):
    """A fused op of `ops.attention`; or its parts, where a gradient flows to the bias."""
    given = *inputs, allowed, bias, keep
    if bias is not None and bias.requires_grad:
        return op.reference(*given, **attrs)
    return Tensor.record(op, given, attrs)


def masks(mask, shape, lead, dtype):
    """(keys that count, what is added to scores) of a mask for scores of a shape, either None."""
    if mask is None:
        return None, None
    mask = mask if isinstance(mask, Tensor) else Tensor(mask)
    if mask.ndim > len(shape) or any(
        n not in (1, m) for n, m in zip(mask.shape[::-1], shape[::-1], strict=False)
    ):
        raise ShapeError(f"{WHO}: attn_mask: shape {mask.shape} does not broadcast to {shape}")
    mask = mask.reshape((1,) * (len(shape) - mask.ndim) + mask.shape)
    if len(shape) > 4:
        mask = mask.expand(*shape[:-2], *mask.shape[-2:]).reshape(*lead, *mask.shape[-2:])
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    n, keys = lead[0], shape[-1]
    if mask.dtype == np.bool_:
        if mask.shape[1:3] == (1, 1):
            return mask.reshape(mask.shape[0], -1).expand(n, keys), None
        return None, where(mask, Tensor(np.zeros((), dtype)), -math.inf)
    if mask.dtype.kind != "f":
        raise DTypeError(f"{WHO}: attn_mask: expected bool or floating, got {mask.dtype}")
    return None, mask.to(dtype)
