"""A network at every strength of its penalties, and the strength that validation chooses.

The largest strength comes from the null model, whose penalised weights are zero and whose biases
fit what a constant can fit: from `lam_max` of its gradient on, zero is stationary. A convex model
is followed from there downwards. A network is followed upwards from dense weights, because zero is
stationary for it at strengths at which better networks exist; the path ends where its last weight
does.
"""

import copy
import warnings

import numpy as np

from .. import functional as F
from ..penalties.attach import attach, number
from ..penalties.combine import as_list
from ..penalties.schedule import Schedule
from ..random import generator, get_rng_state, manual_seed, set_rng_state
from ..tensor import Tensor
from ..training import predict
from ..training.data import dtype_of, pair
from .kinds import BATCH_NORMS, is_noise
from .path_result import Path
from .spread import spread
from .trainer import Task, Trainer, varies

DOUBLINGS = 20  # of the strength, after which weights that are not zero yet never will be
BLOCKS = 100  # of validation rows, between which the standard error is taken


def path(
    model,
    data,
    rule,
    *,
    n_lambdas=30,
    lam_min_ratio=0.01,
    lambdas=None,
    val=5,
    loss=F.cross_entropy,
    optimizer=None,
    steps=500,
    tol=1e-4,
    seeds=1,
    n_jobs=None,
    progress=True,
    **fit_options,
):
    """Train a model at a grid of strengths; choose one by validation.

    Parameters
    ----------
    model : Module
        Stays as it is. Its weights are the start of the first run; penalties attached to it that
        `rule` does not replace hold at every strength.
    data : (X, y)
    rule : as for `attach`
        The penalties that vary. A strength of the path multiplies each `lam`, so with one penalty
        give lam=1. Penalties that no strength makes zero (L2, MaxNorm, WeightDecay) do not vary.
    n_lambdas : int, default 30
        Strengths, in equal ratios from the largest to lam_min_ratio of it.
    lambdas : sequence of float, optional
        Strengths of your own instead.
    val : int, (X, y) or None, default 5
        Folds of cross-validation, or validation rows.
    loss : callable (output, target) -> scalar tensor, default cross_entropy
    optimizer : callable parameters -> Optimizer, optional
        Train by `fit`, with `fit_options` (epochs, batch_size, ...). Left out, all rows are used at
        once by proximal gradient steps that need no learning rate: at most `steps` at each
        strength, until the prox-gradient is below `tol` of the null model's largest slope.
    seeds : int, default 1
        Runs for each fold; from the second on with new initial weights.
    n_jobs : int, optional
        Spread the runs by joblib over so many processes, or over dask or ray as set by
        `joblib.parallel_config`. The numbers are the same.

    Returns
    -------
    Path: print it for the table; `figure`, `at(i)`, `refit(i)`.

    Raises
    ------
    ValueError
        If weights stay however large the strength, because others grow in their place. A warning
        tells which weights could, having no penalty.
    """
    X, y = pair(data, dtype_of(model), "path")
    task = _task(model, rule, loss, optimizer, steps, tol, fit_options)
    for name, value in (("n_lambdas", n_lambdas), ("seeds", seeds), ("steps", steps)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"path({name}={value!r}): expected a positive integer")
    if not 0 < lam_min_ratio < 1:
        raise ValueError(f"path(lam_min_ratio={lam_min_ratio}): expected a number between 0 and 1")
    if val is not None and not isinstance(val, (int, np.integer)):
        val = pair(val, dtype_of(model), "path: val")
    runs = _held_out(val, len(X), seeds)
    if lambdas is None:
        lambdas = _largest(task, X, y, lam_min_ratio) * np.geomspace(1, lam_min_ratio, n_lambdas)
    else:
        lambdas = np.sort(np.asarray(lambdas, np.float64).reshape(-1))[::-1]
        if not len(lambdas) or not np.isfinite(lambdas).all() or lambdas[-1] < 0:
            raise ValueError(f"path(lambdas={lambdas}): expected finite strengths of at least 0")
    calls = [(task, lambdas, X, y, *run) for run in runs]
    results = spread(_walk, calls, n_jobs, progress, "path")
    return Path(task, (X, y), lambdas, results[0], *_scores(results, val))


