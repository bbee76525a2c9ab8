"""Named functions on tensors, with PyTorch's names, argument order and defaults.

`import microreg.nn.functional as F` gives these too.
"""

import numpy as np

from .errors import DTypeError, ShapeError
from .kernels.random import counters
from .ops import activation, arithmetic, conv, loss, normalization, shape
from .ops import dropout as dropout_ops
from .ops import linear as products
from .random import take
from .tensor import Tensor


def _tensor(x, who, name="input"):
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{who}: {name}: expected a Tensor, got {type(x).__name__}; wrap it in mr.tensor(...)"
        )
    return x


def _alike(who, *inputs):
    """The inputs, floating ones, in one dtype: the widest of theirs."""
    dtype = inputs[0].dtype
    if dtype.kind == "f" and all(x.dtype == dtype for x in inputs):
        return inputs
    for x in inputs:
        if x.dtype.kind != "f":
            raise DTypeError(
                f"{who}: expected inputs of float32 or float64, got {x.dtype}; use .float()"
            )
    dtype = np.result_type(*(x.dtype for x in inputs))
    return tuple((x if isinstance(x, Tensor) else Tensor(x)).to(dtype) for x in inputs)


def _shaped(who, shape, **inputs):
    """Raise unless each input that is given has the shape."""
    for name, x in inputs.items():
        if x is not None and x.shape != shape:
            raise ShapeError(f"{who}: {name}: expected shape {shape}, got {x.shape}")


def linear(input, weight, bias=None):
    """y[..., o] = sum_i input[..., i] * weight[o, i] + bias[o]."""
    if input.ndim == 1:
        return linear(input[None], weight, bias)[0]
    if bias is None:
        return Tensor.record(products.linear, _alike("linear", input, weight), {})
    _shaped("linear", weight.shape[:1], bias=bias)
    return Tensor.record(products.linear, _alike("linear", input, weight, bias), {})


def relu(input):
    """max(x, 0). The gradient at 0 is 0."""
    return Tensor.record(activation.relu, (_tensor(input, "relu"),), {})


def tanh(input):
    """The hyperbolic tangent."""
    return Tensor.record(activation.tanh, (_tensor(input, "tanh"),), {})


def sigmoid(input):
    """1 / (1 + exp(-x))."""
    return Tensor.record(activation.sigmoid, (_tensor(input, "sigmoid"),), {})


def softplus(input):
    """log(1 + exp(x))."""
    x = _tensor(input, "softplus")
    return Tensor.record(activation.softplus, (x if x.dtype.kind == "f" else x.float(),), {})


def gelu(input, approximate="none"):
    """x * Phi(x), Phi the normal distribution function; "tanh" uses its tanh approximation.

    tanh form: x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).

    References
    ----------
    Hendrycks, Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.
    """
    x = _tensor(input, "gelu")
    x = x if x.dtype.kind == "f" else x.float()
    if approximate == "none":
        return Tensor.record(activation.gelu, (x,), {})
    if approximate != "tanh":
        raise ValueError(f"gelu(approximate={approximate!r}): expected 'none' or 'tanh'")
    inner = (x + x * x * x * 0.044715) * 0.7978845608028654
    return x * 0.5 * (inner.tanh() + 1.0)


def softmax(input, dim):
    """exp(x) / sum(exp(x)) along `dim`."""
    return input.softmax(dim)


def log_softmax(input, dim):
    """x - log(sum(exp(x))) along `dim`."""
    return input.log_softmax(dim)


def maximum(input, other):
    """The larger of the two, entry by entry; at a tie each gets half of the gradient."""
    return Tensor.record(arithmetic.maximum, (input, other), {})


def minimum(input, other):
    """The smaller of the two, entry by entry; at a tie each gets half of the gradient."""
    return Tensor.record(arithmetic.minimum, (input, other), {})


def where(condition, input, other):
    """`input` where the condition holds, `other` elsewhere."""
    mask = condition.data if isinstance(condition, Tensor) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise DTypeError(f"where: expected a bool condition, got {mask.dtype}")
    return Tensor.record(arithmetic.where, (condition, input, other), {})


def cat(tensors, dim=0):
    """Join tensors along an existing axis."""
    tensors = list(tensors)
    if not tensors:
        raise ShapeError("cat: expected at least one tensor")
    first = tensors[0].shape
    if not -len(first) <= dim < len(first):
        raise ShapeError(f"cat(dim={dim}): shape {first} has no such axis")
    axis = dim % len(first)
    for x in tensors:
        same = len(x.shape) == len(first) and all(
            n == m for i, (n, m) in enumerate(zip(x.shape, first, strict=True)) if i != axis
        )
        if not same:
            raise ShapeError(f"cat(dim={dim}): shapes {first} and {x.shape} differ elsewhere")
    return Tensor.record(shape.concatenate, tuple(tensors), {"axis": axis})


