"""What is drawn at random in a step: masks and their application, normal numbers, mixtures."""

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


def _normal_forward(*, shape, dtype, state):
    out = empty(shape, dtype, state)
    launch(kernels.normal, state, out)
    return out


def _logistic_forward(*, shape, dtype, state):
    out = empty(shape, dtype, state)
    launch(kernels.logistic, state, out)
    return out


def _beta_forward(*, a, dtype, state):
    out = empty((), dtype, state)
    launch(kernels.beta, state, out, a)
    return out


def _order_forward(*, n, state):
    out = empty((n,), np.int64, state)
    launch(kernels.shuffle, state, out)
    return out


normal = Op("normal", _normal_forward)
logistic = Op("logistic", _logistic_forward)
beta = Op("beta", _beta_forward)
order = Op("order", _order_forward)
keep_mask = Op("keep_mask", _keep_forward)
apply_mask: Op = Op(
    "apply_mask", _mask_forward, (lambda g, node: apply_mask(g, node.inputs[1], **node.attrs),)
)
