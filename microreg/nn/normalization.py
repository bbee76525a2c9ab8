"""Batch norm and layer norm."""

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from ..errors import ShapeError
from ..functional.normalization import batch_statistics_norm
from ..tensor import Tensor
from .linear import _positive
from .module import Module, Parameter


class _BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share; `axes` says which inputs they take."""

    axes: tuple[int, ...] = ()
    expected = ""

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        dtype=None,
    ):
        super().__init__()
        _positive(type(self).__name__, num_features=num_features)
        dtype = dtype or get_default_dtype()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter(
            "weight", Parameter(np.ones(num_features, dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(np.zeros(num_features, dtype)) if affine else None
        )
        keep = track_running_stats
        self.register_buffer(
            "running_mean", Tensor(np.zeros(num_features, dtype)) if keep else None
        )
        self.register_buffer("running_var", Tensor(np.ones(num_features, dtype)) if keep else None)
        self.register_buffer(
            "num_batches_tracked", Tensor(np.zeros((), np.int64)) if keep else None
        )

    def reset_parameters(self):
        """Weight 1, bias 0, running mean 0, running variance 1."""
        starts = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}
        for name, value in {**starts, "num_batches_tracked": 0}.items():
            if getattr(self, name) is not None:
                getattr(self, name).data[...] = value

    def forward(self, input):
        who = f"{type(self).__name__}(num_features={self.num_features})"
        if input.ndim not in self.axes or input.shape[1] != self.num_features:
            raise ShapeError(f"{who}: expected x {self.expected}, got {input.shape}")
        if not self.training and self.running_mean is not None:
            running = self.running_mean, self.running_var
            return F.batch_norm(input, *running, self.weight, self.bias, eps=self.eps)
        kept = (self.running_mean, self.running_var) if self.training else (None, None)
        tracked = self.num_batches_tracked if self.training else None
        return batch_statistics_norm(
            input, *kept, self.weight, self.bias, self.momentum, self.eps, who, tracked
        )

    def extra_repr(self):
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Standardise each feature over the batch, then scale and shift it.

    y[i, j] = weight[j] * (x[i, j] - mean_j) / sqrt(var_j + eps) + bias[j]

    In training, mean and (biased) variance are those of the batch, and the running ones move by
    running = (1 - momentum) * running + momentum * batch, the batch variance being the unbiased one
    there. In evaluation the running ones are used.

    Parameters
    ----------
    num_features : int
        Channels: the length of axis 1.
    eps : float, default 1e-5
        Added to the variance under the root.
    momentum : float or None, default 0.1
        The weight of the new batch (Keras calls 1 minus this momentum); None averages all batches.
    affine : bool, default True
        Whether there are weight and bias.
    track_running_stats : bool, default True
        Without running statistics the batch's are used in evaluation too.

    Shapes
    ------
    x (n, num_features) or (n, num_features, length) -> y of the same shape.

    Raises
    ------
    ShapeError
        In training, if there is only one value per channel.

    References
    ----------
    Ioffe, Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2.
    """

    axes, expected = (2, 3), "(n, num_features) or (n, num_features, length)"


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: statistics per channel over n, height and width.

    Shapes
    ------
    x (n, num_features, h, w) -> y of the same shape.
    """

    axes, expected = (4,), "(n, num_features, h, w)"


class LayerNorm(Module):
    """Standardise each row, then scale and shift it per feature.

    y[i, j] = weight[j] * (x[i, j] - mean_i) / sqrt(var_i + eps) + bias[j]

    Depends on nothing but the row: a batch of one and sequences of any length give the same.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        The trailing axes that make up a row.
    eps : float, default 1e-5
        Added to the biased variance under the root.
    elementwise_affine : bool, default True
        Whether there are weight and bias.
    bias : bool, default True
        Whether there is a bias beside the weight.

    Shapes
    ------
    x (..., *normalized_shape) -> y of the same shape; weight, bias (*normalized_shape).

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, dtype=None):
        super().__init__()
        one = isinstance(normalized_shape, (int, np.integer))
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        for size in self.normalized_shape:
            _positive("LayerNorm", normalized_shape=size)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        dtype = dtype or get_default_dtype()
        shape = self.normalized_shape
        weighted, shifted = elementwise_affine, elementwise_affine and bias
        self.register_parameter("weight", Parameter(np.ones(shape, dtype)) if weighted else None)
        self.register_parameter("bias", Parameter(np.zeros(shape, dtype)) if shifted else None)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}"
