"""RMSprop."""

from .optimizer import Optimizer, check_number


class RMSprop(Optimizer):
    """w <- w - lr * b, the gradient divided by its running root mean square.

        s <- alpha * s + (1 - alpha) * g^2,   b <- momentum * b + g / (sqrt(s) + eps)

    weight_decay adds weight_decay * w to g. The step of the prox is lr * gain / (sqrt(s) + eps),
    where gain = 1 + momentum + momentum^2 + ... (t terms) is what momentum makes of a steady
    gradient.

    References
    ----------
    Hinton, "Neural Networks for Machine Learning", lecture 6e (2012).
    """

    rule = "rmsprop"
    hyper_count = 5

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0):
        options = {"lr": lr, "alpha": alpha, "eps": eps}
        super().__init__(params, {**options, "weight_decay": weight_decay, "momentum": momentum})

    def check(self, group):
        super().check(group)
        check_number(self, group, "eps")
        check_number(self, group, "momentum", high=1.0, below=True)
        check_number(self, group, "alpha", high=1.0)

    def hyper(self, group, t):
        alpha, momentum = group["alpha"], group["momentum"]
        gain = (1.0 - momentum**t) / (1.0 - momentum)
        return alpha, 1.0 - alpha, group["eps"], momentum, gain
