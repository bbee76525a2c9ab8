"""Matrix products.

    matmul_nn   out = a @ b           a (m, k), b (k, n)
    matmul_nt   out = a @ b.T         a (m, k), b (n, k)
    matmul_tn   out = a.T @ b         a (k, m), b (k, n)
    linear      out = activation(x @ weight.T + bias)
    batch_*     the same for each item of a leading axis

They only say how a and b lie in memory; the work is done by `_gemm.py`. With k = 0 the sums are 0.
"""

from ._gemm import BIAS, BIAS_RELU, NO_BIAS, gemm, scratch_words
from ._jit import kernel
from ._native import invoke
from .formulas import relu

__all__ = [
    "batch_matmul_nn",
    "batch_matmul_nt",
    "batch_matmul_tn",
    "linear",
    "matmul_nn",
    "matmul_nt",
    "matmul_tn",
]
HOW = {
    "split": "threads",
    "grain": 1 << 22,  # multiply-adds below which one thread is faster: about 50 us
    "needs": (gemm,),
    "scratch": scratch_words,
}
# the last arguments of gemm: sizes m, k, n; steps of a along m and along k; the length of a row of
# b, whether b lies transposed; the length of a row of out, whether it is added to; what follows


@kernel("scratch[threads,words] a[m,k] b[k,n] -> out[m,n]; tid nt", **HOW)
def matmul_nn(scratch, a, b, out, tid, nt):
    """out = a @ b."""
    m, k = a.shape
    n = b.shape[1]
    words = scratch[tid]
    args = (a, b, words, out, words, m, k, n, k, 1, n, 0, n, 0, NO_BIAS)
    invoke(gemm, args, tid, nt)


@kernel("scratch[threads,words] a[m,k] b[n,k] -> out[m,n]; tid nt", **HOW)
def matmul_nt(scratch, a, b, out, tid, nt):
    """out = a @ b.T."""
    m, k = a.shape
    n = b.shape[0]
    words = scratch[tid]
    args = (a, b, words, out, words, m, k, n, k, 1, k, 1, n, 0, NO_BIAS)
    invoke(gemm, args, tid, nt)


@kernel("scratch[threads,words] a[k,m] b[k,n] -> out[m,n]; tid nt", **HOW)
def matmul_tn(scratch, a, b, out, tid, nt):
    """out = a.T @ b."""
    k, m = a.shape
    n = b.shape[1]
    words = scratch[tid]
    args = (a, b, words, out, words, m, k, n, 1, m, n, 0, n, 0, NO_BIAS)
    invoke(gemm, args, tid, nt)


@kernel(
    "scratch[threads,words] x[m,k] weight[n,k] bias[n] -> out[m,n]; activation:int64 tid nt",
    **HOW,
)
def linear(scratch, x, weight, bias, out, activation, tid, nt):
    """out = x @ weight.T + bias; activation 1 is max(0, .), 0 none."""
    m, k = x.shape
    n = weight.shape[0]
    words = scratch[tid]
    args = (x, weight, bias, out, words, m, k, n, k, 1, k, 1, n, 0, activation)
    invoke(gemm, args, tid, nt)


def with_relu(args):
    """The arguments of a kernel that ends with a bias, ending with max(0, .) too."""
    *arrays, ending = args
    return (*arrays, BIAS_RELU) if ending == BIAS else None


linear.fuses = {relu: with_relu}


@kernel("scratch[threads,words] a[batch,m,k] b[batch,k,n] -> out[batch,m,n]; tid nt", **HOW)
def batch_matmul_nn(scratch, a, b, out, tid, nt):
    """out[s] = a[s] @ b[s]."""
    batch, m, k = a.shape
    n = b.shape[2]
    words = scratch[tid]
    for s in range(tid, batch, nt):
        args = (a[s], b[s], words, out[s], words, m, k, n, k, 1, n, 0, n, 0, NO_BIAS)
        invoke(gemm, args, 0, 1)


@kernel("scratch[threads,words] a[batch,m,k] b[batch,n,k] -> out[batch,m,n]; tid nt", **HOW)
def batch_matmul_nt(scratch, a, b, out, tid, nt):
    """out[s] = a[s] @ b[s].T."""
    batch, m, k = a.shape
    n = b.shape[1]
    words = scratch[tid]
    for s in range(tid, batch, nt):
        args = (a[s], b[s], words, out[s], words, m, k, n, k, 1, k, 1, n, 0, NO_BIAS)
        invoke(gemm, args, 0, 1)


@kernel("scratch[threads,words] a[batch,k,m] b[batch,k,n] -> out[batch,m,n]; tid nt", **HOW)
def batch_matmul_tn(scratch, a, b, out, tid, nt):
    """out[s] = a[s].T @ b[s]."""
    batch, k, m = a.shape
    n = b.shape[2]
    words = scratch[tid]
    for s in range(tid, batch, nt):
        args = (a[s], b[s], words, out[s], words, m, k, n, 1, m, n, 0, n, 0, NO_BIAS)
        invoke(gemm, args, 0, 1)
