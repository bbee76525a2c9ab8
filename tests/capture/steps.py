"""Training steps of many kinds, each run eagerly and recorded by the tests beside this file."""

import numpy as np

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, NonNegative, WeightDecay

ROWS, INPUTS, CLASSES = 24, 12, 3


def mlp(*between):
    """Linear, what is between, Linear."""
    return nn.Sequential(nn.Linear(INPUTS, 16), *between, nn.Linear(16, CLASSES))


def cnn():
    return nn.Sequential(
        Images(), nn.Conv2d(1, 4, 2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16, CLASSES),
    )  # fmt: skip


class Images(nn.Module):
    """Rows of 12 numbers as images of 3 x 4."""

    def forward(self, x):
        return x.reshape(len(x), 1, 3, 4)


class Attention(nn.Module):
    """Rows of 12 numbers as three tokens of four, which look at each other."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.head = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(4, CLASSES)

    def forward(self, x):
        tokens = x.reshape(len(x), 3, 4)
        qkv = self.qkv(self.norm(tokens)).reshape(len(x), 3, 3, 4).permute(2, 0, 1, 3)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = (q @ k.transpose(1, 2) * 0.5).softmax(-1)
        return self.head((tokens + weights @ v).mean(1))


MODELS = {
    "linear": lambda: nn.Linear(INPUTS, CLASSES),
    "relu": lambda: mlp(nn.ReLU()),
    "tanh, sigmoid": lambda: mlp(nn.Tanh(), nn.Linear(16, 16), nn.Sigmoid()),
    "gelu, layer norm": lambda: mlp(nn.LayerNorm(16), nn.GELU()),
    "batch norm": lambda: mlp(nn.BatchNorm1d(16), nn.ReLU()),
    "dropout": lambda: mlp(nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 16), nn.Dropout(0.2)),
    "cnn": cnn,
    "attention": Attention,
}
PENALTIES = {
    "none": None,
    "l1": L1(3e-3),
    "l1, decay": [L1(2e-3), WeightDecay(1e-2)],
    "elastic net": ElasticNet(1e-2, 0.5),
    "l2, max norm": [L2(1e-3), MaxNorm(0.6)],
    "groups": GroupLasso(5e-3, groups="in"),
    "non-negative": NonNegative(),
}
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "nesterov": lambda p: optim.SGD(p, lr=0.03, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05),
}


def loss_of(output, target):
    return F.cross_entropy(output, target)


class Trained:
    """A model, its optimizer, and the step that trains them; equal seeds make equal ones."""

    def __init__(self, model="relu", penalty="none", optimizer="adam", dtype=np.float64):
        mr.manual_seed(5)
        self.model = MODELS[model]()
        if dtype == np.float64:
            self.model.double()
        if PENALTIES[penalty] is not None:
            chosen = PENALTIES[penalty]
            mr.attach(self.model, {"*weight": chosen} if model != "cnn" else chosen)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        rng = np.random.default_rng(3)
        self.X = rng.normal(size=(5 * ROWS, INPUTS)).astype(dtype)
        self.y = rng.integers(0, CLASSES, 5 * ROWS)

    def batch(self, i, rows=ROWS):
        start = i % 5 * ROWS
        return mr.tensor(self.X[start : start + rows]), mr.tensor(self.y[start : start + rows])

    def step(self, x, y):
        loss = loss_of(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def losses(self, step, steps):
        return [float(step(*self.batch(i))) for i in range(steps)]

    def numbers(self):
        """Everything that training changes."""
        out = {name: value.data.copy() for name, value in self.model.state_dict().items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            out.update({f"state {i} {k}": np.array(v) for k, v in state.items()})
        return out | {"random": mr.get_rng_state()}
