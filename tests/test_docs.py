"""The code of the documentation runs as it stands there, page by page, and so does a README's."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(p for p in (ROOT / "docs").iterdir() if p.suffix in (".rst", ".md"))
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", re.MULTILINE)
NEEDS = {"ecosystem": ["sklearn", "onnx", "onnxruntime"], "scale": ["joblib"]}
WITH_CODE = {
    "tutorial", "concepts", "penalties", "kernels", "cuda", "ecosystem", "scale", "design",
}  # fmt: skip


def blocks(page):
    return [textwrap.dedent(code) for code in BLOCK.findall(page.read_text(encoding="utf-8"))]


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.rst").read_text(encoding="utf-8")
    assert {p.stem for p in PAGES} - {"index"} == set(
        re.findall(r"^   (\w+)$", index, re.MULTILINE)
    )
    assert {p.stem for p in PAGES if blocks(p)} == WITH_CODE


@pytest.mark.parametrize("page", sorted(WITH_CODE))
def test_code_of_the_documentation_runs(page, capsys):
    for name in NEEDS.get(page, ()):
        pytest.importorskip(name)
    names = {"__name__": page}
    for code in blocks(ROOT / "docs" / f"{page}.rst"):
        exec(compile(code, f"{page}.rst", "exec"), names)


def test_the_korean_readme_shows_the_same_code_and_it_runs(capsys):
    english, korean = (
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
        for name in ("README.md", "README.ko.md")
    )
    shown, said = (re.sub(r'#.*|".*?"', "", code) for code in (english[0], korean[0]))
    assert shown.split() == said.split()
    names = {"__name__": "readme"}
    exec(compile(korean[0], "README.ko.md", "exec"), names)
    assert names["model"][0].weight.data.any(axis=0)[:3].all()


@pytest.mark.long
def test_the_site_is_built_without_warnings(tmp_path):
    pytest.importorskip("myst_parser")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    assert "GroupLasso" in (tmp_path / "api.html").read_text(encoding="utf-8")
