"""Norms by the statistics of channels over a batch, or over one image of it."""

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from ..errors import ShapeError
from ..functional.normalization import batch_renorm, batch_statistics_norm
from ..tensor import Tensor
from .linear import _positive
from .module import Module, Parameter
from .normalization import number_of

Takes = tuple[tuple[int, ...], str]
ROWS: Takes = (2, 3), "(n, num_features) or (n, num_features, length)"
IMAGES: Takes = (4,), "(n, num_features, h, w)"


class _ChannelNorm(Module):
    """Weight, bias and running statistics for each channel; `axes` says which inputs it takes."""

    axes: tuple[int, ...] = ()
    expected = ""
    statistics = ("running_mean", 0), ("running_var", 1)

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
        who = type(self).__name__
        self.num_features, self.eps = num_features, number_of(who, "eps", eps)
        self.momentum = None if momentum is None else number_of(who, "momentum", momentum, 1.0)
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter(
            "weight", Parameter(np.ones(num_features, dtype)) if affine else None
        )
        self.register_parameter(
            "bias", Parameter(np.zeros(num_features, dtype)) if affine else None
        )
        for name, start in self.statistics:
            held = Tensor(np.full(num_features, start, dtype)) if track_running_stats else None
            self.register_buffer(name, held)
        count = Tensor(np.zeros((), np.int64)) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self):
        """The statistics as they start: mean 0, variance 1, no batch counted."""
        for name, value in (*self.statistics, ("num_batches_tracked", 0)):
            if getattr(self, name) is not None:
                getattr(self, name).data[...] = value

    def reset_parameters(self):
        """Weight 1, bias 0, statistics as they start."""
        self.reset_running_stats()
        if self.affine:
            self.weight.data[...] = 1
            self.bias.data[...] = 0

    def check(self, input):
        """Raise unless x has the channels and axes that this norm takes; who says so."""
        who = f"{type(self).__name__}(num_features={self.num_features})"
        if input.ndim not in self.axes or input.shape[1] != self.num_features:
            raise ShapeError(f"{who}: expected x {self.expected}, got {input.shape}")
        return who

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, input):
        who = self.check(input)
        if not self.training and self.running_mean is not None:
            running = self.running_mean, self.running_var
            return F.batch_norm(input, *running, self.weight, self.bias, eps=self.eps)
        kept = (self.running_mean, self.running_var) if self.training else (None, None)
        tracked = self.num_batches_tracked if self.training else None
        return self.standardize(
            input, *kept, self.weight, self.bias, self.momentum, self.eps, who, tracked
        )

    def standardize(self, *arguments):
        """What happens by the statistics of the batch."""
        return batch_statistics_norm(*arguments)


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

    axes, expected = ROWS


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: statistics per channel over n, height and width.

    Shapes
    ------
    x (n, num_features, h, w) -> y of the same shape.
    """

    axes, expected = IMAGES


class GhostBatchNorm1d(_BatchNorm):
    """BatchNorm1d over small parts of the batch, each with its own statistics.

    In training the batch is cut into parts of virtual_batch_size rows, a last part of one row
    staying with the one before; the running statistics move once for each part. The noise of small
    batches regularizes, whatever the size of the batch. In evaluation it is BatchNorm1d.

    References
    ----------
    Hoffer, Hubara, Soudry, "Train longer, generalize better", NeurIPS 2017, algorithm 1.
    """

    axes, expected = ROWS

    def __init__(self, num_features, virtual_batch_size=32, **options):
        super().__init__(num_features, **options)
        _positive(type(self).__name__, virtual_batch_size=virtual_batch_size)
        self.virtual_batch_size = virtual_batch_size

    def standardize(self, input, *arguments):
        size, n = self.virtual_batch_size, len(input)
        starts = list(range(0, n, size))
        if len(starts) > 1 and n - starts[-1] == 1:
            starts.pop()
        ends = [*starts[1:], n]
        parts = [input[a:b] for a, b in zip(starts, ends, strict=True)]
        return F.cat([super(GhostBatchNorm1d, self).standardize(x, *arguments) for x in parts])


class GhostBatchNorm2d(GhostBatchNorm1d):
    """GhostBatchNorm1d for images (n, num_features, h, w)."""

    axes, expected = IMAGES


class BatchRenorm1d(_ChannelNorm):
    """Batch norm whose training output is that of the running statistics, up to clipping.

        y = ((x - mean) / std * r + d) * weight + bias,   std = sqrt(var + eps)
        r = clip(std / running_std, 1/r_max, r_max),      d = clip((mean - running_mean) /
                                                              running_std, -d_max, d_max)

    with the batch's mean and biased var; r and d count as constants for the gradient. Afterwards
    running_mean and running_std move towards mean and std by `momentum`. With r_max = 1 and d_max =
    0 it is batch norm; in evaluation y = (x - running_mean) / running_std * weight + bias.

    References
    ----------
    Ioffe, "Batch Renormalization", NeurIPS 2017, algorithm 1.
    """

    axes, expected = ROWS
    statistics = ("running_mean", 0), ("running_std", 1)

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, r_max=3.0, d_max=5.0, dtype=None
    ):
        super().__init__(num_features, eps, momentum, affine, dtype=dtype)
        if not (r_max >= 1.0 and d_max >= 0.0):
            raise ValueError(
                f"{type(self).__name__}(r_max={r_max}, d_max={d_max}): expected r_max of at least "
                "1 and d_max of at least 0"
            )
        self.r_max, self.d_max = float(r_max), float(d_max)

    def forward(self, input):
        who = self.check(input)
        if self.training:
            self.num_batches_tracked.copy_(self.num_batches_tracked + 1)
        return batch_renorm(
            input, self.running_mean, self.running_std, self.weight, self.bias, self.training,
            self.momentum, self.eps, self.r_max, self.d_max, who,
        )  # fmt: skip


class BatchRenorm2d(BatchRenorm1d):
    """BatchRenorm1d for images (n, num_features, h, w)."""

    axes, expected = IMAGES


class InstanceNorm1d(_ChannelNorm):
    """Standardise each channel of each sample; see `functional.instance_norm`.

    By default without weight and bias, and without running statistics, which evaluation would use.

    Shapes
    ------
    x (n, num_features, length) or (num_features, length) -> y of the same shape.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky, "Instance Normalization", arXiv:1607.08022.
    """

    axes, expected = (3,), "(n, num_features, length) or (num_features, length)"

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        dtype=None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, input):
        if input.ndim == self.axes[0] - 1:
            return self.forward(input[None])[0]
        self.check(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        return F.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, momentum, self.eps,
        )  # fmt: skip


class InstanceNorm2d(InstanceNorm1d):
    """InstanceNorm1d for images (n, num_features, h, w) or (num_features, h, w)."""

    axes, expected = (4,), "(n, num_features, h, w) or (num_features, h, w)"
