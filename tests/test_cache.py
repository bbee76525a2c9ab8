"""Machine code on disk: used when whole, made again when damaged, done without when it must be."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import microreg
from microreg.kernels import _cache, lift, scalar
from microreg.runtime import launch

CODE = """
import sys, warnings
import numpy as np
from microreg.penalties import L1

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    got = L1(0.3).prox(np.array([-2.0, 0.1, 1.5]), 0.5)
    L1(0.3).prox(np.ones(3, np.float32), 0.5)
assert np.array_equal(got, [-1.85, 0.0, 1.35]), got
print("numba" in sys.modules)
print(*[f"{w.category.__name__}: {w.message}" for w in caught], sep="\\n")
"""


def process(cache):
    """Run CODE in a process of its own: (whether it loaded the compiler, its warnings)."""
    environment = {**os.environ, "MICROREG_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", CODE]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stderr
    compiler, *warned = filter(None, run.stdout.splitlines())
    return compiler == "True", warned


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process has filled."""
    cache = tmp_path_factory.mktemp("cache")
    assert process(cache) == (True, [])
    return cache


@pytest.fixture
def cache(filled, tmp_path):
    return shutil.copytree(filled, tmp_path / "cache")


def files(cache):
    return sorted(cache.rglob("*.o"))


def test_a_second_process_needs_no_compiler(filled):
    before = {path: path.read_bytes() for path in files(filled)}
    assert len(before) == 2  # the prox in two dtypes
    assert process(filled) == (False, [])
    assert {path: path.read_bytes() for path in files(filled)} == before
    assert not [p for p in filled.rglob("*") if p.is_file() and p.suffix != ".o"]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda c: c[:-100], lambda c: b"", lambda c: c.replace(b"microreg 1", b"microreg 0", 1)],
    ids=["one bit", "cut short", "empty", "another version"],
)
def test_a_damaged_file_is_compiled_again_with_one_warning(damage, cache):
    for path in files(cache):
        path.write_bytes(damage(path.read_bytes()))
    compiled, warned = process(cache)
    assert compiled and len(warned) == 1, warned
    assert warned[0].startswith("RuntimeWarning: microreg: ") and "is damaged" in warned[0]
    assert process(cache) == (False, [])


def test_a_missing_file_is_compiled_again_without_a_word(cache):
    files(cache)[0].unlink()
    assert process(cache) == (True, [])
    assert process(cache) == (False, [])


def test_a_folder_that_cannot_be_written_warns_once_and_works(tmp_path):
    (tmp_path / "file").write_text("in the way")
    compiled, warned = process(tmp_path / "file" / "cache")
    assert compiled and len(warned) == 1, warned
    assert "cannot keep compiled kernels" in warned[0] and "MICROREG_CACHE_DIR" in warned[0]


def test_an_edited_kernel_source_has_a_folder_of_its_own(tmp_path):
    copy = shutil.copytree(
        Path(microreg.__file__).parent,
        tmp_path / "microreg",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    command = [sys.executable, "-c", "from microreg.kernels import _cache; print(_cache.folder())"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def folder():
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    before = folder()
    assert Path(before.strip()).name == _cache.folder().name
    with (copy / "kernels" / "lift.py").open("a") as file:
        file.write("\nEDITED = True\n")
    assert folder() != before


# a user's formulas are kept under their content


@scalar
def doubled(v):
    return v + v


@scalar
def halved(v):
    return v * type(v)(0.5)


def over(inner, constant):
    """Formulas that differ in a constant, or in what they call, and have one name."""

    @scalar
    def formula(v):
        return inner(v) + type(v)(constant)

    return formula


def test_formulas_of_one_name_do_not_meet(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROREG_CACHE_DIR", str(tmp_path))
    x = np.array([1.0, -3.0])
    for _ in range(2):
        for inner, constant in [(doubled, 1.0), (doubled, 2.0), (halved, 1.0)]:
            lift.map_kernel.cache_clear()
            out = np.empty_like(x)
            launch(lift.map_kernel(over(inner, constant), 0), x, np.zeros(1), out)
            want = [inner(v) + constant for v in x]
            np.testing.assert_array_equal(out, want)


# faults


def started(cache, **variables):
    environment = {**os.environ, "MICROREG_CACHE_DIR": str(cache), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={name: value for name, value in environment.items() if value},
    )  # fmt: skip


@pytest.mark.long
def test_six_processes_compile_into_one_folder(tmp_path):
    crowd = [started(tmp_path) for _ in range(6)]
    for one in crowd:
        out, errors = one.communicate(timeout=300)
        assert one.returncode == 0 and out.split() == ["True"], errors
    assert process(tmp_path) == (False, [])
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".o"]


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs /proc")
def test_without_a_home_it_warns_once_and_works():
    one = started("", HOME="/proc/self/nothing", XDG_CACHE_HOME="")
    out, errors = one.communicate(timeout=300)
    assert one.returncode == 0, errors
    compiled, *warned = out.split("\n")[:-1]
    assert compiled == "True" and len([w for w in warned if w]) == 1
    assert "cannot keep compiled kernels" in warned[0]


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_processes_killed_while_compiling_leave_nothing_wrong(tmp_path):
    draw = random.Random(6)
    for _ in range(200):
        one = started(tmp_path)
        time.sleep(0.2 + 1.3 * draw.random())
        one.kill()
        one.communicate()
        for path in files(tmp_path):
            path.unlink() if draw.random() < 0.5 else None  # there is something to compile again
    assert process(tmp_path)[1] == []
    assert process(tmp_path) == (False, [])
