"""Stochastic gradient descent, with momentum."""

from .optimizer import Optimizer, check_number


class SGD(Optimizer):
    """w <- w - lr * d with d the gradient, or with momentum mu

        b <- mu * b + (1 - dampening) * g,   d = g + mu * b if nesterov else b,   b = g at first.

    weight_decay adds weight_decay * w to g, on every parameter. The step of the prox is lr * gain,
    where gain is what momentum makes of a steady gradient 1, (1 - dampening) / (1 - mu) in the end:
    so a fixed point minimises loss + penalty for any mu. Without momentum gain is 1, and this is
    proximal gradient descent.

    Parameters
    ----------
    params : iterable of Parameter, or of dicts with their own options
    lr : float, default 1e-3
    momentum, dampening, weight_decay : float, default 0
    nesterov : bool, default False
        Needs momentum and no dampening.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        maximize=False,
    ):
        self.rule = "momentum" if momentum else "sgd"
        options = {"lr": lr, "momentum": momentum, "dampening": dampening}
        options |= {"weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize}
        super().__init__(params, options)

    def check(self, group):
        super().check(group)
        check_number(self, group, "momentum", high=1.0, below=True)
        check_number(self, group, "dampening", high=1.0)
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("SGD(nesterov=True): expected momentum > 0 and dampening = 0")
        if group["momentum"] and self.rule == "sgd":
            raise ValueError("SGD: momentum must be given when the optimizer is made")

    def options(self, group):
        if self.rule == "sgd":
            return ()
        return group["momentum"], group["dampening"], float(group["nesterov"])

    def fixed_step(self, group):
        """lr times what momentum makes of a steady gradient in the end."""
        lr, momentum, dampening = group["lr"], group["momentum"], group["dampening"]
        gain = (1.0 - dampening) / (1.0 - momentum) if momentum else 1.0
        return lr * max(1.0, 1.0 + momentum * gain if group["nesterov"] else gain)
