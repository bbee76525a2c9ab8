"""How each kind of layer is made smaller: one rule for each, from features to features.

Features are numbered along one axis: the units of a Linear, the channels of an image. `constants`
are their values where they are the same for every input, NaN where they move. A rule answers

    out(d)                      how many features it makes of d
    constants(c)                the constants it makes of constants
    needs(c, needed)            the features that it must be given so that it can make these
    makes(keep)                 the features it makes when given these, or None: any that are wanted
    cut(c, keep, keep_out)      the smaller layer

and names the number of `features` it takes and the `axis` along which, None if any will do.
"""

import copy

import numpy as np

from .. import nn
from ..grad_mode import no_grad
from ..nn.utils.parametrize import is_parametrized, remove_parametrizations
from ..tensor import Tensor
from .kinds import ACTIVATIONS, NOISE
from .parts import LayerNormOfPart, kept


class Each:
    """A layer that makes each feature of itself alone, by the same function."""

    features: int | None = None
    axis: int | None = None
    axis_out: int | None = None

    def __init__(self, layer):
        self.layer = layer

    def out(self, d):
        return d

    def constants(self, c):
        with no_grad():
            return self.layer(Tensor(c)).data

    def needs(self, c, needed):
        return needed

    def makes(self, keep):
        return keep

    def cut(self, c, keep, keep_out):
        return copy.deepcopy(self.layer)


class Same(Each):
    """A layer that leaves constants as they are in evaluation."""

    def constants(self, c):
        return c


class Pool(Same):
    """Windows over each channel; those that reach over the edge count no padding."""

    axis = axis_out = 1


class Flatten(Each):
    """Joins the positions of each channel to its features; `ratio` positions a channel."""

    ratio = 1

    def out(self, d):
        return d * self.ratio

    def constants(self, c):
        return np.repeat(c, self.ratio)

    def needs(self, c, needed):
        return needed.reshape(-1, self.ratio).any(axis=1)

    def makes(self, keep):
        return np.repeat(keep, self.ratio)


class Weighted(Each):
    """Linear and convolutions: y[o] = sum_i weight[o, i] * x[i] + bias[o].

    A constant input goes into the bias. Beside the padding of a convolution it is seen as an edge,
    which no bias can show: there one constant channel stays and carries the others' weights.
    """

    def __init__(self, layer):
        super().__init__(layer)
        weight = layer.weight.data.astype(np.float64)
        self.weight = weight.reshape(*weight.shape[:2], -1)
        self.features = weight.shape[1]
        self.axis = self.axis_out = -1 if weight.ndim == 2 else 1
        padding = getattr(layer, "padding", 0)
        self.padded = padding == "same" or (padding != "valid" and np.any(padding))
        self.reads = (self.weight != 0).any(axis=2)

    def out(self, d):
        return len(self.weight)

    def _edges(self, c):
        """The constant inputs that a bias cannot stand for."""
        return ~np.isnan(c) & (c != 0) if self.padded else np.zeros(len(c), bool)

    def constants(self, c):
        moves = np.isnan(c) | self._edges(c)
        out = self.weight.sum(axis=2) @ np.where(moves, 0.0, c)
        if self.layer.bias is not None:
            out += self.layer.bias.data
        out[self.reads[:, moves].any(axis=1)] = np.nan
        return out

    def needs(self, c, needed):
        read = self.reads[needed].any(axis=0)
        wanted, edges = read & np.isnan(c), read & self._edges(c)
        if edges.any():
            wanted[np.argmax(np.where(edges, np.abs(c), 0))] = True
        return wanted

    def makes(self, keep):
        return None

    def cut(self, c, keep, keep_out):
        weight, layer = self.weight, copy.deepcopy(self.layer)
        folded = ~keep & ~np.isnan(c) & (c != 0)
        shift = np.zeros(len(weight))
        if self.padded and self.reads[keep_out][:, folded].any():
            carrier = np.argmax(np.where(keep & self._edges(c), np.abs(c), 0))
            weight = weight.copy()
            weight[:, carrier] += weight[:, folded].transpose(0, 2, 1) @ (c[folded] / c[carrier])
        else:
            shift = weight[:, folded].sum(axis=2) @ c[folded]
        old, shape = layer.weight, layer.weight.shape[2:]
        weight = weight[keep_out][:, keep].reshape(keep_out.sum(), keep.sum(), *shape)
        layer.weight = nn.Parameter(weight.astype(old.dtype), old.requires_grad)
        shift = shift[keep_out]
        if layer.bias is not None:
            bias = kept(layer.bias, keep_out)
            bias.data[...] = bias.data + shift
            layer.bias = bias
        elif shift.any():
            layer.bias = nn.Parameter(shift.astype(old.dtype), old.requires_grad)
        names = ("out_features", "in_features") if not shape else ("out_channels", "in_channels")
        for name, size in zip(names, layer.weight.shape, strict=False):
            setattr(layer, name, size)
        return layer


