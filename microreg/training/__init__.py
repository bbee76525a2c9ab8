"""Training: fit, predict, evaluate, what they record and what may happen between epochs."""

from .callbacks import Callback, EarlyStopping
from .history import History
from .idx import mnist, read_idx
from .loop import evaluate, fit, predict, zeros
from .mnist1d import mnist1d
from .tensorboard import TensorBoard

__all__ = [
    "Callback",
    "EarlyStopping",
    "History",
    "TensorBoard",
    "evaluate",
    "fit",
    "mnist",
    "mnist1d",
    "predict",
    "read_idx",
    "zeros",
]
