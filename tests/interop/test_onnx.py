"""Exported networks, run by onnxruntime, give what microreg gives: every layer, any batch."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.errors import CaptureError
from microreg.penalties import L1

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROW, SEQUENCE, IMAGE = (6,), (7, 6), (4, 9, 8)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Residual(nn.Module):
    """A forward of its own: masks, slices, several inputs of an op."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(3, 2)

    def forward(self, x):
        h = mr.where(x > 0, self.first(x), x * 0.1) + x
        h = mr.cat([h[:, ::2], h[:, -3:] / (1.0 + h[:, :3].abs())], 1)
        return self.second(h.reshape(len(x), 2, 3)).sum(1), h.amax(1)


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)


ROWS = [
    nn.Linear(6, 4), nn.Linear(6, 4, bias=False), nn.Identity(), nn.Dropout(0.3),
    nn.AlphaDropout(0.3), nn.DropPath(0.3), nn.GaussianNoise(0.3), nn.BatchNorm1d(6),
    nn.BatchRenorm1d(6), nn.GhostBatchNorm1d(6), nn.LayerNorm(6), nn.RMSNorm(6),
    nn.LayerNorm(6, elementwise_affine=False), nn.GroupNorm(2, 6), nn.HardConcrete(6),
    nn.ActivityPenalty(L1(0.1)), Residual(),
]  # fmt: skip
ACTIVATIONS = [
    "ReLU", "Tanh", "Sigmoid", "GELU", "CELU", "ELU", "SELU", "Hardsigmoid", "Hardswish",
    "Hardtanh", "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "ReLU6", "SiLU", "Softmax",
    "Softmin", "Softplus", "Softsign",
]  # fmt: skip
SEQUENCES = [
    nn.Linear(6, 4), nn.BatchNorm1d(7), nn.InstanceNorm1d(7), nn.Dropout1d(0.3),
    nn.RNN(6, 5, batch_first=True), nn.LSTM(6, 5, 2, batch_first=True),
    nn.GRU(6, 5, batch_first=True, bidirectional=True), nn.LayerNormLSTM(6, 5, batch_first=True),
    nn.LayerNormGRU(6, 5, batch_first=True), nn.LayerNormRNN(6, 5, batch_first=True),
    nn.Flatten(), nn.LayerNorm((7, 6)), nn.Conv1d(7, 5, 3, padding=1), nn.AvgPool1d(3, 2, 1),
    nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(4), nn.TransformerEncoderLayer(6, 2, 8, batch_first=True),
    SelfAttention(),
]  # fmt: skip
IMAGES = [
    nn.Conv2d(4, 5, 3), nn.Conv2d(4, 5, (3, 2), stride=2, padding=1, dilation=(1, 2), bias=False),
    nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.BatchNorm2d(4), nn.BatchRenorm2d(4),
    nn.GhostBatchNorm2d(4), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), nn.Dropout2d(0.3),
    nn.Flatten(), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d((4, 3)),
    nn.MaxPool2d(3, 2, ceil_mode=True),
]  # fmt: skip
NOT_EXPORTED = {  # they hold other layers, or are losses
    "Module", "ModuleDict", "ModuleList", "Parameter", "ParameterDict", "ParameterList",
    "TransformerEncoder", "Sequential", "Embedding", "DropConnect",
}  # fmt: skip


def cases():
    shapes = (ROWS, ROW), (SEQUENCES, SEQUENCE), (IMAGES, IMAGE)
    yield from ((layer, shape) for layers, shape in shapes for layer in layers)
    dims = dict.fromkeys(("Softmax", "Softmin", "LogSoftmax"), (1,))
    yield from ((getattr(nn, name)(*dims.get(name, ())), ROW) for name in ACTIVATIONS)


CASES = list(cases())


