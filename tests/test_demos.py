"""The demos: short, each with a claim that it asserts and a figure that it draws."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import microreg

DEMOS = Path(microreg.__file__).parent.parent / "demos"
if not DEMOS.is_dir():
    pytest.skip("demos are not installed with the package", allow_module_level=True)
EACH = pytest.mark.parametrize("path", sorted(DEMOS.glob("*.py")), ids=lambda path: path.stem)


@EACH
def test_a_demo_is_short_and_says_what_it_claims(path):
    text = path.read_text(encoding="utf-8")
    said = text.split('"""')[1]
    assert text.count("\n") < 120
    assert f"python demos/{path.name}" in said and "to demos/output" in said
    assert "Claims, asserted" in said and re.search(r"\n +assert ", text)
    assert re.findall(r"(\w+\.png)", said)


@pytest.mark.long
@EACH
def test_a_demo_runs_and_draws(path, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(DEMOS.parent), "MPLBACKEND": "Agg"}
    before = {file: file.stat().st_mtime_ns for file in (DEMOS / "output").glob("*.png")}
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in re.findall(r"(\w+\.png)", path.read_text(encoding="utf-8").split('"""')[1]):
        file = DEMOS / "output" / name
        assert file.stat().st_mtime_ns != before.get(file)
