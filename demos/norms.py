"""Batch norm against layer norm: by batch size and by depth.

Batch norm takes mean and variance of a feature over the batch, layer norm those of a row over the
features. In small batches the former are noisy, so batch norm suffers where layer norm does not
notice. Either makes a deep network of tanh units learn that does not start without.

    python demos/norms.py

Writes norms.png to demos/output. Claims, asserted: from batches of 32 to batches of 2 batch norm
loses ten points or more, layer norm five at most; ten tanh layers stay at chance without a norm
and learn with either.

Ioffe, Szegedy, "Batch Normalization", ICML 2015. Ba, Kiros, Hinton, "Layer Normalization", 2016.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import microreg as mr
from microreg import nn, optim
from microreg.analysis.figures import page

OUTPUT = Path(__file__).parent / "output"
NORMS = {"none": None, "batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}
SIZES, DEPTHS, WIDTH = (2, 4, 8, 16, 32), (1, 3, 6, 10, 16), 48
COLORS = dict(zip(NORMS, ("0.5", "tab:blue", "tab:orange"), strict=True))


def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order]
    return (X[:1000], y[:1000]), (X[1000:], y[1000:])


def network(norm, depth, act):
    mr.manual_seed(0)
    layers, width = [], 64
    for _ in range(depth):
        layers += [nn.Linear(width, WIDTH, bias=norm is not nn.BatchNorm1d)]
        layers += [*([norm(WIDTH)] if norm else []), act()]
        width = WIDTH
    return nn.Sequential(*layers, nn.Linear(width, 10))


def accuracy(norm, depth, act, batch, steps, lr):
    """Percent of test digits right after so many steps."""
    train, test = digits()
    model = network(norm, depth, act)
    epochs = max(1, steps * batch // len(train[0]))
    sgd = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    mr.fit(model, train, optimizer=sgd, epochs=epochs, batch_size=batch, progress=False)
    return 100 * mr.evaluate(model, test)["accuracy"]


def main():
    OUTPUT.mkdir(exist_ok=True)
    by_size, by_depth = {}, {}
    for name, norm in tqdm(NORMS.items(), unit="norm", disable=None):
        by_size[name] = [accuracy(norm, 3, nn.ReLU, b, 300 * 32 // b, 0.05 * b / 32) for b in SIZES]
        by_depth[name] = [accuracy(norm, d, nn.Tanh, 50, 600, 0.01) for d in DEPTHS]
    for title, values, found in (("batch", SIZES, by_size), ("depth", DEPTHS, by_depth)):
        print(f"\ntest %, {title:>6} " + " ".join(f"{v:6}" for v in values))
        for name, line in found.items():
            print(f"{name:>14} " + " ".join(f"{v:6.1f}" for v in line))
    with page(OUTPUT / "norms.png", 1, 2, title="What the norms need") as (_, axes):
        parts = (SIZES, by_size, "rows of a batch"), (DEPTHS, by_depth, "tanh layers")
        for axis, (values, found, label) in zip(axes[0], parts, strict=True):
            for name, line in found.items():
                axis.plot(values, line, marker="o", ms=4, color=COLORS[name], label=name)
            axis.set(xlabel=label, ylabel="test digits right, %", xscale="log")
            axis.set_xticks(values, values)
            axis.minorticks_off()
        axes[0, 1].legend()
    lost = {name: line[-1] - line[0] for name, line in by_size.items()}
    assert lost["batch norm"] > 10 and lost["layer norm"] < 5, lost
    deep = {name: line[-1] for name, line in by_depth.items()}
    assert deep["none"] < 20 and min(deep["batch norm"], deep["layer norm"]) > 80, deep
    print(f"\nfigure: {OUTPUT / 'norms.png'}")


if __name__ == "__main__":
    main()
