"""Activations."""

from ..ops import activation
from ..tensor import Tensor
from ._inputs import a_tensor


def relu(input):
    """max(x, 0). The gradient at 0 is 0."""
    return Tensor.record(activation.relu, (a_tensor(input, "relu"),), {})


def tanh(input):
    """The hyperbolic tangent."""
    return Tensor.record(activation.tanh, (a_tensor(input, "tanh"),), {})


def sigmoid(input):
    """1 / (1 + exp(-x))."""
    return Tensor.record(activation.sigmoid, (a_tensor(input, "sigmoid"),), {})


def softplus(input):
    """log(1 + exp(x))."""
    x = a_tensor(input, "softplus")
    return Tensor.record(activation.softplus, (x if x.dtype.kind == "f" else x.float(),), {})


def gelu(input, approximate="none"):
    """x * Phi(x), Phi the normal distribution function; "tanh" uses its tanh approximation.

    tanh form: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).

    References
    ----------
    Hendrycks, Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.
    """
    x = a_tensor(input, "gelu")
    x = x if x.dtype.kind == "f" else x.float()
    if approximate == "none":
        return Tensor.record(activation.gelu, (x,), {})
    if approximate != "tanh":
        raise ValueError(f"gelu(approximate={approximate!r}): expected 'none' or 'tanh'")
    inner = (x + x * x * x * 0.044715) * 0.7978845608028654
    return x * 0.5 * (inner.tanh() + 1.0)


def softmax(input, dim):
    """exp(x) / sum(exp(x)) along `dim`."""
    return input.softmax(dim)


def log_softmax(input, dim):
    """x - log(sum(exp(x))) along `dim`."""
    return input.log_softmax(dim)
