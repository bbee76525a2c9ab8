"""Named functions on tensors, with PyTorch's names, argument order and defaults.

`import microreg.nn.functional as F` gives these too.
"""

from .activation import gelu, log_softmax, relu, sigmoid, softmax, softplus, tanh
from .loss import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from .noise import dropout
from .normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from .products import conv2d, linear, max_pool2d
from .shape import cat, maximum, minimum, stack, where

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cat",
    "conv2d",
    "cross_entropy",
    "dropout",
    "gelu",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool2d",
    "maximum",
    "minimum",
    "mse_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "softmax",
    "softplus",
    "stack",
    "tanh",
    "where",
]
