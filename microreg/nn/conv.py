"""Convolutions as layers; the formulas are in `functional`."""

from .. import functional as F
from ..functional._inputs import pair
from ..functional.shape import MODES
from .linear import _empty, _positive, _reset
from .module import Module


class _Conv(Module):
    """A convolution over `axes` axes."""

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        dtype=None,
    ):
        super().__init__()
        who, axes = type(self).__name__, self.axes
        _positive(who, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{who}({in_channels}, {out_channels}, groups={groups}): expected channels that "
                "the groups divide evenly"
            )
        if padding_mode not in ("zeros", *MODES[1:]):
            raise ValueError(
                f"{who}(padding_mode={padding_mode!r}): expected 'zeros' or one of "
                f"{', '.join(MODES[1:])}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair(kernel_size, who, "kernel_size", 1, axes)
        self.stride = pair(stride, who, "stride", 1, axes)
        self.padding = (
            padding if isinstance(padding, str) else pair(padding, who, "padding", 0, axes)
        )
        self.dilation = pair(dilation, who, "dilation", 1, axes)
        self.groups, self.padding_mode = groups, padding_mode
        self.weight = _empty(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype)
        self.register_parameter("bias", _empty(out_channels, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        _reset(self.weight, self.bias)

    def forward(self, input):
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._margins(), self.padding_mode), 0
        convolve = F.conv1d if self.axes == 1 else F.conv2d
        options = self.stride, padding, self.dilation, self.groups
        return convolve(input, self.weight, self.bias, *options)

    def _margins(self):
        """What stands before and behind each axis, from the last."""
        if self.padding == "valid":
            return (0, 0) * self.axes
        if self.padding != "same":
            return [n for n in reversed(self.padding) for _ in range(2)]
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return [n for r in reversed(reach) for n in (r // 2, r - r // 2)]

    def extra_repr(self):
        others = {"dilation": (1,) * self.axes, "groups": 1, "padding_mode": "zeros"}
        text = "".join(
            f", {name}={getattr(self, name)!r}"
            for name, usual in others.items()
            if getattr(self, name) != usual
        )
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}{text}"
        )


class Conv1d(_Conv):
    """Cross-correlation along one axis; see `functional.conv1d` for the formula.

    Shapes
    ------
    x (n, in_channels, length) -> y (n, out_channels, length') with
    length' = floor((length + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1;
    weight (out_channels, in_channels / groups, kernel), bias (out_channels,). Both start uniform
    on +-1/sqrt(in_channels / groups * kernel).
    """

    axes = 1


class Conv2d(_Conv):
    """Cross-correlation along two axes; see `functional.conv2d` for the formula.

    Shapes
    ------
    x (n, in_channels, h, w) -> y (n, out_channels, h', w') with
    h' = floor((h + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1, w' alike;
    weight (out_channels, in_channels / groups, kernel, kernel), bias (out_channels,).
    Both start uniform on +-1/sqrt(in_channels / groups * kernel * kernel).
    """

    axes = 2
