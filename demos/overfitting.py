"""Overfitting: the training loss falls with anything, the validation loss tells.

One MLP on handwritten digits, one in five of the labels drawn at random, so that 82 % right is the
best that can be hoped for. It learns the training rows by heart, wrong labels too: the validation
loss falls, turns and rises. More rows close the gap; so does a penalty, with the same rows.

    python demos/overfitting.py

Writes overfitting.png to demos/output. Claims, asserted: without a penalty all training rows are
learned and the validation loss ends at twice its least value or more; with L2 it ends within a
fifth of it; 800 rows have a smaller gap than 100; with L2 800 rows have next to none.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import microreg as mr
from microreg import nn, optim
from microreg.analysis.figures import TRAIN, VALIDATION, page
from microreg.penalties import L2

OUTPUT = Path(__file__).parent / "output"
ROWS = 100, 200, 400, 800
NOISE, STEPS, BATCH = 0.2, 3000, 50


def digits():
    """800 training rows and 997 for validation, a fifth of both with labels drawn at random."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(X))
    X, y = ((X[order] - X.mean()) / X.std()).astype(np.float32), y[order]
    wrong = rng.random(len(y)) < NOISE
    y[wrong] = rng.integers(0, 10, wrong.sum())
    return (X[: max(ROWS)], y[: max(ROWS)]), (X[max(ROWS) :], y[max(ROWS) :])


def train(data, test, penalty):
    mr.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    if penalty is not None:
        mr.attach(model, penalty)
    adam = optim.Adam(model.parameters(), lr=1e-3)
    epochs = STEPS * BATCH // len(data[0])  # as many steps whatever the rows
    return mr.fit(
        model, data, val=test, optimizer=adam, epochs=epochs, batch_size=BATCH, progress=False
    )


def draw(histories, gaps):
    title = "Learning digits by heart, a fifth of the labels wrong"
    with page(OUTPUT / "overfitting.png", 1, 3, title=title) as (_, axes):
        for axis, (name, history) in zip(axes[0], histories.items(), strict=False):
            axis.plot(history["loss"], color=TRAIN, label="training")
            axis.plot(history["val_loss"], color=VALIDATION, label="validation")
            axis.axvline(history.best_epoch, color="0.35", ls=":", label="best epoch")
            axis.set(title=f"{ROWS[0]} rows, {name}", yscale="log", ylim=(1e-3, 20))
            axis.set(xlabel="epoch", ylabel="mean cross-entropy")
            axis.legend()
        for (name, values), color in zip(gaps.items(), ("tab:red", "tab:green"), strict=True):
            axes[0, 2].plot(ROWS, values, marker="o", ms=4, color=color, label=name)
        axes[0, 2].set(title="training less validation accuracy", xlabel="training rows")
        axes[0, 2].set(xscale="log", ylabel="points")
        axes[0, 2].set_xticks(ROWS, ROWS)
        axes[0, 2].minorticks_off()
        axes[0, 2].legend()


def main():
    OUTPUT.mkdir(exist_ok=True)
    (X, y), test = digits()
    ways = {"no penalty": None, "L2": L2(0.03)}
    found = {}
    for way, rows in tqdm([(w, n) for w in ways for n in ROWS], unit="run", disable=None):
        found[way, rows] = train((X[:rows], y[:rows]), test, ways[way])
    accuracy = {k: (100 * h["accuracy"][-1], 100 * h["val_accuracy"][-1]) for k, h in found.items()}
    print(f"\n{'rows':>5} " + " ".join(f"{way:>24}" for way in ways) + "\n" + " " * 5, end=" ")
    print(" ".join(f"{'train %':>11} {'validation %':>12}" for _ in ways))
    for rows in ROWS:
        cells = (accuracy[way, rows] for way in ways)
        print(f"{rows:5} " + " ".join(f"{a:11.1f} {b:12.1f}" for a, b in cells))
    few = {way: found[way, ROWS[0]] for way in ways}
    risen = {way: h["val_loss"][-1] / min(h["val_loss"]) for way, h in few.items()}
    for way, ratio in risen.items():
        print(f"{way}: the validation loss ends at {ratio:.2f} times its least value")
    gaps = {way: [np.subtract(*accuracy[way, rows]) for rows in ROWS] for way in ways}
    draw(few, gaps)
    assert all(accuracy["no penalty", rows][0] == 100 for rows in ROWS), accuracy
    assert risen["no penalty"] > 2 and risen["L2"] < 1.2, risen
    assert all(gap[-1] < gap[0] for gap in gaps.values()) and gaps["L2"][-1] < 5, gaps
    print(f"\nfigure: {OUTPUT / 'overfitting.png'}")


if __name__ == "__main__":
    main()
