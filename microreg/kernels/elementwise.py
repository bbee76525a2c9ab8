from ._jit import kernel, scalar

@scalar
def relu_1(v):
    """max(v, 0); written so that NaN stays NaN."""
    return type(v)(0) if v <= type(v)(0) else v

@kernel("x[n] -> out[n]", split="n")
def relu(x, out):
    for i in range(x.size):
        out[i] = relu_1(x[i])
