"""The elementwise half of a recurrent step; gates lie side by side in a row, in PyTorch's order.

    lstm   i, f, g, o:   c' = s(f) c + s(i) tanh(g),   h' = s(o) tanh(c')
    gru    r, z, n:      z = s(a_z + b_z),   h' = (1 - z) tanh(a_n + s(a_r + b_r) b_n) + z h

s is the sigmoid, a what the input gives to the gates and b what the state before gives. The
backward kernels compute the gates again.
"""

from ._jit import kernel
from .formulas import sigmoid, tanh

ROWS = {"split": "n", "block": 2048, "counts": ("n", "d")}


@kernel("gates[n,d] c[n,h] -> h_out[n,h] c_out[n,h]", **ROWS)
def lstm_cell(gates, c, h_out, c_out):
    """h' and c'."""
    size = c.shape[1]
    for row in range(c.shape[0]):
        i, f = gates[row, :size], gates[row, size : 2 * size]
        g, o = gates[row, 2 * size : 3 * size], gates[row, 3 * size :]
        before, memory, out = c[row], c_out[row], h_out[row]
        for j in range(size):
            memory[j] = sigmoid(f[j]) * before[j] + sigmoid(i[j]) * tanh(g[j])
            out[j] = sigmoid(o[j]) * tanh(memory[j])


@kernel("g_h[n,h] g_c[n,h] gates[n,d] c[n,h] c_out[n,h] -> d_gates[n,d] d_c[n,h]", **ROWS)
def lstm_cell_backward(g_h, g_c, gates, c, c_out, d_gates, d_c):
    """The gradients of the gates and of c from those of h' and c'."""
    size = c.shape[1]
    one = g_h.dtype.type(1)
    for row in range(c.shape[0]):
        i, f = gates[row, :size], gates[row, size : 2 * size]
        g, o = gates[row, 2 * size : 3 * size], gates[row, 3 * size :]
        d_i, d_f = d_gates[row, :size], d_gates[row, size : 2 * size]
        d_g, d_o = d_gates[row, 2 * size : 3 * size], d_gates[row, 3 * size :]
        before, memory, along, ahead, back = c[row], c_out[row], g_h[row], g_c[row], d_c[row]
        for j in range(size):
            open_i, open_f, open_o = sigmoid(i[j]), sigmoid(f[j]), sigmoid(o[j])
            new, shown = tanh(g[j]), tanh(memory[j])
            d = ahead[j] + along[j] * open_o * (one - shown * shown)
            d_i[j] = d * new * open_i * (one - open_i)
            d_f[j] = d * before[j] * open_f * (one - open_f)
            d_g[j] = d * open_i * (one - new * new)
            d_o[j] = along[j] * shown * open_o * (one - open_o)
            back[j] = d * open_f


@kernel("a[n,d] b[n,d] h[n,k] -> h_out[n,k]", **ROWS)
def gru_cell(a, b, h, h_out):
    """h'."""
    size = h.shape[1]
    for row in range(h.shape[0]):
        a_r, a_z, a_n = a[row, :size], a[row, size : 2 * size], a[row, 2 * size :]
        b_r, b_z, b_n = b[row, :size], b[row, size : 2 * size], b[row, 2 * size :]
        before, out = h[row], h_out[row]
        for j in range(size):
            new = tanh(a_n[j] + sigmoid(a_r[j] + b_r[j]) * b_n[j])
            out[j] = new + sigmoid(a_z[j] + b_z[j]) * (before[j] - new)


@kernel("g[n,k] a[n,d] b[n,d] h[n,k] -> d_a[n,d] d_b[n,d] d_h[n,k]", **ROWS)
def gru_cell_backward(g, a, b, h, d_a, d_b, d_h):
    """The gradients of a, b and h from that of h'."""
    size = h.shape[1]
    one = g.dtype.type(1)
    for row in range(h.shape[0]):
        a_r, a_z, a_n = a[row, :size], a[row, size : 2 * size], a[row, 2 * size :]
        b_r, b_z, b_n = b[row, :size], b[row, size : 2 * size], b[row, 2 * size :]
        da_r, da_z, da_n = d_a[row, :size], d_a[row, size : 2 * size], d_a[row, 2 * size :]
        db_r, db_z, db_n = d_b[row, :size], d_b[row, size : 2 * size], d_b[row, 2 * size :]
        before, along, back = h[row], g[row], d_h[row]
        for j in range(size):
            r, z = sigmoid(a_r[j] + b_r[j]), sigmoid(a_z[j] + b_z[j])
            new = tanh(a_n[j] + r * b_n[j])
            d_n = along[j] * (one - z) * (one - new * new)
            d_r = d_n * b_n[j] * r * (one - r)
            d_z = along[j] * (before[j] - new) * z * (one - z)
            da_r[j] = d_r
            db_r[j] = d_r
            da_z[j] = d_z
            db_z[j] = d_z
            da_n[j] = d_n
            db_n[j] = d_n * r
            back[j] = along[j] * z
