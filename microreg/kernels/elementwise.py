"""Elementwise functions: out[i] = formula(x[i]), and dx[i] = formula(g[i], y[i]) for gradients.

    relu      max(v, 0)                          g where out > 0
    tanh      tanh v                             g (1 - out^2)
    sigmoid   1 / (1 + e^-v)                     g out (1 - out)
    gelu      v Phi(v), Phi(v) = (1 + erf(v / sqrt 2)) / 2      g (Phi(v) + v phi(v))

phi(v) = e^(-v^2/2) / sqrt(2 pi) is the normal density, Phi its integral.
"""

from . import vecmath
from ._jit import kernel, scalar


def _named(name, body):
    body.__name__ = name
    return body


def _map(name, formula):
    """The kernel out[i] = formula(x[i])."""

    def body(x, out):
        for i in range(x.size):
            out[i] = formula(x[i])

    return kernel("x[n] -> out[n]", split="n")(_named(name, body))


def _gradient(name, formula, saved):
    """The kernel dx[i] = formula(g[i], y[i]); y is what the forward pass kept, `x` or `out`."""

    def of_x(g, x, dx):
        for i in range(dx.size):
            dx[i] = formula(g[i], x[i])

    def of_out(g, out, dx):
        for i in range(dx.size):
            dx[i] = formula(g[i], out[i])

    body = of_x if saved == "x" else of_out
    return kernel(f"g[n] {saved}[n] -> dx[n]", split="n")(_named(name, body))


@scalar
def relu_1(v):
    """max(v, 0), written so that NaN stays NaN."""
    return type(v)(0) if v <= type(v)(0) else v


@scalar
def gelu_1(v):
    """v Phi(v)."""
    return v * vecmath.normal_cdf(v)


@scalar
def relu_slope(g, out):
    """g where out > 0."""
    return type(g)(0) if out <= type(g)(0) else g


@scalar
def tanh_slope(g, out):
    """g (1 - out^2)."""
    return g * (type(g)(1) - out * out)


@scalar
def sigmoid_slope(g, out):
    """g out (1 - out)."""
    return g * out * (type(g)(1) - out)


@scalar
def gelu_slope(g, x):
    """g (Phi(x) + x phi(x))."""
    return g * vecmath.gelu_slope(x)


relu = _map("relu", relu_1)
exp = _map("exp", vecmath.exp)
log = _map("log", vecmath.log)
tanh = _map("tanh", vecmath.tanh)
sigmoid = _map("sigmoid", vecmath.sigmoid)
erf = _map("erf", vecmath.erf)
gelu = _map("gelu", gelu_1)
relu_backward = _gradient("relu_backward", relu_slope, "out")
tanh_backward = _gradient("tanh_backward", tanh_slope, "out")
sigmoid_backward = _gradient("sigmoid_backward", sigmoid_slope, "out")
gelu_backward = _gradient("gelu_backward", gelu_slope, "x")
