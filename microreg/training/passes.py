"""One pass over a data set in batches: a compiled step for each size of batch, run many times."""

import time

import numpy as np

from ..capture import CompiledStep
from ..errors import ShapeError
from ..grad_mode import no_grad
from ..kernels import batch as kernels
from ..nn import activity_penalty
from ..ops.batch import take_batch, tally
from ..random import permutation
from ..runtime.remote import moved, on_cpu
from ..tensor import Tensor

CHUNK = 0.1  # seconds between two looks at the world: Ctrl-C, the progress bar


class NotFinite(FloatingPointError):
    """The loss of a batch is not finite."""


class Pass:
    """Passes over (X, y): with an optimizer they train, without one they measure.

    What a step needs to know lies in arrays that its kernels read and write, so that a whole run of
    steps needs no Python: the order of the rows, the cursor in it, the totals, a word that stops.
    """

    def __init__(self, model, X, y, loss, batch_size, optimizer=None):
        self.model, self.X, self.y, self.loss, self.optimizer = model, X, y, loss, optimizer
        like = next((p.data for p in model.parameters()), X)
        self.data = moved(X, like), moved(y, like)
        self.sizes = _sizes(len(X), batch_size)
        self.order = np.arange(len(X))
        self.cursor = moved(np.zeros(1, np.int64), like)
        self.stop = moved(np.zeros(1, np.int64), like)
        self.totals = moved(np.zeros(3), like)
        # loss times rows, rows that are right, the last batch's loss
        self.counts = None  # the kernel that counts what is right
        self.step = CompiledStep(
            self._train if optimizer else self._measure, name="fit", twice=True
        )
        self._chunk = {}

    def run(self, shuffle=False, tell=lambda rows, loss: None):
        """The mean loss over all rows and, where it has a meaning, the accuracy.

        A pass that was in the middle when its state was taken goes on from there.
        `tell(rows done, mean loss so far)` is called about ten times a second.
        """
        if not self.cursor[0]:
            self.begin(shuffle)
        self.model.train(self.optimizer is not None)
        for size, left in self._left():
            while left:
                steps = min(left, self._chunk.get(size, 1))
                start = time.perf_counter()
                self.step.repeat(steps, size)
                if self.stop[0]:
                    self._fail(size)
                each = (time.perf_counter() - start) / steps
                self._chunk[size] = max(1, min(int(CHUNK / each), 1 << 20))
                left -= steps
                done = int(self.cursor[0])
                tell(done, float(self.totals[0]) / done)
        self.cursor[:] = 0
        out = {"loss": float(self.totals[0]) / len(self.X)}
        if self.counts is not None:
            out["accuracy"] = float(self.totals[1]) / len(self.X)
        return out

    def begin(self, shuffle):
        """Go back to the first row, of a new order if asked."""
        if shuffle:
            permutation(self.order)
        self.cursor[:] = 0
        self.stop[:] = 0
        self.totals[:] = 0.0

    def steps(self, shuffle):
        """Take the steps of `run` one at a time, until one stops; yields after each."""
        if not self.cursor[0]:
            self.begin(shuffle)
        for size, left in self._left():
            for _ in range(left):
                self.step.repeat(1, size)
                if self.stop[0]:
                    return
                yield

    def _left(self):
        """[(rows, how many batches)] from the cursor on."""
        done, left = int(self.cursor[0]), []
        for size, many in self.sizes:
            past = min(many, done // size)
            done -= past * size
            left.append((size, many - past))
        return left

    def batch(self):
        """How many batches of this pass are done."""
        return int(self.cursor[0]) // self.sizes[0][0]

    def state(self):
        return {n: on_cpu(getattr(self, n)).copy() for n in ("order", "cursor", "totals")}

    def load(self, state):
        for name, value in state.items():
            getattr(self, name)[...] = value
        self.stop[:] = 0

    def _train(self, size):
        if self.stop[0]:
            return
        value = self._forward(size)
        if self.stop[0]:
            return
        self.optimizer.zero_grad()
        extra = activity_penalty(self.model)
        (value + extra if isinstance(extra, Tensor) else value).backward()
        self.optimizer.step()

    def _measure(self, size):
        with no_grad():
            if not self.stop[0]:
                self._forward(size)

    def _forward(self, size):
        """The loss of the next batch, which is counted."""
        where = {"rows": size}
        x, y = (Tensor.record(take_batch, (d, self.order, self.cursor), where) for d in self.data)
        output = self.model(x)
        value = self.loss(output, y)
        if not isinstance(value, Tensor) or value.data.size != 1:
            raise ShapeError(
                f"fit: loss: expected a tensor with one number, got {_what(value)}; average over "
                "the rows"
            )
        self.counts = _counts(output, y, self.loss)
        scores, targets = (output, y) if self.counts else (None, None)
        inputs = value, scores, targets, self.totals, self.cursor, self.stop
        Tensor.record(tally, inputs, {"counts": self.counts, "rows": size})
        return value

    def _fail(self, size):
        """The loss is not finite: say where, or that a label is wrong."""
        first = int(self.cursor[0])
        rows = self.order[first : first + size]
        mean = float(self.totals[2])
        self.model.eval()
        with no_grad(), np.errstate(all="ignore"):
            x, y = (Tensor(moved(d[rows], self.data[0])) for d in (self.X, self.y))
            self.loss(self.model(x), y)
        raise NotFinite(f"the loss became {mean} in batch {self.batch()}")


def _sizes(n, size):
    """[(rows, how many batches)]; a last batch of a single row joins the one before.

    Batch norm has no variance for one row, and a mean over one row is a poor gradient anyway.
    """
    whole, rest = divmod(n, size)
    if rest == 1 and whole:
        whole, rest = whole - 1, size + 1
    return [(rows, many) for rows, many in ((size, whole), (rest, min(rest, 1))) if many]


def _counts(output, target, loss):
    """The kernel that counts rows that are classified right, or None where that has no meaning."""
    if target.dtype.kind == "i" and output.ndim == 2 and target.ndim == 1:
        return kernels.right_labels
    binary = getattr(loss, "__name__", type(loss).__name__)
    if binary in ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss"):
        return kernels.right_signs
    return None


def _what(value):
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape}"
    return type(value).__name__
