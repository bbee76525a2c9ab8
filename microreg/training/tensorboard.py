"""What training records, for TensorBoard; tensorboardX is imported when training starts."""

from .callbacks import Callback


class TensorBoard(Callback):
    """Write the history, and how weights are spread, for `tensorboard --logdir LOGDIR`.

        mr.fit(model, data, callbacks=[mr.TensorBoard("runs/first")])

    Parameters
    ----------
    logdir : str or Path
    histograms : int, default 10
        Write the histogram of every parameter after each so many epochs, and after the last; 0 for
        never.

    Columns of the history are written as training/loss, validation/loss, training/zeros, ...
    """

    def __init__(self, logdir, histograms=10):
        if isinstance(histograms, bool) or not isinstance(histograms, int) or histograms < 0:
            raise ValueError(
                f"TensorBoard(histograms={histograms!r}): expected a number of epochs, or 0"
            )
        self.logdir, self.histograms = str(logdir), histograms

    def on_fit_start(self, run):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError(
                "TensorBoard: needs tensorboardX; pip install 'microreg[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(self.logdir)

    def on_epoch_end(self, run):
        epoch = len(run.history) - 1
        for name, value in run.history.last.items():
            part, name = ("validation", name[4:]) if name.startswith("val_") else ("training", name)
            self._writer.add_scalar(f"{part}/{name}", value, epoch)
        if self.histograms and epoch % self.histograms == 0:
            self._spread(run)
        self._writer.flush()

    def on_fit_end(self, run):
        if self.histograms:
            self._spread(run)
        self._writer.close()

    def _spread(self, run):
        for name, p in run.model.named_parameters():
            self._writer.add_histogram(name.replace(".", "/"), p.data, len(run.history) - 1)