class BatchNorm(Each):
    """In evaluation y[j] = weight[j] * (x[j] - mean[j]) / sqrt(var[j] + eps) + bias[j]."""

    def __init__(self, layer):
        super().__init__(layer)
        self.features = layer.num_features
        if isinstance(layer, (nn.BatchNorm2d, nn.GhostBatchNorm2d)):
            self.axis = self.axis_out = 1

    def constants(self, c):
        layer = self.layer
        if layer.running_mean is None:
            y = c * 0.0  # a constant is its own mean
        else:
            var = layer.running_var.data.astype(np.float64)
            y = (c - layer.running_mean.data) / np.sqrt(var + layer.eps)
        if layer.weight is None:
            return y
        weight = layer.weight.data.astype(np.float64)
        return np.where(weight == 0, 0.0, y * weight) + layer.bias.data

    def cut(self, c, keep, keep_out):
        layer = copy.deepcopy(self.layer)
        layer.num_features = int(keep.sum())
        for name in ("weight", "bias", "running_mean", "running_var"):
            if getattr(layer, name) is not None:
                setattr(layer, name, kept(getattr(layer, name), keep))
        return layer


class LayerNorm(Each):
    """A feature can go if it is constant and nothing reads what becomes of it.

    Whatever moves counts in the mean and the variance of its row.
    """

    axis = axis_out = -1

    def __init__(self, layer):
        super().__init__(layer)
        (self.features,) = layer.normalized_shape

    def constants(self, c):
        layer = self.layer
        if not np.isnan(c).any():
            with no_grad():
                return copy.deepcopy(layer).double()(Tensor(c[None])).data[0]
        if layer.weight is None:
            return np.full(len(c), np.nan)
        bias = 0.0 if layer.bias is None else layer.bias.data.astype(np.float64)
        return np.where(layer.weight.data == 0, bias, np.nan)

    def needs(self, c, needed):
        return needed | np.isnan(c)

    def cut(self, c, keep, keep_out):
        if keep.all():
            return copy.deepcopy(self.layer)
        return LayerNormOfPart(self.layer, keep, c[~keep])


RULES: dict[type, type[Each]] = {
    nn.Linear: Weighted,
    nn.Conv1d: Weighted,
    nn.Conv2d: Weighted,
    nn.BatchNorm1d: BatchNorm,
    nn.BatchNorm2d: BatchNorm,
    nn.GhostBatchNorm1d: BatchNorm,
    nn.GhostBatchNorm2d: BatchNorm,
    nn.LayerNorm: LayerNorm,
    nn.MaxPool1d: Pool,
    nn.MaxPool2d: Pool,
    nn.AdaptiveAvgPool1d: Pool,
    nn.AdaptiveAvgPool2d: Pool,
    nn.Flatten: Flatten,
    nn.Identity: Same,
    **dict.fromkeys(NOISE, Same),
    **dict.fromkeys(ACTIVATIONS, Each),
}


def plain(layer):
    """A copy whose computed weights (weight_norm, spectral_norm) are parameters of its own."""
    made = copy.deepcopy(layer).eval()
    for name in list(made.parametrizations):
        remove_parametrizations(made, name)
    return made.train(layer.training)


def rule(layer):
    """The rule for a layer, or None: then all its inputs are needed and all its outputs move."""
    made = RULES.get(type(layer))
    if made and is_parametrized(layer):
        layer = plain(layer)
    if made is Weighted and (
        getattr(layer, "groups", 1) != 1 or getattr(layer, "padding_mode", "zeros") != "zeros"
    ):
        return None
    if made is LayerNorm and len(layer.normalized_shape) != 1:
        return None
    if made is Flatten and (layer.start_dim, layer.end_dim) != (1, -1):
        return None
    return made and made(layer)
