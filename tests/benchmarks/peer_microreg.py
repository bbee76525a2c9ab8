"""microreg in a comparison of training steps: driven over stdin and stdout, see README.md.

python peer_microreg.py W1 --peer microreg --threads 1 --serve
"""

import argparse
import os
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", help="W1 to W5")
    parser.add_argument("--peer", default="microreg", choices=["microreg", "eager"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help="answer commands; else run and print")
    chosen = parser.parse_args()
    os.environ["MICROREG_NUM_THREADS"] = str(chosen.threads)
    if chosen.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(os.environ.get("PEER_CPU", max(os.sched_getaffinity(0))))})
    start = time.perf_counter()
    training = Training(chosen.workload, chosen.peer)
    training.run(3)
    print("ready", round(time.perf_counter() - start, 3), flush=True)
    for line in sys.stdin if chosen.serve else ["640", "640", "l", "q"]:
        command = line.strip()
        if command == "q":
            break
        print(answer(command, training, chosen), flush=True)


def answer(command, training, chosen):
    if command == "c":
        check = Training(chosen.workload, chosen.peer, shuffle=False, dropout=0.0)
        check.run(1)
        first = check.loss
        check.run(31)
        return f"{first} {check.loss}"
    if command == "l":
        return training.loss
    start = time.perf_counter()
    training.run(int(command))
    return (time.perf_counter() - start) / int(command) * 1e6


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
    main()
