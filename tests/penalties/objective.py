"""What a prox minimises, and steps to try it at."""

import numpy as np

from microreg.penalties import SpectralPenalty

TOLERANCE = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-12}
STEPS = [0.05, 0.9, 3.1]


def GATE(w, beta=0.5, gamma=-0.2, zeta=1.2):
    """The probability that a hard concrete gate with log_alpha = w is not zero."""
    return 1 / (1 + np.exp(-(w - beta * np.log(-gamma / zeta))))


def objective(penalty, w, v, step):
    """|w - v|^2 / (2 step) + value(w), in the metric of `step`."""
    return float((np.square(w - v) / (2 * np.asarray(step))).sum()) + penalty.value(w)


def lowest(cost, low, high):
    """Golden section: where a function that falls and then rises is lowest."""
    ratio = (5**0.5 - 1) / 2
    for _ in range(90):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    return (low + high) / 2


def steps_for(v, rng, penalty=None):
    """A step for each entry, over a factor of a hundred; one for all if the prox needs that."""
    shape = (1,) * v.ndim if isinstance(penalty, SpectralPenalty) else v.shape
    return np.exp(rng.uniform(np.log(0.03), np.log(3.0), shape)) * np.ones(v.shape)
