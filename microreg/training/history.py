"""What happened in each epoch."""


class History:
    """Columns of numbers, one entry an epoch: history["val_loss"][-1].

    loss is the mean data loss over the epoch's batches, as trained (dropout on, weights moving);
    penalty the sum of all penalties at its end; zeros the share of weights that are exactly zero.
    """

    def __init__(self, model=None):
        self.columns = {}
        self.model = model  # what was trained
        self.stopped = None  # why training ended early, or None
        self.watch = None  # what weights and activations did, if a Watch looked

    def add(self, **row):
        for name, value in row.items():
            self.columns.setdefault(name, []).append(value)

    def __getitem__(self, name):
        if name not in self.columns:
            raise KeyError(f"History: {name!r} was not recorded; there are {list(self.columns)}")
        return self.columns[name]

    def __contains__(self, name):
        return name in self.columns

    def __len__(self):
        return max(map(len, self.columns.values()), default=0)

    @property
    def last(self):
        """The last epoch's row."""
        return {name: values[-1] for name, values in self.columns.items()}

    @property
    def best_epoch(self):
        """The epoch (from 0) of the lowest val_loss, or of the lowest loss without validation."""
        values = self["val_loss" if "val_loss" in self else "loss"]
        return min(range(len(values)), key=values.__getitem__)

    def __repr__(self):
        shown = ", ".join(f"{k}={v:.4g}" for k, v in (self.last if len(self) else {}).items())
        return f"History({len(self)} epochs; last: {shown})"
