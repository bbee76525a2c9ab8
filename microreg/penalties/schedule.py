"""Strengths that change from epoch to epoch.

Wherever a penalty takes a number it takes a Schedule too:

    mr.attach(model, L1(penalties.warmup(3e-4, epochs=10)))

`fit` tells schedules the epoch; in a loop of your own `penalties.set_epoch(model, epoch)` does,
with fractions of an epoch if you like. A step that is recorded by `mr.compile` follows.
"""

import math


class Schedule:
    """The number function(epoch). `epoch` is where it stands, 0 at the start.

    Parameters
    ----------
    function : callable
        From the epoch, a float, to the number.
    name : str, optional
        How tables show it.
    """

    def __init__(self, function, name=None):
        if not callable(function):
            raise TypeError(f"Schedule: expected a function of the epoch, got {function!r}")
        self.function, self.epoch = function, 0.0
        self.name = name or f"Schedule({getattr(function, '__name__', function)})"

    def __float__(self):
        return float(self.function(self.epoch))

    def __repr__(self):
        return self.name


def warmup(value, epochs):
    """value * min(epoch / epochs, 1): from 0 to `value` in a straight line, then constant."""
    _positive("warmup", epochs)
    return Schedule(lambda epoch: value * min(epoch / epochs, 1.0), f"warmup({value}, {epochs})")


def cosine(start, end, epochs):
    """end + (start - end) * (1 + cos(pi * epoch / epochs)) / 2, then constant at `end`."""
    _positive("cosine", epochs)

    def function(epoch):
        return end + (start - end) * (1.0 + math.cos(math.pi * min(epoch / epochs, 1.0))) / 2.0

    return Schedule(function, f"cosine({start}, {end}, {epochs})")


def _positive(who, epochs):
    if not epochs > 0:
        raise ValueError(f"{who}(epochs={epochs!r}): expected more than 0")
