"""Dropout: the mask is drawn again in the backward pass from the same counter, never stored."""

from ..kernels import random as kernels
from ..runtime import launch
from ..runtime.remote import empty
from ._op import Op, flat


def _dropout_forward(x, *, p, state):
    out = empty(x.shape, x.dtype, x)
    launch(kernels.dropout, flat(x), state, out.reshape(-1), p)
    return out


def _dropout_vjp(g, node):
    return dropout(g, **node.attrs)  # linear in x: the same mask, applied to g


dropout: Op = Op("dropout", _dropout_forward, (_dropout_vjp,))
