"""The five training steps that frameworks are compared on: data, networks, initial parameters.

A step takes the next rows of a shuffled data set, forward, mean cross-entropy over 10 classes,
backward, AdamW with decoupled weight decay 1e-2, and the l1 prox with strength 1e-4; decay and l1
on weight matrices and convolution kernels alone. float32.
"""

import math

import numpy as np

import microreg as mr
from microreg import nn, optim
from microreg.penalties import L1, WeightDecay

BATCHES = 32  # in an epoch
ROWS = {  # batch size, shape of a row
    "W1": (32, (64,)),
    "W2": (128, (784,)),
    "W3": (64, (256,)),
    "W4": (64, (1, 28, 28)),
    "W5": (16, (32, 64)),
}


def data(workload):
    """(X, y, batch size): standard normal rows, labels at random."""
    batch, shape = ROWS[workload]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((BATCHES * batch, *shape), dtype=np.float32)
    return X, rng.integers(0, 10, len(X)), batch


class Block(nn.Module):
    """A pre-norm transformer block of width 64 with 4 heads, the mean over tokens, a classifier."""

    def __init__(self):
        super().__init__()
        self.norm1, self.attention = (
            nn.LayerNorm(64),
            nn.MultiheadAttention(64, 4, batch_first=True),
        )
        self.norm2, self.w1, self.w2 = nn.LayerNorm(64), nn.Linear(64, 256), nn.Linear(256, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        x = x + self.w2(nn.functional.gelu(self.w1(self.norm2(x))))
        return self.head(x.mean(1))


def network(workload, dropout=0.2):
    """The untrained network."""
    if workload == "W1":
        layers = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    elif workload == "W2":
        layers = []
        for inside, outside in ((784, 512), (512, 256)):
            layers += [nn.Linear(inside, outside), nn.BatchNorm1d(outside), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
        layers.append(nn.Linear(256, 10))
    elif workload == "W3":
        layers = [m for _ in range(3) for m in (nn.Linear(256, 256), nn.LayerNorm(256), nn.GELU())]
        layers.append(nn.Linear(256, 10))
    elif workload == "W4":
        first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers = [*first, *second, nn.Flatten(), nn.Linear(1568, 10)]
    else:
        return _initialized(Block())
    return _initialized(nn.Sequential(*layers))


def _initialized(model):
    """Weights normal with variance 1 / fan-in, drawn from the input to the output; biases 0."""
    rng = np.random.default_rng(1)
    for name, p in model.named_parameters():
        if p.ndim > 1:
            p.data[...] = rng.standard_normal(p.shape) / math.sqrt(math.prod(p.shape[1:]))
        else:
            p.data[...] = 1.0 if _is_scale(model, name) else 0.0
    return model


def _is_scale(model, name):
    """Whether a parameter of one axis is the scale of a norm."""
    module, _, last = name.rpartition(".")
    norms = (nn.BatchNorm1d, nn.LayerNorm)
    return last == "weight" and isinstance(dict(model.named_modules())[module], norms)


def trained(workload, dropout=0.2):
    """(model, optimizer) with the penalties attached."""
    model = mr.attach(network(workload, dropout), [L1(1e-4), WeightDecay(1e-2)])
    return model, optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
