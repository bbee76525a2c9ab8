"""Batch norm over channels, forward and backward; see `norm.py` for the statistics of a block.

    y = (x - mean) * scale + shift,   scale = weight * rstd,   rstd = 1 / sqrt(var + eps)

x is (n, c), channels side by side, or (n, c, s), s positions for each row and channel. Blocks of
rows are merged in order, so that the result does not depend on the number of threads:

    delta = mean_b - mean,   M2 <- M2 + M2_b + delta^2 n n_b / (n + n_b)

References
----------
Ioffe, Szegedy, "Batch Normalization", ICML 2015. Chan, Golub, LeVeque, "Updating Formulae and a
Pairwise Algorithm for Computing Sample Variances", 1979.
"""

import math

from ._jit import FAR, kernel
from .norm import fast, spread, sum_of
from .reduce import add_rows

FEW = 8  # rows whose mean is the first guess
CHUNK = 64  # rows that are added up in the element type
BLOCK = 1 << 17  # elements in a block of rows: what is read twice is still in the cache then


@fast
def _add_spread(x, m, first, second, sums):
    """sums += sums of x[i, j] - m[j] and of its square; first, second: memory to work in."""
    for start in range(0, x.shape[0], CHUNK):
        rows = x[start : start + CHUNK]
        for j in range(m.size):
            first[j] = 0
            second[j] = 0
        fours = rows.shape[0] // 4
        for i in range(fours):
            r = rows[4 * i : 4 * i + 4]
            for j in range(m.size):
                a, b, c, d = r[0, j] - m[j], r[1, j] - m[j], r[2, j] - m[j], r[3, j] - m[j]
                first[j] += (a + b) + (c + d)
                second[j] += (a * a + b * b) + (c * c + d * d)
        for i in range(4 * fours, rows.shape[0]):
            row = rows[i]
            for j in range(m.size):
                d = row[j] - m[j]
                first[j] += d
                second[j] += d * d
        for j in range(m.size):
            sums[0, j] += float(first[j])
            sums[1, j] += float(second[j])


@kernel("x[n,c] -> partial:float64[blocks,2,c] work[blocks,3,c]", split="n", block=BLOCK, far=FAR)
def column_stats(x, partial, work):
    """partial[b] = mean, and sum of squared deviations, of each column in block b.

    Deviations are taken from the mean of the first rows, and once more from the mean found then
    if it turns out so far away that digits of the variance were lost.
    """
    n, c = x.shape
    m, sums = work[0, 0], partial[0]
    add_rows(x[:FEW], m)
    for j in range(c):
        m[j] = m[j] / type(m[j])(min(n, FEW))
    for _ in range(2):
        for j in range(c):
            sums[0, j] = 0.0
            sums[1, j] = 0.0
        _add_spread(x, m, work[0, 1], work[0, 2], sums)
        far = 0
        for j in range(c):
            d = sums[0, j]
            sums[0, j] = float(m[j]) + d / n
            sums[1, j] -= d * d / n
            m[j] = type(m[j])(sums[0, j])
            far += 1 if d * d / n > 4.0 * sums[1, j] else 0
        if far == 0:
            break


@kernel("x[n,c,s] -> partial:float64[blocks,2,c]", split="n", block=BLOCK)
def image_stats(x, partial):
    """partial[b] = mean, and sum of squared deviations, of each channel in block b."""
    n, c, s = x.shape
    count = n * s
    for j in range(c):
        total = 0.0
        for i in range(n):
            total += sum_of(x[i, j])
        near = x.dtype.type(total / count)
        first, second = 0.0, 0.0
        for i in range(n):
            d, q = spread(x[i, j], near)
            first += d
            second += q
        partial[0, 0, j] = float(near) + first / count
        partial[0, 1, j] = second - first * first / count


@kernel(
    "weight[c] bias[c] -> partial:float64[b,2,c] mean[c] rstd[c] scale[c] shift[c] "
    "running_mean[r] running_var[r] tracked:int64[t]; per_block:int64 count:int64 eps momentum"
)
def merge_stats(
    weight, bias, partial, mean, rstd, scale, shift, running_mean, running_var, tracked,
    per_block, count, eps, momentum,
):  # fmt: skip
    """Merge blocks of `per_block` values a channel (fewer in the last) into statistics of `count`.

    The running statistics (of length 0 if there are none) move by momentum, the running variance
    towards the unbiased one; a momentum below 0 stands for 1 / the number of batches so far.
    `partial` is used up.
    """
    centre, square = partial[0, 0], partial[0, 1]
    done = min(per_block, count)
    for b in range(1, partial.shape[0]):
        new = min(per_block, count - done)
        share = new / (done + new)
        mean_b, square_b = partial[b, 0], partial[b, 1]
        for j in range(mean.size):
            delta = mean_b[j] - centre[j]
            centre[j] += delta * share
            square[j] += square_b[j] + delta * delta * (done * share)
        done += new
    for j in range(mean.size):
        r = 1.0 / math.sqrt(square[j] / count + eps)
        mean[j] = centre[j]
        rstd[j] = r
        s = type(eps)(r * float(weight[j]))
        scale[j] = s
        shift[j] = float(bias[j]) - (centre[j] - float(mean[j])) * float(s)  # mean[j] is rounded
    for t in range(tracked.size):
        tracked[t] += 1
    moves = float(momentum)
    if momentum < 0 and tracked.size > 0:
        moves = 1.0 / tracked[0]
    for j in range(running_mean.size):
        running_mean[j] += moves * (centre[j] - running_mean[j])
        running_var[j] += moves * (square[j] / (count - 1) - running_var[j])


