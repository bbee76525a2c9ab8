"""The short tour: one network, few rows, and what each regularizer does about it.

An MLP is trained on 200 handwritten digits, far too few for it, one in five of them with a label
drawn at random, so that learning the training rows by heart hurts. It is trained with no
regularization and with each regularizer in turn, over several seeds.

    python demos/demo.py [--seeds 3]

Writes learning_curves.png and weights.png to demos/output. Claims, asserted: L2, dropout and early
stopping gain three points in test accuracy; L1, elastic net and group lasso make half of the
weights exactly zero, and L1 in the loss makes none.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis.figures import TRAIN, VALIDATION, ZERO, page
from microreg.penalties import L1, L2, ElasticNet, GroupLasso

OUTPUT = Path(__file__).parent / "output"
ROWS, NOISE, EPOCHS, HIDDEN = 200, 0.2, 150, 64
RECIPES = {
    "none": {},
    "L2": {"penalty": L2(2e-2)},
    "L1": {"penalty": L1(4e-3)},
    "L1 in the loss": {"in_loss": L1(4e-3)},
    "elastic net": {"penalty": ElasticNet(7e-3, l1_ratio=0.5)},
    "group lasso": {"penalty": GroupLasso(3e-3, groups="out")},
    "batch norm": {"norm": nn.BatchNorm1d},
    "layer norm": {"norm": nn.LayerNorm},
    "dropout": {"dropout": 0.5},
    "early stopping": {"callbacks": [mr.EarlyStopping(patience=10)]},
}


def digits(seed):
    """Training, validation and test rows; pixels scaled as a whole to mean 0 and deviation 1."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    X, y = ((X - X.mean()) / X.std())[order].astype(np.float32), y[order]
    y[rng.choice(ROWS, int(NOISE * ROWS), replace=False)] = rng.integers(0, 10, int(NOISE * ROWS))
    return tuple(zip(*(np.split(a, (ROWS, ROWS + 400)) for a in (X, y)), strict=True))


def train(seed, norm=None, dropout=0.0, penalty=None, in_loss=None, callbacks=()):
    """Percent right in training and test, zeros in percent, hidden units left; the history."""
    mr.manual_seed(seed)
    (data, held, test), layers = digits(seed), []
    for width in (64, HIDDEN):
        layers += [nn.Linear(width, HIDDEN), *([norm(HIDDEN)] if norm else []), nn.ReLU()]
        layers += [nn.Dropout(dropout)] * bool(dropout)
    model = nn.Sequential(*layers, nn.Linear(HIDDEN, 10))
    weights = [p for p in mr.attach(model, penalty or []).parameters() if p.ndim == 2]

    def loss(output, target):
        added = in_loss.lam * sum(w.abs().sum() for w in weights) if in_loss else 0.0
        return F.cross_entropy(output, target) + added

    history = mr.fit(
        model, data, val=held, loss=loss, optimizer=optim.Adam(model.parameters(), lr=2e-3),
        epochs=EPOCHS, batch_size=20, callbacks=callbacks, progress=False,
    )  # fmt: skip
    seen, unseen = (100 * mr.evaluate(model, part)["accuracy"] for part in (data, test))
    kept = mr.compact(model).modules()  # without the units that zeros have cut off
    left = sum(m.out_features for m in kept if isinstance(m, nn.Linear)) - 10
    return (seen, unseen, 100 * history["zeros"][-1], left), history


def draw(results):
    OUTPUT.mkdir(exist_ok=True)
    curves = page(OUTPUT / "learning_curves.png", 2, 5, size=(15, 6), sharey=True)
    weights = page(OUTPUT / "weights.png", 2, 5, size=(15, 6), title="First weights; grey: zeros")
    with curves as (_, upper), weights as (_, lower):
        for (name, runs), axis, other in zip(results.items(), upper.flat, lower.flat, strict=True):
            for _, history in runs:
                axis.plot(history["loss"], color=TRAIN, lw=1, alpha=0.7)
                axis.plot(history["val_loss"], color=VALIDATION, lw=1, alpha=0.7)
            axis.set(title=name, yscale="log", ylim=(1e-3, 20), xlabel="epoch")
            w = runs[0][1].model[0].weight.data
            limit = np.quantile(np.abs(w), 0.99)
            other.imshow(np.ma.masked_equal(w, 0), cmap="RdBu_r", vmin=-limit, vmax=limit)
            other.set(title=f"{name}: {np.mean(w == 0):.0%} zeros", xticks=[], yticks=[])
            other.set_facecolor(ZERO)
        upper[0, 0].legend(["training loss", "validation loss"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each recipe")
    seeds = parser.parse_args().seeds
    runs, results = [(name, seed) for name in RECIPES for seed in range(seeds)], {}
    for name, seed in tqdm(runs, unit="run", disable=None):
        results.setdefault(name, []).append(train(seed, **RECIPES[name]))
    print(f"\nMLP, 2 x {HIDDEN} units, {ROWS} digits, {NOISE:.0%} random labels, {seeds} seeds\n")
    print(f"{'':15} {'train %':>8} {'test %':>13} {'gap':>6} {'exact zeros %':>14}  units left")
    mean = {}
    for name, found in results.items():
        rows = np.array([row for row, _ in found])
        seen, unseen, zeros, left = mean[name] = rows.mean(axis=0)
        said = f"{unseen:6.1f} +- {rows[:, 1].std():3.1f} {seen - unseen:6.1f}"
        print(f"{name:15} {seen:8.1f} {said} {zeros:14.1f} {left:4.0f} of {2 * HIDDEN}")
    draw(results)
    sparse, better = ("L1", "elastic net", "group lasso"), ("L2", "dropout", "early stopping")
    assert all(mean[name][1] > mean["none"][1] + 3 for name in better), mean
    assert min(mean[name][2] for name in sparse) > 50 > 1 > mean["L1 in the loss"][2], mean
    print(f"\nfigures: {OUTPUT / 'learning_curves.png'}, {OUTPUT / 'weights.png'}")


if __name__ == "__main__":
    main()
