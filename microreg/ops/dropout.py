"""Dropout: a mask of random bits, and its application."""

import numpy as np

from ..kernels import random as kernels
from ..runtime import launch
from ..runtime.remote import empty
from ._elementwise import in_memory
from ._op import Op


def _keep_forward(*, shape, p, state):
    mask = empty(shape, np.uint8, state)
    launch(kernels.keep_mask, state, mask, p)
    return mask


def _mask_forward(x, mask, *, p):
    scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0

    def function(x, mask):
        out = empty(x.shape, x.dtype, x)
        launch(kernels.apply_mask, x, mask, out, scale)
        return out

    return in_memory(function)(x, mask)


keep_mask = Op("keep_mask", _keep_forward)
apply_mask: Op = Op(
    "apply_mask", _mask_forward, (lambda g, node: apply_mask(g, node.inputs[1], **node.attrs),)
)
