"""L-BFGS."""

import numpy as np

from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, check_closure, check_number

CURVED = 1e-10  # a change of the gradient along a step of less than this tells nothing


class LBFGS(Optimizer):
    """w <- w + t * d,   d = -H g, H an estimate of the inverse Hessian from the last steps.

    `step(closure)` makes up to max_iter such moves; closure clears the gradients, computes the
    loss, goes backward and returns the loss. It has to be smooth: attached penalties are refused,
    but smooth ones may be part of the loss (`microreg.penalties.value`).

    Parameters
    ----------
    lr : float, default 1
        The step length t, the first time divided by the sum of |g| if that is above 1; with a line
        search, the first one that it tries.
    max_iter : int, default 20
    max_eval : int, optional
        Evaluations of closure in a step at most; max_iter * 5 // 4 if left out.
    tolerance_grad, tolerance_change : float, default 1e-7 and 1e-9
        A step ends when no |g_i|, or no change of a weight or of the loss, is larger.
    history_size : int, default 100
        How many moves H is made of.
    line_search_fn : None or "strong_wolfe"

    References
    ----------
    Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
    Programming 45 (1989).
    """

    rule = "sgd"

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(
                f"LBFGS(line_search_fn={line_search_fn!r}): expected None or 'strong_wolfe'"
            )
        self.memory = _Memory()
        options = {"lr": lr, "max_iter": max_iter, "max_eval": max_eval or max_iter * 5 // 4}
        options |= {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        options |= {"history_size": history_size, "line_search_fn": line_search_fn}
        super().__init__(params, options)

    def add_param_group(self, param_group):
        """Only the group that it is made with: H is one for all parameters."""
        if self.param_groups:
            raise ValueError("LBFGS: expected one group of parameters")
        super().add_param_group(param_group)

    def check(self, group):
        for name in ("lr", "tolerance_grad", "tolerance_change"):
            check_number(self, group, name)
        for name in ("max_iter", "max_eval", "history_size"):
            check_number(self, group, name, low=1)

    def options(self, group):
        return ()

    def step(self, closure=None):
        """Move up to max_iter times; returns the loss of the first call of closure."""
        check_closure(self, closure)
        for slot in self._slots:
            slot.prepare()
            if slot.penalty is not None:
                raise ValueError(
                    f"LBFGS: expected a smooth loss, got {slot.penalty} on a parameter of shape "
                    f"{slot.home.shape}; use SGD or Adam, or add penalties to the loss by "
                    "penalties.value"
                )
        (group,) = self.param_groups
        self.check(group)
        first = closure()
        loss, gradient = float(first), self._gradient()
        memory, evaluations = self.memory, 1
        memory.func_evals += 1
        for move in range(1, group["max_iter"] + 1):
            if np.abs(gradient).max(initial=0.0) <= group["tolerance_grad"]:
                break
            memory.learn(gradient, group["history_size"])
            d, before = memory.d, loss
            slope = _dot(gradient, d)
            memory.t = float(group["lr"])
            if memory.n_iter == 1:
                memory.t *= min(1.0, 1.0 / float(np.abs(gradient).sum()))
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                start = Point(0.0, loss, gradient, slope)
                limits = group["tolerance_change"], group["max_eval"] - evaluations
                end, count = self._search(closure, start, memory, *limits)
                memory.t, loss, gradient = end.t, end.loss, end.gradient
            else:
                self._move(self._weights(), memory.t, d)
                if move == group["max_iter"]:
                    break
                loss, gradient, count = float(closure()), self._gradient(), 1
            evaluations += count
            memory.func_evals += count
            change, tolerance = np.abs(d * memory.t).max(initial=0.0), group["tolerance_change"]
            if evaluations >= group["max_eval"]:
                break
            if change <= tolerance or abs(loss - before) < tolerance:
                break
        return first

    def _search(self, closure, start, memory, tolerance, tries):
        """The end of a move along memory.d by a line search, and how often closure was called."""
        weights, d = self._weights(), memory.d

        def evaluate(t):
            self._move(weights, t, d)
            loss, gradient = float(closure()), self._gradient()
            return Point(t, loss, gradient, _dot(gradient, d))

        largest = np.abs(d).max(initial=0.0)
        found = strong_wolfe(evaluate, start, memory.t, largest, tolerance, tries)
        self._move(weights, found[0].t, d)
        return found

    def _weights(self):
        return np.concatenate([slot.home.reshape(-1) for slot in self._slots])

    def _gradient(self):
        """The gradients of all parameters in one vector."""
        parts = []
        for slot in self._slots:
            if slot.parameter.grad is None:
                parts.append(np.zeros(slot.home.size, slot.home.dtype))
            else:
                slot.take_gradient()
                parts.append(slot.gradient.reshape(-1))
        return np.concatenate(parts)

    def _move(self, weights, t, d):
        """Set the parameters to weights + t * d."""
        new, start = weights + t * d, 0
        for slot in self._slots:
            slot.home[...] = new[start : start + slot.home.size].reshape(slot.home.shape)
            start += slot.home.size

    def state_dict(self):
        """The group's options, and as the state of number 0 what is known of the last moves."""
        (group,) = super().state_dict()["param_groups"]
        return {"state": {0: self.memory.as_dict()}, "param_groups": [group]}

    def load_state_dict(self, state_dict):
        """Continue from a state_dict of an optimizer over parameters of the same shapes."""
        (group,) = state_dict["param_groups"]
        memory, size = _Memory.of(state_dict["state"][0]), sum(s.home.size for s in self._slots)
        if memory.d is not None and memory.d.size != size:
            raise ValueError(
                f"load_state_dict: expected a state of {size} weights, got {memory.d.size}"
            )
        self.memory = memory
        self.param_groups[0].update({k: v for k, v in group.items() if k != "params"})


class _Memory:
    """The last moves: their steps s, changes of the gradient y, and 1 / (s . y)."""

    def __init__(self):
        self.n_iter = self.func_evals = 0
        self.d, self.t, self.prev_flat_grad, self.H_diag = None, 0.0, None, 1.0
        self.old_dirs, self.old_stps, self.ro = [], [], []

    @classmethod
    def of(cls, state):
        memory = cls()
        vars(memory).update({k: _copied(state[k]) for k in vars(memory)})
        return memory

    def as_dict(self):
        return {k: _copied(v) for k, v in vars(self).items()}

    def learn(self, gradient, size):
        """Take note of the last move, and find the direction d of the next."""
        self.n_iter += 1
        if self.n_iter > 1:
            y, s = gradient - self.prev_flat_grad, self.d * self.t
            ys = _dot(y, s)
            if ys > CURVED:
                kept = self.old_dirs, self.old_stps, self.ro
                for values, new in zip(kept, (y, s, 1.0 / ys), strict=True):
                    values.append(new)
                    del values[:-size]
                self.H_diag = ys / _dot(y, y)
        d, shares = -gradient, []
        for y, s, r in zip(*map(reversed, (self.old_dirs, self.old_stps, self.ro)), strict=True):
            shares.append(_dot(s, d) * r)
            d -= shares[-1] * y
        d *= self.H_diag
        for y, s, r in zip(self.old_dirs, self.old_stps, self.ro, strict=True):
            d += s * (shares.pop() - _dot(y, d) * r)
        self.d, self.prev_flat_grad = d, gradient


def _dot(a, b):
    """a . b, in one order whatever the number of threads."""
    return float((a * b).sum())


def _copied(value):
    if isinstance(value, list):
        return [_copied(v) for v in value]
    return value.copy() if isinstance(value, np.ndarray) else value
