"""The short tour: one network, few rows, and what each regularizer does about it.

An MLP is trained on 200 handwritten digits, far too few for it, one in five of them with a label
drawn at random, so that learning the training rows by heart hurts. It is trained with no
regularization and with each regularizer in turn, over several seeds. Then a Linear(10, 1) with L1
selects features on the diabetes data, and is compared with scikit-learn's Lasso.

    python demos/demo.py [--seeds 3]

Writes learning_curves.png and weights.png to demos/output.
"""

import argparse
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import Lasso
from tqdm import tqdm

import microreg as mr
from microreg import nn, optim
from microreg.penalties import L1, L2, ElasticNet, GroupLasso

OUTPUT = Path(__file__).parent / "output"
ROWS, NOISE, VALIDATION = 200, 0.2, 400
EPOCHS, BATCH, LR = 150, 20, 2e-3
HIDDEN = 64


@dataclass
class Recipe:
    """One way to train: what stands between the layers, what is attached, what watches."""

    name: str
    norm: object = None
    dropout: float = 0.0
    penalty: object = None
    in_loss: bool = False
    callbacks: object = field(default=lambda: ())

    def model(self):
        layers, width = [], 64
        for _ in range(2):
            layers.append(nn.Linear(width, HIDDEN))
            if self.norm:
                layers.append(self.norm(HIDDEN))
            layers.append(nn.ReLU())
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            width = HIDDEN
        model = nn.Sequential(*layers, nn.Linear(width, 10))
        return mr.attach(model, self.penalty) if self.penalty and not self.in_loss else model

    def loss(self, model):
        """Cross-entropy, with the penalty added to it if it is not left to the optimizer."""
        if not self.in_loss:
            return nn.functional.cross_entropy
        weights = [p for p in model.parameters() if p.ndim == 2]

        def loss(output, target):
            size = sum(w.abs().sum() for w in weights)
            return nn.functional.cross_entropy(output, target) + self.penalty.lam * size

        return loss


RECIPES = [
    Recipe("none"),
    Recipe("L2", penalty=L2(2e-2)),
    Recipe("L1", penalty=L1(4e-3)),
    Recipe("L1 in the loss", penalty=L1(4e-3), in_loss=True),
    Recipe("elastic net", penalty=ElasticNet(7e-3, l1_ratio=0.5)),
    Recipe("group lasso", penalty=GroupLasso(3e-3, groups="out")),
    Recipe("batch norm", norm=nn.BatchNorm1d),
    Recipe("layer norm", norm=nn.LayerNorm),
    Recipe("dropout", dropout=0.5),
    Recipe("early stopping", callbacks=lambda: [mr.EarlyStopping(patience=10)]),
]


