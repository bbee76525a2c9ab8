"""How ops become ONNX nodes: RULES[name](trace, operands, inputs, attrs, out) -> name.

operands are what a node takes in the place of the op's inputs: a name, or the array or number
itself. `out` is the result, of which shape and dtype are used.
"""

import math
import sys

import numpy as np

from .trace import Ints

BEFORE = -sys.maxsize  # the end of a slice that runs backwards through the first entry


def _in(trace, operand, given, dtype):
    """An operand in a dtype."""
    if not isinstance(operand, str):
        return np.asarray(operand, dtype)
    return operand if given.dtype == dtype else trace.add("Cast", operand, to=np.dtype(dtype))


def _meeting(kind, result=None):
    """A node on two operands of one dtype."""

    def rule(trace, operands, inputs, attrs, out):
        given = [x.dtype for x in inputs if isinstance(x, np.ndarray)]
        dtype = out.dtype if result is None else np.result_type(*given)
        pairs = zip(operands, inputs, strict=True)
        made = trace.add(kind, *(_in(trace, x, one, dtype) for x, one in pairs))
        return trace.add("Not", made) if result == "not" else made

    return rule


def _single(kind):
    return lambda trace, operands, inputs, attrs, out: trace.add(
        kind, _in(trace, operands[0], inputs[0], out.dtype)
    )


def _same(trace, operands, inputs, attrs, out):
    return operands[0]


def _scaled_log(base):
    def rule(trace, operands, inputs, attrs, out):
        scale = np.asarray(1.0 / math.log(base), out.dtype)
        return trace.add("Mul", trace.add("Log", operands[0]), scale)

    return rule


def _log1p(trace, operands, inputs, attrs, out):
    return trace.add("Log", trace.add("Add", operands[0], np.asarray(1, out.dtype)))


def _expm1(trace, operands, inputs, attrs, out):
    return trace.add("Sub", trace.add("Exp", operands[0]), np.asarray(1, out.dtype))


def _rsqrt(trace, operands, inputs, attrs, out):
    return trace.add("Reciprocal", trace.add("Sqrt", operands[0]))


def _floor_divide(trace, operands, inputs, attrs, out):
    if out.dtype.kind != "f":
        trace.refuse("division of integers")
    return trace.add("Floor", _meeting("Div")(trace, operands, inputs, attrs, out))


def _remainder(trace, operands, inputs, attrs, out):
    whole = _floor_divide(trace, operands, inputs, attrs, out)
    a, b = (_in(trace, x, one, out.dtype) for x, one in zip(operands, inputs, strict=True))
    return trace.add("Sub", a, trace.add("Mul", whole, b))


def _where(trace, operands, inputs, attrs, out):
    condition = _in(trace, operands[0], inputs[0], np.bool_)
    a, b = (_in(trace, operands[i], inputs[i], out.dtype) for i in (1, 2))
    return trace.add("Where", condition, a, b)


def _clip(trace, operands, inputs, attrs, out):
    bounds = (attrs["min"], attrs["max"])
    return trace.add(
        "Clip", operands[0], *("" if b is None else np.asarray(b, out.dtype) for b in bounds)
    )


def _reduced(kind):
    def rule(trace, operands, inputs, attrs, out):
        axes = Ints(attrs["axes"])
        if not axes:
            return operands[0]
        x = _in(trace, operands[0], inputs[0], out.dtype)
        return trace.add(kind, x, axes, keepdims=int(attrs["keepdims"]))

    return rule


def _place(kind):
    def rule(trace, operands, inputs, attrs, out):
        x, axis = operands[0], attrs["axis"]
        if axis is None:
            if attrs["keepdims"]:
                trace.refuse(f"{kind} of all entries with keepdim")
            x, axis = trace.add("Reshape", x, Ints((-1,))), 0
        return trace.add(kind, x, axis=axis, keepdims=int(attrs["keepdims"]))

    return rule


def _cumsum(trace, operands, inputs, attrs, out):
    return trace.add("CumSum", operands[0], np.asarray(attrs["axis"], np.int64))


def _rows(kind):
    return lambda trace, operands, inputs, attrs, out: trace.add(kind, operands[0], axis=-1)


def _linear(trace, operands, inputs, attrs, out):
    x, weight, *bias = operands
    if out.ndim == 2:
        return trace.add("Gemm", x, weight, *bias, transB=1)
    turned = (
        trace.add("Transpose", weight, perm=(1, 0)) if isinstance(weight, str) else weight.T.copy()
    )
    made = trace.add("MatMul", x, turned)
    return trace.add("Add", made, *bias) if bias else made


def _conv(trace, operands, inputs, attrs, out):
    return trace.add(
        "Conv",
        *operands,
        kernel_shape=inputs[1].shape[2:],
        strides=attrs["stride"],
        pads=(*attrs["padding"], *attrs["padding"]),
        dilations=attrs["dilation"],
        group=attrs.get("groups", 1),
    )


def _max_pool(trace, operands, inputs, attrs, out):
    kernel, stride, padding, dilation = (
        attrs[name] for name in ("kernel", "stride", "padding", "dilation")
    )
    ends = [  # as much as the last window takes, which is more than the padding in ceil_mode
        max(0, (m - 1) * s + d * (k - 1) + 1 - n - p)
        for m, s, d, k, n, p in zip(
            out.shape[2:], stride, dilation, kernel, inputs[0].shape[2:], padding, strict=True
        )
    ]
    return trace.add(
        "MaxPool",
        operands[0],
        kernel_shape=kernel,
        strides=stride,
        pads=(*padding, *ends),
        dilations=dilation,
    )