def ran(path, *inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def flat(value):
    if isinstance(value, mr.Tensor):
        return [value.detach().numpy()]
    return [array for part in value for array in flat(part)]


def outputs(model, *inputs):
    model.eval()
    with mr.no_grad():
        return flat(model(*map(mr.Tensor, inputs)))


def shaken(model, rng):
    """Parameters and running statistics that are not those of a new layer."""
    for name, value in model.state_dict().items():
        if value.dtype.kind == "f":
            value.data[...] += 0.3 * rng.normal(size=value.shape)
        if name.endswith(("running_var", "running_std")):
            value.data[...] = np.abs(value.data) + 0.5
    return model


def agree(model, path, inputs, **options):
    mr.onnx.export(model, path, tuple(inputs), **options)
    want = outputs(model, *inputs)
    got = ran(path, *inputs)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **CLOSE)


@pytest.mark.parametrize(
    ("layer", "shape"), CASES, ids=[f"{i}-{type(m).__name__}" for i, (m, _) in enumerate(CASES)]
)
def test_every_layer_gives_what_onnxruntime_gives(layer, shape, rng, tmp_path):
    model, path = shaken(layer, rng), tmp_path / "model.onnx"
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    agree(model, path, [x])
    more = rng.normal(size=(5, *shape)).astype(np.float32)  # another number of rows
    for a, b in zip(ran(path, more), outputs(model, more), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_no_layer_is_left_out():
    tested = {type(part).__name__ for layer, _ in CASES for part in layer.modules()}
    layers = {n for n in nn.__all__ if isinstance(getattr(nn, n), type)} - NOT_EXPORTED
    losses = {n for n in layers if n.endswith("Loss")}
    assert layers - losses - tested == set()


def test_whole_networks_keep_the_names_of_parameters(rng, tmp_path):
    import onnx

    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(36, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.5), nn.Linear(16, 3),
    )  # fmt: skip
    model.train()
    agree(shaken(model, rng), tmp_path / "a.onnx", [rng.normal(size=(4, 1, 8, 8)).astype("f")])
    written = onnx.load(tmp_path / "a.onnx")
    names = {held.name for held in written.graph.initializer}
    assert {"0.weight", "0.bias", "5.weight", "5.bias", "9.weight"} <= names
    (rows, *_), _ = (
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (written.graph.input[0], written.graph.output[0])
    )
    assert rows == "rows"


def test_a_compact_network_is_exported_too(rng, tmp_path):
    model = nn.Sequential(
        nn.Linear(10, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 8), nn.LayerNorm(8),
        nn.Tanh(), nn.Linear(8, 2),
    )  # fmt: skip
    shaken(model, rng)
    model[0].weight.data[[1, 4, 5]] = 0
    model[0].weight.data[:, [0, 3]] = 0
    model[3].weight.data[[2, 6]] = 0
    model[6].weight.data[:, [2, 6]] = 0
    x = rng.normal(size=(5, 10)).astype(np.float32)
    small = mr.compact(model.eval(), mr.Tensor(x))
    assert sum(p.data.size for p in small.parameters()) < 200
    agree(small, tmp_path / "small.onnx", [x])
    np.testing.assert_allclose(ran(tmp_path / "small.onnx", x)[0], outputs(model, x)[0], **CLOSE)


def test_words_and_several_inputs(rng, tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(11, 6, padding_idx=2)

        def forward(self, words, scale):
            return (self.table(words) * scale.unsqueeze(2)).mean(1)

    words, scale = rng.integers(0, 11, (4, 7)), rng.normal(size=(4, 7)).astype(np.float32)
    agree(Two(), tmp_path / "two.onnx", [words, scale])


@pytest.mark.parametrize("axis", [1, None])
def test_sequences_with_time_first(axis, rng, tmp_path):
    agree(
        nn.GRU(6, 5), tmp_path / "gru.onnx", [rng.normal(size=(4, 3, 6)).astype("f")],
        batch_axis=axis,
    )  # fmt: skip


def test_double_precision_and_reparametrized_weights(rng, tmp_path):
    mr.set_default_dtype(mr.float64)
    try:
        model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)), nn.Tanh())
    finally:
        mr.set_default_dtype(mr.float32)
    mr.onnx.export(model, tmp_path / "a.onnx")
    x = rng.normal(size=(3, 6))
    np.testing.assert_allclose(ran(tmp_path / "a.onnx", x)[0], outputs(model, x)[0], rtol=1e-12)


