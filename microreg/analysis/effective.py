"""How many parameters a penalised fit uses: its degrees of freedom.

    df = trace((H + P)^-1 H)

H is the Gauss-Newton matrix of the mean loss and P the second derivative of the penalties, both in
the parameters that may move: entries that a penalty holds at zero are left out. For a lasso it is
the number of nonzero weights, for ridge regression the sum of d^2 / (d^2 + n lam), for a group
lasso the divergence of its fitted values. For a network it is the same of its linearisation.

References
----------
MacKay, "A Practical Bayesian Framework for Backpropagation Networks", Neural Computation 4 (1992).
Zou, Hastie, Tibshirani, "On the degrees of freedom of the lasso", Annals of Statistics 35 (2007).
Vaiter et al., "The degrees of freedom of partly smooth regularizers", AISM 69 (2017).
"""

import numpy as np

from .. import functional as F
from ..grad_mode import enable_grad
from ..penalties.base import SeparablePenalty
from ..penalties.combine import as_list
from ..penalties.separable import WeightDecay
from ..tensor import Tensor, grad
from ..training.data import dtype_of, pair

LIMIT = 1500  # parameters that may move; the matrices are that wide
ROWS = 500  # rows at most that H is a mean over
STEP = 1e-4  # of differences of a penalty's gradient, relative to an entry


def effective_parameters(model, data, loss=F.cross_entropy):
    """The degrees of freedom of a fit; None if more than 1,500 parameters may move.

    Parameters
    ----------
    model : Module
        Trained, with its penalties attached. WeightDecay(lam) counts as L2(lam / 2).
    data : (X, y)
        The rows it was trained on; evenly spaced ones are taken where there are more than 500.
    loss : callable (output, target) -> scalar tensor
        A mean over the rows, as in `fit`.
    """
    X, y = pair(data, dtype_of(model), "effective_parameters")
    parameters = [p for p in model.parameters() if p.requires_grad]
    free = [_free(p) for p in parameters]
    if sum(map(np.count_nonzero, free)) > LIMIT:
        return None
    rows = np.unique(np.linspace(0, len(X) - 1, min(len(X), ROWS)).astype(int))
    mode = model.training
    model.eval()
    try:
        with enable_grad():
            H = _gauss_newton(model, X[rows], y[rows], loss, parameters, free)
    finally:
        model.train(mode)
    P = _block_diagonal([_curvature(p, f) for p, f in zip(parameters, free, strict=True)])
    size, axes = np.linalg.eigh(H + P)
    used = size > size.max(initial=0) * len(size) * np.finfo(dtype_of(model)).eps
    return float(((axes.T @ H * axes.T).sum(axis=1)[used] / size[used]).sum())


def shrinking(parameter):
    """The penalties on a parameter that have a strength and pull at it; constraints do not."""
    return [p for p in as_list(parameter.penalty) if getattr(p, "lam", 0)]


def _free(p):
    """Which entries may move: all but the zeros of a penalised parameter."""
    return p.data != 0 if shrinking(p) else np.ones(p.shape, bool)


def _gauss_newton(model, X, y, loss, parameters, free):
    """sum_i J_i^T B_i J_i, B_i being the second derivative of the mean loss in row i's outputs."""
    jacobian = []
    for row in range(len(X)):
        output = model(Tensor(X[row : row + 1])).reshape(-1)
        for k in range(len(output)):
            slopes = grad(output[k], parameters, retain_graph=True, allow_unused=True)
            jacobian.append(np.concatenate([
                np.zeros(f.sum()) if s is None else s.data[f].astype(np.float64)
                for s, f in zip(slopes, free, strict=True)
            ]))  # fmt: skip
    outputs = Tensor(model(Tensor(X)).data, requires_grad=True)
    (slope,) = grad(loss(outputs, Tensor(y)), outputs, create_graph=True)
    J = np.reshape(jacobian, (len(X), -1, sum(map(np.count_nonzero, free))))
    slope = slope.reshape(len(X), -1)
    B = np.stack([
        grad(slope[:, k].sum(), outputs, retain_graph=True)[0].data.reshape(len(X), -1)
        for k in range(slope.shape[1])
    ], axis=1)  # fmt: skip
    return np.einsum("nka,nkb->ab", J, B.astype(np.float64) @ J, optimize=True)


def _curvature(p, free):
    """The second derivative of what is attached to a parameter, in its free entries."""
    w, at = p.data.astype(np.float64), np.flatnonzero(free)
    total = np.zeros((len(at), len(at)))
    for penalty in shrinking(p):
        if isinstance(penalty, WeightDecay):
            total[np.diag_indices(len(at))] += penalty.number("lam")
        elif isinstance(penalty, SeparablePenalty):
            step = STEP * np.maximum(np.abs(w), STEP)
            slope = (penalty.grad(w + step) - penalty.grad(w - step)) / (2 * step)
            total[np.diag_indices(len(at))] += slope[free]
        else:
            total += np.stack([_slope(penalty, w, i)[free] for i in at], axis=1)
    return (total + total.T) / 2


def _slope(penalty, w, i):
    """The derivative of a penalty's gradient in entry i."""
    step = np.zeros(w.size)
    step[i] = STEP * max(abs(w.flat[i]), STEP)
    step = step.reshape(w.shape)
    return (penalty.grad(w + step) - penalty.grad(w - step)) / (2 * step.flat[i])


def _block_diagonal(blocks):
    ends = np.cumsum([0, *map(len, blocks)])
    out = np.zeros((ends[-1], ends[-1]))
    for a, b, block in zip(ends, ends[1:], blocks, strict=False):
        out[a:b, a:b] = block
    return out
