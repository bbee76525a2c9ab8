"""The README's code runs as it stands there, and what it points to is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_twenty_lines_find_the_inputs_that_matter(capsys):
    assert len(BLOCKS) == 1 and len(BLOCKS[0].strip().splitlines()) <= 22
    names = {"__name__": "readme"}
    exec(compile(BLOCKS[0], "README.md", "exec"), names)
    kept = names["model"][0].weight.data.any(axis=0)
    assert kept[:3].all(), "the inputs that matter stay"
    assert kept.sum() <= 8, "most of the others go"
    assert names["history"]["val_accuracy"][-1] > 0.8
    assert "GroupLasso" in capsys.readouterr().out


def test_files_that_are_linked_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links and all((ROOT / link).exists() for link in links)
