"""Random noise that regularizes: dropout."""

from ..kernels.random import counters
from ..ops import dropout as ops
from ..random import take
from ..tensor import Tensor
from ._inputs import a_tensor, alike


def dropout(input, p=0.5, training=True):
    """In training each entry is 0 with probability p, else divided by 1 - p; identity otherwise.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014), section 10.
    """
    x = a_tensor(input, "dropout")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout(p={p}): expected a probability from 0 to 1")
    if not training or p == 0.0:
        return x
    attrs = {"shape": x.shape, "p": float(p), "state": take(counters(x.data.size))}
    mask = Tensor.record(ops.keep_mask, (), attrs)
    (x,) = alike("dropout", x)
    return Tensor.record(ops.apply_mask, (x, mask), {"p": float(p)})
