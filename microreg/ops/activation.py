"""Elementwise functions with kernels of their own, forward and backward."""

import numpy as np

from ..kernels import elementwise as kernels
from ..runtime import launch
from ._op import Op, as_float, dense
from .arithmetic import _data, exp


def _map(kernel):
    """An array function from a kernel "x[n] -> out[n]"."""

    def forward(x):
        x = dense(as_float(x))
        out = np.empty_like(x)
        launch(kernel, x.reshape(-1), out.reshape(-1))
        return out

    return forward


def _zip(kernel, g, x):
    """The kernel "g[n] x[n] -> dx[n]" on arrays of any one shape."""
    dx = np.empty(x.shape, x.dtype)
    launch(kernel, dense(g).reshape(-1), dense(x).reshape(-1), dx.reshape(-1))
    return dx


def _relu_vjp(g, node):
    return _zip(kernels.relu_backward, g, node.out)


def _tanh_vjp(g, node):
    return _zip(kernels.tanh_backward, g, node.out)


def _sigmoid_vjp(g, node):
    return _zip(kernels.sigmoid_backward, g, node.out)


def _gelu_vjp(g, node):
    return _zip(kernels.gelu_backward, g, node.inputs[0])


def _relu_reference(x):
    return x * (_data(x) > 0)


def _tanh_reference(x):
    return 2.0 / (1.0 + exp(-2.0 * x)) - 1.0


def _sigmoid_reference(x):
    return 1.0 / (1.0 + exp(-x))


def _gelu_reference(x):
    return 0.5 * x * (1.0 + erf(x * 0.5**0.5))


relu = Op("relu", _map(kernels.relu), (_relu_vjp,), _relu_reference)
tanh = Op("tanh", _map(kernels.tanh), (_tanh_vjp,), _tanh_reference)
sigmoid = Op("sigmoid", _map(kernels.sigmoid), (_sigmoid_vjp,), _sigmoid_reference)
gelu = Op("gelu", _map(kernels.gelu), (_gelu_vjp,), _gelu_reference)
erf = Op(
    "erf",
    _map(kernels.erf),
    (lambda g, node: g * 1.1283791670955126 * exp(-node.inputs[0] * node.inputs[0]),),
)


def _softplus(x):
    return np.logaddexp(x, x.dtype.type(0))


softplus = Op("softplus", _softplus, (lambda g, node: g * sigmoid(node.inputs[0]),))
