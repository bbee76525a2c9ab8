"""Random noise that regularizes."""

import math

from ..errors import ShapeError
from ..kernels.random import TRIES, counters
from ..ops import dropout as ops
from ..random import take
from ..runtime.remote import beside
from ..tensor import Tensor
from ._inputs import a_tensor, alike

_ALPHA = 1.7580993408473766  # what SELU tends to on the left, with the sign changed


def dropout(input, p=0.5, training=True, inplace=False):
    """In training each entry is 0 with probability p, else divided by 1 - p; identity otherwise.

    `inplace` is accepted, as by all functions here, and changes nothing.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014), section 10.
    """
    x = a_tensor(input, "dropout")
    _probability(p, "dropout")
    if not training or p == 0.0:
        return x
    (x,) = alike("dropout", x)
    return Tensor.record(ops.apply_mask, (x, _mask(x, x.shape, p)), {"p": float(p)})


def dropout1d(input, p=0.5, training=True, inplace=False):
    """dropout of whole channels of x (n, channels, length) or (channels, length)."""
    return _of_channels(input, p, training, 1, "dropout1d")


def dropout2d(input, p=0.5, training=True, inplace=False):
    """dropout of whole channels of x (n, channels, h, w) or (channels, h, w).

    References
    ----------
    Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.
    """
    return _of_channels(input, p, training, 2, "dropout2d")


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """In training each entry is -1.7581 with probability p; then a * x + b.

    a and b keep mean 0 and variance 1: a = (q + 1.7581^2 p q)^(-1/2), b = 1.7581 a p, q = 1 - p.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks", NeurIPS 2017.
    """
    x = a_tensor(input, "alpha_dropout")
    _probability(p, "alpha_dropout")
    if not training or p == 0.0:
        return x
    (x,) = alike("alpha_dropout", x)
    if p == 1.0:
        return x * 0.0
    a = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * _ALPHA**2))
    keep = _mask(x, x.shape, p).to(x.dtype)
    return x * (keep * a) + (keep * (a * _ALPHA) + (a * _ALPHA) * (p - 1.0))


def drop_path(input, p=0.5, training=True):
    """dropout of whole samples: of x[i, ...] for each i, as in a residual branch (DropPath).

    References
    ----------
    Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """
    x = a_tensor(input, "drop_path")
    return _broadcast(x, p, training, x.shape[:1] + (1,) * (x.ndim - 1), "drop_path")


def gaussian_noise(input, std=0.1, training=True):
    """In training x + std * normal, identity otherwise.

    References
    ----------
    Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural Comp. 7 (1995).
    """
    x = a_tensor(input, "gaussian_noise")
    if not 0.0 <= std < math.inf:
        raise ValueError(f"gaussian_noise(std={std}): expected a finite number of at least 0")
    if not training or std == 0.0:
        return x
    (x,) = alike("gaussian_noise", x)
    drawn = _draw(ops.normal, counters(x.numel()), x, shape=x.shape, dtype=x.dtype)
    return x + drawn * float(std)


def hard_concrete(input, log_alpha, beta=2 / 3, gamma=-0.1, zeta=1.1, training=True):
    """x * z with gates z = min(max(s (zeta - gamma) + gamma, 0), 1), one for each entry of the last
    axes, s = sigmoid((log u - log(1 - u) + log_alpha) / beta) with u uniform for each entry of x in
    training, sigmoid(log_alpha) otherwise.

    References
    ----------
    Louizos, Welling, Kingma, "Learning Sparse Neural Networks through L0 Regularization", ICLR
    2018, equations 10 to 13.
    """
    x, log_alpha = alike("hard_concrete", input, log_alpha)
    if x.shape[x.ndim - log_alpha.ndim :] != log_alpha.shape:
        raise ShapeError(
            f"hard_concrete: expected x whose last axes are those of log_alpha, got {x.shape} and "
            f"{log_alpha.shape}"
        )
    if not (beta > 0.0 and gamma < 0.0 and zeta > 1.0):
        raise ValueError(
            f"hard_concrete(beta={beta}, gamma={gamma}, zeta={zeta}): expected beta > 0, gamma < 0 "
            "and zeta > 1"
        )
    if training:
        drawn = _draw(ops.logistic, counters(x.numel()), x, shape=x.shape, dtype=x.dtype)
        log_alpha = (drawn + log_alpha) / beta
    return x * (log_alpha.sigmoid() * (zeta - gamma) + gamma).clamp(0.0, 1.0)


def mixup(input, target, alpha=0.2):
    """Rows mixed with others of the batch: (lam * x + (1 - lam) * x[order], target[order], lam).

    lam, a 0-d tensor, is one draw from Beta(alpha, alpha), order a random permutation. The loss is

        lam * loss(output, target) + (1 - lam) * loss(output, other_target)

    References
    ----------
    Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    (x,) = alike("mixup", a_tensor(input, "mixup"))
    target = target if isinstance(target, Tensor) else Tensor(target)
    if not x.ndim or not target.ndim or len(x) != len(target):
        raise ShapeError(
            f"mixup: expected as many rows of input as of target, got {x.shape} and {target.shape}"
        )
    if not 0.0 < alpha < math.inf:
        raise ValueError(f"mixup(alpha={alpha}): expected a finite number of more than 0")
    lam = _draw(ops.beta, TRIES, x, a=float(alpha), dtype=x.dtype)
    order = _draw(ops.order, -(-len(x) // 4), x, n=len(x))
    return x * lam + x[order] * (1.0 - lam), target[order], lam


def _probability(p, who):
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{who}(p={p}): expected a probability from 0 to 1")


def _draw(op, used, like, **attrs):
    """What an op draws with so many counters, on the device of a tensor."""
    return Tensor.record(op, (), {"state": beside(take(used), like.data), **attrs})


def _mask(like, shape, p):
    """1 with probability 1 - p, else 0, as uint8."""
    return _draw(ops.keep_mask, counters(math.prod(shape)), like, shape=shape, p=float(p))


def _of_channels(input, p, training, axes, who):
    x = a_tensor(input, who)
    if x.ndim not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{who}: expected x of {axes + 1} or {axes + 2} axes, the last {axes} those of a "
            f"channel, got {x.shape}"
        )
    return _broadcast(x, p, training, x.shape[:-axes] + (1,) * axes, who)


def _broadcast(x, p, training, shape, who):
    """dropout with one draw for all that lies along the axes of length 1 of a shape."""
    _probability(p, who)
    if not training or p == 0.0:
        return x
    (x,) = alike(who, x)
    return x * (_mask(x, shape, p).to(x.dtype) * (1.0 / (1.0 - p) if p < 1.0 else 0.0))
