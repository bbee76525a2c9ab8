"""Batch norm against none on the network of the paper that introduced it.

Three hidden layers of 100 sigmoid units, batches of 60, weights small at the start; with and
without batch norm, alike in all else. Tells how fast both learn, and how much what a unit is given
moves and widens while the layers below it learn: the covariate shift.

    python demos/batch_norm.py [--mnist FOLDER] [--epochs 200] [--lr 0.1]

The digits are scikit-learn's 1,797; with --mnist the 60,000 of MNIST, from the four files
train-images-idx3-ubyte.gz and so on (50 epochs are the paper's 50,000 steps).

Writes batch_norm.png to demos/output. Claims, asserted for the small digits: with batch norm 90 %
of the test digits are right after a twentieth of the epochs that it takes without, more are right
in the end, and what the last layer is given moves a third as far an epoch, or less.

Ioffe, Szegedy, "Batch Normalization", ICML 2015, section 4.1.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import microreg as mr
from microreg import nn, optim
from microreg.analysis.figures import TRAIN, VALIDATION, page
from microreg.analysis.plots import draw_unit
from microreg.training import mnist

OUTPUT = Path(__file__).parent / "output"
UNITS, BATCH, START = 100, 60, 0.1


def digits(folder):
    """Rows of pixels: MNIST's, or scikit-learn's, of which 1,200 are for training."""
    if folder:
        return tuple((X.reshape(len(X), -1), y) for X, y in mnist(folder))
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order]
    return (X[:1200], y[:1200]), (X[1200:], y[1200:])


def network(inputs, normalized):
    mr.manual_seed(0)
    layers, width = [], inputs
    for _ in range(3):
        layers.append(nn.Linear(width, UNITS, bias=not normalized))
        layers += [nn.BatchNorm1d(UNITS)] * normalized + [nn.Sigmoid()]
        width = UNITS
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    for p in model.parameters():
        if p.ndim == 2:
            nn.init.normal_(p, 0.0, START)
    return model


def train(data, normalized, lr, epochs):
    rows, test = data
    model = network(rows[0].shape[1], normalized)
    watch = mr.Watch(test[0][:500])
    optimizer = optim.SGD(model.parameters(), lr=lr)
    return mr.fit(
        model, rows, val=test, optimizer=optimizer, epochs=epochs, batch_size=BATCH,
        callbacks=[watch],
    )  # fmt: skip


def draw(histories):
    title = "A network of 3 x 100 sigmoid units"
    with page(OUTPUT / "batch_norm.png", 1, 3, title=title) as (_, axes):
        for (name, history), color in zip(histories.items(), (TRAIN, VALIDATION), strict=True):
            axes[0, 0].plot(history["val_accuracy"], color=color, label=name)
        axes[0, 0].set_title("test accuracy")
        axes[0, 0].legend()
        for axis, (name, history) in zip(axes[0, 1:], histories.items(), strict=True):
            draw_unit(axis, history.watch, list(history.watch.activations)[-1])
            axis.set_title(f"{name}: what a unit of the last layer\nis given, 15, 50, 85 %")
        for axis in axes[0]:
            axis.set_xlabel("epoch")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", help="folder with the four files of MNIST")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--lr", type=float, default=0.1)
    options = parser.parse_args()
    OUTPUT.mkdir(exist_ok=True)
    data = digits(options.mnist)
    histories = {
        name: train(data, normalized, options.lr, options.epochs)
        for name, normalized in (("batch norm", True), ("none", False))
    }
    accuracy = {name: 100 * np.array(h["val_accuracy"]) for name, h in histories.items()}
    reached = {
        k: int(np.argmax(v >= 90)) + 1 if v.max() >= 90 else np.inf for k, v in accuracy.items()
    }
    print(f"\n{'':12} {'first epoch %':>14} {'last epoch %':>13} {'epochs to 90 %':>15}")
    for name, values in accuracy.items():
        print(f"{name:12} {values[0]:14.1f} {values[-1]:13.1f} {reached[name]:15}")
    print("\nwhat the units of each layer are given, from the first epoch on")
    moves = {}
    for name, history in histories.items():
        for layer in history.watch.activations:
            moves[name], grown = history.watch.shift(layer)
            said = f"move {moves[name]:.3f} spreads an epoch, spread {grown:.1f} times"
            print(f"{name:12} {history.watch.said(layer):12} {said}")
    draw(histories)
    if not options.mnist:
        assert reached["batch norm"] < reached["none"] / 20, reached
        assert accuracy["batch norm"][-1] > accuracy["none"][-1]
        assert moves["batch norm"] < moves["none"] / 3, moves
    print(f"\nfigure: {OUTPUT / 'batch_norm.png'}")


if __name__ == "__main__":
    main()
