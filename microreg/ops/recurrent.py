"""The elementwise half of a recurrent step, fused; what is multiplied by weights is outside."""

from ..errors import ShapeError
from ..kernels import recurrent as kernels
from ..runtime import launch
from ..runtime.remote import dense, empty
from ._op import Op
from .activation import sigmoid, tanh


def _check(who, gates, state, times):
    n, h = state.shape
    if gates.shape != (n, times * h):
        raise ShapeError(f"{who}: expected gates ({n}, {times * h}), got {gates.shape}")


def _lstm_forward(gates, c):
    _check("lstm_cell", gates, c, 4)
    h_out, c_out = (empty(c.shape, c.dtype, c) for _ in range(2))
    launch(kernels.lstm_cell, dense(gates), dense(c), h_out, c_out)
    return h_out, c_out


def _lstm_gradients(g_h, g_c, gates, c, c_out):
    d_gates, d_c = empty(gates.shape, gates.dtype, gates), empty(c.shape, c.dtype, c)
    given = map(dense, (g_h, g_c, gates, c, c_out))
    launch(kernels.lstm_cell_backward, *given, d_gates, d_c)
    return d_gates, d_c


def _parts(x, count):
    """The gates that lie side by side."""
    size = x.shape[1] // count
    return [x[:, i * size : (i + 1) * size] for i in range(count)]


def _lstm_reference(gates, c):
    i, f, g, o = _parts(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru_forward(a, b, h):
    _check("gru_cell", a, h, 3)
    _check("gru_cell", b, h, 3)
    out = empty(h.shape, h.dtype, h)
    launch(kernels.gru_cell, dense(a), dense(b), dense(h), out)
    return out


def _gru_gradients(g, a, b, h):
    out = tuple(empty(x.shape, x.dtype, x) for x in (a, b, h))
    launch(kernels.gru_cell_backward, *map(dense, (g, a, b, h)), *out)
    return out


def _gru_reference(a, b, h):
    (a_r, a_z, a_n), (b_r, b_z, b_n) = _parts(a, 3), _parts(b, 3)
    new = tanh(a_n + sigmoid(a_r + b_r) * b_n)
    return new + sigmoid(a_z + b_z) * (h - new)


lstm_cell_backward = Op("lstm_cell_backward", _lstm_gradients)
lstm_cell = Op(
    "lstm_cell",
    _lstm_forward,
    lambda g, node: lstm_cell_backward(*g, *node.inputs, node.out[1]),
    _lstm_reference,
)
gru_cell_backward = Op("gru_cell_backward", _gru_gradients)
gru_cell = Op(
    "gru_cell", _gru_forward, lambda g, node: gru_cell_backward(g, *node.inputs), _gru_reference
)
