"""The state of a training run: kept in memory to go back to, in a file to go on from."""

import hashlib
import time
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from ..files import load, save
from ..random import get_rng_state, set_rng_state
from ..runtime.remote import on_cpu
from ..tensor import Tensor

FILE = "fit.safetensors"
PAUSE = 1.0  # seconds between two writings of the file, at least;
SHARE = 0.05  # of the time may be spent on writing
MEMORY = 5.0  # seconds after which the state is kept anew within an epoch


class Checkpoint:
    """What `fit` knows about its run: everything that the steps to come depend on."""

    def __init__(self, run, train, callbacks, folder, **settings):
        self.run, self.train, self.callbacks = run, train, callbacks
        self.path = None if folder is None else Path(folder) / FILE
        self._settings = settings
        self._written, self._cost = time.monotonic(), 0.0

    def state(self):
        """A copy of the state, of what `save` takes."""
        run = self.run
        return {
            "model": {name: value.clone() for name, value in run.model.state_dict().items()},
            "optimizer": run.optimizer.state_dict(),
            "random": get_rng_state(),
            "pass": self.train.state(),
            "callbacks": [one.state_dict() for one in self.callbacks],
            "epoch": run.epoch,
            "stopping": run.stopping,
            "stopped": run.history.stopped,
            "history": {name: list(values) for name, values in run.history.columns.items()},
        }

    def load(self, state):
        """Make the state that of the run; nothing is changed if a part of it does not fit."""
        run = self.run
        run.model.load_state_dict(state["model"])
        run.optimizer.load_state_dict(state["optimizer"])
        self.train.load(state["pass"])
        for one, its in zip(self.callbacks, state["callbacks"], strict=True):
            one.load_state_dict(its)
        run.epoch, run.stopping = state["epoch"], state["stopping"]
        run.history.columns, run.history.stopped = state["history"], state["stopped"]
        set_rng_state(state["random"])

    def keep(self):
        """Keep the state in memory."""
        self._kept, self._since = self.state(), time.monotonic()

    def resume(self):
        """Go on where the file was written, if there is one."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._description = self._describe()
        if not self.path.exists():
            return
        found = load(self.path)
        if not isinstance(found, dict) or "description" not in found:
            raise CheckpointError(
                f"fit: {self.path} is no checkpoint of fit; choose another folder"
            )
        wrong = [
            f"{name}: {mine!r} instead of {found['description'].get(name)!r}"
            for name, mine in self._description.items()
            if found["description"].get(name) != mine
        ]
        if wrong:
            raise CheckpointError(
                f"fit(checkpoint={str(self.path.parent)!r}): expected the training that was saved "
                f"there, got {'; '.join(wrong)}; choose another folder"
            )
        self.keep()
        try:
            self.load(found["state"])
        except (CheckpointError, KeyError):
            self.undo()
            raise

    def _describe(self):
        digest = hashlib.sha256()
        for array in (self.train.X, self.train.y):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.reshape(-1).view(np.uint8).data)
        return {
            "data": digest.hexdigest(),
            "optimizer": type(self.run.optimizer).__name__,
            "callbacks": [type(one).__name__ for one in self.callbacks],
            **self._settings,
        }

    def rest(self, last=False):
        """Called between steps: write the file if it is time, or the end."""
        now = time.monotonic()
        if now - self._since > MEMORY:
            self.keep()
        if self.path is None or not (last or now - self._written > max(PAUSE, self._cost / SHARE)):
            return
        save({"description": self._description, "state": self.state()}, self.path)
        self._written = time.monotonic()
        self._cost = self._written - now

    def undo(self):
        """Go back to what was kept."""
        self.load(self._kept)

    def go_back(self):
        """After a loss that is not finite: find what was first, go back to what was kept.

        Returns what to say.
        """
        self.undo()
        epoch, batch = self.run.epoch, self.train.batch()
        found = self._first()
        self.undo()
        where = f"epoch {epoch}" if not batch else f"epoch {epoch}, batch {batch}"
        return f"{found}; the model and the optimizer are again as they were before {where}"

    def _first(self):
        """Take the steps once more, one by one, and look at gradients and parameters."""
        self.run.model.train()
        named = list(self.run.model.named_parameters())
        for _ in self.train.steps(self._settings["shuffle"]):
            for kind in ("gradient", "value"):
                bad = [name for name, p in named if _bad(p.grad if kind == "gradient" else p)]
                if bad:  # what is nearest to the loss is computed first
                    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
                    where = f"in batch {self.train.batch() - 1}"
                    return f"not finite first was, {where}, the {kind} of {bad[-1]}{more}"
        return "all gradients and parameters before were finite"


def _bad(value: Tensor | None):
    return value is not None and not np.isfinite(on_cpu(value.data)).all()
