"""The README's code runs as it stands there."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_two_blocks():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("code", BLOCKS, ids=["twenty-lines", "own-penalty"])
def test_code_of_the_readme_runs(code, capsys):
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    if "history" in names:
        kept = names["model"][0].weight.data.any(axis=0)
        assert kept[:3].all(), "the inputs that matter stay"
        assert kept.sum() <= 8, "most of the others go"
        assert names["history"]["val_accuracy"][-1] > 0.8
        assert "GroupLasso" in capsys.readouterr().out