def _task(model, rule, loss, optimizer, steps, tol, fit_options):
    """The Task, with penalties sorted into those that vary and those that hold."""
    ruled = copy.deepcopy(model)
    for p in ruled.parameters():
        p.penalty = None
    attach(ruled, rule)
    model = copy.deepcopy(model)
    named = dict(model.named_parameters())
    chosen = {n: as_list(p.penalty) for n, p in ruled.named_parameters() if p.penalty is not None}
    for name, parts in chosen.items():
        if any(isinstance(getattr(part, "lam", None), Schedule) for part in parts):
            raise TypeError(f"path: rule for {name}: expected lam to be a number, got {parts}")
        if not any(varies(part, named[name]) for part in parts):
            raise ValueError(
                f"path: rule for {name}: expected a penalty with lam > 0 that makes weights zero, "
                f"got {parts}"
            )
    weights = [n for n, p in named.items() if p.ndim >= 2]
    noisy = [type(m).__name__ for m in model.modules() if is_noise(m) or isinstance(m, BATCH_NORMS)]
    if optimizer is None and (noisy or fit_options):
        cause = (
            f"{noisy[0]} needs batches" if noisy else f"{sorted(fit_options)} are options of fit"
        )
        raise ValueError(
            f"path: {cause}; give optimizer=lambda parameters: optim.Adam(parameters), and epochs"
        )
    free = [n for n in weights if n not in chosen and not as_list(named[n].penalty)]
    if free and optimizer is None:
        warnings.warn(
            f"path: {', '.join(free)} may grow in place of what the rule shrinks, and then no "
            "strength means the same for long; attach L2, of 0.01 say",
            RuntimeWarning,
            stacklevel=3,
        )
    model.train()
    return Task(model, chosen, loss, optimizer, steps, tol, fit_options, len(weights) == 1)


def _largest(task, X, y, ratio):
    """The strength from which on training ends in the null model."""
    trainer = Trainer(task, X, y)
    start = trainer.state()
    largest = trainer.null()
    if task.convex:
        return largest or 1.0
    trainer.load(start)
    trainer.train(0.0)
    dense = trainer.state()
    strength = max(largest, trainer.scale) * ratio
    trainer.train(strength)
    while trainer.is_zero():  # begin lower
        strength /= 10
        trainer.load(dense)
        trainer.train(strength)
    for _ in range(DOUBLINGS):
        strength *= 2
        trainer.train(strength)
        if trainer.is_zero():
            return max(strength, largest)
    raise ValueError(
        f"path: {list(task.rule)} are not zero at strength {strength:.3g}, and lam_max of the null "
        f"model is {largest:.3g}; other weights grow in their place: penalise those"
    )


def _held_out(val, n, seeds):
    """(rows to train on, what to validate on, seed, whether to keep weights) of each run.

    Rows are None for all. The first run is the path itself.
    """
    if val is None or not isinstance(val, (int, np.integer)):
        return [(None, val, seed, seed == 0) for seed in range(seeds if val is not None else 1)]
    if isinstance(val, bool) or not 2 <= val <= n:
        raise ValueError(f"path(val={val!r}): expected 2 to {n} folds, (X, y) or None")
    folds = np.array_split(generator().permutation(n), val)
    parts = [
        (np.sort(np.concatenate(folds[:i] + folds[i + 1 :])), np.sort(folds[i])) for i in range(val)
    ]
    return [(None, None, 0, True)] + [(*part, s, False) for s in range(seeds) for part in parts]


def _walk(task, lambdas, X, y, rows, val, seed, keep):
    """One run: a point for each strength, in the order of `lambdas`."""
    before = get_rng_state()
    manual_seed(seed)
    try:
        train = (X, y) if rows is None else (X[rows], y[rows])
        trainer = Trainer(task, *train, seed)
        start = trainer.state()
        trainer.null()
        order = list(range(len(lambdas)))
        if not task.convex:
            trainer.load(start)
            trainer.train(0.0)
            order.reverse()
        val = val if rows is None else (X[val], y[val])
        points = {i: _point(trainer, lambdas[i], val, keep) for i in order}
    finally:
        set_rng_state(before)
    return [points[i] for i in range(len(lambdas))]


def _point(trainer, strength, val, keep):
    loss, residual = trainer.train(strength)
    found = {"loss": loss, "residual": residual}
    if keep:
        found |= {"penalty": number(trainer.model), "state": trainer.state()}
        found["tolerance"] = trainer.tolerance
    if val is not None:
        found["val"] = _block_losses(trainer.model, *val, trainer.task.loss)
    return found


def _block_losses(model, X, y, loss):
    """The mean loss of each block of rows."""
    outputs = predict(model, X)
    blocks = np.array_split(np.arange(len(X)), min(BLOCKS, len(X)))
    return np.array([float(loss(Tensor(outputs[b]), Tensor(y[b]))) for b in blocks])


def _scores(results, val):
    """Mean validation loss at each strength and its standard error."""
    if val is None:
        return None, None
    if isinstance(val, (int, np.integer)):
        runs = [[point["val"].mean() for point in points] for points in results[1:]]
        parts = np.reshape(runs, (-1, val, len(results[0]))).mean(axis=0)  # over the seeds
    else:
        runs = [[point["val"] for point in points] for points in results]
        parts = np.mean(runs, axis=0).T
    spread = parts.std(axis=0, ddof=1) if len(parts) > 1 else np.zeros(parts.shape[1])
    return parts.mean(axis=0), spread / np.sqrt(len(parts))
