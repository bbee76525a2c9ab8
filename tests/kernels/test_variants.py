"""The other tests here once more: for other processors, with bounds checked, interpreted."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from microreg.kernels import _cache, _simd

from .running import Guarded

HERE = Path(__file__).parent
PORTABLE = {"MICROREG_PORTABLE": "1"}  # products as plain loops
HASWELL = {"NUMBA_CPU_NAME": "haswell"}  # and nothing that came after 2013
CHECKED = {"NUMBA_BOUNDSCHECK": "1"}  # an index outside ends the process
INTERPRETED = {"NUMBA_DISABLE_JIT": "1"}
ALL = PORTABLE | HASWELL | CHECKED | INTERPRETED
SHOWN = "from microreg.kernels import _cache, _simd; print(_cache.cpu(), _simd.vector_bytes())"


def variables(changed):
    kept = {k: v for k, v in os.environ.items() if k not in ALL}
    return kept | changed


def usable(changed):
    """Whether this machine runs such code."""
    features = {f"+{name}" for name in ("avx2", "fma", "bmi2", "movbe")}
    return changed is not HASWELL or (
        platform.machine() in ("x86_64", "AMD64") and features <= set(_cache.features().split(","))
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "changed, vectors",
    [
        (PORTABLE, None),
        (HASWELL, 32),
        (CHECKED, _simd.vector_bytes()),
        (INTERPRETED, _simd.vector_bytes()),
    ],
    ids=str,
)
def test_every_test_of_kernels_passes(changed, vectors):
    if not usable(changed):
        pytest.skip("this machine has no such instructions")
    shown, tested = (
        subprocess.run(
            [sys.executable, *command],
            cwd=HERE.parents[1],
            env=variables(changed),
            capture_output=True,
            text=True,
            timeout=1800,
        )
        for command in (("-c", SHOWN), ("-m", "pytest", "-q", "-x", str(HERE)))
    )
    name = changed.get("NUMBA_CPU_NAME", _cache.cpu())
    assert shown.stdout.split() == [name, str(vectors)]
    assert tested.returncode == 0, tested.stdout + tested.stderr


BEYOND = """
import numpy as np
from microreg.kernels._jit import specialize
from microreg.runtime import launch

def shifted(x, out):
    for i in range(out.size):
        out[i] = x[i + 1]

launch(specialize(shifted, "x[n] -> out[n]", [shifted], split=None), np.ones(5), np.ones(5))
print("no harm")
"""


@pytest.mark.skipif(os.name != "posix", reason="other systems have no signals")
@pytest.mark.parametrize("changed", [{}, CHECKED], ids=str)
def test_an_index_outside_ends_the_process_where_bounds_are_checked(changed, tmp_path):
    environment = variables(changed | {"MICROREG_CACHE_DIR": str(tmp_path)})
    command = [sys.executable, "-c", BEYOND]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if changed:
        assert run.returncode < 0 and not run.stdout  # a signal, no exception
    else:
        assert run.returncode == 0 and run.stdout == "no harm\n", run.stderr


def test_an_interpreted_kernel_stays_inside():
    x = np.zeros(3).view(Guarded)
    x[0], x[1:9], x[(2,)]
    for key in (3, -1, slice(-2, None), (5,)):
        with pytest.raises(IndexError, match="axis of 3"):
            x[key]


def test_vectors_are_as_wide_as_the_processor_allows():
    features = set(_cache.features().split(","))
    if os.environ.get("MICROREG_PORTABLE", "0") != "0":
        assert _simd.vector_bytes() is None
    elif platform.machine() in ("x86_64", "AMD64") and "NUMBA_CPU_NAME" not in os.environ:
        widths = {"+avx512f": 64, "+avx2": 32}
        assert _simd.vector_bytes() == next((w for f, w in widths.items() if f in features), None)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 CPUs")
@pytest.mark.parametrize(
    "name, vectors", [("nehalem", None), ("haswell", 32), ("znver2", 32), ("skylake-avx512", 64)]
)
def test_a_processor_given_by_name_gets_its_vectors(name, vectors):
    changed = variables({"NUMBA_CPU_NAME": name})
    run = subprocess.run([sys.executable, "-c", SHOWN], env=changed, capture_output=True, text=True)
    assert run.stdout.split() == [name, str(vectors)]
