"""Multi-head attention and the Transformer encoder."""

import copy
import math

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from ..errors import DTypeError, ShapeError
from ..functional import where
from ..functional.attention import attend
from ..functional.noise import _mask
from ..ops import attention as ops
from ..tensor import Tensor
from . import init
from .container import ModuleList
from .linear import Linear, _positive
from .module import Module, Parameter
from .noise import Dropout
from .normalization import LayerNorm


class MultiheadAttention(Module):
    """Attention of several heads, each on a projection of its own, projected back together.

        out = W_o concat_h(softmax(Q_h K_h^T / sqrt(d)) V_h) + b_o,   Q = query W_q^T + b_q, ...

    Parameters
    ----------
    embed_dim, num_heads : int
        The length of queries and outputs, and how many heads of d = embed_dim / num_heads it has.
    dropout : float, default 0
        Probability with which an entry of the softmax is dropped in training.
    bias : bool, default True
        Whether the projections have biases.
    kdim, vdim : int, optional
        The lengths of keys and values; embed_dim if left out.
    batch_first : bool, default False
        Whether inputs and output are (n, time, ...) instead of (time, n, ...).

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NIPS 2017, section 3.2.
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        *,
        kdim=None,
        vdim=None,
        batch_first=False,
        dtype=None,
    ):
        super().__init__()
        _positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention(embed_dim={embed_dim}, num_heads={num_heads}): expected a "
                "multiple of num_heads"
            )
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"MultiheadAttention(dropout={dropout}): expected a probability")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, float(dropout)
        self.batch_first, self.head_dim = batch_first, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        dtype = dtype or get_default_dtype()

        def empty(*shape):
            return Parameter(np.empty(shape, dtype))

        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = empty(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = empty(embed_dim, embed_dim)
            self.k_proj_weight = empty(embed_dim, self.kdim)
            self.v_proj_weight = empty(embed_dim, self.vdim)
        self.register_parameter("in_proj_bias", empty(3 * embed_dim) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self):
        """PyTorch's start: input projections Xavier uniform, biases zero."""
        for name, parameter in self.named_parameters(recurse=False):
            (init.zeros_ if name == "in_proj_bias" else init.xavier_uniform_)(parameter)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """(output, weights); weights None unless need_weights, which costs a slower way.

        Parameters
        ----------
        query, key, value : Tensor
            (time, n, ...), (n, time, ...) with batch_first, or (time, ...) for a single sequence.
        key_padding_mask : Tensor, optional
            (n, keys); bool: True for keys that do not count; floating: added to the scores.
        attn_mask : Tensor, optional
            (queries, keys) or (n * num_heads, queries, keys); bool: True where a key does not count
            for a query; floating: added to the scores.
        average_attn_weights : bool, default True
            Weights (n, queries, keys), averaged over the heads, or (n, num_heads, queries, keys).
        is_causal : bool, default False
            Query i sees the keys up to i; takes the place of attn_mask.
        """
        single, same = query.ndim == 2, query is key and key is value
        if single:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = _tensor(key_padding_mask).unsqueeze(0)
        time_first = not self.batch_first and not single
        self._check(query, key, value, 1 if time_first else 0)
        bias = self.in_proj_bias
        if same and self.kdim == self.vdim == self.embed_dim:
            inputs = (F.linear(query, self.in_proj_weight, bias),)
        else:
            inputs = self._projected(query, key, value)
        if time_first:
            inputs = tuple(x.transpose(0, 1) for x in inputs)
        n, queries, keys = len(inputs[0]), inputs[0].shape[1], inputs[-1].shape[1]
        scores = n, self.num_heads, queries, keys
        attn_mask = None if is_causal else attn_mask
        allowed, added = self._masks(key_padding_mask, attn_mask, scores, query.dtype)
        p = self.dropout if self.training else 0.0
        keep = _mask(query, scores, p) if p else None
        attrs = {"causal": bool(is_causal), "scale": self.head_dim**-0.5}
        weights = None
        if need_weights:
            q, k, v = self._heads(inputs)
            weights = ops.probabilities(q, k, allowed, added, **attrs)
            if keep is not None:
                weights = weights * (keep.to(weights.dtype) * (1.0 / (1.0 - p) if p < 1.0 else 0.0))
            out = (weights @ v).transpose(1, 2).reshape(n, queries, self.embed_dim)
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights[0] if single else weights
        elif len(inputs) == 1:
            attrs |= {"heads": self.num_heads, "p": p}
            out = attend(ops.self_attention, inputs, allowed, added, keep, attrs)
        else:
            attrs["p"] = p
            out = attend(ops.attention, self._heads(inputs), allowed, added, keep, attrs)
            out = out.transpose(1, 2).reshape(n, queries, self.embed_dim)
        out = self.out_proj(out.transpose(0, 1) if time_first else out)
        return (out[0] if single else out), weights

    def _check(self, query, key, value, batch):
        widths = self.embed_dim, self.kdim, self.vdim
        given = query, key, value
        fits = all(x.ndim == 3 and x.shape[2] == w for x, w in zip(given, widths, strict=True))
        if not fits or key.shape[:2] != value.shape[:2] or query.shape[batch] != key.shape[batch]:
            order = "(n, time, ...)" if batch == 0 else "(time, n, ...)"
            raise ShapeError(
                f"MultiheadAttention(embed_dim={self.embed_dim}): expected query, key and value "
                f"{order}, the last axes of {widths}, got {query.shape}, {key.shape} and "
                f"{value.shape}"
            )

    def _projected(self, query, key, value):
        """q, k and v."""
        e, bias = self.embed_dim, self.in_proj_bias
        if self.kdim == self.vdim == e:
            weights = [self.in_proj_weight[i * e : (i + 1) * e] for i in range(3)]
        else:
            weights = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        biases = [None if bias is None else bias[i * e : (i + 1) * e] for i in range(3)]
        return tuple(map(F.linear, (query, key, value), weights, biases))

    def _heads(self, inputs):
        """q, k and v, each (n, heads, time, head_dim), from them or from one that holds all."""
        if len(inputs) == 1:
            e = self.embed_dim
            inputs = [inputs[0][:, :, i * e : (i + 1) * e] for i in range(3)]
        shape = self.num_heads, self.head_dim
        return [x.reshape(*x.shape[:2], *shape).transpose(1, 2) for x in inputs]

    def _masks(self, padding, mask, shape, dtype):
        """(keys that count, what is added to the scores), either None."""
        n, heads, queries, keys = shape
        allowed, added = None, None
        if padding is not None:
            padding = _tensor(padding)
            if padding.shape != (n, keys):
                raise ShapeError(
                    f"MultiheadAttention: key_padding_mask: expected shape {(n, keys)}, got "
                    f"{padding.shape}"
                )
            if padding.dtype == np.bool_:
                allowed = padding == 0
            else:
                added = _floating(padding, "key_padding_mask", dtype).reshape(n, 1, 1, keys)
        if mask is not None:
            mask = _tensor(mask)
            if mask.shape not in ((queries, keys), (n * heads, queries, keys)):
                raise ShapeError(
                    f"MultiheadAttention: attn_mask: expected shape {(queries, keys)} or "
                    f"{(n * heads, queries, keys)}, got {mask.shape}"
                )
            if mask.dtype == np.bool_:
                mask = where(mask, -math.inf, Tensor(np.zeros((), dtype)))
            mask = _floating(mask, "attn_mask", dtype)
            mask = mask.reshape(*(shape[:2] if mask.ndim == 3 else (1, 1)), queries, keys)
            added = mask if added is None else added + mask
        return allowed, added

    def extra_repr(self):
        return f"{self.embed_dim}, {self.num_heads}"


