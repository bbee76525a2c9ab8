"""Taking turns: a figure is a median over interleaved rounds, so that a busy moment hits all."""

import statistics
import time


def per_call(run, calls):
    """Seconds of one call, over so many."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def race(runners, rounds=11, seconds=0.004):
    """Median seconds per call of each runner, and of each round's ratios to the first one."""
    calls = {}
    for name, run in runners.items():
        run()
        calls[name] = max(1, int(seconds / max(per_call(run, 2), 1e-7)))
    times = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            times[name].append(per_call(run, calls[name]))
    first = next(iter(times.values()))
    ratios = {
        name: statistics.median(t / f for t, f in zip(taken, first, strict=True))
        for name, taken in times.items()
    }
    return {name: statistics.median(taken) for name, taken in times.items()}, ratios
