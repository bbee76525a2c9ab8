"""Finding the op that makes NaN or infinity of numbers that are neither."""

import sys
import threading
from contextlib import ContextDecorator

import numpy as np

from .graph import Value
from .runtime.record import users_line
from .runtime.remote import Remote, homes

_here = threading.local()  # `on` in a thread that watches
_lock, _contexts = threading.Lock(), set[object]()
_plain_record = Value.record


class detect_anomaly(ContextDecorator):
    """Within this context (or decorated function) NaN and infinity are refused where they arise.

    Every op is looked at, forward and backward; a step under `compile`, and that of `fit`, runs op
    by op meanwhile. This costs time: it is for finding a fault. Applies to this thread.

        with mr.detect_anomaly():
            loss = step(x, y)

    Raises
    ------
    FloatingPointError
        Names the op, the line that called it, and the module whose forward did. A backward pass is
        watched where the forward pass was.
    """

    def __enter__(self):
        self._before, _here.on = watching(), True
        with _lock:
            _contexts.add(self)
            homes.add(detect_anomaly)  # operators then go through `record`
            Value.record = staticmethod(_record)
        return self

    def __exit__(self, *error):
        _here.on = self._before
        with _lock:
            _contexts.discard(self)
            if not _contexts:
                homes.discard(detect_anomaly)
                Value.record = staticmethod(_plain_record)

    def _recreate_cm(self):
        return type(self)()


def watching():
    """Whether this thread looks for anomalies."""
    return getattr(_here, "on", False)


def _record(op, inputs, attrs):
    made = _plain_record(op, inputs, attrs)
    if not watching():
        return made
    where = _where()
    results = made if isinstance(made, tuple) else (made,)
    given = [*inputs, *attrs.values()]
    kind = next(filter(None, map(_fault, results)), None)
    if kind and not any(map(_fault, given)):
        raise FloatingPointError(
            f"detect_anomaly: {op.name} made {kind} of finite numbers at {where}"
        )
    for one in results:
        node = getattr(one._node, "whole", one._node)
        if node is not None and node.op is op:
            node.op = _Watched(op, where)
    return made


class _Watched:
    """An op whose vjp is looked at. It stands in a node for the op itself."""

    def __init__(self, op, where):
        self.name, self.forward, self.saves = op.name, op.forward, op.saves
        self.reference, self._where = op.reference, where
        self.vjp = (
            tuple(map(self._watch, op.vjp)) if isinstance(op.vjp, tuple) else self._watch(op.vjp)
        )

    def _watch(self, rule):
        def watched(g, node):
            before, _here.on = watching(), False  # the rule is looked at as a whole
            try:
                found = rule(g, node)
            finally:
                _here.on = before
            parts = found if isinstance(found, (tuple, list)) else (found,)
            kind = next(filter(None, map(_fault, parts)), None)
            if kind and not _fault(g):
                raise FloatingPointError(
                    f"detect_anomaly: the gradient of {self.name} became {kind}, its own being "
                    f"finite; it was called at {self._where}"
                )
            return found

        return watched


def _fault(x):
    """ "NaN" or "infinity" if there is one, else None."""
    if isinstance(x, (tuple, list)):
        return next(filter(None, map(_fault, x)), None)
    data = x.data if isinstance(x, Value) else x
    if isinstance(data, Remote) or not isinstance(data, (float, np.floating, np.ndarray)):
        return None
    data = np.asarray(data)
    if data.dtype.kind != "f" or np.isfinite(data).all():
        return None
    return "NaN" if np.isnan(data).any() else "infinity"


def _where():
    """The caller's line, and the innermost module whose forward is running."""
    frame = sys._getframe(2)
    while frame is not None:
        one = frame.f_locals.get("self")
        if frame.f_code.co_name == "forward" and hasattr(one, "named_modules"):
            name = type(one).__name__
            extra = one.extra_repr() if not one._modules else "..."
            return f"{users_line()}, in {name}({extra})"
        frame = frame.f_back
    return users_line()
