"""microreg in a comparison of training steps: driven over stdin and stdout, see README.md.

python peer_microreg.py W1 --peer microreg --threads 1 --serve
"""

from serve import serve


class Training:
    """What `fit` does for its batches, any number of steps at a time."""

    def __init__(self, workload, peer, shuffle=True, dropout=0.2):
        from workloads import data, trained

        from microreg.nn.functional import cross_entropy
        from microreg.training.passes import Pass

        X, y, self.batch = data(workload)
        model, optimizer = trained(workload, dropout)
        self.all = Pass(model, X, y, cross_entropy, self.batch, optimizer)
        model.train()
        self.shuffle, self.eager = shuffle, peer == "eager"
        self.all.cursor[0] = len(X)

    @property
    def loss(self):
        return float(self.all.totals[2])

    def run(self, steps):
        while steps:
            left = (len(self.all.X) - int(self.all.cursor[0])) // self.batch
            if not left:
                self.all.begin(self.shuffle)
                continue
            some = min(steps, left)
            if self.eager:
                for _ in range(some):
                    self.all.step.function(self.batch)
            else:
                self.all.step.repeat(some, self.batch)
            steps -= some


if __name__ == "__main__":
    serve(
        __doc__,
        ["microreg", "eager"],
        lambda chosen, **options: Training(chosen.workload, chosen.peer, **options),
    )
