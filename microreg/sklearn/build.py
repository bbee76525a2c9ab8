"""From the parameters of an estimator to a network, an optimizer and a random state."""

from contextlib import contextmanager
from functools import partial

from sklearn.utils import check_random_state

from .. import optim
from ..analysis.recipe import network, penalised
from ..penalties import attach
from ..random import get_rng_state, manual_seed, set_rng_state

OPTIMIZERS = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": partial(optim.SGD, momentum=0.9),
    "rmsprop": optim.RMSprop,
}


def make(estimator, inputs, outputs, dtype):
    """The network of an estimator, with its penalties attached."""
    e, who = estimator, type(estimator).__name__
    model = network(who, e.hidden, e.activation, e.norm, e.dropout, inputs, outputs, dtype)
    if e.penalty is not None:
        attach(model, penalised(who, model, e.penalty, e.lam))
    return model


@contextmanager
def seeded(random_state):
    """Random numbers that follow from a random state as scikit-learn means it."""
    before = get_rng_state()
    try:
        manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
        yield
    finally:
        set_rng_state(before)
