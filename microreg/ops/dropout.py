"""Dropout: the mask is drawn again in the backward pass from the same counter, never stored."""

import numpy as np

from ..kernels import random as kernels
from ..runtime import launch
from ._op import Op, dense


def _dropout_forward(x, *, p, state):
    x = dense(x)
    out = np.empty_like(x)
    launch(kernels.dropout, x.reshape(-1), state, out.reshape(-1), p)
    return out


def _dropout_vjp(g, node):
    return dropout(g, **node.attrs)  # linear in x: the same mask, applied to g


dropout = Op("dropout", _dropout_forward, (_dropout_vjp,))
