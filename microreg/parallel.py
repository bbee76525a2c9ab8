"""Training on several processes, each with its part of every batch.

    mpiexec -n 2 python script.py

Each process computes the gradients of its rows; one all-reduce over one flat array averages them,
so every process makes the same step, which is that of one process on all rows. mpi4py is imported
when a function here is called.
"""

import numpy as np

from . import nn
from .grad_mode import no_grad
from .ops._op import Op
from .runtime.remote import Remote, recorder
from .tensor import Tensor


def _world():
    """(communicator of all processes, the MPI module)."""
    try:
        from mpi4py import MPI
    except ImportError:
        raise ImportError(
            "parallel: needs mpi4py and an MPI; pip install 'microreg[mpi]'"
        ) from None
    return MPI.COMM_WORLD, MPI


def rank():
    """The number of this process, from 0. Let process 0 alone print: progress=rank() == 0."""
    return _world()[0].rank


def size():
    """How many processes there are; 1 without mpiexec."""
    return _world()[0].size


def part(*arrays):
    """This process's rows of every array: rows rank, rank + size, ...; as many for each process.

    Up to size - 1 rows at the end are left out, so that the mean over processes of means over rows
    is the mean over rows.
    """
    many = len(arrays[0]) // size() * size()
    if not many or any(len(a) != len(arrays[0]) for a in arrays):
        lengths = [len(a) for a in arrays]
        raise ValueError(f"part: expected arrays of one length of at least {size()}, got {lengths}")
    found = [a[rank() : many : size()] for a in arrays]
    return found[0] if len(found) == 1 else tuple(found)


def synchronise(model):
    """Give every process the numbers of process 0, and batch norms the statistics of all rows.

    Returns the model, in which BatchNorm1d and BatchNorm2d are now SyncBatchNorm1d and 2d.
    """
    comm, _ = _world()
    for value in model.state_dict().values():
        held = np.ascontiguousarray(value.data)
        comm.Bcast(held, root=0)
        value.data[...] = held
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if type(child) in SYNCHRONISED:
                module._modules[name] = _synchronised(child)
    return _synchronised(model) if type(model) in SYNCHRONISED else model


def _synchronised(norm):
    made = SYNCHRONISED[type(norm)](
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    made._parameters, made._buffers = norm._parameters, norm._buffers
    return made.train(norm.training)


def average(optimizer):
    """Make an optimizer average the gradients over the processes before each step; returns it.

    A step is then not recorded as a whole: `fit` runs op by op and says so.
    """
    optimizer.register_step_pre_hook(_average)
    return optimizer


def _average(optimizer, args, kwargs):
    comm, mpi = _world()
    if (recording := recorder()) is not None:
        recording.refuse("an average over processes")
    with_grad = [
        p for group in optimizer.param_groups for p in group["params"] if p.grad is not None
    ]
    for dtype in sorted({p.dtype for p in with_grad}, key=str):
        parts = [p for p in with_grad if p.dtype == dtype]
        flat = np.concatenate([p.grad.data.reshape(-1) for p in parts])
        comm.Allreduce(mpi.IN_PLACE, flat)
        flat /= comm.size
        ends = np.cumsum([p.data.size for p in parts])[:-1]
        for p, g in zip(parts, np.split(flat, ends), strict=True):
            p.grad = Tensor(g.reshape(p.shape))


def _total_forward(x):
    comm, mpi = _world()
    out = np.array(x, order="C")
    comm.Allreduce(mpi.IN_PLACE, out)
    return out


def _total_lower(x):
    if isinstance(x, Remote):
        x.home.refuse("a sum over processes")
    return _total_forward(x)


# the sum over the processes; whatever a process makes of it comes back to all of them
total: Op = Op("total", _total_forward, (lambda g, node: total(g),), lower=_total_lower)


class _Synchronised:
    """Batch norm by the mean and variance of the rows of all processes."""

    def standardize(
        self, x, running_mean, running_var, weight, bias, momentum, eps, who, tracked=None
    ):
        axes, along = (0, *range(2, x.ndim)), (1, -1) + (1,) * (x.ndim - 2)
        count = float(total(np.array([x.data.size / x.shape[1]]))[0])
        mean = total(x.sum(axes)) / count
        centred = x - mean.reshape(along)
        var = total((centred * centred).sum(axes)) / count
        if running_mean is not None:
            with no_grad():
                if tracked is not None:
                    tracked.copy_(tracked + 1)
                share = 1.0 / tracked.item() if momentum is None else momentum
                running_mean.copy_(running_mean * (1.0 - share) + mean * share)
                unbiased = var * (count / max(count - 1.0, 1.0))
                running_var.copy_(running_var * (1.0 - share) + unbiased * share)
        y = centred / (var + eps).sqrt().reshape(along)
        y = y if weight is None else y * weight.reshape(along)
        return y if bias is None else y + bias.reshape(along)


class SyncBatchNorm1d(_Synchronised, nn.BatchNorm1d):
    """nn.BatchNorm1d by the statistics of all processes."""


class SyncBatchNorm2d(_Synchronised, nn.BatchNorm2d):
    """nn.BatchNorm2d by the statistics of all processes."""


SYNCHRONISED = {nn.BatchNorm1d: SyncBatchNorm1d, nn.BatchNorm2d: SyncBatchNorm2d}
