"""A convolutional network on handwritten digits.

Two convolutions with batch norm, pooling, dropout and one linear layer. The digits are
scikit-learn's 1,797 of 8 x 8 pixels; with --mnist a folder with the four files of MNIST, or of a
set made after it, train-images-idx3-ubyte.gz and so on, of 28 x 28.

    python demos/mnist_cnn.py [--mnist FOLDER] [--epochs 30]

Writes mnist_cnn.png to demos/output. Claims, asserted for scikit-learn's digits: 98 % of the test
digits are right, more than by a linear model on the pixels; a network that saw no shifted digit
has more of them right than the linear model.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import microreg as mr
from microreg import nn, optim
from microreg.analysis.figures import TRAIN, VALIDATION, page
from microreg.training import mnist

OUTPUT = Path(__file__).parent / "output"


def digits(folder):
    """Images (n, 1, height, width): MNIST's, or scikit-learn's, of which 1,200 are for training."""
    if folder:
        return tuple((X[:, None], y) for X, y in mnist(folder))
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order]
    return (X[:1200], y[:1200]), (X[1200:], y[1200:])


def network(size):
    mr.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * (size // 2) ** 2, 10),
    )  # fmt: skip


def shifted(X):
    """Every image one pixel to the right."""
    return np.pad(X, ((0, 0), (0, 0), (0, 0), (1, 0)))[..., :-1]


def draw(history, model, X, y):
    wrong = np.flatnonzero(mr.predict(model, X).argmax(axis=1) != y)
    with page(OUTPUT / "mnist_cnn.png", 3, 8, size=(11, 5), title="A convolutional network") as (
        figure,
        axes,
    ):
        for axis in axes.flat:
            axis.set_axis_off()
        curve = figure.add_subplot(axes[0, 0].get_gridspec()[:2, :4])
        curve.plot(100 * np.array(history["accuracy"]), color=TRAIN, label="training, as trained")
        curve.plot(100 * np.array(history["val_accuracy"]), color=VALIDATION, label="test")
        curve.set(xlabel="epoch", title="digits right, %", ylim=(80, 100.5))
        curve.legend()
        for axis, kernel in zip(axes[:2, 4:].flat, model[0].weight.data[:, 0], strict=False):
            axis.imshow(kernel, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
            axis.set_title("filter", fontsize=8)
        for axis, i in zip(axes[2], wrong, strict=False):
            axis.imshow(X[i, 0], cmap="gray_r")
            said = mr.predict(model, X[i : i + 1]).argmax()
            axis.set_title(f"{y[i]}, taken for {said}", fontsize=8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", help="folder with the four files of MNIST")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    OUTPUT.mkdir(exist_ok=True)
    data, (X, y) = digits(options.mnist)
    model = network(X.shape[-1])
    linear = nn.Sequential(nn.Flatten(), nn.Linear(X[0].size, 10))
    right = {}
    for name, each in (("linear model", linear), ("convolutional network", model)):
        print(name)
        adam = optim.AdamW(each.parameters(), lr=2e-3, weight_decay=1e-2)
        history = mr.fit(
            each, data, val=(X, y), optimizer=adam, epochs=options.epochs, batch_size=64
        )
        parts = (X, y), (shifted(X), y)
        right[name] = [100 * mr.evaluate(each, part)["accuracy"] for part in parts]
    print(f"\n{'% of the test digits right':>30} {'as they are':>12} {'shifted':>8}")
    for name, (plain, moved) in right.items():
        print(f"{name:>30} {plain:12.1f} {moved:8.1f}")
    draw(history, model, X, y)
    if not options.mnist:
        cnn, line = right["convolutional network"], right["linear model"]
        assert cnn[0] >= 98 and cnn[0] > line[0] and cnn[1] > line[1], right
    print(f"\nfigure: {OUTPUT / 'mnist_cnn.png'}")


if __name__ == "__main__":
    main()
