"""device="cuda" where there is no GPU: an error that says what is missing."""

import builtins
import sys

import numpy as np
import pytest

import microreg as mr
from microreg import nn
from microreg.errors import DeviceError


@pytest.fixture(autouse=True)
def no_gpu():
    if mr.cuda.is_available():
        pytest.skip("there is a GPU")


ASKED = {
    "tensor": lambda: mr.tensor([1.0], device="cuda"),
    "zeros": lambda: mr.zeros(3, device="cuda:0"),
    "Tensor.to": lambda: mr.ones(3).to("cuda"),
    "Tensor.cuda": lambda: mr.ones(3).cuda(),
    "Module.to": lambda: nn.Linear(2, 3).to("cuda"),
    "Module.cuda": lambda: nn.Linear(2, 3).cuda(),
    "synchronize": mr.cuda.synchronize,
}


@pytest.mark.parametrize("name", ASKED)
def test_says_what_to_install(name):
    with pytest.raises(DeviceError, match=r'device "cuda": expected .*; install '):
        ASKED[name]()


def test_the_compiler_is_missing(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "cuda"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def absent(name, *args):
        if name == "cuda":
            raise ImportError("No module named 'cuda'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DeviceError, match=r'pip install "microreg\[cuda13\]", or "microreg\[cuda1'):
        mr.tensor([1.0], device="cuda")


def test_the_driver_is_missing():
    pytest.importorskip("numba_cuda")
    with pytest.raises(DeviceError, match="an NVIDIA GPU and its driver, which nvidia-smi would"):
        mr.tensor([1.0], device="cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:1", "cuda:x", "mps"])
def test_a_device_that_does_not_exist(name):
    with pytest.raises(DeviceError, match=f"device '{name}': expected 'cpu' or 'cuda'"):
        mr.tensor([1.0], device=name)


def test_nothing_is_half_moved():
    layer = nn.Linear(2, 3)
    before = layer.weight.data.copy()
    with pytest.raises(DeviceError):
        layer.to("cuda", mr.float64)
    assert layer.weight.dtype == mr.float32 and layer.weight.device == "cpu"
    np.testing.assert_array_equal(layer.weight.data, before)


def test_the_cpu_is_a_device():
    x = mr.tensor([1.0], device="cpu")
    assert x.device == x.cpu().device == "cpu" and x.to("cpu") is x
    assert not hasattr(x, "__cuda_array_interface__")
