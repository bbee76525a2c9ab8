"""What a tensor is, and the same tensor as something else, as methods."""

import numpy as np

from ..dtypes import as_dtype
from ..ops import shape


class Conversions:
    """dtype, device, sizes."""

    __slots__ = ()

    def to(self, dtype):
        """This tensor with another dtype, or on another device; itself if nothing changes."""
        if isinstance(dtype, str) and dtype.split(":")[0] in ("cpu", "cuda"):
            return _on_device(self, dtype)
        dtype = as_dtype(dtype, "to")
        if dtype == self.data.dtype:
            return self
        return self.record(shape.cast, (self,), {"dtype": dtype})

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


def _on_device(x, device):
    if device.startswith("cuda"):
        from ..errors import DeviceError

        raise DeviceError(f"to({device!r}): this build of microreg computes on the CPU only")
    return x
