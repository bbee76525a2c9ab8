"""What the driver needs beside a GPU: the toolkit's linker, and cuda-core's names."""

import numpy as np
import pytest

from microreg.kernels.cuda import plan

from .resources import ARCHITECTURES, codes

F32 = np.dtype(np.float32)
CALLED = {  # by `runtime/cuda_driver.py`, with the names of arguments that it gives
    "Device.set_current": (), "Device.create_stream": (), "Device.create_event": (),
    "DeviceMemoryResource.allocate": ("stream",), "LegacyPinnedMemoryResource.allocate": (),
    "Buffer.from_handle": ("owner",), "Buffer.close": (), "Buffer.copy_from": ("stream",),
    "Buffer.copy_to": ("stream",), "Stream.record": (), "Stream.sync": (), "Event.sync": (),
    "Stream.create_graph_builder": (), "ObjectCode.from_cubin": (), "ObjectCode.get_kernel": (),
    "graph.GraphBuilder.begin_building": (), "graph.GraphBuilder.end_building": (),
    "graph.GraphBuilder.complete": (), "graph.Graph.launch": (), "launch": (), "LaunchConfig": (),
}  # fmt: skip


@pytest.mark.parametrize("cc", ARCHITECTURES, ids=lambda cc: f"{cc[0]}.{cc[1]}")
def test_a_kernel_becomes_machine_code_that_is_kept(cc, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROREG_CACHE_DIR", str(tmp_path))
    code = codes()[0][0]
    made = code.cubin(F32, cc)
    assert made[:4] == b"\x7fELF" and plan.NAME.encode() in made
    kept = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert {".ptx", ".cubin"} <= kept
    monkeypatch.setattr("microreg.kernels.cuda._lower.link", None)
    assert code.cubin(F32, cc) == made


@pytest.mark.parametrize("name", CALLED)
def test_cuda_core_has_what_is_called(name):
    found = pytest.importorskip("cuda.core")
    for part in name.split("."):
        found = getattr(found, part)
    for argument in CALLED[name]:
        assert argument in found.__doc__
