"""Linear maps: products, convolutions, rows of a table."""

from ..errors import ShapeError
from ..ops import conv
from ..ops import linear as ops
from ..tensor import Tensor
from ._inputs import a_tensor, alike, batched, method, pair, shaped
from .shape import pad

addmm = method("addmm")
bmm = method("bmm")
dot = method("dot")
matmul = method("matmul")
mm = method("mm")
mv = method("mv")
outer = method("outer")


def linear(input, weight, bias=None):
    """y[..., o] = sum_i input[..., i] * weight[o, i] + bias[o]."""
    if input.ndim == 1:
        return linear(input[None], weight, bias)[0]
    inputs = (input, weight) if bias is None else (input, weight, bias)
    return Tensor.record(ops.linear, inputs, {})


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of x (n, c, h, w), or (c, h, w), with weight (o, c, kh, kw).

    out[n, o, i, j] = bias[o] + sum_{c, u, v} weight[o, c, u, v] *
                      x[n, c, i*stride + u*dilation - padding, j*stride + v*dilation - padding]
    with zeros outside x. Padding "valid" is 0; with "same", for a stride of 1, the result is as
    large as x, and what cannot be halved stands behind.
    """
    return _convolved("conv2d", input, weight, bias, stride, padding, dilation, groups, 2)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of x (n, c, length), or (c, length), with weight (o, c, k).

    out[n, o, i] = bias[o] + sum_{c, u} weight[o, c, u] * x[n, c, i*stride + u*dilation - padding],
    with the options of `conv2d`.
    """
    return _convolved("conv1d", input, weight, bias, stride, padding, dilation, groups, 1)


def _convolved(who, x, weight, bias, stride, padding, dilation, groups, axes):
    """Over so many axes; one is taken for the last of two."""
    x, unbatched = batched(who, a_tensor(x, who), axes + 2)
    if weight.ndim != axes + 2:
        raise ShapeError(f"{who}: weight: expected {axes + 2} axes, got shape {weight.shape}")
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(
            f"{who}(groups={groups!r}): expected a divisor of the {weight.shape[0]} channels"
        )
    channels, others = weight.shape[1] * groups, "h, w" if axes == 2 else "length"
    if x.shape[1] != channels:
        raise ShapeError(
            f"{who}: expected x (n, {channels}, {others}) for weight {tuple(weight.shape)}, got "
            f"{tuple(x.shape)}"
        )
    shaped(who, weight.shape[:1], bias=bias)
    stride, dilation = (
        pair(value, who, name, 1, axes)
        for value, name in ((stride, "stride"), (dilation, "dilation"))
    )
    x, padding = _padded(who, x, weight.shape[2:], stride, padding, dilation)
    if axes == 1:
        x, weight = x.unsqueeze(2), weight.unsqueeze(2)
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    whole = {name: (*(fill,) * (2 - axes), *attrs[name]) for name, fill in FILLS.items()}
    inputs = (x, weight) if bias is None else (x, weight, bias)
    out = Tensor.record(conv.conv2d, alike(who, *inputs), {**attrs, **whole})
    return unbatched(out if axes == 2 else out.squeeze(2))


FILLS = {"stride": 1, "padding": 0, "dilation": 1}  # along the axis that is no axis


def _padded(who, x, kernel, stride, padding, dilation):
    """x and what is to be padded on both sides of each axis."""
    if not isinstance(padding, str):
        return x, pair(padding, who, "padding", 0, len(kernel))
    if padding == "valid":
        return x, (0,) * len(kernel)
    if padding != "same" or set(stride) != {1}:
        raise ValueError(
            f"{who}(padding={padding!r}, stride={stride}): expected numbers, 'valid', or 'same' "
            "with a stride of 1"
        )
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if any(r % 2 for r in reach):
        x = pad(x, [n for r in reversed(reach) for n in (0, r % 2)])
    return x, tuple(r // 2 for r in reach)
