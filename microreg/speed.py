"""How long training steps take on this machine: python -m microreg bench."""

import itertools
import time

import numpy as np

from . import functional as F
from . import nn, optim
from .capture import compile
from .random import manual_seed
from .runtime import get_num_threads
from .tensor import Tensor

SECONDS, ROUNDS = 0.2, 5
NETWORKS = {  # widths, batch, whether there are norms
    "20-32-2, 32 rows": ((20, 32, 2), 32, False),
    "64-128-128-10, 128 rows": ((64, 128, 128, 10), 128, False),
    "64-128-128-10, 128 rows, batch norm": ((64, 128, 128, 10), 128, True),
    "784-512-512-10, 128 rows": ((784, 512, 512, 10), 128, False),
}


def speed():
    """Print the microseconds of a step with Adam, op by op and recorded, for some networks."""
    print(f"one step of training with Adam, float32, {get_num_threads()} threads, microseconds")
    print(f"{'network':38}{'op by op':>10}{'recorded':>10}")
    for name, (widths, rows, normed) in NETWORKS.items():
        step, data = _step(widths, rows, normed)
        print(f"{name:38}{_time(step, data):10.1f}{_time(compile(step), data):10.1f}", flush=True)


def _step(widths, rows, normed):
    manual_seed(0)
    layers = []
    for i, o in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(i, o), *([nn.BatchNorm1d(o)] if normed else []), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(*widths[-2:]))
    optimizer = optim.Adam(model.parameters())
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(rows, widths[0])).astype(np.float32))
    y = Tensor(rng.integers(0, widths[-1], rows))

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, (x, y)


def _time(step, data):
    """The least mean time of a step over some rounds, in microseconds."""
    for _ in range(3):
        step(*data)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS / 4:
        step(*data)
        count += 1
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(count):
            step(*data)
        times.append((time.perf_counter() - start) / count)
    return 1e6 * min(times)
