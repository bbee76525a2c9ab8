"""The duality gap of a linear model: an upper bound on how far its objective is above the least.

With outputs z = X W^T + b, units i of the mean loss (1 / N) sum_i l_i(z_i) and penalty Omega,

    objective(W, b)  >=  -(1 / N) sum_i l_i*(u_i) - Omega*(-(1 / N) u^T X)   if b: sum of u is 0

for every u; here u is the slope of the losses at the model's outputs, moved and shrunk until the
right side is finite. l* and Omega* are conjugates: f*(u) = sup_z u z - f(z).

References
----------
Rockafellar, "Convex Analysis", 1970, section 31. Ndiaye, Fercoq, Gramfort, Salmon, "Gap Safe
Screening Rules for Sparsity Enforcing Penalties", JMLR 18 (2017).
"""

import numpy as np

from .. import nn
from ..penalties import (
    L1,
    L2,
    Box,
    ElasticNet,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Simplex,
    SpectralNorm,
    WeightDecay,
    plan,
)
from ..penalties.combine import parts_of, prox, residual
from ..penalties.group import ratio

CONES = (L1, GroupLasso, NuclearNorm, NonNegative)  # Omega(t w) = t Omega(w): Omega* is 0 or inf
SETS = {  # the largest sum of pull * w in a set: its conjugate
    L1Ball: lambda s, pull: s.number("radius") * s.largest(np.abs(pull)).sum(),
    L2Ball: lambda s, pull: s.number("limit") * s.norms(pull).sum(),
    MaxNorm: lambda s, pull: s.number("limit") * s.norms(pull).sum(),
    Simplex: lambda s, pull: s.number("total") * s.largest(pull).sum(),
    SpectralNorm: lambda s, pull: s.number("limit") * np.linalg.norm(pull, "nuc"),
    Box: lambda s, pull: np.where(pull > 0, pull * s.upper, pull * s.lower).sum(),
}
HALVINGS = 60


def duality_gap(model, X, y, loss, objective):
    """(gap, None), or (None, why there is none)."""
    layer, name = _linear(model), getattr(loss, "__name__", type(loss).__name__)
    why = _obstacle(layer, loss, name)
    if why is not None:
        return None, why
    X = X.reshape(len(X), -1)
    z = X @ layer.weight.data.T + (0.0 if layer.bias is None else layer.bias.data)
    if y.shape != z.shape[: 1 if name in ROWS else 2] or (name in ROWS and y.min() < 0):
        return None, f"the targets are not those of {name} without exceptions"
    domain, conjugate, targets = LOSSES[name](z, y)
    if layer.bias is not None:
        domain = _centred(domain, targets, name)
    slopes = domain - targets
    units = len(z) if name in ROWS else z.size
    share, above = _penalty(parts_of(layer.weight.penalty), -(slopes.T @ X) / units)
    least = -conjugate(share * slopes).sum() / units - above
    return max(objective - least, 0.0), None


def _obstacle(layer, loss, name):
    """Why there is no known dual, or None."""
    if layer is None:
        return "the model is not one Linear"
    if name not in LOSSES or not _plain(loss):
        return f"the conjugate of {name} is not known"
    if layer.bias is not None and layer.bias.penalty is not None:
        return "the bias is penalised"
    parts = parts_of(layer.weight.penalty)
    if not parts:
        return "the weight has no penalty"
    quadratic, rest = _split(parts)
    if quadratic is None or not (quadratic or _is_cone(rest) or _is_bounded(rest)):
        return f"the conjugate of {' + '.join(type(p).__name__ for p in parts)} is not known"
    return None


def _is_cone(parts):
    return all(isinstance(part, CONES) for part in parts)


def _is_bounded(parts):
    one = parts[0]
    ends = one.params() if isinstance(one, Box) else ()
    return len(parts) == 1 and type(one) in SETS and bool(np.isfinite(ends).all())