def stack(tensors, dim=0):
    """Join tensors of one shape along a new axis."""
    return cat([x.unsqueeze(dim) for x in tensors], dim)


def dropout(input, p=0.5, training=True):
    """In training each entry is 0 with probability p, else divided by 1 - p; identity otherwise.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014), section 10.
    """
    x = _tensor(input, "dropout")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout(p={p}): expected a probability from 0 to 1")
    if not training or p == 0.0:
        return x
    attrs = {"shape": x.shape, "p": float(p), "state": take(counters(x.data.size))}
    mask = Tensor.record(dropout_ops.keep_mask, (), attrs)
    (x,) = _alike("dropout", x)
    return Tensor.record(dropout_ops.apply_mask, (x, mask), {"p": float(p)})


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and biased var over the trailing axes.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450.
    """
    x, trailing = _tensor(input, "layer_norm"), tuple(normalized_shape)
    if not trailing or x.shape[-len(trailing) :] != trailing:
        raise ShapeError(
            f"layer_norm(normalized_shape={trailing}): got x of shape {x.shape}, whose last axes "
            "are not that"
        )
    _shaped("layer_norm", trailing, weight=weight, bias=bias)
    weight = np.ones(trailing, x.dtype) if weight is None else weight
    bias = np.zeros(trailing, x.dtype) if bias is None else bias
    inputs = _alike("layer_norm", x, weight, bias)
    return Tensor.record(normalization.layer_norm, inputs, {"eps": float(eps)})


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """(x - mean) / sqrt(var + eps) * weight + bias per channel (axis 1).

    In training, mean and biased var are the batch's, and the running ones move towards it:
    running = (1 - momentum) * running + momentum * batch, with the unbiased batch variance.
    Otherwise the running ones are used.

    References
    ----------
    Ioffe, Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2.
    """
    x = _tensor(input, "batch_norm")
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: expected x (n, channels, ...), got {x.shape}")
    channels = x.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var}
    _shaped("batch_norm", (channels,), weight=weight, bias=bias, **given)
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: expected both running_mean and running_var, or neither")
    weight = np.ones(channels, x.dtype) if weight is None else weight
    bias = np.zeros(channels, x.dtype) if bias is None else bias
    if training:
        return batch_statistics_norm(
            x, running_mean, running_var, weight, bias, momentum, eps, "batch_norm"
        )
    if running_mean is None:
        raise ValueError("batch_norm: expected running statistics when not training")
    along = (1, -1) + (1,) * (x.ndim - 2)
    scale = weight / (running_var + float(eps)).sqrt()
    shift = bias - scale * running_mean
    return x * scale.reshape(along) + shift.reshape(along)


def batch_statistics_norm(
    x, running_mean, running_var, weight, bias, momentum, eps, who, tracked=None
):
    """batch_norm in training; `tracked` counts the batches, and momentum None averages them."""
    if x.data.size <= x.shape[1]:
        raise ShapeError(
            f"{who}: expected more than one value per channel in training, got x of shape "
            f"{x.shape}; use a larger batch, drop the last one, or call eval()"
        )
    if momentum is None and tracked is None and running_mean is not None:
        raise ValueError(f"{who}(momentum=None): expected a number")
    weight = np.ones(x.shape[1], x.dtype) if weight is None else weight
    bias = np.zeros(x.shape[1], x.dtype) if bias is None else bias
    attrs = {"eps": float(eps), "momentum": None if momentum is None else float(momentum)}
    for name, held in (
        ("running_mean", running_mean), ("running_var", running_var), ("tracked", tracked)
    ):  # fmt: skip
        attrs[name] = None if held is None else held.data
    return Tensor.record(normalization.batch_norm, _alike("batch_norm", x, weight, bias), attrs)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of x (n, c, h, w) with weight (o, c, kh, kw).

    out[n, o, i, j] = bias[o] + sum_{c, u, v} weight[o, c, u, v] *
                      x[n, c, i*stride + u*dilation - padding, j*stride + v*dilation - padding]
    with zeros outside x.
    """
    attrs = {
        "stride": _pair(stride, "conv2d", "stride", 1),
        "padding": _pair(padding, "conv2d", "padding", 0),
        "dilation": _pair(dilation, "conv2d", "dilation", 1),
        "groups": groups,
    }
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(
            f"conv2d(groups={groups!r}): expected a divisor of the {weight.shape[0]} channels"
        )
    _shaped("conv2d", weight.shape[:1], bias=bias)
    inputs = (input, weight) if bias is None else (input, weight, bias)
    return Tensor.record(conv.conv2d, _alike("conv2d", *inputs), attrs)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1):
    """The largest entry under each window; stride defaults to kernel_size."""
    kernel = _pair(kernel_size, "max_pool2d", "kernel_size", 1)
    padding = _pair(padding, "max_pool2d", "padding", 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(
            f"max_pool2d(kernel_size={kernel}, padding={padding}): expected a padding of at most "
            "half the window"
        )
    attrs = {
        "kernel": kernel,
        "stride": kernel if stride is None else _pair(stride, "max_pool2d", "stride", 1),
        "padding": padding,
        "dilation": _pair(dilation, "max_pool2d", "dilation", 1),
    }
    x = _tensor(input, "max_pool2d")
    return Tensor.record(conv.max_pool2d, _alike("max_pool2d", x), attrs)


def _pair(value, who, name, least):
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(v, (int, np.integer)) and v >= least for v in pair):
        raise ValueError(f"{who}({name}={value}): expected one or two integers of at least {least}")
    return tuple(int(v) for v in pair)


