"""The same network under each regularizer, by cross-validation."""

import time
from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..optim import Adam
from ..penalties import MaxNorm, attach
from ..random import get_rng_state, manual_seed, set_rng_state
from ..training import EarlyStopping, evaluate, fit, zeros
from ..training.data import pair
from .comparison import Comparison
from .recipe import network, penalised, weights
from .spread import spread

LAMS = (1e-3, 3e-3, 1e-2, 3e-2)
HELD = 5  # one training row in so many is held out where training stops early
PATIENCE = 15


@dataclass(frozen=True)
class Recipe:
    """A regularizer and the strengths at which it is tried; one strength of None if it has none."""

    penalty: object = None  # a word or callable strength -> rule
    norm: str | None = None
    dropout: bool = False  # the strength is its probability
    stop: bool = False
    strengths: tuple[float | None, ...] = (None,)


RECIPES = {
    "none": Recipe(),
    "L2": Recipe("l2", strengths=LAMS),
    "weight decay": Recipe("weight_decay", strengths=(1e-3, 1e-2, 1e-1)),
    "L1": Recipe("l1", strengths=LAMS),
    "elastic net": Recipe("elastic_net", strengths=LAMS),
    "group lasso": Recipe("group_lasso", strengths=LAMS),
    "MCP": Recipe("mcp", strengths=LAMS),
    "max norm": Recipe(MaxNorm, strengths=(0.5, 1.0, 2.0)),
    "dropout": Recipe(dropout=True, strengths=(0.2, 0.5)),
    "batch norm": Recipe(norm="batch"),
    "layer norm": Recipe(norm="layer"),
    "early stopping": Recipe(stop=True),
}


def compare(
    X,
    y,
    *,
    hidden=(32,),
    recipes=None,
    folds=5,
    epochs=100,
    batch_size=32,
    lr=3e-3,
    seed=0,
    n_jobs=None,
    progress=True,
):
    """Train the same network under each regularizer with cross-validation.

    Parameters
    ----------
    X, y : arrays
        Class numbers or floats as y. In every fold X, and y of floats, are standardised by the
        mean and deviation of the training rows.
    hidden : sequence of int, or callable (inputs, outputs) -> Module
    recipes : sequence of str or dict from name to Recipe, optional
        Some of RECIPES, or your own; all of RECIPES if left out.
    folds : int, default 5
        The same folds, and initial weights, for all. Classes are spread evenly over them.
    epochs, batch_size, lr
        Of Adam.
    n_jobs : int, optional
        As for `path`: spread by joblib over processes, dask or ray, with the same numbers.

    Returns
    -------
    Comparison: print it for the table; `best`, `save("report.html")`, `figure(path)`.

    Notes
    -----
    The strength of each regularizer is the one with the least held-out loss, which flatters those
    that have several, a little.
    """
    X, y = pair((X, y), np.dtype(np.float32), "compare")
    if X.ndim != 2 or y.ndim != 1:
        raise ValueError(f"compare: expected X (n, d) and y (n,), got {X.shape} and {y.shape}")
    if y.dtype.kind == "i" and not np.array_equal(np.unique(y), np.arange(y.max() + 1)):
        raise ValueError(
            f"compare: expected class numbers 0, 1, ... without a gap, got {np.unique(y)[:5]}; "
            "np.unique(y, return_inverse=True)[1] makes them"
        )
    chosen = _recipes(recipes)
    parts = _folds(y, folds, seed)
    tried = [(name, s) for name, recipe in chosen.items() for s in recipe.strengths]
    options = {"hidden": hidden, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    runs = [
        (X, y, chosen[name], strength, parts != k, options)
        for name, strength in tried
        for k in range(folds)
    ]
    found = iter(spread(one_fold, runs, n_jobs, progress, "compare"))
    results = {}
    for name, strength in tried:
        results.setdefault(name, {})[strength] = [next(found) for _ in range(folds)]
    return Comparison(results, len(X), X.shape[1], y.dtype.kind == "i", options)


def _recipes(recipes):
    if isinstance(recipes, dict):
        return recipes
    names = list(RECIPES) if recipes is None else list(recipes)
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise ValueError(f"compare: expected some of {list(RECIPES)}, got {unknown}")
    return {name: RECIPES[name] for name in names}


def _folds(y, folds, seed):
    """The number of the fold of every row; classes are spread evenly."""
    least = np.bincount(y).min(initial=len(y)) if y.dtype.kind == "i" else len(y)
    if (
        isinstance(folds, bool)
        or not isinstance(folds, (int, np.integer))
        or not 2 <= folds <= least
    ):
        rows = "rows" if y.dtype.kind == "f" else "rows in the smallest class"
        raise ValueError(
            f"compare(folds={folds!r}): expected 2 to {least}, there are {least} {rows}"
        )
    order = np.random.default_rng(seed).permutation(len(y))
    if y.dtype.kind == "i":
        order = order[np.argsort(y[order], kind="stable")]
    parts = np.empty(len(y), np.int64)
    parts[order] = np.arange(len(y)) % folds
    return parts


def one_fold(X, y, recipe, strength, train, options):
    """Train on the rows that `train` marks, measure on the others: numbers and curves."""
    before, start = get_rng_state(), time.perf_counter()
    manual_seed(options["seed"])
    try:
        rows, held = np.flatnonzero(train), np.flatnonzero(~train)
        return _one_fold(X, y, recipe, strength, rows, held, options) | {
            "seconds": time.perf_counter() - start
        }
    finally:
        set_rng_state(before)


def _one_fold(X, y, recipe, strength, rows, held, options):
    classes = y.dtype.kind == "i"
    loss = F.cross_entropy if classes else F.mse_loss
    X = _standardised(X, rows)
    y = y if classes else _standardised(y, rows)[:, None]
    model = network(
        "compare", options["hidden"], "relu", recipe.norm, strength if recipe.dropout else 0.0,
        X.shape[1], int(y.max()) + 1 if classes else 1, np.float32,
    )  # fmt: skip
    if recipe.penalty is not None:
        made = recipe.penalty
        attach(
            model, made(strength) if callable(made) else penalised("compare", model, made, strength)
        )
    callbacks, val, data = [], (X[held], y[held]), (X[rows], y[rows])
    if recipe.stop:
        aside = np.random.default_rng(options["seed"]).permutation(len(rows)) % HELD == 0
        data, val = (X[rows[~aside]], y[rows[~aside]]), (X[rows[aside]], y[rows[aside]])
        callbacks = [EarlyStopping(PATIENCE)]
    history = fit(
        model, data, val=val, loss=loss, optimizer=Adam(model.parameters(), lr=options["lr"]),
        epochs=options["epochs"], batch_size=options["batch_size"], callbacks=callbacks,
        progress=False,
    )  # fmt: skip
    seen, unseen = (evaluate(model, (X[r], y[r]), loss) for r in (rows, held))
    first = dict(model.named_parameters())[weights(model)[0]].data
    return {
        "loss": unseen["loss"],
        "accuracy": unseen.get("accuracy", np.nan),
        "train": seen["loss"],
        "zeros": zeros(model),
        "inputs": int(first.reshape(len(first), -1).any(axis=0).sum()),
        "curves": (history["loss"], history["val_loss"]),
    }


def _standardised(x, rows):
    """x minus the mean of some rows, divided by their deviation; constant columns become 0."""
    mean, std = x[rows].mean(0), x[rows].std(0)
    return ((x - mean) / np.where(std > 0, std, 1)).astype(np.float32)