@kernel("x[n,c] mean[c] scale[c] shift[c] -> out[n,c]", split="n", far=FAR)
def column_apply(x, mean, scale, shift, out):
    """out = (x - mean) * scale + shift."""
    for i in range(x.shape[0]):
        row, result = x[i], out[i]
        for j in range(row.size):
            result[j] = (row[j] - mean[j]) * scale[j] + shift[j]


@kernel("x[n,c,s] mean[c] scale[c] shift[c] -> out[n,c,s]", split="n", far=FAR)
def image_apply(x, mean, scale, shift, out):
    """out = (x - mean) * scale + shift."""
    n, c, s = x.shape
    for i in range(n):
        for j in range(c):
            row, result = x[i, j], out[i, j]
            m, a, b = mean[j], scale[j], shift[j]
            for k in range(s):
                result[k] = (row[k] - m) * a + b


@kernel(
    "g[n,c] x[n,c] mean[c] -> partial:float64[blocks,2,c] work[blocks,2,c]",
    split="n",
    block=BLOCK,
    far=FAR,
)
def column_sums(g, x, mean, partial, work):
    """partial[b] = (sum g, sum g * (x - mean)) of each column in block b."""
    total, along, sums = work[0, 0], work[0, 1], partial[0]
    for j in range(mean.size):
        sums[0, j] = 0.0
        sums[1, j] = 0.0
    for start in range(0, x.shape[0], CHUNK):
        rows, gradients = x[start : start + CHUNK], g[start : start + CHUNK]
        for j in range(mean.size):
            total[j] = 0
            along[j] = 0
        fours = rows.shape[0] // 4
        for i in range(fours):
            r, h = rows[4 * i : 4 * i + 4], gradients[4 * i : 4 * i + 4]
            for j in range(mean.size):
                m = mean[j]
                total[j] += (h[0, j] + h[1, j]) + (h[2, j] + h[3, j])
                along[j] += (h[0, j] * (r[0, j] - m) + h[1, j] * (r[1, j] - m)) + (
                    h[2, j] * (r[2, j] - m) + h[3, j] * (r[3, j] - m)
                )
        for i in range(4 * fours, rows.shape[0]):
            row, one = rows[i], gradients[i]
            for j in range(mean.size):
                total[j] += one[j]
                along[j] += one[j] * (row[j] - mean[j])
        for j in range(mean.size):
            sums[0, j] += float(total[j])
            sums[1, j] += float(along[j])


@fast
def _along(g, x, m):
    """(sum of g, sum of g * (x - m)) over a row."""
    total, along = type(m)(0), type(m)(0)
    for k in range(x.size):
        total += g[k]
        along += g[k] * (x[k] - m)
    return total, along


@kernel("g[n,c,s] x[n,c,s] mean[c] -> partial:float64[blocks,2,c]", split="n", block=BLOCK)
def image_sums(g, x, mean, partial):
    """partial[b] = (sum g, sum g * (x - mean)) of each channel in block b."""
    n, c, _ = x.shape
    for j in range(c):
        total, along = 0.0, 0.0
        for i in range(n):
            t, a = _along(g[i, j], x[i, j], mean[j])
            total += float(t)
            along += float(a)
        partial[0, 0, j] = total
        partial[0, 1, j] = along


@kernel(
    "rstd[c] weight[c] -> partial:float64[b,2,c] dweight[c] dbias[c] scale[c] slope[c] shift[c]; "
    "count:int64"
)
def merge_sums(rstd, weight, partial, dweight, dbias, scale, slope, shift, count):
    """dweight, dbias, and dx = scale * g + slope * (x - mean) + shift. `partial` is used up."""
    total, along = partial[0, 0], partial[0, 1]
    for b in range(1, partial.shape[0]):
        total_b, along_b = partial[b, 0], partial[b, 1]
        for j in range(rstd.size):
            total[j] += total_b[j]
            along[j] += along_b[j]
    for j in range(rstd.size):
        r = float(rstd[j])
        a = float(weight[j]) * r
        dbias[j] = total[j]
        dweight[j] = along[j] * r
        scale[j] = a
        slope[j] = -a * r * r * along[j] / count
        shift[j] = -a * total[j] / count


@kernel("g[n,c] x[n,c] mean[c] scale[c] slope[c] shift[c] -> dx[n,c]", split="n", far=FAR)
def column_backward(g, x, mean, scale, slope, shift, dx):
    """dx = scale * g + slope * (x - mean) + shift."""
    for i in range(x.shape[0]):
        h, row, result = g[i], x[i], dx[i]
        for j in range(row.size):
            result[j] = scale[j] * h[j] + (slope[j] * (row[j] - mean[j]) + shift[j])


@kernel("g[n,c,s] x[n,c,s] mean[c] scale[c] slope[c] shift[c] -> dx[n,c,s]", split="n", far=FAR)
def image_backward(g, x, mean, scale, slope, shift, dx):
    """dx = scale * g + slope * (x - mean) + shift."""
    n, c, s = x.shape
    for i in range(n):
        for j in range(c):
            h, row, result = g[i, j], x[i, j], dx[i, j]
            m, a, b, e = mean[j], scale[j], slope[j], shift[j]
            for k in range(s):
                result[k] = a * h[k] + (b * (row[k] - m) + e)
