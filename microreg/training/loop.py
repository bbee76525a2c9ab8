"""fit, predict, evaluate: the training loop."""

import numpy as np

from .. import functional as F
from .. import penalties
from ..grad_mode import no_grad
from ..kernels.reduce import count_zeros
from ..nn import Module
from ..optim import Adam, Optimizer
from ..runtime import launch
from ..runtime.remote import Remote, dense, empty, moved, on_cpu
from ..tensor import Tensor
from ..terminal import tqdm
from . import data as batching
from .callbacks import Callback
from .checkpoint import Checkpoint
from .history import History
from .passes import NotFinite, Pass

MEASURED = 1024  # rows at a time where nothing is trained


def _positive(who, **sizes):
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{who}({name}={value!r}): expected a positive integer")


def _known(who, model, loss=F.cross_entropy):
    if not isinstance(model, Module):
        raise TypeError(f"{who}: expected a Module first, got {model!r}")
    if not callable(loss):
        raise TypeError(f"{who}: loss: expected a function or a loss module, got {loss!r}")


def _callbacks(given):
    try:
        found = list(given)
    except TypeError:
        found = [None]
    if not all(isinstance(one, Callback) for one in found):
        raise TypeError(f"fit: callbacks: expected a list of Callbacks, got {given!r}")
    return found


