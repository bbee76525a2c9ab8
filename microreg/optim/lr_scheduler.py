"""Learning rates that follow a curve, or fall when a figure no longer improves.

    scheduler = StepLR(optimizer, step_size=30)     after every epoch: scheduler.step()

`curve` says what a group's learning rate is after t steps. As long as nobody else changes the rate
it is exactly that; a rate that somebody changed, another scheduler of the same optimizer for one,
is multiplied by curve(t) / curve(t - 1): schedulers add up.
"""

import math
from bisect import bisect_right

from .optimizer import Optimizer


class LRScheduler:
    """Base class: a subclass states `curve(t, base)`.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' rates are those at t = 0; kept in each group as "initial_lr".
    last_epoch : int, default -1
        To go on: the t reached before. The groups must have an "initial_lr" then.
    """

    def __init__(self, optimizer, last_epoch=-1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}"
            )
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}(last_epoch={last_epoch}): expected groups with an "
                    "'initial_lr'; load the optimizer's state_dict first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._planned = self.base_lrs if last_epoch == -1 else self.curves(last_epoch)
        self.step()

    def curve(self, t, base):
        """The learning rate after t steps of a group that began with `base`."""
        raise NotImplementedError

    def curves(self, t):
        """The learning rates of all groups after t steps."""
        return [self.curve(t, base) for base in self.base_lrs]

    def step(self, epoch=None):
        """Go to the next t, or to t = epoch, a fraction perhaps."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        new = self.curves(self.last_epoch)
        for group, before, lr in zip(self.optimizer.param_groups, self._planned, new, strict=True):
            alone = group["lr"] == before or before == 0.0
            group["lr"] = lr if alone else group["lr"] * (lr / before)
        self._planned = new

    def get_last_lr(self):
        """The groups' learning rates."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """Everything but the optimizer and functions; the rates are in the optimizer's own."""
        return {k: v for k, v in vars(self).items() if k not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict):
        """Continue from a state_dict."""
        vars(self).update(state_dict)


class LambdaLR(LRScheduler):
    """lr = base * lr_lambda(t), one function for all groups or a list of one for each."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        self.lr_lambdas = each("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def curves(self, t):
        return [base * f(t) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """lr = base * gamma^floor(t / step_size)."""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        _at_least(self, 1, step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, t, base):
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """lr = base * gamma^(number of milestones up to t)."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, t, base):
        return base * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(LRScheduler):
    """lr = base * gamma^t."""

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, t, base):
        return base * self.gamma**t


class LinearLR(LRScheduler):
    """lr = base * (start_factor + (end_factor - start_factor) * min(t / total_iters, 1))."""

    def __init__(
        self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1
    ):
        _at_least(self, 1, total_iters=total_iters)
        if not 0.0 < start_factor <= 1.0 or not 0.0 <= end_factor <= 1.0:
            raise ValueError(
                f"LinearLR(start_factor={start_factor}, end_factor={end_factor}): expected "
                "factors from 0 to 1, the first one above 0"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def curve(self, t, base):
        share = min(t / self.total_iters, 1.0)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2.

    References
    ----------
    Loshchilov, Hutter, "SGDR", ICLR 2017.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        _at_least(self, 1, T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def curve(self, t, base):
        return self.eta_min + (base - self.eta_min) * _cosine(t / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that begins anew after T_0 steps, then T_0 * T_mult, T_0 * T_mult^2, ...

    References
    ----------
    Loshchilov, Hutter, "SGDR", ICLR 2017.
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        _at_least(self, 1, T_0=T_0, T_mult=T_mult)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def curve(self, t, base):
        length = self.T_0
        while t >= length:
            t, length = t - length, length * self.T_mult
        return self.eta_min + (base - self.eta_min) * _cosine(t / length)


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, then down to max_lr / div_factor / final_div_factor.

    Steps are batches, total_steps or epochs * steps_per_epoch of them. The way up takes pct_start
    of them; with three_phase the way down to where it began takes as many. anneal_strategy is "cos"
    or "linear". With cycle_momentum the momentum, or Adam's beta1, falls from max_momentum to
    base_momentum as lr rises, and rises again.

    References
    ----------
    Smith, Topin, "Super-Convergence", arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
        last_epoch=-1,
    ):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        _at_least(self, 1, total_steps=total_steps)
        if not 0.0 <= pct_start <= 1.0:
            raise ValueError(f"OneCycleLR(pct_start={pct_start}): expected a number from 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR(anneal_strategy={anneal_strategy!r}): expected 'cos' or 'linear'"
            )
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.momenta = (max_momentum, base_momentum) if cycle_momentum else None
        groups, tops = optimizer.param_groups, each("OneCycleLR", "max_lr", max_lr, optimizer)
        if cycle_momentum and not {"momentum", "betas"} & set(groups[0]):
            raise ValueError("OneCycleLR: expected an optimizer with momentum or betas")
        if last_epoch == -1:
            for group, top in zip(groups, tops, strict=True):
                group["initial_lr"] = group["lr"] = top / div_factor
        # of each phase: t at its end, then rate / base and which momentum there
        self.ends = [(pct_start * total_steps - 1, div_factor, 1)]
        if three_phase:
            self.ends.append((2 * pct_start * total_steps - 2, 1.0, 0))
        self.ends.append((total_steps - 1, 1.0 / final_div_factor, 0))
        super().__init__(optimizer, last_epoch)

    def _between(self, t, first, value):
        """Where t is on the way through first, then value(end) at the end of each phase."""
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: expected at most {self.total_steps} steps, got {t}")
        start, before = 0.0, first
        for end in self.ends:
            if t <= end[0] or end is self.ends[-1]:
                share = (t - start) / (end[0] - start)
                left = _cosine(share) if self.anneal_strategy == "cos" else 1.0 - share
                return value(end) + (before - value(end)) * left
            start, before = end[0], value(end)

    def curve(self, t, base):
        return self._between(t, base, lambda end: base * end[1])

    def step(self, epoch=None):
        super().step(epoch)
        if self.momenta is None:
            return
        momenta = self.momenta
        momentum = self._between(self.last_epoch, momenta[0], lambda end: momenta[end[2]])
        for group in self.optimizer.param_groups:
            if "betas" in group:
                change = {"betas": (momentum, *group["betas"][1:])}
            else:
                change = {"momentum": momentum}
            self.optimizer.check({**group, **change})
            group.update(change)


class SequentialLR(LRScheduler):
    """One scheduler after the other: schedulers[i] from milestones[i - 1] on, its t counted there.

    Each begins with the rate that the optimizer had at first.
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected a milestone between any two schedulers, got "
                f"{len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        for scheduler in schedulers:
            if isinstance(scheduler, ReduceLROnPlateau) or scheduler.optimizer is not optimizer:
                raise ValueError("SequentialLR: expected curves, of the same optimizer")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        super().__init__(optimizer, last_epoch)

    def step(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        i = bisect_right(self.milestones, self.last_epoch)
        start = self.milestones[i - 1] if i else 0
        scheduler = self.schedulers[i]
        if self.last_epoch == start:
            for group, base in zip(self.optimizer.param_groups, scheduler.base_lrs, strict=True):
                group["lr"] = base
            scheduler._planned = scheduler.base_lrs
        scheduler.step(self.last_epoch - start)

    def curves(self, t):
        return self.base_lrs

    def state_dict(self):
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict):
        state_dict = dict(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict.pop("schedulers"), strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(state_dict)


class ReduceLROnPlateau(LRScheduler):
    """Multiply lr by `factor` when a figure has not improved for more than `patience` steps.

    Parameters
    ----------
    mode : "min" or "max"
        Whether less or more is better.
    factor : float, default 0.1
    patience : int, default 10
    threshold, threshold_mode : float, "rel" or "abs"
        Better by a share `threshold` of the best so far, or by `threshold` itself, is better.
    cooldown : int, default 0
        Steps after a fall that don't count.
    min_lr : float or list of a float for each group, default 0
    eps : float, default 1e-8
        A smaller change of lr is left out.
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0,
        eps=1e-8,
    ):
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau(factor={factor}): expected less than 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau(mode={mode!r}, threshold_mode={threshold_mode!r}): expected "
                "'min' or 'max', 'rel' or 'abs'"
            )
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps, self.last_epoch = cooldown, eps, 0
        self.min_lrs = each("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0

    def is_better(self, value, best):
        """Whether a value improves on the best one by more than the threshold."""
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "abs":
            return sign * value > sign * best + self.threshold
        return sign * value > sign * best * (1.0 + sign * self.threshold)

    def step(self, metrics):
        """Take note of a new value of the figure."""
        value = float(metrics)
        self.last_epoch += 1
        if self.is_better(value, self.best):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr


def _cosine(share):
    """1 at the start, 0 at the end."""
    return (1.0 + math.cos(math.pi * share)) / 2.0


def each(who, name, value, optimizer):
    """A list of one value for each group, from that or from one for all."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{who}({name}): expected {count} values, one for each group, got {value}")
    return values


def _at_least(scheduler, least, **numbers):
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                f"{type(scheduler).__name__}({name}={value!r}): expected an integer of at least "
                f"{least}"
            )
