"""Kernels side by side with NumPy and PyTorch: see README.md.

make bench ARGS="kernels --dtype float64 --only matmul,exp"
"""

import math

import machine
from kernel_cases import Maker, measured

from microreg.kernels import BENCH

KINDS = [
    "matmul",
    "linear_relu",
    "layer_norm",
    "batch_norm",
    "softmax_cross_entropy",
    "adamw_l1",
    "elementwise",
]


def tables(dtype="float32", only=None):
    """Print a table for each kind, each with its geometric means."""
    peak, bandwidth = machine.peak(dtype), machine.bandwidth()
    print(f"one thread, {dtype}: {peak / 1e9:.0f} GFLOP/s of multiply-adds in registers,", end=" ")
    print(f"{bandwidth / 1e9:.1f} GB/s copied in memory")
    print("ratios are the others' time by ours: above 1 this is faster\n")
    maker = Maker(BENCH, dtype)
    for kind in KINDS:
        if only is None or kind in only:
            _table(getattr(maker, kind)(), peak, bandwidth)


def _table(cases, peak, bandwidth):
    print(f"{'kernel':22} {'shape':>16} {'us':>10} {'of machine':>11} {'numpy':>7} {'torch':>7}")
    logs = {}
    for case in cases:
        seconds, ratios = measured(case)
        share = case.flops / peak / seconds if case.flops else case.moved / bandwidth / seconds
        told = f"{share:11.0%}" if share else " " * 11
        columns = "".join(
            f"{ratios[p]:8.2f}" if p in ratios else " " * 8 for p in ("numpy", "torch")
        )
        print(f"{case.name:22} {case.shape:>16} {seconds * 1e6:10.2f} {told}{columns}", flush=True)
        for peer, ratio in ratios.items():
            logs.setdefault(peer, []).append(math.log(ratio))
    means = (f"{math.exp(sum(of) / len(of)):.2f} times {peer}" for peer, of in logs.items())
    print(f"geometric mean: {', '.join(means)}\n")
