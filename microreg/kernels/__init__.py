"""Kernels: arrays, sizes and scalars in; outputs written. The only room that imports Numba."""

from ._jit import kernel, scalar

__all__ = ["kernel", "scalar"]
