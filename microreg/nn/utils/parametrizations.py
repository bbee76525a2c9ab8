"""Weights by direction and length, with spectral norm 1, or with connections dropped."""

from ...errors import ShapeError
from ...functional import dropout
from ...grad_mode import no_grad
from ...random import generator
from ...tensor import Tensor
from ..module import Module
from .parametrize import register_parametrization


def weight_norm(module, name="weight", dim=0):
    """Reparametrize a weight as g * v / |v|, g = original0 and v = original1.

    Lengths are taken over all axes but `dim`, that is for each output; over all axes if it is None.
    The gradient for v is orthogonal to v.

    References
    ----------
    Salimans, Kingma, "Weight Normalization", NeurIPS 2016, equations 2 and 3.
    """
    return register_parametrization(module, name, _WeightNorm(dim))


class _WeightNorm(Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def _length(self, v):
        if self.dim is None:
            return (v * v).sum().sqrt()
        keep = self.dim % v.ndim
        return (v * v).sum([i for i in range(v.ndim) if i != keep], keepdim=True).sqrt()

    def forward(self, g, v):
        return v * (g / self._length(v))

    def right_inverse(self, weight):
        return self._length(weight), weight


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide a weight by its largest singular value, estimated by power iteration.

        u <- W v / |W v|,   v <- W^T u / |W^T u|,   sigma = u^T W v

    W is the weight as a matrix whose rows run along axis `dim` (0 if left out). In training the
    buffers u and v are improved by n_power_iterations at each use; in evaluation they stay. They
    are constants for the gradient.

    References
    ----------
    Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for GANs", ICLR 2018, algorithm 1.
    """
    weight = getattr(module, name)
    made = _SpectralNorm(weight.detach(), n_power_iterations, eps, 0 if dim is None else dim)
    return register_parametrization(module, name, made)


class _SpectralNorm(Module):
    def __init__(self, weight, n_power_iterations, eps, dim):
        super().__init__()
        if weight.ndim < 2:
            raise ShapeError(f"spectral_norm: expected at least two axes, got {weight.shape}")
        if not isinstance(n_power_iterations, int) or n_power_iterations < 1:
            raise ValueError(
                f"spectral_norm(n_power_iterations={n_power_iterations!r}): expected a positive "
                "integer"
            )
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim % weight.ndim
        for vector, size in zip(("_u", "_v"), self._matrix(weight).shape, strict=True):
            start = Tensor(generator().normal(size=size).astype(weight.dtype))
            self.register_buffer(vector, self._unit(start))
        self._iterate(weight, 15)

    def _matrix(self, weight):
        order = self.dim, *(i for i in range(weight.ndim) if i != self.dim)
        return weight.permute(order).reshape(weight.shape[self.dim], -1)

    def _unit(self, x):
        return x / (x * x).sum().sqrt().clamp(min=self.eps)

    def _iterate(self, weight, times):
        with no_grad():
            matrix, u, v = self._matrix(weight), self._u, self._v
            for _ in range(times):
                u = self._unit(matrix @ v)
                v = self._unit(matrix.T @ u)
            self._u.copy_(u)
            self._v.copy_(v)

    def forward(self, weight):
        if self.training:
            self._iterate(weight, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / (u * (self._matrix(weight) @ v)).sum()


class DropConnect(Module):
    """In training each entry is 0 with probability p, else divided by 1 - p.

    As a parametrization of a weight it drops connections:

        nn.utils.parametrize.register_parametrization(layer, "weight", nn.DropConnect(0.3))

    References
    ----------
    Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of Neural Networks using DropConnect", ICML
    2013.
    """

    def __init__(self, p=0.5):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"DropConnect(p={p}): expected a probability from 0 to 1")
        self.p = p

    def forward(self, weight):
        return dropout(weight, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}"
