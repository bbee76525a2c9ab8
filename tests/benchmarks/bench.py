"""Times side by side: kernels, training steps, starts. See README.md.

make bench                                       all of them
make bench ARGS="kernels --dtype float64"        kernels alone
make bench ARGS="steps --workloads W1,W4"        training steps alone
"""

import argparse
import os
import statistics
import subprocess
import sys

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # would tie NumPy to another CPU's kernels
    os.environ.pop(name, None)

START = """
import time; t = time.perf_counter()
import microreg as mr; imported = time.perf_counter() - t
model = mr.nn.Linear(64, 10); optimizer = mr.optim.Adam(model.parameters())
mr.nn.functional.cross_entropy(model(mr.randn(32, 64)), mr.randint(10, size=(32,))).backward()
optimizer.step(); print(imported, time.perf_counter() - t - imported)
"""


def kernels(chosen):
    if chosen.cpu:
        os.environ["NUMBA_CPU_NAME"], os.environ["OPENBLAS_CORETYPE"] = chosen.cpu, chosen.cpu
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MICROREG_NUM_THREADS"):
        os.environ[variable] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from kernels import tables

    tables(chosen.dtype, chosen.only and chosen.only.split(","))


def steps(chosen):
    from steps import compare

    compare(chosen.workloads.split(","), chosen.threads, chosen.peers)


def starts(chosen):
    """Seconds of `import microreg`, and of a first step in a process with compiled kernels."""
    runs = [subprocess.check_output([sys.executable, "-c", START]).split() for _ in range(5)]
    imported, first = (statistics.median(map(float, r)) for r in zip(*runs, strict=True))
    print(f"import {imported:.2f} s, first step with compiled kernels {first:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["kernels", "steps", "starts"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--cpu", help="kernels of an older CPU on both sides, such as haswell")
    parser.add_argument("--only", help="kinds of kernels, with commas between")
    parser.add_argument("--workloads", default="W1,W2,W3,W4,W5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=[], help="more of them, as FILE.py:NAME")
    chosen = parser.parse_args()
    for run in (kernels, steps, starts):
        if chosen.what in (None, run.__name__):
            run(chosen)


if __name__ == "__main__":
    main()
