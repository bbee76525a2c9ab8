"""Sharpness-aware minimization."""

from ..grad_mode import no_grad
from .optimizer import Optimizer, check_closure, check_number
from .sgd import SGD


class SAM(Optimizer):
    """Another optimizer's step along the gradient at the worst place nearby.

        g at w + rho * g / |g|,     or with `adaptive` at w + rho * w^2 g / |w g|

    |.| is the norm over all parameters. `step(closure)` calls closure twice, which clears the
    gradients, computes the loss, goes backward and returns the loss. Penalties act at w, by the
    other optimizer's prox.

    Parameters
    ----------
    params : iterable of Parameter, or of dicts with their own options
    base_optimizer : class, default SGD
        The optimizer that makes the step, with the options that follow.
    rho : float, default 0.05
        How far the worst place may be.
    adaptive : bool, default False
        Measure distance in proportion to the weights (Kwon et al., "ASAM", ICML 2021).

    References
    ----------
    Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization", ICLR 2021.
    """

    def __init__(self, params, base_optimizer=SGD, rho=0.05, adaptive=False, **options):
        self.base_optimizer = base = base_optimizer(params, **options)
        self.defaults, self.param_groups = base.defaults, base.param_groups
        for options in (base.defaults, *base.param_groups):
            options.setdefault("rho", rho)
            options.setdefault("adaptive", adaptive)
            check_number(self, options, "rho")

    def add_param_group(self, param_group):
        check_number(self, {**self.defaults, **param_group}, "rho")
        self.base_optimizer.add_param_group(param_group)

    def zero_grad(self, set_to_none=True):
        self.base_optimizer.zero_grad(set_to_none)

    def state_dict(self):
        return self.base_optimizer.state_dict()

    def load_state_dict(self, state_dict):
        self.base_optimizer.load_state_dict(state_dict)

    def step(self, closure=None):
        """Step along the gradient of the worst place nearby; returns the loss at w."""
        check_closure(self, closure)
        loss = closure()
        climbed = self._climb()
        closure()
        with no_grad():
            for p, before in climbed:
                p.copy_(before)
        self.base_optimizer.step()
        return loss

    @no_grad()
    def _climb(self):
        """Move to the worst place nearby; (parameter, what it was) for each one that moved."""
        moves = [
            (p, abs(p) if group["adaptive"] else None, group)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        scaled = [p.grad if size is None else p.grad * size for p, size, _ in moves]
        square = sum((g.double() ** 2).sum() for g in scaled)
        climbed = []
        for (p, size, group), g in zip(moves, scaled, strict=True):
            sign = -1.0 if group.get("maximize") else 1.0
            far = (sign * group["rho"] / (square.sqrt() + 1e-12)).to(p.dtype)
            climbed.append((p, p.clone()))
            p.copy_(p + far * (g if size is None else g * size))
        return climbed
