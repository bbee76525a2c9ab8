"""A support that flickers from epoch to epoch, brought to rest and proved.

A network of 12 tanh units learns from 30 inputs, of which 3 matter, with a group lasso on its
inputs, by Adam on small batches. Weights at the edge of zero come and go as long as batches differ.
`mr.polish` descends on all rows until the optimality condition holds; its certificate says how far
each parameter is from it, and how far inside their subdifferential the zeros are.

    python demos/certificate.py

Writes certificate.png to demos/output. Claims, asserted: between the last 30 epochs inputs come and
go; after `polish` the residual is a thousandth of what it was, at a lower objective; the inputs
left include the three that matter, and zeros lie inside by a hundred times the residual or more.
"""

from pathlib import Path

import numpy as np

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis.figures import page
from microreg.penalties import L2, GroupLasso

OUTPUT = Path(__file__).parent / "output"
EPOCHS, LAST = 200, 30


class Record(mr.Callback):
    """The inputs in use and the residual after every epoch."""

    def __init__(self, data):
        self.data, self.used, self.residuals = data, [], []

    def on_epoch_end(self, run):
        self.used.append(run.model[0].weight.data.any(axis=0))
        self.residuals.append(mr.certificate(run.model, self.data, F.mse_loss).residual)


def main():
    OUTPUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 30))
    y = 2 * np.tanh(2 * X[:, :1]) - X[:, 1:2] + X[:, 2:3] ** 3 / 3 + 0.5 * rng.normal(size=(600, 1))

    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    mr.attach(model, {"0.weight": GroupLasso(0.06, groups="in"), "2.weight": L2(0.003)})
    record = Record((X, y))
    adam = optim.Adam(model.parameters(), lr=0.005)
    mr.fit(
        model, (X, y), loss=F.mse_loss, optimizer=adam, epochs=EPOCHS, batch_size=100,
        callbacks=[record], progress=False,
    )  # fmt: skip
    before = mr.certificate(model, (X, y), F.mse_loss)
    after = mr.polish(model, (X, y), F.mse_loss, tol=1e-8)
    used = model[0].weight.data.any(axis=0)
    print(f"after {EPOCHS} epochs of Adam:\n{before}\n\nafter polish:\n{after}")
    print(f"\ninputs in use: {np.flatnonzero(used)}")

    shown = np.array([*record.used, *[used] * 6])
    with page(OUTPUT / "certificate.png", 1, 2, title="A support comes to rest") as (_, axes):
        axes[0, 0].imshow(shown.T, aspect="auto", cmap="Greys", interpolation="nearest")
        axes[0, 0].axvline(EPOCHS - 0.5, color="tab:red")
        axes[0, 0].set(title="inputs in use; right of the line: polished", xlabel="epoch")
        axes[0, 0].set_ylabel("input")
        axes[0, 0].grid(visible=False)
        axes[0, 1].semilogy(record.residuals, label="Adam, after each epoch")
        axes[0, 1].axhline(after.residual, color="tab:red", label="polished")
        axes[0, 1].set(title="distance from the optimality condition", xlabel="epoch")
        axes[0, 1].legend()
    changes = np.diff(np.array(record.used[-LAST:]).astype(int), axis=0)
    margin = after.parts["0.weight"].margin
    assert changes.any(), "inputs come and go"
    assert after.residual < before.residual / 1000 and after.objective < before.objective
    assert used[:3].all() and margin > 100 * after.residual, (used, margin)
    print(f"\nfigure: {OUTPUT / 'certificate.png'}")


if __name__ == "__main__":
    main()
