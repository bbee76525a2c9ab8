"""What the kernels are measured on: arrays, the work they stand for, and what others run for it.

PyTorch takes part where it is installed; NumPy, which multiplies by OpenBLAS, always.
"""

from typing import NamedTuple

import numpy as np
from race import race

try:
    import torch
except ImportError:
    torch = None

SQUARES = [(n, n, n) for n in (16, 32, 64, 96, 128, 256, 512, 1024, 2048)]
SKINNY = [(32, 64, 64), (128, 784, 512), (784, 128, 512), (512, 256, 10), (512, 10, 256)]
SKINNY += [(64, 4096, 64), (4096, 64, 64)]
LAYERS = [(32, 64, 64), (128, 512, 256), (4096, 64, 64), (8192, 64, 512)]
GRIDS = [(128, 512), (32768, 64), (8192, 768)]
LOGITS = [(32, 10), (128, 10), (256, 1000)]
SIZES = [4096, 100_000, 10_000_000]
RANGES = {"exp": (-87, 88), "log": (1e-30, 100), "tanh": (-10, 10), "erf": (-5, 5), "gelu": (-6, 6)}
STEP = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 1e-2, "l1": 1e-3}


class Case(NamedTuple):
    """One kernel on one shape: `ours` against `peers`, and what the machine has to do for it."""

    name: str
    shape: str
    ours: object
    peers: dict
    flops: float = 0.0
    moved: float = 0.0  # bytes that must come from memory and go there


