"""Descent on all rows at once, to a point where the optimality condition holds.

Accelerated proximal gradient steps: the step length is found by backtracking and momentum starts
anew where it leads uphill, so there is nothing to tune. The prox is that of the attached penalties.

    y = x + b (x - x_before),   x <- prox_s(y - s grad f(y))

References
----------
Beck, Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm", SIAM J. Imaging Sci. 2 (2009).
O'Donoghue, Candes, "Adaptive Restart for Accelerated Gradient Schemes", Found. Comput. Math. 15
(2015).
"""

import math

import numpy as np

from .. import optim
from ..capture import compile
from ..grad_mode import no_grad
from ..penalties.combine import as_list, plan
from ..tensor import Tensor, grad

GROWTH = 1.1  # of the step length after each step
KINK = 1e-3  # steps this much shorter than the longest end at a kink, of ReLU say
SHARE = 0.9  # of the longest step at which every prox is single-valued
NOISE = 16  # roundings of the loss, below which differences of it say nothing


class Descent:
    """Descent of `objective()`, a loss, plus the penalties attached to `parameters`."""

    def __init__(self, parameters, objective):
        self.parameters = list(parameters)
        self.objective, self.step_length, self.longest = objective, 1.0, 0.0
        self.bound = math.inf
        self._sgd = optim.SGD(self.parameters, lr=1.0)
        self._slope, self._value = compile(self._with_slope), compile(objective)

    def _with_slope(self):
        value = self.objective()
        return (value, *grad(value, self.parameters, allow_unused=True))

    def run(self, tolerance, steps):
        """Descend until no entry of the prox-gradient (x - prox(x - s grad)) / s exceeds tolerance.

        Returns (loss, residual, steps taken).
        """
        x = before = self._read()
        total, momentum, taken = math.inf, 1.0, 0
        self.bound = SHARE * min(plan(p.penalty).bound for p in self.parameters)
        self.step_length = min(max(self.step_length, self.longest / 2), self.bound)
        self.longest = 0.0
        while taken < steps:
            taken += 1
            ahead = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            y = x + (momentum - 1) / ahead * (x - before)
            new, loss, residual = self._step(y)
            now = loss + self._penalty()
            uphill = now > total + NOISE * np.finfo(x.dtype).eps * abs(total)
            if uphill and momentum > 1:
                before, momentum = x, 1.0
                self._write(x)
                continue
            momentum = 1.0 if (y - new) @ (new - x) > 0 else ahead
            before, x, total = x, new, now
            self.longest = max(self.longest, self.step_length)
            if residual <= tolerance or self.step_length < KINK * self.longest:
                break
        return loss, residual, taken

    def _step(self, y):
        """A proximal gradient step from y, as long as the curvature allows."""
        loss, slope = self._loss_and_slope(y)
        while True:
            self._write(y)
            self._sgd.param_groups[0]["lr"] = self.step_length
            self._give(slope)
            self._sgd.step()
            new = self._read()
            move = new - y
            bound = (move @ move) / (2 * self.step_length)
            now = self._loss()
            rise = now - loss - slope @ move
            if rise <= bound or rise <= NOISE * np.finfo(y.dtype).eps * abs(loss):
                break
            self.step_length /= 2
        residual = float(np.abs(move).max()) / self.step_length
        if rise > bound / 2 and (self._loss_and_slope(new)[1] - slope) @ move > 2 * bound:
            self.step_length /= 2  # the loss is too coarse to tell, its slope does
            self._write(new)
        else:
            self.step_length = min(self.step_length * GROWTH, self.bound)
        return new, now, residual

    def _loss_and_slope(self, x):
        self._write(x)
        loss, *slopes = self._slope()
        pairs = zip(self.parameters, slopes, strict=True)
        parts = [
            np.zeros(p.data.size, x.dtype) if g is None else g.data.reshape(-1) for p, g in pairs
        ]
        return float(loss), np.concatenate(parts)

    def _loss(self):
        with no_grad():
            return float(self._value())

    def _penalty(self):
        return sum(part.value(p.data) for p in self.parameters for part in as_list(p.penalty))

    def _read(self):
        return np.concatenate([p.data.reshape(-1) for p in self.parameters])

    def _write(self, x):
        for p, part in self._parts(x):
            p.data[...] = part

    def _give(self, slope):
        for p, part in self._parts(slope):
            p.grad = Tensor(part)

    def _parts(self, x):
        """Each parameter with its part of a vector, in its shape."""
        start = 0
        for p in self.parameters:
            yield p, x[start : start + p.data.size].reshape(p.shape)
            start += p.data.size
