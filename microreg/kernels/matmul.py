"""Matrix products.

    matmul_nn   out = a @ b           a (m, k), b (k, n)
    matmul_nt   out = a @ b.T         a (m, k), b (n, k)
    matmul_tn   out = a.T @ b         a (k, m), b (k, n)
    linear      out = activation(x @ weight.T + bias)
    batch_*     the same for each item of a leading axis

Every entry of `out` is one sum over k in ascending order: the bits depend on the shape alone.
With k = 0 the products are zeros.
"""

from ._jit import kernel

GRAIN = 1 << 22  # multiply-adds below which one thread is faster: about 50 us


def scratch_words(dtype):
    """How many elements of scratch memory each thread needs."""
    return 1


@kernel("a[m,k] b[k,n] -> out[m,n] scratch[threads,words]; tid nt", split="threads", grain=GRAIN)
def matmul_nn(a, b, out, scratch, tid, nt):
    """out = a @ b."""
    for i in range(tid, a.shape[0], nt):
        for j in range(b.shape[1]):
            out[i, j] = type(out[i, j])(0)
        for p in range(a.shape[1]):
            for j in range(b.shape[1]):
                out[i, j] += a[i, p] * b[p, j]


@kernel("a[m,k] b[n,k] -> out[m,n] scratch[threads,words]; tid nt", split="threads", grain=GRAIN)
def matmul_nt(a, b, out, scratch, tid, nt):
    """out = a @ b.T."""
    for i in range(tid, a.shape[0], nt):
        for j in range(b.shape[0]):
            out[i, j] = type(out[i, j])(0)
            for p in range(a.shape[1]):
                out[i, j] += a[i, p] * b[j, p]


@kernel("a[k,m] b[k,n] -> out[m,n] scratch[threads,words]; tid nt", split="threads", grain=GRAIN)
def matmul_tn(a, b, out, scratch, tid, nt):
    """out = a.T @ b."""
    for i in range(tid, a.shape[1], nt):
        for j in range(b.shape[1]):
            out[i, j] = type(out[i, j])(0)
        for p in range(a.shape[0]):
            for j in range(b.shape[1]):
                out[i, j] += a[p, i] * b[p, j]


@kernel(
    "x[m,k] weight[n,k] bias[n] -> out[m,n] scratch[threads,words]; activation:int64 tid nt",
    split="threads",
    grain=GRAIN,
)
def linear(x, weight, bias, out, scratch, activation, tid, nt):
    """out = x @ weight.T + bias, then max(0, .) where activation is 1."""
    for i in range(tid, x.shape[0], nt):
        for j in range(weight.shape[0]):
            total = type(out[i, j])(0)
            for p in range(x.shape[1]):
                total += x[i, p] * weight[j, p]
            total += bias[j]
            zero = type(total)(0)
            out[i, j] = zero if activation == 1 and total <= zero else total


@kernel(
    "a[batch,m,k] b[batch,k,n] -> out[batch,m,n] scratch[threads,words]; tid nt",
    split="threads",
    grain=GRAIN,
)
def batch_matmul_nn(a, b, out, scratch, tid, nt):
    """out[s] = a[s] @ b[s]."""
    for s in range(tid, a.shape[0], nt):
        for i in range(a.shape[1]):
            for j in range(b.shape[2]):
                out[s, i, j] = type(out[s, i, j])(0)
            for p in range(a.shape[2]):
                for j in range(b.shape[2]):
                    out[s, i, j] += a[s, i, p] * b[s, p, j]


@kernel(
    "a[batch,m,k] b[batch,n,k] -> out[batch,m,n] scratch[threads,words]; tid nt",
    split="threads",
    grain=GRAIN,
)
def batch_matmul_nt(a, b, out, scratch, tid, nt):
    """out[s] = a[s] @ b[s].T."""
    for s in range(tid, a.shape[0], nt):
        for i in range(a.shape[1]):
            for j in range(b.shape[1]):
                out[s, i, j] = type(out[s, i, j])(0)
                for p in range(a.shape[2]):
                    out[s, i, j] += a[s, i, p] * b[s, j, p]


@kernel(
    "a[batch,k,m] b[batch,k,n] -> out[batch,m,n] scratch[threads,words]; tid nt",
    split="threads",
    grain=GRAIN,
)
def batch_matmul_tn(a, b, out, scratch, tid, nt):
    """out[s] = a[s].T @ b[s]."""
    for s in range(tid, a.shape[0], nt):
        for i in range(a.shape[2]):
            for j in range(b.shape[2]):
                out[s, i, j] = type(out[s, i, j])(0)
            for p in range(a.shape[1]):
                for j in range(b.shape[2]):
                    out[s, i, j] += a[s, p, i] * b[s, p, j]