class Maker:
    """Makes the cases of each kernel of a table, in one dtype."""

    def __init__(self, table, dtype):
        self.table, self.dtype = table, np.dtype(dtype)
        self.rng = np.random.default_rng(0)

    def normal(self, *shape, shift=0.0):
        return (self.rng.standard_normal(shape) + shift).astype(self.dtype)

    def zeros(self, *shapes):
        return [np.zeros(shape, self.dtype) for shape in shapes]

    def case(self, name, shape, args, peers, **work):
        kernel = self.table[name]
        text = "x".join(map(str, shape))
        peers = {key: run for key, run in peers.items() if run is not None}
        return Case(name, text, lambda: kernel(*args), peers, **work)

    def matmul(self):
        for m, k, n in SQUARES + SKINNY:
            for how in ("nn", "tn", "nt"):
                a = self.normal(k, m).T if how == "tn" else self.normal(m, k)
                b = self.normal(n, k).T if how == "nt" else self.normal(k, n)
                out, theirs = self.zeros((m, n), (m, n))
                peers = {
                    "numpy": lambda a=a, b=b, out=theirs: np.matmul(a, b, out=out),
                    "torch": of_torch(lambda a, b, out: torch.mm(a, b, out=out), a, b, theirs),
                }
                case = self.case("matmul", (m, k, n), (a, b, out), peers, flops=2 * m * k * n)
                yield case._replace(name=f"matmul {how}")

    def linear_relu(self):
        for n, i, o in LAYERS:
            x, w, b = self.normal(n, i), self.normal(o, i), self.normal(o)
            out, theirs = self.zeros((n, o), (n, o))

            def by_numpy(x=x, w=w, b=b, out=theirs):
                np.matmul(x, w.T, out=out)
                out += b
                np.maximum(out, 0, out=out)

            by_torch = of_torch(lambda *a: torch.relu_(torch.nn.functional.linear(*a)), x, w, b)
            peers = {"numpy": by_numpy, "torch": by_torch}
            yield self.case(
                "linear_relu", (n, i, o), (x, w, b, out), peers, flops=2 * n * i * o + 2 * n * o
            )

    def _norm(self, name, peer, back_peer):
        for n, d in GRIDS:
            x, dy = self.normal(n, d, shift=3.0), self.normal(n, d)
            w, b = self.normal(d, shift=1.0), self.normal(d)
            kept = n if name == "layer_norm" else d
            out, mean, rstd, dw, db = self.zeros((n, d), kept, kept, d, d)
            peers = {"torch": of_torch(lambda *a, d=d: peer(d, *a), x, w, b)}
            args = x, w, b, out, mean, rstd
            yield self.case(name, (n, d), args, peers, moved=2 * x.nbytes)
            self.table[name](*args)
            peers = {"torch": of_torch(lambda *a, d=d: back_peer(d, *a), dy, x, mean, rstd, w, b)}
            args = dy, x, mean, rstd, w, out, dw, db
            yield self.case(f"{name}_backward", (n, d), args, peers, moved=3 * x.nbytes)

    def layer_norm(self):
        def forward(d, x, w, b):
            torch.ops.aten.native_layer_norm(x, [d], w, b, 1e-5)

        def backward(d, dy, x, mean, rstd, w, b):
            kept = mean[:, None], rstd[:, None]
            torch.ops.aten.native_layer_norm_backward(dy, x, [d], *kept, w, b, [True] * 3)

        return self._norm("layer_norm", forward, backward)

    def batch_norm(self):
        def forward(d, x, w, b):
            torch.ops.aten.native_batch_norm(x, w, b, None, None, True, 0.1, 1e-5)

        def backward(d, dy, x, mean, rstd, w, b):
            kept = None, None, mean, rstd, True, 1e-5
            torch.ops.aten.native_batch_norm_backward(dy, x, w, *kept, [True] * 3)

        return self._norm("batch_norm", forward, backward)

    def softmax_cross_entropy(self):
        def by_torch(z, y):
            z.grad = None
            torch.nn.functional.cross_entropy(z, y).backward()

        for n, c in LOGITS:
            z, y = self.normal(n, c), self.rng.integers(0, c, n)
            theirs = None
            if torch is not None:
                leaf = torch.from_numpy(z.copy()).requires_grad_()
                theirs = of_torch(lambda y, z=leaf: by_torch(z, y), y)
            args = z, y, *self.zeros((n, c))
            yield self.case("softmax_cross_entropy", (n, c), args, {"torch": theirs})

    def adamw_l1(self):
        for n in SIZES:
            p, g = self.normal(n), self.normal(n)
            m, v = self.zeros(n, n)
            args = (p, g, m, v, 1, *STEP.values())
            peers = {"torch": torch and self._torch_update(p, g)}
            yield self.case("adamw_l1", (n,), args, peers, moved=7 * p.nbytes)

    def _torch_update(self, p, g):
        """Its fused AdamW, then softshrink."""
        held = torch.nn.Parameter(torch.from_numpy(p.copy()))
        held.grad = torch.from_numpy(g)
        decay, betas = STEP["weight_decay"], (STEP["beta1"], STEP["beta2"])
        made = torch.optim.AdamW([held], STEP["lr"], betas, weight_decay=decay, fused=True)
        threshold = STEP["lr"] * STEP["l1"]

        def update():
            made.step()
            held.data.copy_(torch.nn.functional.softshrink(held.data, threshold))

        return update

    def elementwise(self):
        for name, (low, high) in RANGES.items():
            x = self.rng.uniform(low, high, 65_536).astype(self.dtype)
            out, theirs = self.zeros(len(x), len(x))
            if name == "gelu":
                by_torch = of_torch(lambda x: torch.nn.functional.gelu(x), x)
            else:
                by_torch = of_torch(lambda x, out, f=name: getattr(torch, f)(x, out=out), x, theirs)
            ufunc = getattr(np, name, None)
            by_numpy = ufunc and (lambda f=ufunc, x=x, out=theirs: f(x, out=out))
            peers = {"numpy": by_numpy, "torch": by_torch}
            yield self.case(name, (len(x),), (x, out), peers, moved=2 * x.nbytes)


def of_torch(function, *arrays):
    """A call with the arrays as PyTorch's tensors, or None where there is no PyTorch."""
    if torch is None:
        return None
    tensors = [torch.from_numpy(a) for a in arrays]
    return lambda: function(*tensors)


def measured(case):
    """(seconds of ours, {peer: how many times ours is as fast})."""
    times, ratios = race({"ours": case.ours, **case.peers})
    return times["ours"], {name: ratios[name] for name in case.peers}
