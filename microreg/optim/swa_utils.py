"""Averages of a model's weights over training, and the statistics and rates that go with them."""

import copy
import math

import numpy as np

from ..functional import where
from ..grad_mode import no_grad
from ..nn import Module
from ..nn.batch_norm import _BatchNorm, _ChannelNorm
from ..tensor import Tensor
from .lr_scheduler import LRScheduler, each


def get_swa_avg_fn():
    """The mean so far: a + (w - a) / (n + 1), n the updates before, a tensor."""
    return lambda averaged, current, n: averaged + (current - averaged) / (n + 1).to(current.dtype)


def get_ema_avg_fn(decay=0.999):
    """The exponential mean: decay * a + (1 - decay) * w."""
    _check_decay("get_ema_avg_fn", decay)
    return lambda averaged, current, n: averaged * decay + current * (1.0 - decay)


def get_swa_multi_avg_fn():
    """`get_swa_avg_fn` for lists of parameters, in place."""
    return _in_place(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay=0.999):
    """`get_ema_avg_fn` for lists of parameters, in place."""
    return _in_place(get_ema_avg_fn(decay))


def _in_place(average):
    def update(averaged, current, n):
        for a, w in zip(averaged, current, strict=True):
            a.copy_(average(a, w, n))

    return update


def _check_decay(who, decay):
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"{who}(decay={decay}): expected a number from 0 to 1")


class AveragedModel(Module):
    """A copy of a model, `module`, whose weights are averages of the model's: the mean, by default.

    The first `update_parameters(model)` copies the weights, later ones average. Called, it computes
    what the copy does.

    Parameters
    ----------
    model : Module
    device : ignored
    avg_fn : callable (averaged, current, n) -> averaged, optional
        For each parameter, n the updates before, a tensor.
    multi_avg_fn : callable (averaged, current, n), optional
        The same in place for the lists of all parameters.
    use_buffers : bool, default False
        Average floating buffers too; otherwise every update copies them (`update_bn` makes those
        of batch norm anew).

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging Weights Leads to Wider Optima and
    Better Generalization", UAI 2018.
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", Tensor(np.zeros((), np.int64)))
        self.update = multi_avg_fn or _in_place(avg_fn or get_swa_avg_fn())
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model):
        """Take the weights of a model into the average."""
        averaged, current = list(self.module.parameters()), list(model.parameters())
        copied, given = list(self.module.buffers()), list(model.buffers())
        if self.use_buffers:
            floating = [i for i, b in enumerate(copied) if b.dtype.kind == "f"]
            averaged += [copied[i] for i in floating]
            current += [given[i] for i in floating]
            copied, given = (
                [b for b in buffers if b.dtype.kind != "f"] for buffers in (copied, given)
            )
        n = self.n_averaged
        self.update(averaged, current, n)
        for mine, other in zip(averaged, current, strict=True):
            mine.copy_(where(n == 0, other, mine))
        for mine, other in zip(copied, given, strict=True):
            mine.copy_(other)
        self.n_averaged.copy_(self.n_averaged + 1)


class SWA(AveragedModel):
    """The mean of a model's weights at every `update_parameters`: stochastic weight averaging."""

    def __init__(self, model, use_buffers=False):
        super().__init__(model, use_buffers=use_buffers)


class EMA(AveragedModel):
    """The exponential mean of a model's weights: a <- decay * a + (1 - decay) * w.

    It begins with the weights at the first update; with `use_buffers` running statistics of batch
    norm are averaged too.

    References
    ----------
    Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on
    Control and Optimization 30 (1992), for the mean.
    """

    def __init__(self, model, decay=0.999, use_buffers=False):
        super().__init__(model, avg_fn=get_ema_avg_fn(decay), use_buffers=use_buffers)
        self.decay = decay


@no_grad()
def update_bn(loader, model, device=None):
    """Make the running statistics of batch norms those of the data: the mean over all batches.

    loader : iterable of inputs, tensors or arrays, or of tuples and lists that begin with them.
    """
    norms = [m for m in model.modules() if isinstance(m, _ChannelNorm) and m.track_running_stats]
    if not norms:
        return
    momenta, mode = [m.momentum for m in norms], model.training
    for m in norms:
        m.reset_running_stats()
    try:
        model.train()
        for n, batch in enumerate(loader):
            x = batch[0] if isinstance(batch, (tuple, list)) else batch
            for m in norms:
                m.momentum = None if isinstance(m, _BatchNorm) else 1.0 / (n + 1)
            model(x if isinstance(x, Tensor) else Tensor(x))
    finally:
        model.train(mode)
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum


class SWALR(LRScheduler):
    """From the rate at its first step to swa_lr in anneal_epochs steps, then constant.

    anneal_strategy is "cos" or "linear"; swa_lr a number or a list of one for each group.
    """

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"SWALR(anneal_strategy={anneal_strategy!r}): expected 'cos' or 'linear'"
            )
        self.swa_lrs = each("SWALR", "swa_lr", swa_lr, optimizer)
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def step(self, epoch=None):
        if self.last_epoch == 0:
            self.base_lrs = self._planned = self.get_last_lr()
        super().step(epoch)

    def curves(self, t):
        share = min(t / self.anneal_epochs, 1.0) if self.anneal_epochs else 1.0
        if self.anneal_strategy == "cos":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        pairs = zip(self.base_lrs, self.swa_lrs, strict=True)
        return [base + (end - base) * share for base, end in pairs]
