"""What may happen between epochs."""

import math


class Callback:
    """Subclass and override; `run` has model, optimizer, history, epoch and stop(reason)."""

    def on_fit_start(self, run):
        """Before the first epoch."""

    def on_epoch_end(self, run):
        """After each epoch, when its row is in the history."""

    def on_fit_end(self, run):
        """After the last epoch."""

    def state_dict(self):
        """What `fit(checkpoint=...)` keeps of this callback: anything that `save` takes."""
        return {}

    def load_state_dict(self, state):
        """Go on from a `state_dict`; called after `on_fit_start`."""


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved for `patience` epochs; then go back to the best weights.

    Parameters
    ----------
    patience : int, default 10
    monitor : str, default "val_loss"
        A column of the history; higher is better if its name ends in "accuracy".
    min_delta : float, default 0
        By how much a value must be better to count.
    restore_best : bool, default True
        Whether the model gets the parameters of its best epoch back.
    """

    def __init__(self, patience=10, monitor="val_loss", min_delta=0.0, restore_best=True):
        if not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping(patience={patience!r}): expected a positive integer")
        if not isinstance(min_delta, (int, float)) or not math.isfinite(min_delta):
            raise ValueError(f"EarlyStopping(min_delta={min_delta!r}): expected a finite number")
        self.patience, self.monitor = patience, monitor
        self.min_delta, self.restore_best = min_delta, restore_best

    def on_fit_start(self, run):
        self.best, self.best_epoch, self._state = math.inf, -1, None

    def on_epoch_end(self, run):
        value = run.history[self.monitor][-1]
        value = -value if self.monitor.endswith("accuracy") else value
        if value < self.best - self.min_delta or self.best_epoch < 0:
            self.best, self.best_epoch = value, run.epoch
            if self.restore_best:
                self._state = {k: v.data.copy() for k, v in run.model.state_dict().items()}
        elif run.epoch - self.best_epoch >= self.patience:
            run.stop(f"{self.monitor} has not improved since epoch {self.best_epoch}")

    def state_dict(self):
        return {"best": self.best, "best_epoch": self.best_epoch, "state": self._state}

    def load_state_dict(self, state):
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._state = state["state"]

    def on_fit_end(self, run):
        if self._state is not None:
            run.model.load_state_dict(self._state)
