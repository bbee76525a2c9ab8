"""Scripts written for PyTorch run after nothing but their imports is changed."""

import re
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parent / "tutorials"
IMPORT = re.compile(r"^(import|from) torch\b(.*)$", re.MULTILINE)


def changed(line):
    name = "microreg as torch" if line[1] == "import" and not line[2] else f"microreg{line[2]}"
    return f"{line[1]} {name}"


def run(name, ours=True, **options):
    """What a script's main() returns, with microreg in PyTorch's place or as it is."""
    text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    if ours:
        text, count = IMPORT.subn(changed, text)
        assert count >= 2
    namespace = {"__name__": name}
    exec(compile(text, name, "exec"), namespace)
    return namespace["main"](**options)


LIBRARIES = [
    pytest.param(True, id="microreg"),
    pytest.param(False, id="torch", marks=pytest.mark.long),
]


@pytest.fixture(params=LIBRARIES)
def ours(request):
    if not request.param:
        request.getfixturevalue("torch")
    return request.param


def test_a_convolutional_network_reads_digits(ours):
    losses, accuracy = run("digits_cnn", ours)
    assert losses[0] > 1.5 and losses[-1] < 0.5 * losses[0]
    assert accuracy > 0.85


def test_recurrent_networks_tell_languages_by_names(ours):
    found = run("names_rnn", ours)
    assert list(found) == ["by hand", "RNN", "LSTM", "GRU"]
    for losses, accuracy in found.values():
        assert losses[0] > 0.9 and losses[-1] < 0.7 * losses[0] and accuracy > 0.8


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_transformer_continues_sequences(norm_first, ours):
    losses, accuracy = run("transformer", ours, norm_first=norm_first)
    assert losses[0] > 2.2 and np.mean(losses[-20:]) < 0.5
    assert accuracy > 0.95
