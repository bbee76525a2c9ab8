"""Training: fit, predict, evaluate, what they record and what may happen between epochs."""

from .callbacks import Callback, EarlyStopping
from .history import History
from .loop import evaluate, fit, predict, zeros
from .mnist1d import mnist1d

__all__ = ["Callback", "EarlyStopping", "History", "evaluate", "fit", "mnist1d", "predict", "zeros"]
