"""Two runs of a network, with two and with three rows, become one ONNX graph for any number."""

import numpy as np

from .. import nn
from ..files import put
from ..grad_mode import no_grad
from ..runtime.remote import Remote, recording
from ..tensor import Tensor
from ..training.data import dtype_of
from .rules import RULES
from .trace import Node, Trace

OPSET, IR = 18, 9
ROWS = 2, 3  # of the two runs
WIDTHS = (  # attributes that say what a layer takes
    "in_features", "num_features", "normalized_shape", "in_channels", "input_size",
    "num_embeddings", "embed_dim",
)  # fmt: skip


def export(model, path, example=None, batch_axis=0):
    """Write a network, in evaluation mode, as an ONNX file.

    Parameters
    ----------
    model : Module
        Its forward may do whatever ops do; a Sequential is not needed.
    path : str or Path
    example : array_like, Tensor or tuple of them, optional
        Inputs of the shape and dtype that the file shall take. May be left out if the first layer
        is Linear, BatchNorm1d or LayerNorm.
    batch_axis : int or None, default 0
        The axis of every input whose length is free in the file; None fixes all.

    Inputs are called input, input_1, ..., outputs output, output_1, ...; parameters keep their
    names. Operator set 18.

    Raises
    ------
    CaptureError
        If the network looks at numbers or uses an op that has no counterpart; names the line.
    ValueError
        If what it does depends on the number of rows.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise ImportError("onnx.export: needs onnx; pip install 'microreg[onnx]'") from None
    from .build import build

    inputs = _inputs(model, example)
    mode = model.training
    model.eval()
    try:
        if batch_axis is None:
            runs = [_run(model, inputs)]
        else:
            if any(not -x.ndim <= batch_axis < x.ndim for x in inputs):
                shapes = [x.shape for x in inputs]
                raise ValueError(
                    f"onnx.export(batch_axis={batch_axis}): expected an axis of {shapes}"
                )
            runs = [_run(model, [_rows(x, n, batch_axis) for x in inputs]) for n in ROWS]
    finally:
        model.train(mode)
    names = {}
    for name, p in model.state_dict().items():
        names[id(p.data)] = names[id(runs[0].copies.get(id(p.data), (None, None))[1])] = name
    put(path, [build(runs, names, batch_axis, OPSET, IR).SerializeToString()])


def _inputs(model, example):
    """Arrays to run on: the example, or one row of what the first layer takes."""
    if example is None:
        widths = (getattr(m, name, None) for m in model.modules() for name in WIDTHS)
        first = next((m for m in model.modules() if any(hasattr(m, w) for w in WIDTHS)), None)
        if not isinstance(first, (nn.Linear, nn.BatchNorm1d, nn.LayerNorm)):
            raise ValueError(
                "onnx.export: expected an example of the inputs; give example=X[:1] (it may be "
                "left out if the first layer is Linear, BatchNorm1d or LayerNorm)"
            )
        width = next(w for w in widths if w is not None)
        example = np.zeros((1, *np.atleast_1d(width)), dtype_of(model))
    given = example if isinstance(example, tuple) else (example,)
    arrays = [x.data if isinstance(x, Tensor) else Tensor(x).data for x in given]
    floats = dtype_of(model)
    return [x.astype(floats) if x.dtype.kind == "f" else x for x in arrays]


def _rows(x, n, axis):
    """The first entry along an axis, n times."""
    if not x.shape[axis]:
        raise ValueError(f"onnx.export: expected an example with rows, got shape {x.shape}")
    return np.repeat(x.take([0], axis), n, axis)


class Run:
    """What one run wrote down: nodes, and inputs and outputs as (name, shape, dtype)."""

    def __init__(self, trace, inputs, outputs):
        self.nodes, self.copies = trace.nodes, trace.copies
        self.inputs, self.outputs = inputs, outputs


def _run(model, inputs):
    trace = Trace(RULES)
    names = [f"input_{i}" if i else "input" for i in range(len(inputs))]
    with recording(trace), no_grad():
        given = [Tensor.made(trace.enter(x, n), None) for x, n in zip(inputs, names, strict=True)]
        found = _flat(model(*given))
        outputs = []
        for i, y in enumerate(found):
            if not isinstance(y.data, Remote):
                raise ValueError(f"onnx.export: output {i} does not depend on the input")
            name = f"output_{i}" if i else "output"
            trace.nodes.append(Node("Identity", (trace.name_of(y.data),), name, {}))
            outputs.append((name, y.shape, y.dtype))
    described = [(n, x.shape, x.dtype) for n, x in zip(names, inputs, strict=True)]
    return Run(trace, described, outputs)


def _flat(value):
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [y for part in value for y in _flat(part)]
    raise ValueError(f"onnx.export: expected tensors as outputs, got {type(value).__name__}")
