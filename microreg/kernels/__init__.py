"""Kernels: arrays, sizes and scalars in; outputs written. The only room that imports Numba."""

import importlib

from ._jit import kernel, scalar

__all__ = ["BENCH", "kernel", "scalar"]


def __getattr__(name):
    """BENCH, kernels as functions of arrays, is made at its first use: see `microreg.bench`."""
    if name != "BENCH":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("microreg.bench").BENCH
