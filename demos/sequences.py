"""Layer norm on sequences of different lengths, and what batch norm makes of them.

A recurrent network reads digits one by one, in batches padded to the longest. Batch norm takes mean
and variance over the batch: what a sequence gives depends on its neighbours, sequences that have
ended take part, and one running mean has to do for all steps when predicting. Layer norm takes them
over the units of each sequence and cannot notice any of this.

    python demos/sequences.py

Writes sequences.png to demos/output. Claims, asserted: with layer norm a sequence gives the same
bits alone and padded among longer ones, and with batch norm it does not; trained on up to 12
digits, at either learning rate, layer norm has 95 % right at every length up to 48, and batch norm
loses ten points from training to predicting. Without a norm it depends on the learning rate.

Ba, Kiros, Hinton, "Layer Normalization", 2016. Cooijmans et al., "Recurrent Batch Normalization",
ICLR 2017, section 3.
"""

from pathlib import Path

import numpy as np
from tqdm import tqdm

import microreg as mr
from microreg import nn, optim
from microreg.analysis.figures import page

OUTPUT = Path(__file__).parent / "output"
SYMBOLS, UNITS, LONGEST, RATES = 3, 32, 12, (1e-3, 3e-3)
LENGTHS = 3, 6, 9, 12, 16, 24, 32, 48
NORMS = {"none": None, "batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}


class Recurrent(nn.Module):
    """h <- tanh(norm(U x + W h)) at every step; the label is read from the last h."""

    def __init__(self, norm):
        super().__init__()
        self.given, self.own = nn.Linear(SYMBOLS, UNITS), nn.Linear(UNITS, UNITS, bias=False)
        self.norm, self.last = norm(UNITS) if norm else nn.Identity(), nn.Linear(UNITS, SYMBOLS)

    def forward(self, x):  # (rows, steps, symbols); zeros are padding
        h = mr.zeros(len(x), UNITS)
        for t in range(x.shape[1]):
            inside = x[:, t].sum(dim=1, keepdim=True)  # 0 where a sequence has ended
            new = mr.tanh(self.norm(self.given(x[:, t]) + self.own(h)))
            h = h + inside * (new - h)
        return self.last(h)


def sequences(lengths, rng, steps=None):
    """Digits 0, 1, 2; the label is their sum modulo 3."""
    lengths = np.asarray(lengths)[:, None]
    symbols = rng.integers(0, SYMBOLS, (len(lengths), steps or lengths.max()))
    inside = np.arange(symbols.shape[1]) < lengths
    X = np.eye(SYMBOLS, dtype=np.float32)[symbols] * inside[..., None]
    return X, (symbols * inside).sum(axis=1) % SYMBOLS


def dependence(norm):
    """How far the outputs of three sequences move when five longer ones join their batch."""
    mr.manual_seed(0)
    model, rng = Recurrent(norm), np.random.default_rng(1)
    batch, _ = sequences([5, 7, 3, 9, 12, 30, 8, 20], rng)
    with mr.no_grad():
        alone, among = model(mr.tensor(batch[:3, :7])), model(mr.tensor(batch))
    return float(np.abs(among.data[:3] - alone.data).max())


def train(norm, lr):
    """The accuracy of the last epoch as trained, and on new sequences by length, in percent."""
    mr.manual_seed(0)
    rng = np.random.default_rng(0)
    model, data = Recurrent(norm), sequences(rng.integers(1, LONGEST + 1, 4000), rng, LONGEST)
    adam = optim.Adam(model.parameters(), lr=lr)
    history = mr.fit(model, data, optimizer=adam, epochs=40, batch_size=50, progress=False)
    tests = (sequences([n] * 1000, np.random.default_rng(n)) for n in LENGTHS)
    return 100 * np.array(
        [history["accuracy"][-1], *(mr.evaluate(model, test)["accuracy"] for test in tests)]
    )


def main():
    OUTPUT.mkdir(exist_ok=True)
    moved = {name: dependence(norm) for name, norm in NORMS.items()}
    print("change of outputs when longer sequences join the batch")
    for name, change in moved.items():
        print(f"{name:>12} {change:8.1e}")
    runs = [(lr, name) for lr in RATES for name in NORMS]
    right = {(lr, n): train(NORMS[n], lr) for lr, n in tqdm(runs, unit="network", disable=None)}
    print(f"\n{'% right':>7} {'':>12} as trained  " + " ".join(f"{n:5}" for n in LENGTHS))
    for (lr, name), line in right.items():
        cells = " ".join(f"{v:5.1f}" for v in line[1:])
        print(f"lr={lr} {name:>12} {line[0]:10.1f}  {cells}")
    title = f"The sum of digits modulo 3, trained on up to {LONGEST} digits"
    with page(OUTPUT / "sequences.png", 1, 2, title=title) as (_, axes):
        for axis, lr in zip(axes[0], RATES, strict=True):
            for name, style in zip(NORMS, ("^:", "s--", "o-"), strict=True):
                axis.plot(LENGTHS, right[lr, name][1:], style, ms=4, label=name)
            axis.axvspan(LENGTHS[0], LONGEST, color="0.93", lw=0)
            axis.set(title=f"Adam, lr={lr}", xlabel="digits; grey: trained on", xscale="log")
            axis.set_xticks(LENGTHS, LENGTHS)
            axis.minorticks_off()
        axes[0, 0].set_ylabel("% right")
        axes[0, 0].legend(loc="center right")
    assert moved["layer norm"] == 0 < 0.1 < moved["batch norm"], moved
    for lr in RATES:
        assert right[lr, "layer norm"].min() > 95, right
        assert right[lr, "batch norm"][1:].mean() < right[lr, "batch norm"][0] - 10, right
    print(f"\nfigure: {OUTPUT / 'sequences.png'}")


if __name__ == "__main__":
    main()
