"""The optimizers once more, as their formulas say, in plain NumPy."""

from typing import NamedTuple

import numpy as np
import pytest

from microreg import optim


def naive_sgd(
    w, gradient, prox, steps, *, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False
):
    b = gain = None
    for t in range(steps):
        g = gradient(w, t) + weight_decay * w
        direction, k = g, 1.0
        if momentum:
            b = g if b is None else momentum * b + (1 - dampening) * g
            gain = 1.0 if gain is None else momentum * gain + (1 - dampening)  # b of a gradient 1
            direction, k = (g + momentum * b, 1 + momentum * gain) if nesterov else (b, gain)
        w = prox(w - lr * direction, np.full_like(w, lr * k))
    return w


def naive_adam(
    w, gradient, prox, steps, *,
    lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decay=0, amsgrad=False,
):  # fmt: skip
    m = v = largest = 0.0
    for t in range(steps):
        g = gradient(w, t) + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v) if amsgrad else v
        m_hat, v_hat = m / (1 - betas[0] ** (t + 1)), largest / (1 - betas[1] ** (t + 1))
        s = lr / (np.sqrt(v_hat) + eps)
        w = prox(w * (1 - lr * decay) - s * m_hat, s)
    return w


def naive_adamw(w, gradient, prox, steps, *, weight_decay=1e-2, **options):
    return naive_adam(w, gradient, prox, steps, decay=weight_decay, **options)


def naive_rmsprop(
    w, gradient, prox, steps, *,
    lr, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False,
):  # fmt: skip
    square = mean = b = gain = 0.0
    for t in range(steps):
        g = gradient(w, t) + weight_decay * w
        square = alpha * square + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g if centered else 0.0
        scale = 1 / (np.sqrt(square - mean**2) + eps)
        b, gain = momentum * b + g * scale, momentum * gain + 1
        w = prox(w - lr * b, lr * gain * scale)
    return w


def naive_adagrad(
    w, gradient, prox, steps, *,
    lr, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10,
):  # fmt: skip
    total = initial_accumulator_value
    for t in range(steps):
        g = gradient(w, t) + weight_decay * w
        total = total + g**2
        s = lr / (1 + t * lr_decay) / (np.sqrt(total) + eps)
        w = prox(w - s * g, s)
    return w


class Rule(NamedTuple):
    make: type
    naive: object
    options: dict

    def __str__(self):
        return f"{self.make.__name__}({', '.join(f'{k}={v}' for k, v in self.options.items())})"


RULES = [
    Rule(optim.SGD, naive_sgd, {"lr": 0.07}),
    Rule(optim.SGD, naive_sgd, {"lr": 0.05, "weight_decay": 0.3}),
    Rule(optim.SGD, naive_sgd, {"lr": 0.02, "momentum": 0.83}),
    Rule(
        optim.SGD, naive_sgd, {"lr": 0.05, "momentum": 0.6, "dampening": 0.3, "weight_decay": 0.02}
    ),
    Rule(optim.SGD, naive_sgd, {"lr": 0.03, "momentum": 0.7, "nesterov": True}),
    Rule(optim.Adam, naive_adam, {"lr": 0.013}),
    Rule(
        optim.Adam, naive_adam, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}
    ),
    Rule(optim.Adam, naive_adam, {"lr": 0.03, "betas": (0.7, 0.9), "amsgrad": True}),
    Rule(optim.AdamW, naive_adamw, {"lr": 0.02, "weight_decay": 0.17}),
    Rule(optim.RMSprop, naive_rmsprop, {"lr": 0.007}),
    Rule(
        optim.RMSprop,
        naive_rmsprop,
        {"lr": 0.003, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.05},
    ),
    Rule(optim.RMSprop, naive_rmsprop, {"lr": 0.004, "alpha": 0.8, "eps": 0.3, "centered": True}),
    Rule(optim.Adagrad, naive_adagrad, {"lr": 0.07}),
    Rule(
        optim.Adagrad,
        naive_adagrad,
        {"lr": 0.2, "lr_decay": 0.01, "weight_decay": 0.03, "initial_accumulator_value": 0.3},
    ),
]


@pytest.fixture(params=RULES, ids=str)
def rule(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(31)
