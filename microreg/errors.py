"""The exceptions a caller may want to catch by name. Each is also the builtin one would expect."""


class ShapeError(ValueError):
    """A shape does not fit."""


class DTypeError(TypeError):
    """A dtype is not supported here."""


class DeviceError(RuntimeError):
    """A device is missing, or two arguments live on different ones."""


class GraphError(RuntimeError):
    """The graph cannot be differentiated: already freed, or no tensor in it requires a gradient."""


class GradcheckError(AssertionError):
    """An analytic gradient, or a prox, disagrees with its definition."""


class CheckpointError(RuntimeError, ValueError):
    """A saved state is damaged, or does not fit what it is loaded into."""


class CaptureError(RuntimeError):
    """A step cannot be recorded: it looks at a number, or does something that has no kernel."""
