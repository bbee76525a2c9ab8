"""What the processes of test_parallel.py do: train on parts, then compare with one on all rows.

mpiexec -n 2 python script.py {loop | fit | recorded}
"""

import copy
import sys
import warnings

import numpy as np
from mpi4py import MPI

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim, parallel
from microreg.penalties import L1


def model(how):
    mr.manual_seed(parallel.rank())  # different numbers, until process 0 gives its own
    made = nn.Sequential(
        Images(), nn.Conv2d(1, 3, 2),
        nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(18, 8), nn.BatchNorm1d(8),
        nn.Tanh(), nn.Linear(8, 3),
    )  # fmt: skip
    if how == "recorded":  # a sum over processes inside of the network cannot be
        made[2], made[6] = nn.Identity(), nn.Identity()
    return mr.attach(made, {"5.weight": L1(0.01)})


class Images(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), 1, 3, 4)


def train(net, X, y, make, how):
    optimizer = make(net.parameters())
    if how == "fit":
        options = {"epochs": 12, "batch_size": len(X), "shuffle": False}
        mr.fit(net, (X, y), optimizer=optimizer, progress=False, **options)
        return

    def gradients(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    gradients = mr.compile(gradients) if how == "recorded" else gradients
    for _ in range(12):
        gradients(mr.tensor(X), mr.tensor(y))
        optimizer.step()


def main(how):
    mr.set_default_dtype(mr.float64)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "fit cannot be recorded")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(41, 12)) + np.linspace(0, 2, 41)[:, None], rng.integers(0, 3, 41)
    net = parallel.synchronise(model(how))
    start = copy.deepcopy(net)
    mine, labels = parallel.part(X, y)
    assert len(mine) == 41 // parallel.size()
    train(net, mine, labels, lambda p: parallel.average(optim.Adam(p, lr=0.02)), how)
    whole = MPI.COMM_WORLD.allgather(net[5].weight.data)
    assert all(np.array_equal(w, whole[0]) for w in whole)
    if parallel.rank() == 0:
        many = 41 // parallel.size() * parallel.size()
        alone = model(how)
        alone.load_state_dict(start.state_dict())
        train(alone, X[:many], y[:many], lambda p: optim.Adam(p, lr=0.02), how)
        other = net.state_dict()
        worst = max(
            np.abs(value.data - other[name].data).max()
            for name, value in alone.state_dict().items()
        )
        moved = np.abs(alone[5].weight.data - start[5].weight.data).max()
        print(f"processes {parallel.size()} worst {worst:.3e} moved {moved:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
