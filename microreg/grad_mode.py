"""Whether operations are recorded: a setting of each thread."""

import threading
from contextlib import ContextDecorator

_mode = threading.local()  # `enabled` is missing until it is first changed, and means True
off: list[None] = []  # a token for every context of any thread in which nothing is recorded


class _grad_mode(ContextDecorator):
    def __enter__(self):
        self._before = is_grad_enabled()
        _mode.enabled = self._enabled
        if not self._enabled:
            off.append(None)
        return self

    def __exit__(self, *error):
        _mode.enabled = self._before
        if not self._enabled:
            off.pop()

    def _recreate_cm(self):
        return type(self)()


class no_grad(_grad_mode):
    """Within this context (or decorated function) nothing is recorded. Applies to this thread."""

    _enabled = False


class enable_grad(_grad_mode):
    """Within this context operations are recorded, also inside `no_grad`."""

    _enabled = True


def is_grad_enabled():
    return getattr(_mode, "enabled", True)
