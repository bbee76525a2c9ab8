"""Adam and AdamW."""

import math

from .optimizer import Optimizer, check_number


class Adam(Optimizer):
    """w <- w - lr * m_hat / (sqrt(v_hat) + eps).

        m <- beta1 * m + (1 - beta1) * g,     m_hat = m / (1 - beta1^t)
        v <- beta2 * v + (1 - beta2) * g^2,   v_hat = v / (1 - beta2^t)

    weight_decay adds weight_decay * w to g (L2, coupled). The metric of the prox is that of the
    step: coordinate i is thresholded at lr * lam / (sqrt(v_hat_i) + eps).

    References
    ----------
    Kingma, Ba, "Adam", ICLR 2015. Yun, Lozano, Yang, "Adaptive Proximal Gradient Methods for
    Structured Neural Networks", NeurIPS 2021.
    """

    rule = "adam"
    hyper_count = 6

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)

    def check(self, group):
        super().check(group)
        check_number(self, group, "eps")
        beta1, beta2 = group["betas"]
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            check_number(self, {name: beta}, name, high=1.0, below=True)

    def hyper(self, group, t):
        beta1, beta2 = group["betas"]
        corrections = 1.0 - beta1**t, math.sqrt(1.0 - beta2**t)
        return 1.0 - beta1, beta2, 1.0 - beta2, group["eps"], *corrections


class AdamW(Adam):
    """Adam with decoupled weight decay: w is first multiplied by 1 - lr * weight_decay.

    As in PyTorch weight_decay acts on every parameter; attach `WeightDecay` to choose, and set
    weight_decay=0.

    References
    ----------
    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)

    def decay(self, group):
        return group["weight_decay"], 0.0
