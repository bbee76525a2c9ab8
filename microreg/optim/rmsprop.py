"""RMSprop."""

from .optimizer import Optimizer, check_number


class RMSprop(Optimizer):
    """w <- w - lr * b, the gradient divided by its running root mean square.

        s <- alpha * s + (1 - alpha) * g^2,   b <- momentum * b + g / (sqrt(s) + eps)

    With `centered` the running variance takes the place of s (Graves, arXiv:1308.0850).
    weight_decay adds weight_decay * w to g. The step of the prox is lr * gain / (sqrt(s) + eps),
    where gain = 1 + momentum + momentum^2 + ... (t terms) is what momentum makes of a steady
    gradient.

    References
    ----------
    Hinton, "Neural Networks for Machine Learning", lecture 6e (2012).
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        maximize=False,
    ):
        self.rule = "centered" if centered else "rmsprop"
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        options |= {"momentum": momentum, "centered": centered, "maximize": maximize}
        super().__init__(params, options)

    def check(self, group):
        super().check(group)
        check_number(self, group, "eps")
        check_number(self, group, "momentum", high=1.0, below=True)
        check_number(self, group, "alpha", high=1.0)

    def options(self, group):
        return group["alpha"], group["eps"], group["momentum"]
