"""Whether operations are recorded: a setting of each thread."""

import threading
from contextlib import ContextDecorator

mode = threading.local()  # `enabled` is missing until it is first changed, and means True


class _grad_mode(ContextDecorator):
    def __enter__(self):
        self._before = getattr(mode, "enabled", True)
        mode.enabled = self._enabled
        return self

    def __exit__(self, *error):
        mode.enabled = self._before

    def _recreate_cm(self):
        return type(self)()


class no_grad(_grad_mode):
    """Within this context (or decorated function) nothing is recorded. Applies to this thread."""

    _enabled = False


class enable_grad(_grad_mode):
    """Within this context operations are recorded, also inside `no_grad`."""

    _enabled = True


def is_grad_enabled():
    return getattr(mode, "enabled", True)
