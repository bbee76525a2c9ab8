"""Functions of a matrix's singular values, from scalar formulas.

With W = sum_i sigma_i a_i b_i^T, a_i and b_i orthonormal:

    spectral_map(f)    out = sum_i f(sigma_i, *params) a_i b_i^T
    spectral_prox(f)   the same with f(sigma_i, step, *params)
    spectral_sum(f)    sum_i f(sigma_i, *params)

The matrix is taken with its shorter side as rows, in float64. Jacobi's one-sided method turns pairs
of rows until all are orthogonal; the rows are sigma_i b_i then, exact relative to their own length
however short they are. One thread.

References
----------
Demmel, Veselic, "Jacobi's Method is More Accurate than QR", SIAM J. Matrix Anal. 13 (1992).
"""

import functools
import math

from ._jit import specialize
from ._native import maximum, values
from .lines import FIRST
from .norm import fast

SWEEPS = 40  # at most; eight or so suffice
EPS = 2.0**-52


@fast
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@fast
def _turn(a, b, c, s):
    """(a, b) <- (c a - s b, s a + c b)."""
    for i in range(a.size):
        x, y = a[i], b[i]
        a[i] = c * x - s * y
        b[i] = s * x + c * y


@fast
def orthogonalize(rows, squares):
    """Turn pairs of rows, one behind the other, until all are orthogonal; squares = |row|^2."""
    k = squares.size
    m = rows.size // max(k, 1)
    parallel = EPS * math.sqrt(float(m))  # a cosine that is nothing but rounding
    for _ in range(SWEEPS):
        for i in range(k):
            squares[i] = _dot(rows[i * m : (i + 1) * m], rows[i * m : (i + 1) * m])
        turned = False
        for i in range(k - 1):
            a = rows[i * m : (i + 1) * m]
            for j in range(i + 1, k):
                b = rows[j * m : (j + 1) * m]
                along = _dot(a, b)
                if abs(along) > parallel * math.sqrt(squares[i] * squares[j]):
                    zeta = (squares[j] - squares[i]) / (2.0 * along)
                    t = 1.0 / (abs(zeta) + math.sqrt(1.0 + zeta * zeta))
                    t = -t if zeta < 0 else t
                    c = 1.0 / math.sqrt(1.0 + t * t)
                    _turn(a, b, c, c * t)
                    squares[i] -= t * along
                    squares[j] += t * along
                    turned = True
        if not turned:
            break


@fast
def _lay(w, rows):
    """Copy w, with its shorter side as rows, one behind the other."""
    n, m = w.shape
    for i in range(n):
        for j in range(m):
            rows[i * m + j if n <= m else j * n + i] = float(w[i, j])


@fast
def _solve(w, memory):
    """The rows sigma_i b_i of w and their squared lengths, in scratch memory."""
    short = min(w.shape[0], w.shape[1])
    rows, squares = memory[: w.size], memory[w.size : w.size + short]
    _lay(w, rows)
    orthogonalize(rows, squares)
    return rows, squares


@fast
def _negligible(squares, longer):
    """The square of a singular value that is 0 up to rounding."""
    top = 0.0
    for i in range(squares.size):
        top = maximum(top, squares[i])
    return top * (EPS * longer) * (EPS * longer)


@fast
def _rebuild(w, rows, factors, memory, out):
    """out = sum_i factors[i] (w b_i) b_i^T for rows b_i; out may be w."""
    n, m = out.shape
    k = factors.size
    long = max(n, m)
    line, along = memory[:long], memory[long : long + k]
    for r in range(k):
        for j in range(long):
            line[j] = float(w[r, j] if n <= m else w[j, r])
        for i in range(k):
            row = rows[i * long : (i + 1) * long]
            along[i] = _dot(line, row) * factors[i] if factors[i] != 0 else 0.0
        for j in range(long):
            line[j] = 0
        for i in range(k):
            if along[i] != 0:
                row, factor = rows[i * long : (i + 1) * long], along[i]
                for j in range(long):
                    line[j] += factor * row[j]
        for j in range(long):
            if n <= m:
                out[r, j] = line[j]
            else:
                out[j, r] = line[j]


def _words(args):
    """Scratch memory: rows, squares, factors, along and a line."""
    n, m = args[1].shape
    return n * m + 3 * min(n, m) + max(n, m)


def _lifted(formula, body, signature):
    body.__name__ = f"{body.__name__}_{formula.__name__.strip('_')}"
    return specialize(body, signature, [formula], scratch=_words, counts=("n", "m"))


HEAD = "scratch:float64[threads,words] params:float64[k]"


@functools.cache
def spectral_map(formula, count):
    """out = sum_i formula(sigma_i, *params) a_i b_i^T."""

    def spectral_map(scratch, params, w, out):
        memory = scratch[0]
        q = values(params[FIRST:], count)
        rows, squares = _solve(w, memory)
        rest = memory[rows.size + squares.size :]
        factors = rest[: squares.size]
        small = _negligible(squares, max(w.shape[0], w.shape[1]))
        for i in range(squares.size):
            sigma = math.sqrt(squares[i])
            factors[i] = 0.0
            if not squares[i] <= small:
                factors[i] = formula(sigma, *q) / (sigma * squares[i])
        _rebuild(w, rows, factors, rest[squares.size :], out)

    return _lifted(formula, spectral_map, f"{HEAD} w[n,m] -> out[n,m]")


@functools.cache
def spectral_prox(formula, count):
    """w <- the prox of w in one step for all entries, w being base - steps * direction.

    Where the steps differ the step of all is 1 / root mean square of 1 / steps, and w is first
    moved to base - step * direction: a prox of singular values is known for equal steps alone.
    """

    def spectral_prox(scratch, params, steps, base, w):
        n, m = w.shape
        memory = scratch[0]
        q = values(params[FIRST:], count)
        total = 0.0
        for i in range(n):
            for j in range(m):
                total += 1.0 / (float(steps[i, j]) * float(steps[i, j]))
        step = 1.0 / math.sqrt(total / (n * m))
        shrink = 1.0 / (1.0 + 2.0 * step * params[0])
        for i in range(n):
            for j in range(m):
                start = float(base[i, j])
                share = step / float(steps[i, j]) if step > 0.0 else 0.0
                w[i, j] = (start - (start - float(w[i, j])) * share) * shrink
        step *= shrink
        if step > 0.0:
            rows, squares = _solve(w, memory)
            rest = memory[rows.size + squares.size :]
            factors = rest[: squares.size]
            small = _negligible(squares, max(n, m))
            moved = False
            for i in range(squares.size):
                sigma = math.sqrt(squares[i])
                factors[i] = 0.0
                if not squares[i] <= small:
                    found = formula(sigma, step, *q)
                    factors[i] = found / (sigma * squares[i])
                    moved = moved or found != sigma
            if moved:
                _rebuild(w, rows, factors, rest[squares.size :], w)

    return _lifted(formula, spectral_prox, f"{HEAD} steps[n,m] base[n,m] -> w[n,m]")


@functools.cache
def spectral_sum(formula, count):
    """total[0] = sum_i formula(sigma_i, *params)."""

    def spectral_sum(scratch, params, w, total):
        q = values(params[FIRST:], count)
        _, squares = _solve(w, scratch[0])
        found = 0.0
        for i in range(squares.size):
            found += formula(math.sqrt(squares[i]), *q)
        total[0] = found

    return _lifted(formula, spectral_sum, f"{HEAD} w[n,m] -> total:float64[1]")
