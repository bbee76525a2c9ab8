"""Layers that only a compacted network has."""

import numpy as np

from ..nn import LayerNorm, Module
from ..tensor import Tensor


class Select(Module):
    """Passes on some of the features: y = x[:, index], or x[..., index] with axis -1."""

    def __init__(self, index, axis=1):
        super().__init__()
        self.axis = axis
        self.register_buffer("index", Tensor(np.asarray(index, np.int64)))

    def forward(self, input):
        index = self.index.data
        return input[..., index] if self.axis == -1 else input[:, index]

    def extra_repr(self):
        return f"{len(self.index)} features, axis={self.axis}"


class LayerNormOfPart(LayerNorm):
    """LayerNorm over features of which some are the same for every row and are left out.

    y[i, j] = weight[j] * (x[i, j] - mean_i) / sqrt(var_i + eps) + bias[j]

    mean and var are those of all features: the `constants` count as if they were there.
    """

    def __init__(self, layer, keep, constants):
        super().__init__(int(keep.sum()), layer.eps, elementwise_affine=False)
        for name in ("weight", "bias"):
            if getattr(layer, name) is not None:
                setattr(self, name, kept(getattr(layer, name), keep))
        self.number, self.centre = len(constants), float(np.mean(constants))
        self.spread = float(((constants - self.centre) ** 2).sum())

    def forward(self, input):
        total = input.shape[-1] + self.number
        mean = (input.sum(-1, keepdim=True) + self.number * self.centre) / total
        x = input - mean
        apart = self.number * (self.centre - mean) ** 2
        var = ((x * x).sum(-1, keepdim=True) + apart + self.spread) / total
        y = x * (var + self.eps) ** -0.5
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias

    def extra_repr(self):
        return f"{super().extra_repr()}, {self.number} constants"


def kept(tensor, keep, axis=0):
    """A tensor or parameter like this one of the kept entries along an axis."""
    made = type(tensor)(np.ascontiguousarray(tensor.data.compress(keep, axis)))
    return made.requires_grad_(tensor.requires_grad)
