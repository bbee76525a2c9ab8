"""PyTorch in a comparison of training steps: driven over stdin and stdout, see README.md.

python peer_torch.py W1 --peer eager --threads 1 --serve
"""

import itertools
import math

from serve import serve


def networks(torch, nn):
    """How to make the network of each workload; the same layers as in workloads.py."""

    def mlp(*sizes, norm, activation, dropout):
        layers = []
        for inside, outside in itertools.pairwise(sizes[:-1]):
            layers += [nn.Linear(inside, outside), *norm(outside), activation()]
            layers += [nn.Dropout(dropout)] if dropout else []
        return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))

    def images():
        first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(1568, 10))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.qkv, self.out = nn.LayerNorm(64), nn.Linear(64, 192), nn.Linear(64, 64)
            self.norm2, self.w1, self.w2 = nn.LayerNorm(64), nn.Linear(64, 256), nn.Linear(256, 64)
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            n, tokens, width = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(n, tokens, 3, 4, 16).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*qkv)
            x = x + self.out(mixed.transpose(1, 2).reshape(n, tokens, width))
            x = x + self.w2(nn.functional.gelu(self.w1(self.norm2(x))))
            return self.head(x.mean(1))

    return {
        "W1": lambda p: mlp(64, 64, 10, norm=lambda n: [], activation=nn.ReLU, dropout=0),
        "W2": lambda p: mlp(
            784, 512, 256, 10, norm=lambda n: [nn.BatchNorm1d(n)], activation=nn.ReLU, dropout=p
        ),
        "W3": lambda p: mlp(
            *[256] * 4, 10, norm=lambda n: [nn.LayerNorm(n)], activation=nn.GELU, dropout=0
        ),
        "W4": lambda p: images(),
        "W5": lambda p: Block(),
    }


class Training:
    """The step of workloads.py: fused AdamW, then softshrink on what is penalised."""

    def __init__(self, workload, peer, threads, shuffle=True, dropout=0.2):
        import numpy as np
        import torch
        from workloads import data

        torch.set_num_threads(threads)
        self.torch, self.shuffle = torch, shuffle
        X, y, self.batch = data(workload)
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        self.model = networks(torch, torch.nn)[workload](dropout)
        rng = np.random.default_rng(1)
        for name, p in self.model.named_parameters():
            with torch.no_grad():
                if p.ndim > 1:
                    drawn = rng.standard_normal(tuple(p.shape)) / math.sqrt(p[0].numel())
                    p.copy_(torch.from_numpy(drawn))
                elif name.endswith("bias"):
                    p.zero_()
        self.weights = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim == 1]
        groups = [{"params": self.weights}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=1e-2, fused=True)
        self.step = torch.compile(self._step) if peer == "compiled" else self._step
        self.order, self.at = torch.arange(len(X)), len(X)

    def _step(self, rows):
        functional = self.torch.nn.functional
        loss = functional.cross_entropy(self.model(self.X[rows]), self.y[rows])
        loss.backward()
        return loss.detach()

    def run(self, steps):
        torch, shrink = self.torch, self.torch.nn.functional.softshrink
        for _ in range(steps):
            if self.at + self.batch > len(self.X):
                self.order = torch.randperm(len(self.X)) if self.shuffle else self.order
                self.at = 0
            rows = self.order[self.at : self.at + self.batch]
            self.at += self.batch
            self.optimizer.zero_grad()
            self.loss = self.step(rows)
            self.optimizer.step()
            with torch.no_grad():
                for p in self.weights:
                    p.copy_(shrink(p, 1e-7))


if __name__ == "__main__":
    serve(
        __doc__,
        ["eager", "compiled"],
        lambda chosen, **options: Training(chosen.workload, chosen.peer, chosen.threads, **options),
    )
