"""Adagrad."""

from .optimizer import Optimizer, check_number


class Adagrad(Optimizer):
    """w <- w - lr_t * g / (sqrt(s) + eps), s the sum of all g^2 so far.

        lr_t = lr / (1 + (t - 1) * lr_decay)

    weight_decay adds weight_decay * w to g. The step of the prox is lr_t / (sqrt(s) + eps).

    References
    ----------
    Duchi, Hazan, Singer, "Adaptive Subgradient Methods", JMLR 12 (2011).
    """

    rule = "adagrad"

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        maximize=False,
    ):
        options = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps}
        options |= {"initial_accumulator_value": initial_accumulator_value, "maximize": maximize}
        super().__init__(params, options)

    def check(self, group):
        super().check(group)
        for name in ("lr_decay", "eps", "initial_accumulator_value"):
            check_number(self, group, name)

    def options(self, group):
        return group["lr_decay"], group["eps"]

    def start(self, group):
        return group["initial_accumulator_value"]
