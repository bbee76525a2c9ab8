"""Kernels: arrays, sizes and scalars in; outputs written. The only room that imports Numba."""
