"""Kernels for NVIDIA GPUs, with the names of those for the CPU; imported when a GPU is asked for.

`plan.py` says which function runs for which kernel, `_gemm.py` is the product behind those of
matrices and convolutions, `_entry.py` and what it imports know numba-cuda.
"""

from . import (  # noqa: F401  they enter themselves
    attention,
    batch,
    batch_norm,
    conv,
    group,
    lift,
    matmul,
    move,
    norm,
    random,
    reduce,
    softmax,
)
