"""No kernel's bits depend on the number of threads; and the registry leaves no kernel out."""

import functools
import importlib
import pkgutil

import numpy as np
import pytest

import microreg.kernels
from microreg.kernels import update
from microreg.kernels._jit import Kernel, specialize
from microreg.runtime import cpu

from .entries import Draw
from .registry import ENTRIES
from .running import bits, by_the_team, copied, in_a_table, last_thread_first

ELSEWHERE = {  # kernels that run the others: tests/test_runtime.py, tests/capture
    *("run_serial", "run_team", "publish", "work", "run_tiles"),
    "gemm",  # part of all products of matrices
}


@functools.cache
def team(threads):
    return cpu.Team(threads)


@pytest.fixture
def threads(monkeypatch):
    """Sets the number of threads; the team never rests, however busy the machine is."""
    monkeypatch.setattr(cpu, "LATE", 10**9)
    return lambda count: monkeypatch.setattr(cpu, "_team", team(count))


def differing(kernel, args, threads):
    """In which ways of running a kernel its bits are not those of one thread."""
    threads(1)
    want, found = bits(kernel, in_a_table(kernel, args)), []
    for count in (2, 3, 4):
        threads(count)
        if bits(kernel, by_the_team(kernel, args)) != want:
            found.append(f"{count} together")
        if bits(kernel, last_thread_first(kernel, args, count)) != want:
            found.append(f"{count} in turn")
    return found


@pytest.mark.parametrize("line", ENTRIES, ids=lambda line: line.name)
def test_same_bits_for_any_number_of_threads(line, dtype, threads):
    args = line.make(Draw(dtype), line.large)
    before = copied(args)
    assert differing(line.kernel, args, threads) == []
    for array, kept in zip(args, before, strict=True):
        np.testing.assert_array_equal(array, kept)


# planted faults


def _counts_threads(x, out, tid, nt):
    out[0] = x[0] * nt


def _adds_up_in_order(x, out):
    out[0] = out[0] / 2 + x[0]


def _all_write_one_place(x, out):
    for i in range(x.size):
        out[0] = x[i]


def _reads_what_others_write(x, out, tid, nt):
    out[tid] = x[tid] + (out[tid + 1] if tid + 1 < nt else out[0] * 0)


def planted(function, signature, split):
    return specialize(function, signature, [function], split=split, block=8)


FAULTS = [
    planted(_counts_threads, "x[n] -> out[m]; tid nt", "threads"),
    planted(_adds_up_in_order, "x[n] -> out[m]", "n"),
    planted(_all_write_one_place, "x[n] -> out[m]", "n"),
    planted(_reads_what_others_write, "x[n] -> out[m]; tid nt", "threads"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda kernel: kernel.name)
def test_a_planted_fault_is_seen(fault, dtype, threads):
    args = np.arange(1, 60).astype(dtype), np.zeros(4, dtype)
    assert {"2 in turn", "3 in turn", "4 in turn"} <= set(differing(fault, args, threads))


# the registry


def modules():
    for found in pkgutil.iter_modules(microreg.kernels.__path__):
        yield importlib.import_module(f"microreg.kernels.{found.name}")


def test_no_kernel_is_left_out():
    registered = {line.kernel for line in ENTRIES}
    left_out = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, kernel in vars(module).items()
        if isinstance(kernel, Kernel) and kernel not in registered and name not in ELSEWHERE
    ]
    assert left_out == []


def test_no_maker_of_kernels_is_left_out():
    """Kernels are also made by functions that keep them: maps, cast, update_kernel, ..."""
    makers = {line.kernel.function.__qualname__.split(".")[0] for line in ENTRIES}
    left_out = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, maker in vars(module).items()
        if hasattr(maker, "cache_info")
        and not module.__name__.rpartition(".")[2].startswith("_")
        and name not in makers | {"update_kernel", "update_rows"}
    ]
    assert left_out == []
    assert {rule.build.__name__ for rule in update.RULES.values()} <= makers


def test_no_two_kernels_share_a_name_in_the_cache():
    """Machine code is kept under the name and key of its kernel: another's would be loaded."""
    kernels = {line.kernel for line in ENTRIES}
    assert len({(kernel.name, kernel.key) for kernel in kernels}) == len(kernels)
