"""Optimizers: each steps by its rule and applies the attached penalties in its own metric."""

from . import lr_scheduler, swa_utils
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sam import SAM
from .sgd import SGD
from .swa_utils import EMA, SWA

__all__ = [
    "EMA",
    "LBFGS",
    "SAM",
    "SGD",
    "SWA",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "lr_scheduler",
    "swa_utils",
]