FUNCTIONS = {
    "elementary": lambda x: (x.abs() + 0.5).log() + x.exp() - (x * x + 1.0).sqrt() / 3.0 - (-x),
    "power": lambda x: (x.abs() + 0.1) ** 1.7,
    "extremes": lambda x: mr.maximum(x, 0.2) + mr.minimum(x, x * 2.0) + x.clamp(-0.5, None),
    "compared": lambda x: mr.where((x < 0.3) == (x >= -1.0), x, -2.0),
    "reduced": lambda x: x.mean(1, keepdim=True) + x.var(1, keepdim=True) * x.sum(-1)[:, None],
    "logsumexp": lambda x: x.logsumexp(1) + x.norm(dim=1) + x.prod(1) + x.std(1),
    "more elementary": lambda x: x.expm1() + x.abs().log1p() + x.sin() * x.cosh() + x.erf(),
    "rounded": lambda x: x.floor() + x.ceil() * 2.0 + x.round() * 3.0 + x.sign() + x % 0.7,
    "logarithms": lambda x: (x.abs() + 1.0).log2() + (x.abs() + 1.0).log10() + x.square().rsqrt(),
    "running": lambda x: x.cumsum(1),
    "places": lambda x: x.argmax(1),
    "gathered": lambda x: x.gather(1, (x[:, :2] > 0).long()),
    "whole": lambda x: (x > 0) & (x < 1.0) | (x != x),
    "indexed": lambda x: x[:, [0, 3, -1]] * x[:, 2][:, None] + x[:, None, 1:4].squeeze(1),
    "backwards": lambda x: x[:, ::-2],
    "stacked": lambda x: F.stack([x, x * 2.0], 1).transpose(1, 2).flatten(1),
    "spread": lambda x: x[:, :1].expand(len(x), 4) * 1.0 + x[:, :4],
    "product": lambda x: x.reshape(len(x), 2, 3) @ x.reshape(len(x), 3, 2),
    "softmax": lambda x: F.softmax(x.reshape(len(x), 2, 3), 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_forward_may_do_what_tensors_do(name, rng, tmp_path):
    class Of(nn.Module):
        forward = staticmethod(FUNCTIONS[name])

    x = rng.normal(size=(4, 6)).astype(np.float32)
    agree(Of(), tmp_path / "of.onnx", [x])
    more = rng.normal(size=(7, 6)).astype(np.float32)
    want = outputs(Of(), more)[0]
    np.testing.assert_allclose(ran(tmp_path / "of.onnx", more)[0], want, **CLOSE)


class Reads(nn.Module):
    def forward(self, x):
        return x * float(x.sum().item())


class Counts(nn.Module):
    def forward(self, x):
        return x.mean(0)


class Forgets(nn.Module):
    def forward(self, x):
        return mr.ones(3)


class Changes(nn.Module):
    def forward(self, x):
        return x.copy_(x * 2.0)


class Says(nn.Module):
    def forward(self, x):
        return "x"


@pytest.mark.parametrize(
    ("model", "options", "error", "text"),
    [
        (Reads(), {}, CaptureError, r"onnx\.export: item: the numbers are not known; .*test_onnx"),
        (Changes(), {}, CaptureError, r"onnx\.export: a change in place: "),
        (Counts(), {}, ValueError, "depends on the number of rows; give batch_axis=None"),
        (Forgets(), {}, ValueError, "output 0 does not depend on the input"),
        (Says(), {}, ValueError, "expected tensors as outputs, got str"),
        (Counts(), {"batch_axis": 4}, ValueError, r"batch_axis=4\): expected an axis of"),
        (nn.Conv2d(1, 1, 1), {"example": None}, ValueError, "expected an example of the inputs"),
    ],
)
def test_what_cannot_be_exported_is_refused(model, options, error, text, tmp_path):
    path, options = tmp_path / "a.onnx", {"example": np.ones((2, 6), np.float32)} | options
    with pytest.raises(error, match=text):
        mr.onnx.export(model, path, **options)
    assert list(tmp_path.iterdir()) == []
