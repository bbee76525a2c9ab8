"""Times side by side: products against NumPy, a training step against PyTorch where installed.

    make bench

Every figure is the median over interleaved rounds, so that a busy moment of the machine hits all
of them; only the ratios mean something. One thread each.
"""

import os
import statistics
import subprocess
import sys
import time

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # would tie NumPy to another CPU's kernels
    os.environ.pop(name, None)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MICROREG_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

import microreg as mr
from microreg import nn, optim
from microreg.kernels import matmul
from microreg.runtime import launch

ROUNDS = 9
SHAPES = [(16, 16, 16), (64, 64, 64), (128, 784, 512), (512, 256, 10), (512, 512, 512)]


def race(runners, seconds=0.03):
    """Median microseconds per call of each runner, rounds interleaved."""
    calls = {}
    for name, run in runners.items():
        run()
        start = time.perf_counter()
        run()
        calls[name] = max(1, int(seconds / (time.perf_counter() - start + 1e-7)))
    times = {name: [] for name in runners}
    for _ in range(ROUNDS):
        for name, run in runners.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                run()
            times[name].append((time.perf_counter() - start) / calls[name] * 1e6)
    return {name: statistics.median(t) for name, t in times.items()}


def products():
    """a @ b in float32."""
    rng = np.random.default_rng(0)
    print(f"{'matmul float32':>18} {'numpy us':>10} {'microreg us':>12} {'ratio':>6}")
    scratch = np.empty((1, matmul.scratch_words(np.dtype(np.float32))), np.float32)
    for m, k, n in SHAPES:
        a = rng.standard_normal((m, k), np.float32)
        b = rng.standard_normal((k, n), np.float32)
        out = np.empty((m, n), np.float32)
        times = race(
            {
                "numpy": lambda a=a, b=b, out=out: np.matmul(a, b, out=out),
                "microreg": lambda a=a, b=b, out=out: launch(matmul.matmul_nn, a, b, out, scratch),
            }
        )
        ratio = times["numpy"] / times["microreg"]
        shape = f"{m}x{k}x{n}"
        print(f"{shape:>18} {times['numpy']:10.1f} {times['microreg']:12.1f} {ratio:6.2f}")


def step_of(framework, module, functional, adamw, tensor):
    """One step of a 64-64-10 MLP on a batch of 32: gather, forward, backward, AdamW."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1024, 64)).astype(np.float32), rng.integers(0, 10, 1024)
    model = module.Sequential(module.Linear(64, 64), module.ReLU(), module.Linear(64, 10))
    optimizer = adamw(model.parameters())
    count = iter(range(1 << 60))

    def step():
        i = next(count) % 32
        rows = slice(32 * i, 32 * i + 32)
        loss = functional.cross_entropy(model(tensor(X[rows])), tensor(y[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def steps():
    """An eager training step."""
    runners = {"microreg": step_of(mr, nn, nn.functional, optim.AdamW, mr.from_numpy)}
    try:
        import torch
    except ImportError:
        print("(PyTorch is not installed: no comparison of the step)")
    else:
        torch.set_num_threads(1)
        runners["torch"] = step_of(
            torch, torch.nn, torch.nn.functional, torch.optim.AdamW, torch.from_numpy
        )
    for name, us in race(runners).items():
        print(f"eager step of a 64-64-10 MLP, batch 32: {name:9} {us:8.1f} us")


def starts():
    """Seconds of `import microreg` and of a first step in a process with compiled kernels."""
    code = (
        "import time; t = time.perf_counter(); import microreg as mr; a = time.perf_counter(); "
        "m = mr.nn.Linear(64, 10); o = mr.optim.Adam(m.parameters()); "
        "mr.nn.functional.cross_entropy(m(mr.randn(32, 64)), mr.randint(10, size=(32,))).backward(); "
        "o.step(); print(a - t, time.perf_counter() - a)"
    )
    runs = [
        [float(x) for x in subprocess.check_output([sys.executable, "-c", code]).split()]
        for _ in range(5)
    ]
    imported, first = (statistics.median(r) for r in zip(*runs, strict=True))
    print(f"import {imported:.2f} s, first step with compiled kernels {first:.2f} s")


if __name__ == "__main__":
    products()
    steps()
    starts()
