"""Write your own penalty: three scalar formulas, compiled into the update of every optimizer.

The penalty here is the logarithm, lam * log(1 + |w| / width): it makes weights zero as L1 does, but
pulls less at a weight the larger it is, so that what it leaves is hardly shrunk. Its prox is the
root of a quadratic, or zero, whichever has the lower objective.

    python demos/own_penalty.py

Writes own_penalty.png to demos/output. Claims, asserted: `proxcheck` finds the prox right, and
wrong with an error planted in it; with the strength that validation chooses for each, the new
penalty has fewer false inputs than L1 and at most three quarters of its error.

Candes, Wakin, Boyd, "Enhancing Sparsity by Reweighted L1 Minimization", JFAA 14 (2008), section 2.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.analysis.figures import page
from microreg.kernels import scalar
from microreg.penalties import L1, SeparablePenalty

OUTPUT = Path(__file__).parent / "output"


@scalar
def log_value(w, lam, width):
    return lam * math.log(type(w)(1) + abs(w) / width)


@scalar
def log_grad(w, lam, width):
    size = lam / (width + abs(w))
    return size if w > type(w)(0) else (-size if w < type(w)(0) else w)


@scalar
def log_prox(v, step, lam, width):
    a = abs(v)
    under = (a + width) * (a + width) - type(v)(4) * step * lam
    if not under > type(v)(0):
        return v * type(v)(0)
    w = (a - width + math.sqrt(under)) / type(v)(2)
    gain = a * a - (a - w) * (a - w)  # twice what zero costs more, less what w costs more
    if not (w > type(v)(0) and gain > type(v)(2) * step * lam * math.log(type(v)(1) + w / width)):
        return v * type(v)(0)
    return w if v > type(v)(0) else -w


@scalar
def wrong_prox(v, step, lam, width):
    return log_prox(v, step, lam * type(v)(1.02), width)


@dataclass(frozen=True)
class Log(SeparablePenalty):
    lam: float
    width: float = 0.5
    value_1d = staticmethod(log_value)
    grad_1d = staticmethod(log_grad)
    prox_1d = staticmethod(log_prox)


@dataclass(frozen=True)
class Wrong(Log):
    prox_1d = staticmethod(wrong_prox)


def main():
    OUTPUT.mkdir(exist_ok=True)
    right, wrong = (mr.proxcheck(k(0.3), raise_exception=False) for k in (Log, Wrong))
    print(f"proxcheck passes: {right}; with the strength off by 2 % in the prox: {wrong}")
    assert right and not wrong

    rng = np.random.default_rng(0)
    truth = np.zeros((60, 1))
    truth[:5, 0] = 3, -2, 1.5, 1, -1
    X = rng.normal(size=(120, 60))
    y = X @ truth + 0.7 * rng.normal(size=(120, 1))
    paths, rows = {}, {}
    for kind in (L1, Log):
        mr.manual_seed(0)
        model = nn.Linear(60, 1, dtype=np.float64)
        path = mr.path(model, (X, y), kind(1.0), loss=F.mse_loss, val=10, tol=1e-6, steps=5000)
        paths[kind], weight = path, path.weights["weight"][path.best][0]
        rows[kind] = np.count_nonzero(weight[5:]), np.linalg.norm(weight - truth[:, 0])
    print(f"\n{'penalty':>8} {'lam':>7} {'false inputs':>13} {'error of the weights':>21}")
    for kind, (false, error) in rows.items():
        lam = paths[kind].lambdas[paths[kind].best]
        print(f"{kind.__name__:>8} {lam:7.3f} {false:13} {error:21.3f}")
    with page(OUTPUT / "own_penalty.png", 1, 3, title="A penalty of one's own") as (_, axes):
        v = np.linspace(-3, 3, 601)
        axes[0, 0].plot(v, v, color="0.7", lw=0.8)
        for penalty in (L1(0.5), Log(0.5)):
            axes[0, 0].plot(v, penalty.prox(v, 1.0), label=str(penalty))
        axes[0, 0].set(title="prox", xlabel="v")
        axes[0, 0].legend()
        for axis, (kind, path) in zip(axes[0, 1:], paths.items(), strict=True):
            axis.plot(path.lambdas, path.weights["weight"][:, 0, 5:], color="0.7", lw=0.7)
            axis.plot(path.lambdas, path.weights["weight"][:, 0, :5])
            axis.axvline(path.lambdas[path.best], color="0.35", ls=":")
            axis.set(
                title=f"{kind.__name__}: weights; grey: false ones", xscale="log", xlabel="lam"
            )
    assert rows[Log][0] < rows[L1][0] and rows[Log][1] < rows[L1][1] * 0.75, rows
    print(f"\nfigure: {OUTPUT / 'own_penalty.png'}")


if __name__ == "__main__":
    main()
