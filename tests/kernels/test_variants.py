"""The other tests of this folder once more, with machine code for other processors."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from microreg.kernels import _cache, _simd

HERE = Path(__file__).parent
PORTABLE = {"MICROREG_PORTABLE": "1"}  # products as plain loops
HASWELL = {"NUMBA_CPU_NAME": "haswell"}  # and nothing that came after 2013
SHOWN = "from microreg.kernels import _cache, _simd; print(_cache.cpu(), _simd.vector_bytes())"


def variables(changed):
    kept = {k: v for k, v in os.environ.items() if k not in PORTABLE | HASWELL}
    return kept | changed


def usable(changed):
    """Whether this machine runs such code."""
    features = {f"+{name}" for name in ("avx2", "fma", "bmi2", "movbe")}
    return changed is PORTABLE or (
        platform.machine() in ("x86_64", "AMD64") and features <= set(_cache.features().split(","))
    )


@pytest.mark.long
@pytest.mark.parametrize("changed, vectors", [(PORTABLE, None), (HASWELL, 32)], ids=str)
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
            timeout=600,
        )
        for command in (("-c", SHOWN), ("-m", "pytest", "-q", "-x", str(HERE)))
    )
    name = changed.get("NUMBA_CPU_NAME", _cache.cpu())
    assert shown.stdout.split() == [name, str(vectors)]
    assert tested.returncode == 0, tested.stdout + tested.stderr


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
