"""What a peer in a comparison of training steps says over stdin and stdout, see README.md."""

import argparse
import os
import sys
import time


def serve(doc, peers, training):
    """Answer until told to end; training(chosen, **options) makes something with run and loss.

    chosen has workload, peer and threads. Without --serve two measurements are printed.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("workload", help="W1 to W5")
    parser.add_argument("--peer", default=peers[0], choices=peers)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help="answer commands; else run and print")
    chosen = parser.parse_args()
    os.environ["MICROREG_NUM_THREADS"] = str(chosen.threads)
    if chosen.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(os.environ.get("PEER_CPU", max(os.sched_getaffinity(0))))})
    start = time.perf_counter()
    measured = training(chosen)
    measured.run(3)
    print("ready", round(time.perf_counter() - start, 3), flush=True)
    for line in sys.stdin if chosen.serve else ["640", "640", "l", "q"]:
        command = line.strip()
        if command == "q":
            break
        if command == "l":
            print(float(measured.loss), flush=True)
        elif command == "c":
            print(*_epoch(training(chosen, shuffle=False, dropout=0.0)), flush=True)
        else:
            start = time.perf_counter()
            measured.run(int(command))
            print((time.perf_counter() - start) / int(command) * 1e6, flush=True)


def _epoch(training):
    """The losses of the first and of the last step of an epoch."""
    training.run(1)
    first = float(training.loss)
    training.run(31)
    return first, float(training.loss)
