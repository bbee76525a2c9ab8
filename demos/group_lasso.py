"""Group lasso, then compact: a smaller network with the same outputs.

A penalty on the norm of what a layer reads from each input makes it read nothing from most: pixels
and hidden units drop out as wholes. Zeros alone save nothing, since a dense product multiplies by
them. `compact` cuts the dead units and inputs out and returns the small dense network.

    python demos/group_lasso.py

Writes group_lasso.png to demos/output. Claims, asserted: the small network has the outputs of the
large one within 1e-5, a tenth of its parameters at most, at least twice its speed, and loses two
points of accuracy at most beside a network trained without penalty. The same penalty in the loss
instead of the optimizer removes nothing.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis.figures import page
from microreg.penalties import GroupLasso
from microreg.training import zeros

OUTPUT = Path(__file__).parent / "output"
HIDDEN, LAM, EPOCHS = 512, 2e-4, 60


def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order]
    return (X[:1200], y[:1200]), (X[1200:], y[1200:])


def train(data, way):
    """A network trained without penalty, with one in the loss, or with one attached."""
    mr.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, 10),
    )  # fmt: skip
    loss = F.cross_entropy
    if way == "attached":
        mr.attach(model, GroupLasso(LAM, groups="in"))
    elif way == "in the loss":
        weights = [model[i].weight for i in (0, 2, 4)]

        def loss(output, target):
            norms = sum(((w * w).sum(dim=0) + 1e-12).sqrt().sum() * len(w) ** 0.5 for w in weights)
            return F.cross_entropy(output, target) + LAM * norms

    adam = optim.Adam(model.parameters(), lr=2e-3)
    mr.fit(model, data, loss=loss, optimizer=adam, epochs=EPOCHS, batch_size=100, progress=False)
    return model


def draw(model, small):
    shown = {"before": model, f"after: {small.compaction.speed_up:.0f} times the speed": small}
    with page(OUTPUT / "group_lasso.png", 2, 2, title="Group lasso, then compact") as (_, axes):
        for row, (name, network) in zip(axes, shown.items(), strict=True):
            linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
            for axis, layer in zip(row, linear, strict=False):
                weight = layer.weight.data
                limit = np.quantile(np.abs(weight[weight != 0]), 0.99)
                cells = np.ma.masked_equal(weight, 0)
                axis.set_facecolor("0.85")
                axis.imshow(cells, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
                axis.set(title=f"{name}: {' x '.join(map(str, weight.shape))}", xlabel="inputs")
                axis.set_ylabel("units")
                axis.grid(visible=False)


def main():
    OUTPUT.mkdir(exist_ok=True)
    data, test = digits()
    ways = ("none", "in the loss", "attached")
    models = {way: train(data, way) for way in tqdm(ways, unit="network", disable=None)}
    right, small = {}, {}
    print(f"\n{'penalty':>12} {'test %':>7} {'zeros %':>8} {'parameters after compact':>25}")
    for way, model in models.items():
        small[way] = mr.compact(model, test[0])
        right[way] = 100 * mr.evaluate(model, test)["accuracy"]
        left = small[way].compaction.parameters[1]
        print(f"{way:>12} {right[way]:7.1f} {100 * zeros(model):8.1f} {left:25,}")
    report = small["attached"].compaction
    print(f"\n{report}")
    draw(models["attached"], small["attached"])
    assert report.difference <= 1e-5, report.difference
    assert report.parameters[1] <= report.parameters[0] / 10, report.parameters
    assert report.speed_up >= 2, report.speed_up
    assert right["attached"] >= right["none"] - 2, right
    in_loss = small["in the loss"].compaction.parameters
    assert in_loss[1] > 0.95 * in_loss[0], in_loss
    print(f"\nfigure: {OUTPUT / 'group_lasso.png'}")


if __name__ == "__main__":
    main()
