"""Are the gradients right? The check, and the check of the check.

A derivative is compared with a central difference (f(x + h) - f(x - h)) / 2h in float64. The step
matters: a large one has an error of h^2, a small one of rounding / h, and the least is near the
cube root of the machine's precision. Then whole models are checked, first and second order, and
errors are planted to see that they are found.

    python demos/gradient_check.py

Writes gradient_check.png to demos/output. Claims, asserted: the best step lies within a factor of
ten of the one that gradcheck takes, and leaves nine correct digits or more; every model passes; a
gradient off by a thousandth in one entry, a sign, and a forgotten term are found.
"""

from pathlib import Path

import numpy as np

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.analysis.figures import page
from microreg.gradcheck import STEP

OUTPUT = Path(__file__).parent / "output"
STEPS = np.geomspace(1e-11, 1e-1, 41)


def models():
    """Networks with rows and labels."""
    mr.manual_seed(0)
    rng = np.random.default_rng(0)
    X, images, y = rng.normal(size=(8, 6)), rng.normal(size=(8, 2, 6, 6)), rng.integers(0, 3, 8)
    yield "MLP, ReLU", nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), X, y
    batch = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
    yield "batch norm", batch, X, y
    layer = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3))
    yield "layer norm", layer, X, y
    dropout = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 3))
    yield "dropout", dropout, X, y
    convolutional = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16, 3),
    )  # fmt: skip
    yield "convolution", convolutional, images, y


def differences(f, x):
    """The largest relative error of central differences of the gradient, for each step."""
    x = mr.tensor(x, requires_grad=True)
    (analytic,) = mr.grad(f(x), [x])
    errors = []
    for h in STEPS:
        ends = [(x.data + m, x.data - m) for m in h * np.eye(len(x.data))]
        numeric = [(f(mr.tensor(a)).item() - f(mr.tensor(b)).item()) / (2 * h) for a, b in ends]
        errors.append(np.abs(numeric - analytic.data).max() / np.abs(analytic.data).max())
    return np.array(errors)


def planted():
    """A function three times: with another gradient in one entry, with a sign, without a term."""

    def off_by_a_thousandth(x):
        return (x**3 * mr.tensor([1.0, 1.001, 1.0])).sum() - (x.detach() ** 3)[1] * 0.001

    def sign(x):
        return (x.detach() * 2 - x).exp().sum()

    def forgotten(x):
        return (x * x.detach()).sum()

    return off_by_a_thousandth, sign, forgotten


def draw(curves):
    with page(OUTPUT / "gradient_check.png", size=(6.5, 4)) as (_, axes):
        for name, errors in curves.items():
            axes[0, 0].loglog(STEPS, errors, label=name)
        axes[0, 0].axvline(STEP, color="0.35", ls=":", label="gradcheck's step")
        axes[0, 0].set(title="A central difference: truncation on the right, rounding on the left")
        axes[0, 0].set(xlabel="step h", ylabel="relative error")
        axes[0, 0].legend()


def main():
    OUTPUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    weight, label = mr.tensor(rng.normal(size=(3, 6))), mr.tensor([1])
    functions = {
        "sum of exp": lambda x: x.exp().sum(),
        "cross-entropy of a linear layer": lambda x: F.cross_entropy((weight @ x)[None], label),
        "GELU": lambda x: F.gelu(x).sum(),
    }
    point = rng.normal(size=6)
    curves = {name: differences(f, point) for name, f in functions.items()}
    for name, errors in curves.items():
        best = STEPS[errors.argmin()]
        print(f"{name}: least error {errors.min():.0e} at h = {best:.0e}; gradcheck's {STEP:.0e}")
        assert STEP / 10 < best < STEP * 10 and errors.min() < 1e-9, (name, best, errors.min())
    draw(curves)
    print()
    for name, model, X, y in models():
        model = model.double()
        for order, samples in ((1, 200), (2, 10)):
            found = mr.gradcheck(model, X, y, loss=F.cross_entropy, order=order, samples=samples)
            print(
                f"{name:>12}, order {order}: {found.checked} right, worst {found.worst.error:.0e}"
            )
    print()
    for f in planted():
        found = mr.gradcheck(f, rng.normal(size=3), raise_exception=False)
        print(f"planted, {f.__name__}: {'found' if not found.ok else 'MISSED'}; {found.worst}")
        assert not found.ok
    print(f"\nfigure: {OUTPUT / 'gradient_check.png'}")


if __name__ == "__main__":
    main()
