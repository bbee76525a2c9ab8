"""Activations. `inplace` is accepted and changes nothing: the input stays as it was."""

from ..ops import activation as ops
from ..tensor import Tensor
from ._inputs import a_tensor, floats, method

tanh = method("tanh")
sigmoid = method("sigmoid")
softmax = method("softmax")
log_softmax = method("log_softmax")


def relu(input, inplace=False):
    """max(x, 0). The gradient at 0 is 0."""
    return a_tensor(input, "relu").relu()


def relu6(input, inplace=False):
    """min(max(x, 0), 6). The gradient at 0 and at 6 is 0."""
    return hardtanh(a_tensor(input, "relu6"), 0, 6)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x between min_val and max_val, and the nearer of them elsewhere, there with gradient 0."""
    x = a_tensor(input, "hardtanh")
    if not min_val < max_val:
        raise ValueError(f"hardtanh({min_val}, {max_val}): expected min_val below max_val")
    if x.dtype.kind != "f":
        return x.clamp(int(min_val), int(max_val))
    return Tensor.record(ops.hardtanh, (x,), {"min": float(min_val), "max": float(max_val)})


def hardsigmoid(input, inplace=False):
    """x / 6 + 1/2 between -3 and 3, 0 below and 1 above."""
    return hardtanh(floats(input, "hardsigmoid") / 6.0 + 0.5, 0.0, 1.0)


def hardswish(input, inplace=False):
    """x * hardsigmoid(x).

    References
    ----------
    Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """
    return Tensor.record(ops.hardswish, (floats(input, "hardswish"),), {})


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x above 0, negative_slope * x elsewhere."""
    x = floats(input, "leaky_relu")
    return x.where(x > 0, x * negative_slope)


def elu(input, alpha=1.0, inplace=False):
    """x above 0, alpha * (e^x - 1) elsewhere.

    References
    ----------
    Clevert, Unterthiner, Hochreiter, "Fast and Accurate Deep Network Learning by Exponential
    Linear Units", arXiv:1511.07289.
    """
    x = floats(input, "elu")
    if alpha == 1.0:
        return Tensor.record(ops.elu, (x,), {})
    return elu(x.clamp(max=0.0)) * alpha + x.relu()


def selu(input, inplace=False):
    """1.0507 * elu(x, 1.6733): the numbers that keep mean 0 and variance 1.

    References
    ----------
    Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.
    """
    return elu(floats(input, "selu"), 1.6732632423543772) * 1.0507009873554805


def celu(input, alpha=1.0, inplace=False):
    """x above 0, alpha * (e^(x / alpha) - 1) elsewhere: smooth for every alpha."""
    x = floats(input, "celu")
    if not alpha > 0:
        raise ValueError(f"celu(alpha={alpha}): expected a number above 0")
    return elu(x) if alpha == 1.0 else elu(x / alpha) * alpha


def silu(input, inplace=False):
    """x * sigmoid(x)."""
    return Tensor.record(ops.silu, (floats(input, "silu"),), {})


def mish(input, inplace=False):
    """x * tanh(softplus(x))."""
    x = floats(input, "mish")
    return x * softplus(x).tanh()


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; x where beta * x is above a threshold other than 20."""
    x = floats(input, "softplus")
    scaled = x if beta == 1.0 else x * beta
    out = Tensor.record(ops.softplus, (scaled,), {})
    out = out if beta == 1.0 else out / beta
    return out if threshold == 20.0 else x.where(scaled > threshold, out)


def softsign(input):
    """x / (1 + |x|)."""
    x = floats(input, "softsign")
    return x / (abs(x) + 1.0)


def logsigmoid(input):
    """log(sigmoid(x)), without overflow."""
    return -softplus(-floats(input, "logsigmoid"))


def gelu(input, approximate="none"):
    """x * Phi(x), Phi the normal distribution function; "tanh" uses its tanh approximation.

    tanh form: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).

    References
    ----------
    Hendrycks, Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.
    """
    x = floats(input, "gelu")
    if approximate == "none":
        return Tensor.record(ops.gelu, (x,), {})
    if approximate != "tanh":
        raise ValueError(f"gelu(approximate={approximate!r}): expected 'none' or 'tanh'")
    inner = (x + x * x * x * 0.044715) * 0.7978845608028654
    return x * 0.5 * (inner.tanh() + 1.0)


def softmin(input, dim, dtype=None):
    """softmax(-x) along `dim`."""
    return (-a_tensor(input, "softmin")).softmax(dim, dtype)


def normalize(input, p=2.0, dim=1, eps=1e-12):
    """x / max(norm, eps), the p-norm along `dim`."""
    x = floats(input, "normalize")
    return x / x.norm(p, dim, True).clamp(min=float(eps))
