"""What is shown while a network is trained: bars, and files for TensorBoard."""

import struct
import sys
import types

import numpy as np
import pytest

import microreg as mr
from microreg import nn
from microreg.terminal import tqdm


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 3))
    return X, (X[:, 0] > 0).astype(int)


class ZMQInteractiveShell:
    """What IPython's shell is called in a notebook."""


def test_a_bar_is_shown_in_a_notebook_and_not_in_a_file(monkeypatch):
    assert tqdm(range(3), disable=None).disable
    fake = types.SimpleNamespace(get_ipython=ZMQInteractiveShell)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with tqdm(range(3), disable=None) as bar:
        assert not bar.disable
    assert tqdm(range(3), disable=True).disable
    fake.get_ipython = lambda: None
    assert tqdm(range(3), disable=None).disable


def summaries(folder):
    """(tag, step, value or histogram) of every record in the event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                kind = "histo" if value.HasField("histo") else "simple_value"
                yield value.tag, event.step, getattr(value, kind)


def test_what_is_recorded_is_written_for_tensorboard(data, tmp_path):
    pytest.importorskip("tensorboardX")
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    board = mr.TensorBoard(tmp_path, histograms=2)
    history = mr.fit(model, data, val=data, epochs=4, progress=False, callbacks=[board])
    found = list(summaries(tmp_path))
    for column, tag in (("loss", "training/loss"), ("val_accuracy", "validation/accuracy")):
        got = [value for name, _, value in found if name == tag]
        np.testing.assert_allclose(got, history[column], rtol=1e-6)
    spread = {step: h for name, step, h in found if name == "0/weight"}
    assert sorted(spread) == [0, 2, 3]
    assert spread[3].num == 12
    assert spread[3].min == model[0].weight.data.min()


@pytest.mark.parametrize("histograms", [-1, 2.5, True])
def test_a_wrong_period_is_named(histograms):
    with pytest.raises(ValueError, match="expected a number of epochs, or 0"):
        mr.TensorBoard("runs", histograms)


def test_without_tensorboardx_it_says_what_to_install(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'microreg\[tensorboard\]'"):
        mr.fit(nn.Linear(3, 2), data, callbacks=[mr.TensorBoard("runs")], progress=False)
