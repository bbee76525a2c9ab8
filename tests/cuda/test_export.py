"""A model on a device is exported as one on the CPU."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn


def test_a_model_on_the_device_gives_the_same_file(gpu, tmp_path):
    pytest.importorskip("onnx")
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    mr.onnx.export(model, tmp_path / "cpu.onnx")
    mr.onnx.export(model.to("cuda"), tmp_path / "cuda.onnx")
    assert all(str(p.device).startswith("cuda") for p in model.parameters())
    cpu, cuda = (np.fromfile(tmp_path / f"{n}.onnx", np.uint8) for n in ("cpu", "cuda"))
    np.testing.assert_array_equal(cpu, cuda)