def mse_loss(input, target, reduction="mean"):
    """(x - y)^2, averaged ("mean"), added up ("sum") or as it is ("none")."""
    _same_shape(input, target, "mse_loss")
    difference = input - target
    return _reduce(difference * difference, reduction, "mse_loss")


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """-(y log s(x) pos_weight + (1 - y) log(1 - s(x))), s the sigmoid, without overflow."""
    who = "binary_cross_entropy_with_logits"
    _same_shape(input, target, who)
    positive = 1.0 if pos_weight is None else pos_weight
    out = (1.0 - target) * softplus(input) + target * softplus(-input) * positive
    return _reduce(out if weight is None else out * weight, reduction, who)


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """The loss -log softmax(input)[target] of class indices, input (n, k), target (n,) int64.

    With label_smoothing = s the target distribution is 1 - s at the label plus s/k everywhere. With
    `weight` (k,) each row counts by its label's weight and "mean" divides by the weights' sum.
    Rows whose target is `ignore_index` do not count.

    Raises
    ------
    ShapeError
        If input is not (n, k) or target not (n,).
    ValueError
        If a label is not one of the k classes.
    """
    who = "cross_entropy"
    logits, labels = _tensor(input, who), _labels(input, target, ignore_index)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy(label_smoothing={label_smoothing}): expected 0 to 1")
    (logits,), k = _alike("cross_entropy", logits), logits.shape[1]
    attrs = {"labels": labels, "ignore_index": int(ignore_index)}
    if weight is None and not label_smoothing:
        if reduction == "mean":
            return Tensor.record(loss.cross_entropy_mean, (logits,), attrs)
        return _reduce(Tensor.record(loss.cross_entropy, (logits,), attrs), reduction, who)
    valid = Tensor(labels) != ignore_index
    logits = where(valid.unsqueeze(1), logits, 0.0)  # NaN in a row that does not count stays there
    rows = Tensor.record(loss.cross_entropy, (logits,), attrs)
    classes = Tensor(np.ones(k, logits.dtype)) if weight is None else weight
    _shaped("cross_entropy", (k,), weight=classes)
    classes = (classes if isinstance(classes, Tensor) else Tensor(classes)).to(logits.dtype)
    counts = classes[where(valid, Tensor(labels), 0)] * valid
    rows = rows * counts
    if label_smoothing:
        even = -(logits.log_softmax(1) * (classes / k)).sum(1) * valid
        rows = rows * (1.0 - label_smoothing) + even * label_smoothing
    return rows.sum() / counts.sum() if reduction == "mean" else _reduce(rows, reduction, who)


def as_numbers(x):
    """The array of a tensor or array_like, outside the graph."""
    return x.data if isinstance(x, Tensor) else np.asarray(x)


def _labels(input, target, ignore_index):
    labels = as_numbers(target)
    if input.ndim != 2 or labels.shape != input.shape[:1]:
        raise ShapeError(
            f"cross_entropy: expected input (n, classes) and target (n,), got {input.shape} and "
            f"{labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: expected integer labels, got {labels.dtype}")
    if not len(labels):
        raise ShapeError("cross_entropy: expected at least one row, got an empty batch")
    if labels.__class__ is not np.ndarray:
        return labels  # not known here: a label that is no class makes the loss NaN
    wrong = (labels < 0) | (labels >= input.shape[1])
    wrong &= labels != ignore_index
    if wrong.any():
        raise ValueError(
            f"cross_entropy: expected labels from 0 to {input.shape[1] - 1}, got "
            f"{labels[wrong][0]} in row {int(np.argmax(wrong))}"
        )
    return np.ascontiguousarray(labels, np.int64)


def _same_shape(input, target, who):
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(
            f"{who}: expected input and target of one shape, got {tuple(input.shape)} and "
            f"{tuple(target.shape)}; reshape the target"
        )


def _reduce(x, reduction, who):
    if reduction == "mean":
        return x.mean()
    if reduction == "sum":
        return x.sum()
    if reduction == "none":
        return x
    raise ValueError(f"{who}(reduction={reduction!r}): expected 'mean', 'sum' or 'none'")
