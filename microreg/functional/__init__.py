"""Named functions on tensors, with PyTorch's names, argument order and defaults.

`import microreg.nn.functional as F` gives these too.
"""

from .activation import gelu, log_softmax, relu, sigmoid, softmax, softplus, tanh
from .attention import scaled_dot_product_attention
from .embedding import embedding
from .loss import (
    binary_cross_entropy_with_logits,
    confidence_penalty,
    cross_entropy,
    mse_loss,
)
from .noise import (
    alpha_dropout,
    drop_path,
    dropout,
    dropout1d,
    dropout2d,
    gaussian_noise,
    hard_concrete,
    mixup,
)
from .normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from .products import conv2d, linear, max_pool2d
from .shape import cat, maximum, minimum, stack, unbind, where

__all__ = [
    "alpha_dropout",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cat",
    "confidence_penalty",
    "conv2d",
    "cross_entropy",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "embedding",
    "gaussian_noise",
    "gelu",
    "group_norm",
    "hard_concrete",
    "instance_norm",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool2d",
    "maximum",
    "minimum",
    "mixup",
    "mse_loss",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "softmax",
    "softplus",
    "stack",
    "tanh",
    "unbind",
    "where",
]