def _avg_pool(trace, operands, inputs, attrs, out):
    """Sums over rectangles as two products with matrices of 0 and 1."""
    height, width = inputs[0].shape[2:]
    rows, columns = (
        _covered(spans, n, out.dtype)
        for spans, n in ((attrs["rows"], height), (attrs["columns"], width))
    )
    sums = trace.add("MatMul", trace.add("MatMul", rows, operands[0]), columns.T.copy())
    return trace.add("Mul", sums, attrs["scale"])


def _covered(spans, n, dtype):
    """1 where entry j lies in [first, beyond the last] of span i."""
    j = np.arange(n)
    return ((j >= spans[:, :1]) & (j < spans[:, 1:])).astype(dtype)


def _layer_norm(trace, operands, inputs, attrs, out):
    axis = out.ndim - inputs[1].ndim
    return trace.add("LayerNormalization", *operands, axis=axis, epsilon=attrs["eps"])


def _reshape(trace, operands, inputs, attrs, out):
    return trace.add("Reshape", operands[0], Ints(out.shape))


def _expand(trace, operands, inputs, attrs, out):
    return trace.add("Expand", operands[0], Ints(out.shape))


def _transpose(trace, operands, inputs, attrs, out):
    return trace.add("Transpose", operands[0], perm=attrs["axes"])


def _concatenate(trace, operands, inputs, attrs, out):
    parts = (_in(trace, x, one, out.dtype) for x, one in zip(operands, inputs, strict=True))
    return trace.add("Concat", *parts, axis=attrs["axis"] % out.ndim)


def _unbind(trace, operands, inputs, attrs, out):
    return [
        trace.add("Gather", operands[0], np.asarray(i, np.int64), axis=0) for i in range(len(out))
    ]


def _take_along(trace, operands, inputs, attrs, out):
    return trace.add("GatherElements", *operands, axis=attrs["axis"])


def _cast(trace, operands, inputs, attrs, out):
    return trace.add("Cast", operands[0], to=out.dtype)


def _index(trace, operands, inputs, attrs, out):
    """Slices first, then single positions and arrays from the last axis on, then new axes."""
    x, ndim, key = operands[0], inputs[0].ndim, attrs["key"]
    key = key if isinstance(key, tuple) else (key,)
    key = [np.asarray(k) if isinstance(k, list) else k for k in key]
    taken = sum(k is not None and k is not Ellipsis for k in key)
    dots = next((i for i, k in enumerate(key) if k is Ellipsis), len(key))
    key = (*key[:dots], *[slice(None)] * (ndim - taken), *key[dots + 1 :])
    lists = [k for k in key if isinstance(k, np.ndarray)]
    if len(lists) > 1 or (lists and any(isinstance(k, (int, np.integer)) for k in key)):
        trace.refuse("indexing with several arrays")
    axes = [k for k in key if k is not None]
    x = _sliced(trace, x, inputs[0].shape, axes)
    for axis in reversed(range(len(axes))):
        if not isinstance(axes[axis], slice):
            x = trace.add("Gather", x, _positions(trace, axes[axis]), axis=axis)
    places, new = 0, []
    for k in key:
        if k is None:
            new.append(places)
        places += 1 if k is None or isinstance(k, slice) else getattr(k, "ndim", 0)
    return trace.add("Unsqueeze", x, Ints(new)) if new else x


def _sliced(trace, x, shape, axes):
    found = []
    for axis, k in enumerate(axes):
        if isinstance(k, slice) and k != slice(None):
            start, end, step = k.indices(shape[axis])
            found.append((start, BEFORE if end < 0 else end, axis, step))
    return trace.add("Slice", x, *map(Ints, zip(*found, strict=True))) if found else x


def _positions(trace, k):
    operand = trace.operand(k)
    if not isinstance(operand, str):
        operand = np.asarray(operand)
        if operand.dtype.kind == "b":
            return np.flatnonzero(operand)
        return operand.astype(np.int64)
    if k.dtype.kind == "b":
        trace.refuse("indexing with a mask that is computed")
    return operand


UNARY = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "root": "Sqrt", "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "sinh": "Sinh", "cosh": "Cosh", "floor": "Floor", "ceil": "Ceil", "round": "Round",
    "erf": "Erf", "relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus",
}  # fmt: skip
BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max",
    "minimum": "Min", "matmul": "MatMul", "bit_and": "And", "bit_or": "Or", "bit_xor": "Xor",
}  # fmt: skip
COMPARED = {
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}  # fmt: skip
RULES = {
    **{name: _single(kind) for name, kind in UNARY.items()},
    **{name: _meeting(kind) for name, kind in BINARY.items()},
    **{name: _meeting(kind, "bool") for name, kind in COMPARED.items()},
    **dict.fromkeys(("stop", "clone", "freeze_row"), _same),
    **dict.fromkeys(("clamp", "hardtanh"), _clip),
    "not_equal": _meeting("Equal", "not"),
    "log2": _scaled_log(2.0),
    "log10": _scaled_log(10.0),
    "log1p": _log1p,
    "expm1": _expm1,
    "rsqrt": _rsqrt,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "where": _where,
    "sum": _reduced("ReduceSum"),
    "amax": _reduced("ReduceMax"),
    "amin": _reduced("ReduceMin"),
    "prod": _reduced("ReduceProd"),
    "argmax": _place("ArgMax"),
    "argmin": _place("ArgMin"),
    "cumsum": _cumsum,
    "softmax": _rows("Softmax"),
    "log_softmax": _rows("LogSoftmax"),
    "linear": _linear,
    "conv2d": _conv,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "layer_norm": _layer_norm,
    "reshape": _reshape,
    "expand": _expand,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "unbind": _unbind,
    "take_along": _take_along,
    "index": _index,
    "cast": _cast,
}
