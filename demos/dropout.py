"""Dropout: many thinned networks, one mean.

In training every unit is left out with probability p and the others are divided by 1 - p. What that
does to a linear model can be worked out: it is a ridge penalty of p / (1 - p), column by column. In
a network it stops units from relying on each other, so fewer wrong labels are learned by heart. And
if dropout stays on while predicting, the networks disagree where the prediction is likely wrong.

    python demos/dropout.py

Writes dropout.png to demos/output. Claims, asserted: a linear model trained with dropout ends
within 2 % of the ridge solution; the network's test accuracy gains three points or more and its gap
in loss shrinks; wrong predictions have 1.5 times the disagreement of right ones or more.

Srivastava et al., "Dropout", JMLR 15 (2014). Gal, Ghahramani, "Dropout as a Bayesian
Approximation", ICML 2016.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis.figures import page

OUTPUT = Path(__file__).parent / "output"
RATES = 0.1, 0.2, 0.35, 0.5, 0.65
ROWS, NOISE, SEEDS, MASKS = 500, 0.2, 3, 50


def linear(p, steps=6000):
    """Mean weights of a linear model while it trains with dropout, and those of ridge."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 5)) @ (np.eye(5) + 0.4)
    y = X @ np.array([[2.0], [-1.0], [0.5], [0.0], [1.0]]) + rng.normal(size=(200, 1))
    mr.manual_seed(0)
    model = nn.Sequential(nn.Dropout(p), nn.Linear(5, 1, bias=False)).double()
    sgd, seen = optim.SGD(model.parameters(), lr=0.02), []
    for _ in range(steps):
        sgd.zero_grad()
        F.mse_loss(model(mr.tensor(X)), mr.tensor(y)).backward()
        sgd.step()
        seen.append(model[1].weight.data[0].copy())
    strength = p / (1 - p) * np.diag((X**2).mean(axis=0))
    ridge = np.linalg.solve(X.T @ X / len(X) + strength, X.T @ y / len(X))
    return np.mean(seen[steps // 10 :], axis=0), ridge[:, 0]


def digits():
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(X))
    X, y = ((X[order] - X.mean()) / X.std()).astype(np.float32), y[order]
    wrong = rng.random(ROWS) < NOISE
    y[:ROWS][wrong] = rng.integers(0, 10, wrong.sum())
    return (X[:ROWS], y[:ROWS]), (X[ROWS:], y[ROWS:])


def network(p, seed):
    mr.manual_seed(seed)
    (train, test), layers = digits(), []
    for width in (64, 128):
        layers += [nn.Linear(width, 128), nn.ReLU(), nn.Dropout(p)]
    model = nn.Sequential(*layers, nn.Linear(128, 10))
    mr.fit(model, train, epochs=200, batch_size=50, progress=False)
    (a, b), keys = (mr.evaluate(model, part) for part in (train, test)), ("loss", "accuracy")
    return model, test, np.array([a[k] for k in keys] + [b[k] for k in keys])


def disagreement(model, X):
    """What the masks do not agree on: entropy of their mean less mean of their entropies."""
    model.train()
    with mr.no_grad():
        each = np.stack([F.softmax(model(mr.tensor(X)), dim=1).data for _ in range(MASKS)])
    entropy = [-(q * np.log(q + 1e-12)).sum(axis=-1) for q in (each.mean(axis=0), each)]
    return entropy[0] - entropy[1].mean(axis=0)


def main():
    OUTPUT.mkdir(exist_ok=True)
    solutions = {p: linear(p) for p in RATES}
    off = [np.abs(a - b).max() / np.abs(b).max() for a, b in solutions.values()]
    print(f"linear weights, from ridge: at most {max(off):.2%} of the largest")
    rates = 0.0, *RATES
    runs = {p: [network(p, s) for s in range(SEEDS)] for p in tqdm(rates, unit="p", disable=None)}
    table = {p: np.mean([row for _, _, row in found], axis=0) for p, found in runs.items()}
    print(f"\n{'p':>5} {'train %':>9} {'test %':>9} {'train loss':>11} {'test loss':>10}")
    for p, (seen, right, unseen, held) in table.items():
        print(f"{p:5} {100 * right:9.1f} {100 * held:9.1f} {seen:11.3f} {unseen:10.3f}")
    model, (X, y), _ = runs[0.5][0]
    wrong, doubt = mr.predict(model, X).argmax(axis=1) != y, disagreement(model, X)
    means = doubt[wrong].mean(), doubt[~wrong].mean()
    print(f"\ndisagreement of the masks: {means[0]:.3f} where wrong, {means[1]:.3f} where right")
    with page(OUTPUT / "dropout.png", 1, 3, title="Dropout") as (_, axes):
        axes[0, 0].plot(RATES, [ridge for _, ridge in solutions.values()])
        axes[0, 0].set_prop_cycle(None)  # the same colours again
        axes[0, 0].plot(RATES, [dropout for dropout, _ in solutions.values()], "o")
        axes[0, 0].set(title="linear weights: dots dropout, lines ridge", xlabel="p")
        right = 100 * np.stack(list(table.values()))[:, [1, 3]]
        axes[0, 1].plot(rates, right, marker="o", ms=4, label=("training", "test"))
        axes[0, 1].set(title=f"network on {ROWS} digits, % right", xlabel="p")
        axes[0, 1].legend()
        bins = np.linspace(0, doubt.max(), 25)
        for part, label in ((~wrong, "right"), (wrong, "wrong")):
            axes[0, 2].hist(doubt[part], bins, density=True, alpha=0.6, label=label)
        axes[0, 2].set(title="disagreement of the masks, p=0.5", xlabel="nats")
        axes[0, 2].legend()
    assert max(off) < 0.02, off
    gain, gap = table[0.5][3] - table[0.0][3], [row[2] - row[0] for row in table.values()]
    assert gain > 0.03 and gap[4] < gap[0], (gain, gap)
    assert means[0] > 1.5 * means[1], means
    print(f"\nfigure: {OUTPUT / 'dropout.png'}")


if __name__ == "__main__":
    main()
