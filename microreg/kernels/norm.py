"""Layer norm over rows and batch norm over channels, forward and backward.

    y = (x - mean) * rstd * weight + bias,    rstd = 1 / sqrt(var + eps),    var biased (1/n)

Statistics are taken in two passes, mean first, and summed in float64: the one-pass form
E[x^2] - E[x]^2 cancels when the mean is large beside the spread. Batch norm sees x as (n, c, s), s
positions for each row and channel, and merges blocks of rows in order:

    delta = mean_b - mean,   M2 <- M2 + M2_b + delta^2 n n_b / (n + n_b)

(Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
1979), so that the result does not depend on the number of threads.
"""

import math

from ._jit import kernel


@kernel("x[n,d] weight[d] bias[d] -> out[n,d] mean[n] rstd[n]; eps", split="n")
def layer_norm(x, weight, bias, out, mean, rstd, eps):
    """Each row with its own statistics."""
    d = x.shape[1]
    for i in range(x.shape[0]):
        total = 0.0
        for j in range(d):
            total += x[i, j]
        centre = total / d
        m = type(eps)(centre)
        low = type(eps)(centre - m)  # what rounding the mean to float32 lost
        square = 0.0
        for j in range(d):
            square += (x[i, j] - centre) ** 2
        r = type(eps)(1.0 / math.sqrt(square / d + eps))
        mean[i] = m
        rstd[i] = r
        for j in range(d):
            out[i, j] = ((x[i, j] - m) - low) * r * weight[j] + bias[j]


@kernel(
    "g[n,d] x[n,d] mean[n] rstd[n] weight[d] -> dx[n,d] dweight_partial[blocks,d] "
    "dbias_partial[blocks,d]",
    split="n",
)
def layer_norm_backward(g, x, mean, rstd, weight, dx, dweight_partial, dbias_partial):
    """dx = rstd * (h - mean(h) - x_hat * mean(h * x_hat)), h = g * weight, and this block's sums."""
    d = x.shape[1]
    for j in range(d):
        dweight_partial[0, j] = 0
        dbias_partial[0, j] = 0
    for i in range(x.shape[0]):
        m, r = mean[i], rstd[i]
        sum_h = type(m)(0)
        sum_hx = type(m)(0)
        for j in range(d):
            hat = (x[i, j] - m) * r
            h = g[i, j] * weight[j]
            sum_h += h
            sum_hx += h * hat
        mean_h, mean_hx = sum_h / type(m)(d), sum_hx / type(m)(d)
        for j in range(d):
            hat = (x[i, j] - m) * r
            dx[i, j] = r * (g[i, j] * weight[j] - mean_h - hat * mean_hx)
            dweight_partial[0, j] += g[i, j] * hat
            dbias_partial[0, j] += g[i, j]


@kernel("x[n,c,s] -> partial:float64[blocks,c,2]", split="n")
def batch_norm_stats(x, partial):
    """partial[b, j] = (mean, sum of squared deviations) of channel j in block b."""
    n, c, s = x.shape
    for j in range(c):
        partial[0, j, 0] = 0.0
        partial[0, j, 1] = 0.0
    for i in range(n):
        for j in range(c):
            total = 0.0
            for k in range(s):
                total += x[i, j, k]
            partial[0, j, 0] += total
    for j in range(c):
        partial[0, j, 0] /= n * s
    for i in range(n):
        for j in range(c):
            m = partial[0, j, 0]
            square = 0.0
            for k in range(s):
                square += (x[i, j, k] - m) ** 2
            partial[0, j, 1] += square


@kernel("partial:float64[b,c,2] -> mean[c] var[c] rstd[c]; per_block:int64 count:int64 eps")
def merge_stats(partial, mean, var, rstd, per_block, count, eps):
    """Merge blocks of `per_block` values a channel (fewer in the last) into statistics of `count`."""
    for j in range(mean.size):
        done = 0
        centre, square = 0.0, 0.0
        for b in range(partial.shape[0]):
            new = min(per_block, count - done)
            delta = partial[b, j, 0] - centre
            whole = done + new
            centre += delta * new / whole
            square += partial[b, j, 1] + delta * delta * done * new / whole
            done = whole
        mean[j] = centre
        var[j] = square / count
        rstd[j] = 1.0 / math.sqrt(square / count + eps)


@kernel("x[n,c,s] mean[c] rstd[c] weight[c] bias[c] -> out[n,c,s]", split="n")
def batch_norm_apply(x, mean, rstd, weight, bias, out):
    """out = (x - mean) * rstd * weight + bias."""
    n, c, s = x.shape
    for i in range(n):
        for j in range(c):
            scale = rstd[j] * weight[j]
            for k in range(s):
                out[i, j, k] = (x[i, j, k] - mean[j]) * scale + bias[j]


@kernel("g[n,c,s] x[n,c,s] mean[c] rstd[c] -> partial:float64[blocks,c,2]", split="n")
def batch_norm_backward_partial(g, x, mean, rstd, partial):
    """partial[b, j] = (sum g, sum g * x_hat) of channel j in block b."""
    n, c, s = x.shape
    for j in range(c):
        partial[0, j, 0] = 0.0
        partial[0, j, 1] = 0.0
    for i in range(n):
        for j in range(c):
            total, along = 0.0, 0.0
            for k in range(s):
                total += g[i, j, k]
                along += g[i, j, k] * ((x[i, j, k] - mean[j]) * rstd[j])
            partial[0, j, 0] += total
            partial[0, j, 1] += along


@kernel(
    "g[n,c,s] x[n,c,s] mean[c] rstd[c] weight[c] dweight[c] dbias[c] -> dx[n,c,s]; count:int64",
    split="n",
)
def batch_norm_backward(g, x, mean, rstd, weight, dweight, dbias, dx, count):
    """dx = weight * rstd * (g - dbias / count - x_hat * dweight / count)."""
    n, c, s = x.shape
    for i in range(n):
        for j in range(c):
            scale = weight[j] * rstd[j]
            shift = dbias[j] / type(scale)(count)
            slope = dweight[j] / type(scale)(count)
            for k in range(s):
                hat = (x[i, j, k] - mean[j]) * rstd[j]
                dx[i, j, k] = scale * (g[i, j, k] - shift - hat * slope)
