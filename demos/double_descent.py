"""Double descent, and what regularization makes of it.

An MLP with two hidden layers on 4,000 rows of MNIST-1D, 15 % of the labels drawn at random. The
test error falls, rises where the network is just wide enough to learn the labels by heart, and
falls again. With L2 or dropout, chosen once for all widths, it does not rise.

    python demos/double_descent.py [--seeds 1]

Writes double_descent.png to demos/output. Claims, asserted: without regularization 36 and
47 units make 1.5 points more mistakes than 27, and three more than 300; with L2 or dropout they
make no point more than 27.

Belkin et al., "Reconciling Modern Machine-Learning Practice and the Classical Bias-Variance
Trade-Off", PNAS 116 (2019). Nakkiran et al., "Optimal Regularization Can Mitigate Double Descent",
ICLR 2021. The published errors are of Greydanus, Kobak, "Scaling Down Deep Learning with MNIST-1D",
ICML 2024.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

import microreg as mr
from microreg import nn, optim
from microreg.analysis.figures import MARK, page
from microreg.penalties import L2
from microreg.training import mnist1d

OUTPUT = Path(__file__).parent / "output"
WIDTHS = 9, 16, 21, 27, 36, 47, 61, 80, 135, 177, 300
PUBLISHED = 49.0, 47.2, 50.8, 50.7, 52.8, 54.1, 54.0, 52.1, 48.4, 47.9, 45.5
NOISE, EPOCHS, BATCH = 0.15, 500, 100
WAYS = {"none": (None, 0.0), "L2(3e-3)": (L2(3e-3), 0.0), "dropout(0.2)": (None, 0.2)}


def rows():
    """4,000 rows with wrong labels among them, 12,000 test rows."""
    (X, y), test = mnist1d(n=16_000, train=0.25)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(y)) < NOISE
    return (X, np.where(wrong, rng.integers(0, 10, len(y)), y)), test


def errors(data, test, width, penalty, dropout, seed):
    """Percent wrong in training and test after 20,000 steps."""
    mr.manual_seed(seed)
    drop = [nn.Dropout(dropout)] * bool(dropout)
    model = nn.Sequential(
        nn.Linear(40, width), nn.ReLU(), *drop, nn.Linear(width, width), nn.ReLU(), *drop,
        nn.Linear(width, 10),
    )  # fmt: skip
    if penalty is not None:
        mr.attach(model, penalty)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    mr.fit(model, data, optimizer=optimizer, epochs=EPOCHS, batch_size=BATCH, progress=False)
    return [100 * (1 - mr.evaluate(model, part)["accuracy"]) for part in (data, test)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    seeds = parser.parse_args().seeds
    OUTPUT.mkdir(exist_ok=True)
    data, test = rows()
    runs = [(way, width, s) for way in WAYS for width in WIDTHS for s in range(seeds)]
    found = {}
    for way, width, seed in tqdm(runs, unit="run", disable=None):
        found.setdefault((way, width), []).append(errors(data, test, width, *WAYS[way], seed))
    mean = {
        way: np.mean([[found[way, width]] for width in WIDTHS], axis=(1, 2)).T for way in WAYS
    }  # (training, test) by width
    print(f"\nmistakes on test rows (and on training rows), %; {seeds} seeds\n")
    print(f"{'width':>5} {'published':>9} " + " ".join(f"{way:>15}" for way in WAYS))
    for i, width in enumerate(WIDTHS):
        cells = " ".join(f"{mean[w][1, i]:8.1f} ({mean[w][0, i]:4.1f})" for w in WAYS)
        print(f"{width:5} {PUBLISHED[i]:9.1f} {cells}")
    title = "Test error over width, 15 % of the training labels random"
    with page(OUTPUT / "double_descent.png", size=(6.5, 4), title=title) as (_, axes):
        axis = axes[0, 0]
        for way in WAYS:
            (line,) = axis.plot(WIDTHS, mean[way][1], marker="o", ms=3, label=way)
            axis.plot(WIDTHS, mean[way][0], color=line.get_color(), lw=0.8, ls="--")
        axis.plot(WIDTHS, PUBLISHED, color=MARK, ls=":", label="published, none")
        axis.set(xscale="log", xlabel="hidden units a layer", ylabel="% wrong; dashed: training")
        axis.set_xticks(WIDTHS[::2], WIDTHS[::2])
        axis.legend()
    peak = {way: e[1, 4:6].mean() - e[1, [3, -1]] for way, e in mean.items()}
    for way, (before, after) in peak.items():
        print(f"{way}: 36 and 47 units: {before:+.1f} points against 27, {after:+.1f} against 300")
    assert peak["none"][0] > 1.5 and peak["none"][1] > 3, peak
    assert peak["L2(3e-3)"][0] < 1 and peak["dropout(0.2)"][0] < 1, peak
    print(f"\nfigure: {OUTPUT / 'double_descent.png'}")


if __name__ == "__main__":
    main()
