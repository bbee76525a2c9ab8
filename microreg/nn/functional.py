"""PyTorch's place for the named functions: all of `microreg.functional`."""

from ..functional import *  # noqa: F403
