"""Whole training steps side by side, each peer in a process of its own: see README.md.

make bench ARGS="steps --workloads W1,W4 --threads 1"
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

HERE = Path(__file__).parent
FIGURE = HERE.parents[1] / "demos" / "output" / "steps.png"
PEERS = ["peer_microreg.py:microreg", "peer_torch.py:eager", "peer_torch.py:compiled"]
ROUNDS, SECONDS, EPOCH = 9, 0.15, 32
CLOSE = 1e-4, 2e-2  # how far first and last loss of an epoch may lie from ours, relative


class Peer:
    """A process that runs as many steps as it is told to."""

    def __init__(self, spec, workload, threads):
        script, _, name = spec.rpartition(":")
        path = HERE / script if (HERE / script).exists() else Path(script)
        library = path.stem.removeprefix("peer_")
        self.name = name if name.startswith(library) else f"{library} {name}"
        command = [workload, "--peer", name, "--threads", str(threads), "--serve"]
        limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self.process = subprocess.Popen(
            [sys.executable, str(path), *command],
            env=os.environ | dict.fromkeys(limits, str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self):
        """Whether it has come up; says what it said where it has not."""
        for line in self.process.stdout:
            if line.startswith("ready"):
                return True
        said = self.process.stderr.read().strip().splitlines() or ["nothing"]
        print(f"({self.name} does not take part: {said[-1]})")
        return False

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        return [float(word) for word in self.process.stdout.readline().split()]

    def close(self):
        self.process.communicate("q\n")


def compare(workloads, threads=1, more=()):
    """Print a table and draw the figure."""
    found = {w: _workload(w, threads, [*PEERS, *more]) for w in workloads}
    peers = list(dict.fromkeys(name for times in found.values() for name in times))
    print(f"\nmicroseconds per step, and how many times ours is as fast; {threads} thread(s)")
    print(f"{'':4}" + "".join(f"{name:>24}" for name in peers))
    for workload, times in found.items():
        cells = [f"{times[p][0]:14.1f} {times[p][1]:8.2f}x" if p in times else "" for p in peers]
        print(f"{workload:4}" + "".join(f"{cell:>24}" for cell in cells))
    _draw(found, peers, threads)


def _workload(workload, threads, specs):
    """{peer: (median microseconds, median ratio to ours)}, in turns; the first is ours."""
    started = [Peer(spec, workload, threads) for spec in specs]
    peers = [peer for peer in started if peer.ready()]
    losses = {peer.name: peer.ask("c") for peer in peers}
    ours = losses[peers[0].name]
    for name, theirs in losses.items():
        for mine, other, tolerance in zip(ours, theirs, CLOSE, strict=True):
            if abs(mine - other) > tolerance * abs(mine):
                print(f"({workload}: {name} comes to {theirs}, not {ours}: other work)")
    counts = {}
    for peer in peers:
        (first,) = peer.ask(EPOCH)
        counts[peer] = max(1, round(SECONDS * 1e6 / first / EPOCH)) * EPOCH
    times = {peer: [] for peer in peers}
    for _ in tqdm(range(ROUNDS), desc=workload, leave=False):
        for peer in peers:
            times[peer] += peer.ask(counts[peer])
    for peer in started:
        peer.close()
    first = times[peers[0]]
    return {
        peer.name: (
            statistics.median(taken),
            statistics.median(t / f for t, f in zip(taken, first, strict=True)),
        )
        for peer, taken in times.items()
    }


def _draw(found, peers, threads):
    """Bars: how many times our step is as fast as each peer's."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("(matplotlib is not installed: no figure)")
        return
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    others = peers[1:]
    width = 0.8 / max(1, len(others))
    for k, name in enumerate(others):
        rows = [(i, times[name][1]) for i, times in enumerate(found.values()) if name in times]
        places = [i + (k - (len(others) - 1) / 2) * width for i, _ in rows]
        bars = axes.bar(places, [ratio for _, ratio in rows], width * 0.9, label=name)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    axes.axhline(1, color="0.4", linewidth=1, linestyle="--")
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_xticks(range(len(found)), list(found))
    axes.set_ylabel("their time / ours")
    axes.set_title(f"a training step on {threads} thread" + "s" * (threads > 1))
    axes.legend(frameon=False, fontsize=8)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=150)
    print(f"figure: {FIGURE.relative_to(HERE.parents[1])}")
