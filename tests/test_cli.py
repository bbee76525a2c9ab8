"""python -m microreg."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import microreg as mr
from microreg.__main__ import main

MODELS = """
    import numpy as np
    import microreg as mr
    import microreg.nn.functional as F
    from microreg import nn
    from microreg.ops._op import Op

    square = Op("square", lambda x: x * x, (lambda g, node: g * 2.002 * node.inputs[0],))
    X, y = np.linspace(-1, 1, 15).reshape(5, 3), np.array([0, 1, 1, 0, 1])

    class Square(nn.Module):
        def forward(self, input):
            return square(input)

    def good():
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))

    def with_input():
        return good(), X

    def with_labels():
        return good(), X, y

    def with_targets():
        return good(), X, np.ones((5, 2))

    def with_loss():
        return good(), X, y, lambda output, target: F.cross_entropy(output, target) * 3.0

    def bad():
        return nn.Sequential(nn.Linear(3, 4), Square())

    def image():
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "models.py"
    path.write_text(textwrap.dedent(MODELS))
    return path


@pytest.mark.parametrize("name", ["good", "with_input", "with_labels", "with_targets", "with_loss"])
def test_gradcheck_passes_a_right_model(name, file, capsys):
    assert main(["gradcheck", f"{file}:{name}"]) == 0
    assert "gradcheck: Sequential: passed" in capsys.readouterr().out


def test_gradcheck_fails_a_wrong_model_and_names_the_place(file, capsys):
    assert main(["gradcheck", f"{file}:bad"]) == 1
    text = capsys.readouterr().out
    assert "gradcheck: Sequential: FAILED" in text and "worst: argument " in text


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{file}:missing", "does not define missing"),
        ("{file}.txt:good", "there is no file"),
        ("{file}", "expected FILE.py:FUNCTION"),
        ("{file}:image", "expected the function to return"),
    ],
)
def test_a_target_that_is_not_there_is_explained(target, words, file):
    with pytest.raises(SystemExit, match=words):
        main(["gradcheck", target.format(file=file)])


def test_info_tells_versions_and_places(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MICROREG_CACHE_DIR", str(tmp_path))
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for words in (mr.__version__, f"numpy {np.__version__}", "numba ", "CPU ", "threads"):
        assert words in text
    assert f"0 compiled kernels in {tmp_path}" in text


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["gradcheck"]])
def test_a_wrong_command_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m microreg" in capsys.readouterr().err


def test_the_exit_status_reaches_the_shell(file):
    command = [sys.executable, "-W", "error", "-m", "microreg", "gradcheck", f"{file}:bad"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 1 and "FAILED" in run.stdout, run.stderr


TRAINING = """
    import numpy as np
    import microreg as mr
    from microreg import nn, optim, penalties
    from microreg.kernels._jit import KERNELS

    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(27, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 3))
    mr.penalties.attach(model, {"*": penalties.L1(0.01)})
    X, y = np.ones((20, 1, 8, 8), np.float32), np.arange(20) % 3
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    mr.fit(model, (X, y), optimizer=optimizer, epochs=2, batch_size=8, progress=False)
    used = {kernel for kernel in KERNELS if kernel._entries}
    from microreg.warmup import everything
    print(len(used), sorted(k.name for k in used - set(everything())))
"""


def test_warmup_leaves_out_no_kernel_of_an_ordinary_training():
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TRAINING)], capture_output=True, text=True
    )
    count, missing = run.stdout.strip().split(" ", 1)
    assert int(count) > 20, run.stderr
    assert missing == "[]"
