"""The benchmarks of a GPU print their tables; figures of the machine mean nothing."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "bench_cuda.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_cuda", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_printed(bench, gpu, capsys):
    bench.torch = None
    bench.main(bench.Sizes((32,), ((64, 16, 32),), 24, 32, 4, 0.0, 0))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == gpu.driver.name
    firsts = [line.split()[0] for line in lines if line]
    assert firsts.count("nn") == firsts.count("nt") == firsts.count("tn") == 2
    assert {"add", "softmax", "AdamW", "MLP", "CNN"} <= set(firsts)
