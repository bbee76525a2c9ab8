"""Linear maps, dense and by windows, and pools."""

from ..ops import conv
from ..ops import linear as ops
from ..tensor import Tensor
from ._inputs import a_tensor, alike, pair, shaped


def linear(input, weight, bias=None):
    """y[..., o] = sum_i input[..., i] * weight[o, i] + bias[o]."""
    if input.ndim == 1:
        return linear(input[None], weight, bias)[0]
    inputs = (input, weight) if bias is None else (input, weight, bias)
    return Tensor.record(ops.linear, inputs, {})


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of x (n, c, h, w) with weight (o, c, kh, kw).

    out[n, o, i, j] = bias[o] + sum_{c, u, v} weight[o, c, u, v] *
                      x[n, c, i*stride + u*dilation - padding, j*stride + v*dilation - padding]
    with zeros outside x.
    """
    attrs = {
        "stride": pair(stride, "conv2d", "stride", 1),
        "padding": pair(padding, "conv2d", "padding", 0),
        "dilation": pair(dilation, "conv2d", "dilation", 1),
        "groups": groups,
    }
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(
            f"conv2d(groups={groups!r}): expected a divisor of the {weight.shape[0]} channels"
        )
    shaped("conv2d", weight.shape[:1], bias=bias)
    inputs = (input, weight) if bias is None else (input, weight, bias)
    return Tensor.record(conv.conv2d, alike("conv2d", *inputs), attrs)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1):
    """The largest entry under each window; stride defaults to kernel_size."""
    kernel = pair(kernel_size, "max_pool2d", "kernel_size", 1)
    padding = pair(padding, "max_pool2d", "padding", 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(
            f"max_pool2d(kernel_size={kernel}, padding={padding}): expected a padding of at most "
            "half the window"
        )
    attrs = {
        "kernel": kernel,
        "stride": kernel if stride is None else pair(stride, "max_pool2d", "stride", 1),
        "padding": padding,
        "dilation": pair(dilation, "max_pool2d", "dilation", 1),
    }
    x = a_tensor(input, "max_pool2d")
    return Tensor.record(conv.max_pool2d, alike("max_pool2d", x), attrs)