def _penalty(parts, pull):
    """(the share of `pull` to take, Omega* there)."""
    quadratic, rest = _split(parts)
    if quadratic:
        return 1.0, _conjugate(pull, quadratic, rest)
    if _is_cone(rest):
        return _share(pull, rest), 0.0
    return 1.0, float(SETS[type(rest[0])](rest[0], pull))


def _linear(model):
    """The model's one Linear, if it is nothing else."""
    parts = [m for m in model.modules() if not isinstance(m, (nn.Sequential, nn.Flatten))]
    return parts[0] if len(parts) == 1 and type(parts[0]) is nn.Linear else None


def _plain(loss):
    """Whether a loss has none of its options set."""
    if not isinstance(loss, nn.Module):
        return True
    made = vars(type(loss)())
    return all(vars(loss)[name] == made[name] for name in made if not name.startswith("_"))


def _split(parts):
    """(the strength of w^2, the other penalties), or (None, _) if their sum is not convex."""
    quadratic, rest = 0.0, []
    for part in parts:
        if isinstance(part, L2):
            quadratic += part.number("lam")
        elif isinstance(part, ElasticNet):
            lam, l1_ratio = part.params()
            quadratic += lam * (1.0 - l1_ratio) / 2.0
            rest.append(L1(lam * l1_ratio))
        else:
            rest.append(part)
    decays = any(isinstance(part, WeightDecay) for part in parts)
    return (None if decays or plan(rest).bound < np.inf else quadratic), rest


def _conjugate(pull, quadratic, rest):
    """Omega* where Omega has a square: its supremum is at a prox."""
    step = 1.0 / (2.0 * quadratic)
    w = prox(rest, pull * step, step) if rest else pull * step
    value = sum(part.value(w) for part in rest) + quadratic * np.square(w).sum()
    return float((pull * w).sum() - value)


def _share(pull, rest):
    """The largest share of `pull` at which Omega* is 0, up to 1."""
    zero = np.zeros_like(pull)

    def inside(share):
        return not residual(rest, zero, -share * pull)[0].any()

    if inside(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return low


def _centred(domain, targets, name):
    """`domain` moved so that the slopes sum to 0, and towards the targets' mean until it is in the
    conjugate's domain again."""
    moved = domain - (domain - targets).mean(axis=0)
    if name in SQUARES:
        return moved
    mean = targets.mean(axis=0)
    below, above = np.maximum(-moved, 0), np.maximum(moved - 1, 0)
    share = np.maximum(ratio(below, mean + below), ratio(above, 1 - mean + above)).max(initial=0.0)
    return (1 - share) * moved + share * mean


def _xlogx(p):
    """p log p, 0 at 0."""
    return p * np.log(np.maximum(p, np.finfo(float).tiny))


def _squares(z, y):
    """l(z) = (z - y)^2, l*(u) = u y + u^2 / 4."""
    return 2.0 * z - y, lambda u: u * y + u * u / 4.0, y


def _binary(z, y):
    """l(z) = log(1 + e^z) - y z, l*(u) = p log p + (1 - p) log(1 - p) with p = u + y."""
    p = np.exp(-np.logaddexp(0.0, -z))

    def conjugate(u):
        p = np.clip(u + y, 0.0, 1.0)
        return _xlogx(p) + _xlogx(1.0 - p)

    return p, conjugate, y


def _labels(z, y):
    """l(z) = log sum_c e^(z_c) - z_y, l*(u) = sum_c p_c log p_c with p = u + (1 at y)."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    hot = np.eye(z.shape[1])[y]

    def conjugate(u):
        return _xlogx(np.maximum(u + hot, 0.0))

    return p / p.sum(axis=1, keepdims=True), conjugate, hot


SQUARES = ("mse_loss", "MSELoss")
ROWS = ("cross_entropy", "CrossEntropyLoss")  # whose mean is over rows, not over entries
LOSSES = {
    **dict.fromkeys(SQUARES, _squares),
    **dict.fromkeys(("binary_cross_entropy_with_logits", "BCEWithLogitsLoss"), _binary),
    **dict.fromkeys(ROWS, _labels),
}
