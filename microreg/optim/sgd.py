"""Stochastic gradient descent, with momentum."""

from .optimizer import Optimizer, check_number


class SGD(Optimizer):
    """w <- w - lr * d with d the gradient, or with momentum mu

        b <- mu * b + (1 - dampening) * g,   d = g + mu * b if nesterov else b,   b = g at first.

    weight_decay adds weight_decay * w to g, on every parameter. The metric of the prox is 1 / lr:
    without momentum this is proximal gradient descent.

    Parameters
    ----------
    params : iterable of Parameter, or of dicts with their own options
    lr : float, default 1e-3
    momentum, dampening, weight_decay : float, default 0
    nesterov : bool, default False
        Needs momentum and no dampening.
    """

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False):
        self.rule = "momentum" if momentum else "sgd"
        self.hyper_count = 4 if momentum else 0
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, options)

    def check(self, group):
        super().check(group)
        check_number(self, group, "momentum")
        check_number(self, group, "dampening")
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("SGD(nesterov=True): expected momentum > 0 and dampening = 0")
        if group["momentum"] and self.rule == "sgd":
            raise ValueError("SGD: momentum must be given when the optimizer is made")

    def hyper(self, group):
        if self.rule == "sgd":
            return ()
        momentum, first = group["momentum"], group["step"] == 1
        ahead, along = (1.0, momentum) if group["nesterov"] else (0.0, 1.0)
        if first:
            return 0.0, 1.0, ahead, along
        return momentum, 1.0 - group["dampening"], ahead, along
