"""Adam and AdamW."""

from .optimizer import Optimizer, check_number


class Adam(Optimizer):
    """w <- w - lr * m_hat / (sqrt(v_hat) + eps).

        m <- beta1 * m + (1 - beta1) * g,     m_hat = m / (1 - beta1^t)
        v <- beta2 * v + (1 - beta2) * g^2,   v_hat = v / (1 - beta2^t)

    weight_decay adds weight_decay * w to g (L2, coupled). The metric of the prox is that of the
    step: coordinate i is thresholded at lr * lam / (sqrt(v_hat_i) + eps). With amsgrad the largest
    v so far takes the place of v (Reddi, Kale, Kumar, ICLR 2018).

    References
    ----------
    Kingma, Ba, "Adam", ICLR 2015. Yun, Lozano, Yang, "Adaptive Proximal Gradient Methods for
    Structured Neural Networks", NeurIPS 2021.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        maximize=False,
    ):
        self.rule = "amsgrad" if amsgrad else "adam"
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "amsgrad": amsgrad, "maximize": maximize})

    def check(self, group):
        super().check(group)
        check_number(self, group, "eps")
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise ValueError(
                f"{type(self).__name__}(betas={group['betas']!r}): expected a pair of numbers"
            )
        beta1, beta2 = group["betas"]
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            check_number(self, {name: beta}, name, high=1.0, below=True)

    def options(self, group):
        return *group["betas"], group["eps"]


class AdamW(Adam):
    """Adam with decoupled weight decay: w is first multiplied by 1 - lr * weight_decay.

    As in PyTorch weight_decay acts on every parameter; attach `WeightDecay` to choose, and set
    weight_decay=0.

    References
    ----------
    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        maximize=False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize)

    def decay(self, group):
        return group["weight_decay"], 0.0