def digits(seed):
    """Training, validation and test rows; pixels scaled as a whole to mean 0 and deviation 1."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    X, y = ((X - X.mean()) / X.std())[order].astype(np.float32), y[order]
    wrong = rng.choice(ROWS, int(NOISE * ROWS), replace=False)
    y[wrong] = rng.integers(0, 10, len(wrong))
    ends = ROWS, ROWS + VALIDATION
    return tuple(zip(np.split(X, ends), np.split(y, ends), strict=True))


def units_left(model):
    """Hidden units that still read something and are still read by something."""
    weights = [p.data for p in model.parameters() if p.ndim == 2]
    alive = [(below.any(axis=1) & above.any(axis=0)).sum() for below, above in pairwise(weights)]
    return int(sum(alive))


def train(recipe, seed):
    """Train once; a row of numbers, the history and the model."""
    mr.manual_seed(seed)
    train_data, validation, test_data = digits(seed)
    model = recipe.model()
    history = mr.fit(
        model,
        train_data,
        val=validation,
        loss=recipe.loss(model),
        optimizer=optim.Adam(model.parameters(), lr=LR),
        epochs=EPOCHS,
        batch_size=BATCH,
        callbacks=recipe.callbacks(),
        progress=False,
    )
    seen, unseen = (100 * mr.evaluate(model, d)["accuracy"] for d in (train_data, test_data))
    zeros = 100 * history["zeros"][-1]
    return (seen, unseen, seen - unseen, zeros, units_left(model)), history, model


def compare(seeds):
    """Train every recipe with every seed, print the table, return what the figures need."""
    results = {}
    with tqdm(total=len(RECIPES) * seeds, unit="run", disable=None) as bar:
        for recipe in RECIPES:
            bar.set_postfix_str(recipe.name)
            runs = []
            for seed in range(seeds):
                runs.append(train(recipe, seed))
                bar.update()
            results[recipe.name] = runs
    print(f"\nMLP 64-{HIDDEN}-{HIDDEN}-10 on {ROWS} digits, Adam, {EPOCHS} epochs, {seeds} seeds")
    print(f"{100 * NOISE:.0f} % of the training labels are random; mean and deviation over seeds\n")
    print(
        f"{'':15} {'train %':>8} {'test %':>13} {'gap':>6} {'exact zeros %':>14} {'units left':>11}"
    )
    for name, runs in results.items():
        rows = np.array([row for row, _, _ in runs])
        (seen, unseen, gap, zeros, units), spread = rows.mean(0), rows.std(0)[1]
        print(
            f"{name:15} {seen:8.1f} {unseen:6.1f} +- {spread:3.1f} {gap:6.1f} {zeros:14.1f} "
            f"{units:5.0f} of {2 * HIDDEN}"
        )
    print("\nL2's few zeros are units that died: no gradient holds their weights against the decay")
    return results


def draw_curves(results):
    """Training and validation loss over the epochs, a panel for each recipe but L1 in the loss."""
    results = {name: runs for name, runs in results.items() if name != "L1 in the loss"}
    figure, axes = plt.subplots(
        3, 3, figsize=(10, 8), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (name, runs) in zip(axes.flat, results.items(), strict=True):
        for i, (_, history, _) in enumerate(runs):
            labels = ("training loss", "validation loss") if i == 0 else (None, None)
            axis.plot(history["loss"], color="tab:blue", alpha=0.7, lw=1, label=labels[0])
            axis.plot(history["val_loss"], color="tab:orange", alpha=0.7, lw=1, label=labels[1])
        gap = np.mean([row[2] for row, _, _ in runs])
        axis.set_title(f"{name}: gap {gap:.1f} points", fontsize=10)
        axis.set_yscale("log")
        axis.set_ylim(1e-3, 20)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8, loc="upper right")
    figure.supxlabel("epoch")
    figure.supylabel("mean cross-entropy")
    figure.suptitle("The training loss falls with anything; the validation loss tells")
    figure.savefig(OUTPUT / "learning_curves.png", dpi=110)
    plt.close(figure)


def draw_weights(results):
    """The first layer's weights, a row for each hidden unit; exact zeros are grey."""
    figure, axes = plt.subplots(2, 5, figsize=(14, 6.5), layout="constrained")
    colours = plt.get_cmap("RdBu_r").with_extremes(bad="0.8")
    for axis, (name, runs) in zip(axes.flat, results.items(), strict=True):
        weight = runs[0][2][0].weight.data
        limit = np.quantile(np.abs(weight), 0.99)
        shown = np.ma.masked_equal(weight, 0.0)
        axis.imshow(shown, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
        share = 100 * np.mean(weight == 0)
        axis.set_title(f"{name}: {share:.0f} % zeros, scale {limit:.2f}", fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.supxlabel("input pixel")
    figure.supylabel("hidden unit")
    figure.suptitle("First-layer weights; grey: exactly zero")
    figure.savefig(OUTPUT / "weights.png", dpi=110)
    plt.close(figure)


def lasso(alpha=1.0, steps=20_000):
    """A Linear(10, 1) with L1 by proximal gradient steps, beside scikit-learn's Lasso.

    Lasso minimises |y - Xw|^2 / (2n) + alpha |w|, half of mean squared error + 2 alpha |w|.
    """
    data = load_diabetes()
    X, y = mr.tensor(data.data), mr.tensor(data.target[:, None])
    model = nn.Linear(10, 1, dtype=mr.float64)
    mr.attach(model, L1(2 * alpha))
    curvature = 2 * np.linalg.eigvalsh(data.data.T @ data.data)[-1] / len(data.data)
    optimizer = optim.SGD(
        [{"params": model.weight, "lr": 1 / curvature}, {"params": model.bias, "lr": 0.5}], lr=0.5
    )
    for _ in tqdm(range(steps), unit="step", disable=None, leave=False):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(X), y).backward()
        optimizer.step()
    ours = model.weight.data[0]
    theirs = Lasso(alpha=alpha, tol=1e-12, max_iter=100_000).fit(data.data, data.target).coef_
    print(f"\nDiabetes, Linear(10, 1) with L1 against scikit-learn's Lasso(alpha={alpha:g})\n")
    for name, a, b in zip(data.feature_names, ours, theirs, strict=True):
        print(f"{name:>4} {a:14.6f} {b:14.6f}")
    same = bool(((ours == 0) == (theirs == 0)).all())
    difference = np.abs(ours - theirs).max()
    print(f"\nexact zeros: {(ours == 0).sum()}, the same as Lasso's: {same}")
    print(f"largest difference of a coefficient: {difference:.1e}")
    if not same or difference > 1e-6:
        raise SystemExit("the lasso solutions differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each recipe")
    seeds = parser.parse_args().seeds
    OUTPUT.mkdir(exist_ok=True)
    results = compare(seeds)
    draw_curves(results)
    draw_weights(results)
    lasso()
    print(f"\nfigures: {OUTPUT / 'learning_curves.png'}, {OUTPUT / 'weights.png'}")


if __name__ == "__main__":
    main()
