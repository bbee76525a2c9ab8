"""Softmax, its logarithm and cross-entropy over rows for a GPU; see `../softmax.py`.

A row is read for its maximum, then for its exponentials, which are written and added up, then
divided. The second and third time it comes from a cache.
"""

import numpy as np

from .. import softmax as cpu
from .._native import maximum
from ..vecmath import exp, log
from ._words import carry, helper, offset, registers, shared, thread
from .plan import THREADS, twin
from .teams import over_rows, row_of, team_max, team_sum


def _largest(vector):
    """The largest number of a row."""

    @helper
    def largest(x, d, width, memory):
        r, best = registers(vector, x[0]), type(x[0])(-np.inf)
        for j in range(thread() % width * vector, d, width * vector):
            carry(r, offset(x, j), vector)
            for k in range(vector):
                best = maximum(best, r[k])
        return team_max(best, width, memory)

    return largest


def _exponentials(vector, keep):
    """The sum of e^(x - m) over a row; with `keep` they are written."""

    @helper
    def exponentials(x, out, m, d, width, memory):
        r, total = registers(vector, x[0]), type(x[0])(0)
        for j in range(thread() % width * vector, d, width * vector):
            carry(r, offset(x, j), vector)
            for k in range(vector):
                r[k] = exp(r[k] - m)
                total += r[k]
            if keep:
                carry(offset(out, j), r, vector)
        return team_sum(total, width, memory)

    return exponentials


def _divide(vector):
    @helper
    def divide_row(out, s, d, width):
        r = registers(vector, out[0])
        for j in range(thread() % width * vector, d, width * vector):
            carry(r, offset(out, j), vector)
            for k in range(vector):
                r[k] /= s
            carry(offset(out, j), r, vector)

    return divide_row


@over_rows(cpu.softmax_rows, 0, 1)
def softmax_rows(vector):
    """out_j = e^(x_j - m) / s."""
    largest, exponentials, divide = _largest(vector), _exponentials(vector, True), _divide(vector)

    def body(x, out, width, n, d):
        memory, i = shared(32, x[0]), row_of(width)
        if i < n:
            row, target = offset(x, i * d), offset(out, i * d)
            m = largest(row, d, width, memory)
            divide(target, exponentials(row, target, m, d, width, memory), d, width)

    return body


@over_rows(cpu.log_softmax_rows, 0, 1)
def log_softmax_rows(vector):
    """out_j = (x_j - m) - log s."""
    largest, exponentials = _largest(vector), _exponentials(vector, False)

    def body(x, out, width, n, d):
        memory, r, i = shared(32, x[0]), registers(vector, x[0]), row_of(width)
        if i < n:
            row = offset(x, i * d)
            m = largest(row, d, width, memory)
            log_s = log(exponentials(row, row, m, d, width, memory))
            for j in range(thread() % width * vector, d, width * vector):
                carry(r, offset(row, j), vector)
                for k in range(vector):
                    r[k] = (r[k] - m) - log_s
                carry(offset(out, i * d + j), r, vector)

    return body


@over_rows(cpu.cross_entropy, 0, 3)
def cross_entropy(vector):
    """loss_i = -log p[label_i], from the logits themselves; probs = softmax."""
    largest, exponentials, divide = _largest(vector), _exponentials(vector, True), _divide(vector)

    def body(logits, labels, loss, probs, ignore_index, width, n, d):
        memory, i = shared(32, logits[0]), row_of(width)
        if i < n:
            row, target, label = offset(logits, i * d), offset(probs, i * d), labels[i]
            m = largest(row, d, width, memory)
            s = exponentials(row, target, m, d, width, memory)
            divide(target, s, d, width)
            if thread() % width == 0:
                value = type(m)(np.nan)
                if label == ignore_index:
                    value = type(m)(0)
                elif label >= 0 and label < d:
                    value = log(s) - (row[label] - m)
                loss[i] = value

    return body


def _slope(kernel, product):
    """dx from g and the output, by the row's sum of product(g, out)."""

    @over_rows(kernel, 0, 1, 2)
    def backward(vector):
        def body(g, out, dx, width, n, d):
            memory, h, r = shared(32, g[0]), registers(vector, g[0]), registers(vector, g[0])
            i, total = row_of(width), type(g[0])(0)
            if i < n:
                first, step = thread() % width * vector, width * vector
                for j in range(first, d, step):
                    carry(h, offset(g, i * d + j), vector)
                    carry(r, offset(out, i * d + j), vector)
                    for k in range(vector):
                        total += h[k] * r[k] if product else h[k]
                total = team_sum(total, width, memory)
                for j in range(first, d, step):
                    carry(h, offset(g, i * d + j), vector)
                    carry(r, offset(out, i * d + j), vector)
                    for k in range(vector):
                        r[k] = r[k] * (h[k] - total) if product else h[k] - exp(r[k]) * total
                    carry(offset(dx, i * d + j), r, vector)

        return body


_slope(cpu.softmax_rows_backward, True)
_slope(cpu.log_softmax_rows_backward, False)


@twin(cpu.mean_counted, grid=lambda sizes: 1)
def mean_counted(loss, labels, mean, count, ignore_index, n, one):
    """The mean of loss over the rows whose label is not ignore_index, and how many they are."""
    memory, zero = shared(32, loss[0]), type(loss[0])(0)
    total, counted = zero, zero
    for i in range(thread(), n, THREADS):
        total += loss[i]
        counted += zero if labels[i] == ignore_index else type(zero)(1)
    total = team_sum(total, THREADS, memory)
    counted = team_sum(counted, THREADS, memory)
    if thread() == 0:
        count[0] = counted
        mean[0] = total / counted


def _loss_slope(kernel, averaged):
    """dlogits_j = (p_j - [j = label]) * g_i, or g / count for every row; 0 if it does not count."""

    @over_rows(kernel, 0, 4 if averaged else 3)
    def backward(vector):
        @helper
        def row(probs, label, g, dlogits, i, ignore_index, width, d):
            r, scale = registers(vector, g), type(g)(0) if label == ignore_index else g
            for j in range(thread() % width * vector, d, width * vector):
                carry(r, offset(probs, i * d + j), vector)
                for k in range(vector):
                    p = r[k] * scale if label != ignore_index else scale
                    r[k] = p - scale if j + k == label else p
                carry(offset(dlogits, i * d + j), r, vector)

        def each(probs, labels, g, dlogits, ignore_index, width, n, d):
            i = row_of(width)
            if i < n:
                row(probs, labels[i], g[i], dlogits, i, ignore_index, width, d)

        def mean(probs, labels, g, count, dlogits, ignore_index, width, n, d, one):
            i = row_of(width)
            if i < n:
                row(probs, labels[i], g[0] / count[0], dlogits, i, ignore_index, width, d)

        return mean if averaged else each


_loss_slope(cpu.cross_entropy_backward, False)
_loss_slope(cpu.cross_entropy_mean_backward, True)