class Run:
    """What callbacks see of a training run."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
        self.history, self.epoch = History(model), 0
        self.stopping = False

    def stop(self, reason):
        """End training after this epoch."""
        self.stopping, self.history.stopped = True, reason


def fit(
    model,
    data,
    *,
    val=None,
    loss=F.cross_entropy,
    optimizer=None,
    epochs=10,
    batch_size=32,
    shuffle=True,
    callbacks=(),
    progress=True,
    checkpoint=None,
):
    """Train a model.

    The objective is the mean of `loss` over the rows plus the sum of the attached penalties, which
    the optimizer applies by their prox, plus what `nn.ActivityPenalty` layers find. Strengths that
    are schedules follow the epoch. The model is in training mode while it trains, in
    evaluation mode for `val`, and in the mode it came in afterwards.

    Parameters
    ----------
    model : Module
    data : (X, y)
        Arrays or tensors with rows along axis 0. Floats are converted to the model's dtype.
    val : (X, y), optional
        Evaluated after every epoch.
    loss : callable (output, target) -> scalar tensor, default cross_entropy
    optimizer : Optimizer, optional
        Adam with its defaults if left out.
    epochs, batch_size : int
        A last batch of one row is joined to the one before.
    shuffle : bool, default True
        Draw a new order in every epoch.
    callbacks : sequence of Callback
    progress : bool, default True
        Show a bar on a terminal.
    checkpoint : folder, optional
        Keep the state of the run there, within epochs too. If the folder holds one, go on from it:
        a run that was killed and started again ends with the same bits as one that was not.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If the loss of a batch is not finite; names the epoch, the batch, and which gradient or
        parameter was not finite first. Model, optimizer and random state are then again as they
        were when the epoch began, or less than ten seconds earlier in a long one.
    CheckpointError
        If the checkpoint is damaged, or that of another training.
    """
    _positive("fit", epochs=epochs, batch_size=batch_size)
    callbacks = _callbacks(callbacks)
    _known("fit", model, loss)
    if not isinstance(optimizer, (Optimizer, type(None))):
        raise TypeError(f"fit: optimizer: expected an Optimizer, got {optimizer!r}")
    dtype = batching.dtype_of(model)
    X, y = batching.pair(data, dtype, "fit")
    if val is not None:
        val = batching.pair(val, dtype, "fit: val")
    optimizer = Adam(model.parameters()) if optimizer is None else optimizer
    run = Run(model, optimizer)
    train = Pass(model, X, y, loss, batch_size, optimizer)
    held = val and Pass(model, *val, loss, MEASURED)
    mode = model.training
    for callback in callbacks:
        callback.on_fit_start(run)
    state = Checkpoint(run, train, callbacks, checkpoint, batch_size=batch_size, shuffle=shuffle)
    state.resume()
    try:
        with tqdm(total=epochs, unit="epoch", disable=None if progress else True) as bar:
            bar.update(run.epoch)
            while run.epoch < epochs and not run.stopping:
                penalties.set_epoch(model, run.epoch)
                row = _epoch(run, train, held, shuffle, bar, state)
                run.history.add(**row)
                bar.set_postfix_str(_summary(row), refresh=False)
                bar.update()
                for callback in callbacks:
                    callback.on_epoch_end(run)
                run.epoch += 1
                state.rest(last=run.stopping or run.epoch == epochs)
        for callback in callbacks:
            callback.on_fit_end(run)
    finally:
        model.train(mode)
    return run.history


def _epoch(run, train, held, shuffle, bar, state):
    """One pass over the data; the row that goes into the history."""

    def tell(rows, loss):
        if rows < len(train.X):
            bar.set_postfix_str(f"{rows} of {len(train.X)} rows, loss {loss:.4f}")
            state.rest()

    epoch = run.epoch
    if not train.batch():
        state.keep()
    try:
        found = train.run(shuffle, tell)
    except NotFinite as error:
        raise FloatingPointError(
            f"fit: in epoch {epoch} {error}; {state.go_back()}; lower lr, clip gradients, look "
            "at the data; mr.detect_anomaly() names the op"
        ) from None
    except Exception:
        state.undo()
        raise
    row = {"loss": found.pop("loss"), "penalty": penalties.number(run.model), **found}
    row["zeros"] = zeros(run.model)
    if held:
        row.update({f"val_{k}": v for k, v in held.run().items()})
    return row


def zeros(model):
    """The share of exact zeros among the weights with two axes or more."""
    weights = [p.data for p in model.parameters() if p.ndim >= 2]
    size = sum(w.size for w in weights)
    return sum(map(_zeros_in, weights)) / size if size else 0.0


def _zeros_in(w):
    if not isinstance(w, Remote):
        return w.size - np.count_nonzero(w)
    partial = empty((count_zeros.blocks({"n": w.size}),), np.float64, w)
    launch(count_zeros, dense(w), partial)
    return on_cpu(partial).sum()


def _summary(row):
    """A row of the history in the words of the progress bar."""
    parts = [f"loss {row['loss']:.4f}", f"penalty {row['penalty']:.4f}"]
    if "val_loss" in row:
        parts.append(f"val {row['val_loss']:.4f}")
    accuracy = row.get("val_accuracy", row.get("accuracy"))
    if accuracy is not None:
        parts.append(f"acc {100 * accuracy:.1f}%")
    return ", ".join([*parts, f"zeros {100 * row['zeros']:.1f}%"])


def evaluate(model, data, loss=F.cross_entropy, batch_size=MEASURED):
    """The mean loss over the rows, and the accuracy for class labels, in evaluation mode.

    Returns
    -------
    dict with "loss" and, for integer labels or a binary loss on logits, "accuracy".
    """
    _known("evaluate", model, loss)
    _positive("evaluate", batch_size=batch_size)
    X, y = batching.pair(data, batching.dtype_of(model), "evaluate")
    mode = model.training
    try:
        return Pass(model, X, y, loss, batch_size).run()
    finally:
        model.train(mode)


def predict(model, X, batch_size=MEASURED):
    """The model's outputs for the rows of X as an array, in evaluation mode."""
    _known("predict", model)
    _positive("predict", batch_size=batch_size)
    X = batching.inputs(X, batching.dtype_of(model), "predict")
    like = next((p.data for p in model.parameters()), X)
    mode = model.training
    model.eval()
    try:
        with no_grad():
            parts = [
                on_cpu(model(Tensor(moved(X[rows], like))).data)
                for rows in batching.slices(len(X), batch_size)
            ]
    finally:
        model.train(mode)
    if not parts:
        raise ValueError(f"predict: expected at least one row, got X of shape {X.shape}")
    return np.concatenate(parts)
