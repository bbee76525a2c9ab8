"""What a tensor is, and the same tensor as something else, as methods."""

import numpy as np

from ..dtypes import as_dtype
from ..ops import shape
from ..ops.move import move
from ..runtime.cuda import device_name


class Conversions:
    """dtype, device, sizes."""

    __slots__ = ()

    def to(self, *args, device=None, dtype=None):
        """This tensor with another dtype, on another device; itself if nothing changes.

        `args` are dtypes, devices ("cpu", "cuda"), or a tensor to be like.
        """
        device, dtype = targets("to", args, device, dtype)
        moved = self
        if device is not None and device != self.device:
            moved = self.record(move, (self,), {"device": device})
        if dtype is None or dtype == moved.data.dtype:
            return moved
        return moved.record(shape.cast, (moved,), {"dtype": dtype})

    def cpu(self):
        return self.to("cpu")

    def cuda(self):
        return self.to("cuda")

    def type_as(self, other):
        """This tensor with the dtype of another."""
        return self.to(other.dtype)

    def float(self):
        return self.to(np.float32)

    def double(self):
        return self.to(np.float64)

    def long(self):
        return self.to(np.int64)

    def bool(self):
        return self.to(np.bool_)

    def is_floating_point(self):
        return self.data.dtype.kind == "f"

    def clone(self):
        """A copy that gradients flow through."""
        return self.record(shape.clone, (self,), {})

    def contiguous(self):
        """The tensor itself: how it lies in memory changes no result."""
        return self

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self):
        return self.ndim

    def numel(self):
        return self.data.size


def targets(who, args, device=None, dtype=None):
    """(device, dtype) that `to` is asked for, each None if it stays."""
    for one in args:
        if hasattr(one, "record"):
            device, dtype = one.device, one.data.dtype
        elif isinstance(one, str) and one.split(":")[0] in ("cpu", "cuda"):
            device = _once(who, device, one)
        else:
            dtype = _once(who, dtype, one)
    device = None if device is None else device_name(device)
    return device, None if dtype is None else as_dtype(dtype, who)


def _once(who, before, now):
    if before is not None:
        raise TypeError(f"{who}: expected a device, a dtype or both, got {before} and {now}")
    return now