def _tensor(mask):
    return mask if isinstance(mask, Tensor) else Tensor(mask)


def _floating(mask, name, dtype):
    if mask.dtype.kind != "f":
        raise DTypeError(f"MultiheadAttention: {name}: expected bool or floating, got {mask.dtype}")
    return mask.to(dtype)


class TransformerEncoderLayer(Module):
    """Self-attention, then a network of two linear layers on each token, both residual.

        norm_first=False    x = norm1(x + attention(x)),   y = norm2(x + network(x))
        norm_first=True     x = x + attention(norm1(x)),   y = x + network(norm2(x))

    with network(x) = linear2(activation(linear1(x))), and dropout of attention weights, of both
    branches and behind the activation.

    Parameters
    ----------
    d_model, nhead : int
        Length of a token, and number of heads.
    dim_feedforward : int, default 2048
        Units between linear1 and linear2.
    dropout : float, default 0.1
    activation : "relu", "gelu" or a function of a tensor
    layer_norm_eps : float, default 1e-5
    batch_first, norm_first : bool, default False
    bias : bool, default True
        Of linear layers and norms.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NIPS 2017. Xiong et al., "On Layer Normalization in
    the Transformer Architecture", ICML 2020, for norm_first.
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation="relu",
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        dtype=None,
    ):
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        known = {"relu": F.relu, "gelu": F.gelu}
        if not callable(activation) and activation not in known:
            raise ValueError(
                f"TransformerEncoderLayer(activation={activation!r}): expected 'relu', 'gelu' or a "
                "function"
            )
        self.activation = activation if callable(activation) else known[activation]

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        """The tokens src, changed; masks as in `MultiheadAttention.forward`."""
        given = src_mask, src_key_padding_mask, is_causal
        if self.norm_first:
            x = src + self._attention(self.norm1(src), *given)
            return x + self._network(self.norm2(x))
        x = self.norm1(src + self._attention(src, *given))
        return self.norm2(x + self._network(x))

    def _attention(self, x, mask, padding, causal):
        out, _ = self.self_attn(
            x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=causal
        )
        return self.dropout1(out)

    def _network(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoder(Module):
    """Copies of a TransformerEncoderLayer one after the other, then a norm if one is given.

    enable_nested_tensor and mask_check choose among PyTorch's ways to the same numbers; here there
    is one.
    """

    def __init__(
        self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True
    ):
        super().__init__()
        _positive("TransformerEncoder", num_layers=num_layers)
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers, self.norm = num_layers, norm

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=False):
        """The tokens src, changed by every layer; masks as in `MultiheadAttention.forward`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)
