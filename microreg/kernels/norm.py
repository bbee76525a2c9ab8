"""Layer norm and root-mean-square norm over rows, forward and backward.

    layer norm    y = (x - mean) * rstd * weight + bias,    rstd = 1 / sqrt(var + eps)
    rms norm      y = x * rstd * weight,                    rstd = 1 / sqrt(mean(x^2) + eps)

var is biased (1/n).

Statistics are taken in two passes, corrected: with m near the mean, D = sum (x - m) and
Q = sum (x - m)^2, mean = m + D / n and var = (Q - D^2 / n) / n. The one-pass form E[x^2] - E[x]^2
would cancel when the mean is large beside the spread. Sums run in the element type over at most
SEGMENT entries and are added up in float64.

References
----------
Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance", Am. Statistician 37 (1983).
"""

import functools
import math

from ._jit import FAR, kernel, scalar

fast = functools.partial(scalar, fast=True)
SEGMENT = 4096


@fast
def sum_of(row):
    """The sum of a row, in float64."""
    total = 0.0
    for start in range(0, row.size, SEGMENT):
        part = row[start : start + SEGMENT]
        s = part.dtype.type(0)
        for j in range(part.size):
            s += part[j]
        total += float(s)
    return total


@fast
def spread(row, m):
    """(sum of x - m, sum of (x - m)^2) over a row, in float64."""
    first, second = 0.0, 0.0
    for start in range(0, row.size, SEGMENT):
        part = row[start : start + SEGMENT]
        d, q = type(m)(0), type(m)(0)
        for j in range(part.size):
            v = part[j] - m
            d += v
            q += v * v
        first += float(d)
        second += float(q)
    return first, second


@scalar
def _centred(v, m, low):
    """(v - m) - low, in this order: m + low would be rounded to m."""
    return (v - m) - low


@kernel("x[n,d] weight[d] bias[d] -> out[n,d] mean[n] rstd[n]; eps", split="n", far=FAR)
def layer_norm(x, weight, bias, out, mean, rstd, eps):
    """Each row with its own statistics."""
    d = x.shape[1]
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        near = type(eps)(sum_of(row) / d)
        first, second = spread(row, near)
        centre = float(near) + first / d
        r = type(eps)(1.0 / math.sqrt((second - first * first / d) / d + eps))
        m = type(eps)(centre)
        low = type(eps)(centre - float(m))  # what rounding the mean to float32 lost
        mean[i] = m
        rstd[i] = r
        for j in range(d):
            result[j] = _centred(row[j], m, low) * r * weight[j] + bias[j]


@kernel(
    "g[n,d] x[n,d] mean[n] rstd[n] weight[d] -> dx[n,d] dweight_partial[blocks,d] "
    "dbias_partial[blocks,d]",
    split="n",
    block=1 << 16,
    far=FAR,
)
def layer_norm_backward(g, x, mean, rstd, weight, dx, dweight_partial, dbias_partial):
    """dx = rstd * (h - mean(h) - x_hat * mean(h * x_hat)), h = g * weight; this block's sums."""
    n, d = x.shape
    dweight, dbias = dweight_partial[0], dbias_partial[0]
    for j in range(d):
        dweight[j] = 0
        dbias[j] = 0
    for i in range(n):
        row, gradient, result, m, r = x[i], g[i], dx[i], mean[i], rstd[i]
        sum_h, sum_hx = type(m)(0), type(m)(0)
        for j in range(d):
            along = gradient[j] * (row[j] - m)
            dbias[j] += gradient[j]
            dweight[j] += along * r
            sum_h += gradient[j] * weight[j]
            sum_hx += along * weight[j]
        mean_h = sum_h / type(m)(d)
        slope = sum_hx / type(m)(d) * r * r
        for j in range(d):
            result[j] = r * (gradient[j] * weight[j] - mean_h - (row[j] - m) * slope)


@kernel("x[n,d] weight[d] -> out[n,d] rstd[n]; eps", split="n", far=FAR)
def rms_norm(x, weight, out, rstd, eps):
    """Each row divided by its own root mean square."""
    d = x.shape[1]
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        _, square = spread(row, type(eps)(0))
        r = type(eps)(1.0 / math.sqrt(square / d + eps))
        rstd[i] = r
        for j in range(d):
            result[j] = row[j] * r * weight[j]


@kernel(
    "g[n,d] x[n,d] rstd[n] weight[d] -> dx[n,d] dweight_partial[blocks,d]",
    split="n",
    block=1 << 16,
    far=FAR,
)
def rms_norm_backward(g, x, rstd, weight, dx, dweight_partial):
    """dx = rstd * (h - x * rstd^2 * mean(h * x)), h = g * weight; this block's sums."""
    n, d = x.shape
    dweight = dweight_partial[0]
    for j in range(d):
        dweight[j] = 0
    for i in range(n):
        row, gradient, result, r = x[i], g[i], dx[i], rstd[i]
        total = type(r)(0)
        for j in range(d):
            along = gradient[j] * row[j]
            dweight[j] += along * r
            total += along * weight[j]
        slope = total / type(r)(d) * r * r
        for j in range(d):
            result[j] = r * (gradient[j] * weight[j] - row[j] * slope)
