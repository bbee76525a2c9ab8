"""Kernels on a GPU: products beside cuBLAS, streaming kernels beside a copy, steps beside PyTorch.

make bench-cuda

PyTorch takes part where it is installed and sees the GPU; its float32 products are cuBLAS's, with
TensorFloat-32 off. A figure is the median over rounds of many launches.
"""

import statistics
import time
from typing import NamedTuple

import numpy as np

import microreg as mr
from microreg import nn, optim
from microreg.errors import DeviceError
from microreg.penalties import L1

try:
    import torch

    torch = torch if torch.cuda.is_available() else None
except ImportError:
    torch = None

FORMS = {"nn": (False, False), "nt": (False, True), "tn": (True, False)}


class Sizes(NamedTuple):
    """How large everything is, and how long each figure is measured."""

    squares: tuple = (512, 1024, 2048, 4096)
    skinny: tuple = ((4096, 64, 4096), (64, 65536, 64))
    rows: int = 16384
    width: int = 1024
    batch: int = 128
    seconds: float = 0.05
    rounds: int = 7


def seconds(run, wait, sizes):
    """The time of a run, many of them in a row."""
    count = 1
    while True:
        wait()
        start = time.perf_counter()
        for _ in range(count):
            run()
        wait()
        taken = time.perf_counter() - start
        if taken > sizes.seconds or not sizes.rounds:
            break
        count *= 2
    times = [taken / count]
    for _ in range(sizes.rounds):
        start = time.perf_counter()
        for _ in range(count):
            run()
        wait()
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def ours(run, sizes):
    return seconds(run, mr.cuda.synchronize, sizes)


def theirs(run, sizes):
    return seconds(run, torch.cuda.synchronize, sizes)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def products(sizes):
    print(f"\n{'product':8} {'m x k x n':>20} {'TFLOP/s':>9} {'of cuBLAS':>10}")
    shapes = [(n, n, n) for n in sizes.squares] + list(sizes.skinny)
    for m, k, n in shapes:
        for form, flipped in FORMS.items():
            a, b = normal(*((k, m) if flipped[0] else (m, k))), normal(k, n)
            b = np.ascontiguousarray(b.T) if flipped[1] else b

            def product(a, b, flipped=flipped):
                return (a.T if flipped[0] else a) @ (b.T if flipped[1] else b)

            with mr.no_grad():
                x, y = mr.tensor(a, device="cuda"), mr.tensor(b, device="cuda")
                took = ours(lambda x=x, y=y, f=product: f(x, y), sizes)
            told = ""
            if torch:
                x, y = torch.tensor(a, device="cuda"), torch.tensor(b, device="cuda")
                told = f"{theirs(lambda x=x, y=y, f=product: f(x, y), sizes) / took:10.0%}"
            text = f"{m} x {k} x {n}"
            print(f"{form:8} {text:>20} {2e-12 * m * n * k / took:9.2f} {told}", flush=True)


def copying(sizes):
    """Bytes read and written in a second when memory is copied."""
    device = mr.cuda.get_device()
    here, there = (device.empty((sizes.rows * sizes.width,), np.float32) for _ in range(2))
    at = [x.__array_interface__["data"][0] for x in (there, here)]
    return 2 * here.nbytes / ours(lambda: device.driver.copy(*at, here.nbytes), sizes)


def streaming(sizes):
    bandwidth = copying(sizes)
    print(f"\n{'kernel':16} {'GB/s':>9} {'of a copy at':>13} {bandwidth / 1e9:.0f} GB/s")
    shape = sizes.rows, sizes.width
    x, y = mr.tensor(normal(*shape), device="cuda"), mr.tensor(normal(*shape), device="cuda")
    labels = mr.tensor(np.arange(sizes.rows) % sizes.width, device="cuda")
    norm, one = nn.LayerNorm(sizes.width).cuda(), nn.Parameter(x.clone())
    one.grad, adam = y, optim.AdamW([one], lr=1e-3)
    mr.attach(nn.ParameterList([one]), L1(1e-4))
    cases = {  # bytes that must be moved for each entry, and what does it
        "add": (12, lambda: x + y),
        "exp": (8, lambda: x.exp()),
        "gelu": (8, lambda: nn.functional.gelu(x)),
        "dropout": (10, lambda: nn.functional.dropout(x, 0.5)),
        "sum of rows": (4, lambda: x.sum(1)),
        "sum of columns": (4, lambda: x.sum(0)),
        "softmax": (8, lambda: x.softmax(1)),
        "cross entropy": (8, lambda: nn.functional.cross_entropy(x, labels)),
        "layer norm": (8, lambda: norm(x)),
        "AdamW and L1": (28, adam.step),
    }
    with mr.no_grad():
        for name, (moved, run) in cases.items():
            rate = moved * x.numel() / ours(run, sizes)
            print(f"{name:16} {rate / 1e9:9.1f} {rate / bandwidth:13.0%}", flush=True)


def mlp(nn):
    """The same network from microreg's layers or from PyTorch's."""
    layers = []
    for inside, outside in ((784, 512), (512, 256)):
        layers += [nn.Linear(inside, outside), nn.BatchNorm1d(outside), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*layers, nn.Linear(256, 10))


def cnn(nn):
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(1568, 10))


NETWORKS = {"MLP": (mlp, (784,)), "CNN": (cnn, (1, 28, 28))}


def step(library, make, X, y):
    """A training step of one of the two libraries, whose names are the same."""
    model = make(library.nn).to("cuda")
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = (library.tensor(data).to("cuda") for data in (X, y))

    def run(x=x, y=y):
        loss = library.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return run, x, y


def steps(sizes):
    print(f"\n{'step':6} {'eager us':>10} {'graph us':>10} {'PyTorch eager us':>17}")
    for name, (make, shape) in NETWORKS.items():
        X, y = normal(sizes.batch, *shape), np.arange(sizes.batch) % 10
        run, a, b = step(mr, make, X, y)
        recorded = mr.compile(run)
        times = [ours(run, sizes), ours(lambda f=recorded, a=a, b=b: f(a, b), sizes)]
        if torch:
            times.append(theirs(step(torch, make, X, y)[0], sizes))
        width = (10, 10, 17)
        print(f"{name:6}", *(f"{t * 1e6:{w}.0f}" for t, w in zip(times, width, strict=False)))


def main(sizes=None):
    try:
        print(mr.cuda.get_device_name())
    except DeviceError as error:
        raise SystemExit(f"no benchmarks of a GPU: {error}") from None
    sizes = sizes or Sizes()
    for table in (products, streaming, steps):
        table(sizes)


if __name__ == "__main__":
    main()
