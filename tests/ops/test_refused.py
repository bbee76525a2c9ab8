"""What functions refuse, and in which words."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg.errors import DeviceError, DTypeError, ShapeError

X = mr.tensor(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
INTEGERS = mr.tensor(np.arange(12).reshape(3, 4))
NONE = mr.zeros(0, 3)
IMAGE, FILTER = mr.ones(2, 3, 5, 5), mr.ones(4, 3, 2, 2)
LABELS = [0, 3, 1]
WINDOW = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
REDUCING = ("sum", "mean", "var", "amax", "amin", "argmax", "argmin", "softmax", "squeeze")
BCE = F.binary_cross_entropy_with_logits

SHAPES = {
    "matmul: expected (..., m, k) and (..., k, n), got (3, 4), (3, 4)": lambda: X @ X,
    "matmul: batch axes (2,) and (3,) do not broadcast": (
        lambda: mr.ones(2, 3, 4) @ mr.ones(3, 4, 5)
    ),
    "matmul: expected at least one axis each, got (3, 4) and ()": lambda: X @ 2,
    "add: shapes (3, 4) and (4, 3) do not broadcast": lambda: X + X.T,
    "mul: shapes (3, 4) and (2,) do not broadcast": lambda: X * np.ones(2),
    "where: shapes (3, 4) and (3, 4) and (3,) do not broadcast": (
        lambda: mr.where(X > 0, X, X[:, 0])
    ),
    "mm: expected (m, k) and (k, p), got (3, 4) and (3, 4)": lambda: mr.mm(X, X),
    "dot: expected (k,) and (k,), got (3, 4) and (3, 4)": lambda: X.dot(X),
    "outer: expected two vectors, got (3, 4) and (4,)": lambda: mr.outer(X, X[0]),
    "einsum('ij,jk->ik'): j has length 4 and 3": lambda: mr.einsum("ij,jk->ik", X, X),
    "einsum('ij'): expected an axis for each letter of 'ij', got shape (4,)": (
        lambda: mr.einsum("ij", X[0])
    ),
    "flatten(1, 0): expected the first axis first": lambda: X.flatten(1, 0),
    "split([2, 2]): expected sizes that add up to 3": lambda: X.split([2, 2]),
    "chunk(0): expected at least 1 part": lambda: X.chunk(0),
    "repeat(2,): expected a number for each of 2 axes at least": lambda: X.repeat(2),
    "tril: expected at least two axes, got shape (4,)": lambda: X[0].tril(),
    "gather(dim=1): expected an index with 2 axes, beside dim no longer than those of (3, 4), got "
    "(2,)": lambda: X.gather(1, mr.tensor([0, 1])),
    "index_select: index: expected a vector, got shape (1, 2)": (
        lambda: X.index_select(0, mr.tensor([[0, 1]]))
    ),
    "masked_fill: value: expected one number, got shape (2,)": (
        lambda: X.masked_fill(X > 0, mr.ones(2))
    ),
    "pad((1,)): expected two numbers for some of 2 axes": lambda: F.pad(X, (1,)),
    "pad((-5, 0)): cuts off more than (3, 4) has": lambda: F.pad(X, (-5, 0)),
    "pad(mode='reflect'): expected at most 3 for 4 entries": (
        lambda: F.pad(X, (4, 0), mode="reflect")
    ),
    "topk(k=5): expected from 0 to 4, the length of axis -1": lambda: X.topk(5),
    "nll_loss: expected input (n, classes, ...) and target (n, ...), got (3, 4) and (2,)": (
        lambda: F.nll_loss(X, mr.tensor([0, 1]))
    ),
    "copy_: expected shape (3, 4), got (4,)": lambda: mr.ones(3, 4).copy_(X[0]),
    "bool: expected a single number, got shape (3, 4); use any() or all()": lambda: bool(X),
    "linear: expected x (..., 3) for weight (5, 3), got (3, 4)": (
        lambda: F.linear(X, mr.ones(5, 3))
    ),
    "linear: bias: expected shape (5,), got (1,)": (lambda: F.linear(X, mr.ones(5, 4), mr.ones(1))),
    "conv2d: expected x (n, 3, h, w) for weight (4, 3, 2, 2), got (2, 2, 5, 5)": (
        lambda: F.conv2d(IMAGE[:, :2], FILTER)
    ),
    **{
        f"{name}: expected x (n, c, h, w) or (c, h, w), got shape (5, 5)": call
        for name, call in {
            "conv2d": lambda: F.conv2d(IMAGE[0, 0], FILTER),
            "max_pool2d": lambda: F.max_pool2d(IMAGE[0, 0], 2),
            "avg_pool2d": lambda: F.avg_pool2d(IMAGE[0, 0], 2),
            "adaptive_avg_pool2d": lambda: F.adaptive_avg_pool2d(IMAGE[0, 0], 2),
        }.items()
    },
    "conv1d: expected x (n, c, length) or (c, length), got shape (2, 3, 5, 5)": (
        lambda: F.conv1d(IMAGE, mr.ones(4, 3, 2))
    ),
    "conv1d: expected x (n, 6, length) for weight (4, 3, 2), got (3, 3, 5)": (
        lambda: F.conv1d(mr.ones(3, 3, 5), mr.ones(4, 3, 2), groups=2)
    ),
    "conv1d: weight: expected 3 axes, got shape (4, 3, 2, 2)": (lambda: F.conv1d(IMAGE[0], FILTER)),
    **{
        f"{name}: expected a window that fits the input, got (2, 6) for x (2, 3, 5, 5) with {how}; "
        "use a smaller window or more padding": call
        for name, how, call in (
            ("conv2d", {**WINDOW, "groups": 1}, lambda: F.conv2d(IMAGE, mr.ones(4, 3, 2, 6))),
            ("max_pool2d", WINDOW, lambda: F.max_pool2d(IMAGE, (2, 6), 1)),
        )
    },
    "conv2d: expected x (n, 6, h, w) for weight (4, 3, 2, 2), got (2, 3, 5, 5)": (
        lambda: F.conv2d(IMAGE, FILTER, groups=2)
    ),
    "conv2d: bias: expected shape (4,), got (3,)": (lambda: F.conv2d(IMAGE, FILTER, mr.ones(3))),
    "layer_norm(normalized_shape=(4, 4)): got x of shape (3, 4), whose last axes are not that": (
        lambda: F.layer_norm(X, (4, 4))
    ),
    "layer_norm: weight: expected shape (4,), got (2, 2)": (
        lambda: F.layer_norm(X, (4,), mr.ones(2, 2))
    ),
    "layer_norm: bias: expected shape (4,), got (3,)": (
        lambda: F.layer_norm(X, (4,), None, mr.ones(3))
    ),
    "batch_norm: expected x (n, channels, ...), got (4,)": (
        lambda: F.batch_norm(mr.ones(4), None, None, training=True)
    ),
    "batch_norm: expected more than one value per channel in training, got x of shape (1, 4); "
    "use a larger batch, drop the last one, or call eval()": (
        lambda: F.batch_norm(X[:1], None, None, training=True)
    ),
    "batch_norm: weight: expected shape (4,), got (3,)": (
        lambda: F.batch_norm(X, None, None, mr.ones(3), training=True)
    ),
    "batch_norm: running_var: expected shape (4,), got (3,)": (
        lambda: F.batch_norm(X, mr.ones(4), mr.ones(3))
    ),
    "mse_loss: expected input and target of one shape, got (3, 4) and (3,); reshape the target": (
        lambda: F.mse_loss(X, X[:, 0])
    ),
    "binary_cross_entropy_with_logits: expected input and target of one shape, got (3, 1) and "
    "(3,); reshape the target": lambda: BCE(X[:, :1], X[:, 0]),
    "cross_entropy: expected input (n, classes, ...) and target (n, ...), got (3, 4) and (2,)": (
        lambda: F.cross_entropy(X, [0, 1])
    ),
    "cross_entropy: expected at least one row, got an empty batch": (
        lambda: F.cross_entropy(NONE, np.zeros(0, int))
    ),
    "cross_entropy: weight: expected shape (4,), got (5,)": (
        lambda: F.cross_entropy(X, LABELS, weight=np.ones(5))
    ),
    **{
        f"{name}: expected an axis from -2 to 1, got 2": lambda name=name: getattr(X, name)(2)
        for name in REDUCING
    },
    "sum: expected an axis from -2 to 1, got -3": lambda: X.sum((0, -3)),
    "transpose: expected an axis from -2 to 1, got 5": lambda: X.transpose(0, 5),
    "flatten: expected an axis from -2 to 1, got 2": lambda: X.flatten(0, 2),
    "mean: expected at least one entry to average, got shape (0, 3)": lambda: NONE.mean(0),
    "amax: expected at least one entry, got shape (0, 3)": lambda: NONE.amax(),
    "amin: expected at least one entry, got shape (0, 3)": lambda: NONE.amin(0),
    "argmin: expected an entry, got shape (0, 3)": lambda: NONE.argmin(),
    "permute(0, 0): expected each of 2 axes once": lambda: X.permute(0, 0),
    "t: expected a matrix, got shape (2, 3, 5, 5); use transpose": lambda: IMAGE.t(),
    "unsqueeze: expected a position from -3 to 2, got 3": lambda: X.unsqueeze(3),
    **{
        f"reshape{n}: 12 entries of shape (3, 4) do not fit": lambda n=n: X.reshape(*n)
        for n in [(5, 2), (-1, 5), (-1, -1), (-2, 6), (0, -1)]
    },
    **{
        f"expand{n}: shape (3, 4) does not broadcast to it": lambda n=n: X.expand(*n)
        for n in [(3, 5), (4,), (-1, 3, 4), (3, 0)]
    },
    "cat: expected at least one tensor": lambda: mr.cat([]),
    "cat(dim=0): shapes (3, 4) and (4, 3) differ elsewhere": lambda: mr.cat([X, X.T]),
    "cat(dim=-3): shape (3, 4) has no such axis": lambda: mr.cat([X, X], -3),
    "stack: expected one shape, got (3, 4) and (4, 3)": lambda: mr.stack([X, X.T], 1),
}
DTYPES = {
    **{
        f"{name}: expected inputs of float32 or float64, got int64; use .float()": call
        for name, call in {
            "linear": lambda: F.linear(INTEGERS, mr.ones(5, 4)),
            "conv2d": lambda: F.conv2d(IMAGE.long(), FILTER),
            "max_pool2d": lambda: F.max_pool2d(IMAGE.long(), 2),
            "layer_norm": lambda: F.layer_norm(INTEGERS, (4,)),
            "batch_norm": lambda: F.batch_norm(INTEGERS, None, None, training=True),
            "dropout": lambda: F.dropout(INTEGERS),
            "cross_entropy": lambda: F.cross_entropy(INTEGERS, LABELS),
        }.items()
    },
    "cross_entropy: expected integer labels, got float32": (
        lambda: F.cross_entropy(X, [0.0, 1.0, 2.0])
    ),
    "floor_divide: expected integers or floating numbers, got bool": lambda: (X > 0) // (X > 1),
    "bit_and: expected bools or integers, got float32": lambda: X & X,
    "bit_xor: expected bools or integers, got float32": lambda: ~X,
    "gather: index: expected integers, got float32": lambda: X.gather(1, X),
    "one_hot: expected integers, got float32": lambda: F.one_hot(X),
    "nll_loss: expected integer labels, got float32": lambda: F.nll_loss(X, X[:, 0]),
    "add_: a result of float32 does not fit int64": lambda: mr.arange(3).add_(0.5),
    "where: expected a bool condition, got int64": lambda: mr.where(INTEGERS, X, 0.0),
    "to: expected float32, float64, int64 or bool, got float16": lambda: X.to(np.float16),
}
VALUES = {
    "conv2d(stride=0): expected one or two integers of at least 1": (
        lambda: F.conv2d(IMAGE, FILTER, stride=0)
    ),
    "conv2d(padding=(1, -1)): expected one or two integers of at least 0": (
        lambda: F.conv2d(IMAGE, FILTER, padding=(1, -1))
    ),
    "conv2d(dilation=(1, 2, 3)): expected one or two integers of at least 1": (
        lambda: F.conv2d(IMAGE, FILTER, dilation=(1, 2, 3))
    ),
    **{
        f"conv2d(groups={groups}): expected a divisor of the 4 channels": (
            lambda groups=groups: F.conv2d(IMAGE, FILTER, groups=groups)
        )
        for groups in (0, -2, 3, 1.0)
    },
    "max_pool2d(kernel_size=1.5): expected one or two integers of at least 1": (
        lambda: F.max_pool2d(IMAGE, 1.5)
    ),
    "max_pool2d(kernel_size=(3, 3), padding=(1, 2)): expected a padding of at most half the "
    "window": lambda: F.max_pool2d(IMAGE, 3, padding=(1, 2)),
    "batch_norm: expected both running_mean and running_var, or neither": (
        lambda: F.batch_norm(X, mr.ones(4), None)
    ),
    "batch_norm: expected running statistics when not training": (
        lambda: F.batch_norm(X, None, None)
    ),
    "batch_norm(momentum=None): expected a number": (
        lambda: F.batch_norm(X, mr.zeros(4), mr.ones(4), training=True, momentum=None)
    ),
    "dropout(p=1.5): expected a probability from 0 to 1": lambda: F.dropout(X, 1.5),
    "dropout(p=-0.1): expected a probability from 0 to 1": lambda: F.dropout(X, -0.1),
    "mse_loss(reduction='median'): expected 'mean', 'sum' or 'none'": (
        lambda: F.mse_loss(X, X, reduction="median")
    ),
    "binary_cross_entropy_with_logits(reduction=None): expected 'mean', 'sum' or 'none'": (
        lambda: BCE(X, X, reduction=None)
    ),
    "cross_entropy(reduction='median'): expected 'mean', 'sum' or 'none'": (
        lambda: F.cross_entropy(X, LABELS, reduction="median")
    ),
    "cross_entropy: expected labels from 0 to 3, got 4 in row 2": (
        lambda: F.cross_entropy(X, [0, 3, 4])
    ),
    "cross_entropy: expected labels from 0 to 3, got -1 in row 1": (
        lambda: F.cross_entropy(X, [-100, -1, 2])
    ),
    "cross_entropy(label_smoothing=1.5): expected 0 to 1": (
        lambda: F.cross_entropy(X, LABELS, label_smoothing=1.5)
    ),
    "div(rounding_mode='up'): expected 'floor' or 'trunc'": lambda: X.div(X, rounding_mode="up"),
    "hardtanh(1.0, -1.0): expected min_val below max_val": lambda: F.hardtanh(X, 1.0, -1.0),
    "celu(alpha=0.0): expected a number above 0": lambda: F.celu(X, 0.0),
    "huber_loss(delta=0.0): expected a number above 0": lambda: F.huber_loss(X, X, delta=0.0),
    "smooth_l1_loss(beta=-1.0): expected a number of at least 0": (
        lambda: F.smooth_l1_loss(X, X, beta=-1.0)
    ),
    "binary_cross_entropy: input: expected probabilities from 0 to 1, got 1.5": (
        lambda: F.binary_cross_entropy(mr.tensor([1.5]), mr.ones(1))
    ),
    "one_hot(num_classes=2): expected classes from 0 to 1, got 2": (
        lambda: F.one_hot(mr.arange(3), 2)
    ),
    "adaptive_avg_pool2d((2, 3, 4)): expected one or two sizes": (
        lambda: F.adaptive_avg_pool2d(IMAGE, (2, 3, 4))
    ),
    "avg_pool2d(divisor_override=0): expected another number": (
        lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0)
    ),
    "conv2d(padding='same', stride=(2, 2)): expected numbers, 'valid', or 'same' with a stride of "
    "1": lambda: F.conv2d(IMAGE, FILTER, stride=2, padding="same"),
    "Conv2d(3, 4, groups=2): expected channels that the groups divide evenly": (
        lambda: mr.nn.Conv2d(3, 4, 2, groups=2)
    ),
    "Conv1d(padding_mode='mirror'): expected 'zeros' or one of reflect, replicate, circular": (
        lambda: mr.nn.Conv1d(3, 4, 2, padding_mode="mirror")
    ),
    "gelu(approximate='erf'): expected 'none' or 'tanh'": lambda: F.gelu(X, "erf"),
    "clamp: expected min, max or both": lambda: X.clamp(),
}
TYPES = {
    **{
        f"{name}: input: expected a Tensor, got ndarray; wrap it in mr.tensor(...)": (
            lambda name=name: getattr(F, name)(np.ones(3))
        )
        for name in ("relu", "tanh", "sigmoid", "softplus", "gelu", "dropout")
    },
    "clamp: max: expected a number or a tensor, got ndarray": lambda: X.clamp(max=X.data),
}
DEVICES = {
    "device 'cuda:1': expected 'cpu' or 'cuda'; one GPU is used, the first": lambda: X.to("cuda:1")
}
REFUSED = [
    (error, text, call)
    for error, calls in (
        (ShapeError, SHAPES),
        (DTypeError, DTYPES),
        (ValueError, VALUES),
        (TypeError, TYPES),
        (DeviceError, DEVICES),
    )
    for text, call in calls.items()
]


@pytest.mark.parametrize(("error", "text", "call"), REFUSED, ids=[text for _, text, _ in REFUSED])
def test_the_error_says_what_was_expected(error, text, call):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == text


@pytest.mark.parametrize("name", ["amax", "amin", "sum", "softmax", "log_softmax"])
def test_no_rows_have_no_largest_entry_and_need_none(name, torch):
    """What is refused is an entry of nothing, not a result without entries."""
    for x in (NONE, mr.zeros(2, 0, 4)):
        got = getattr(x, name)(2 if x.ndim == 3 else 1)
        assert got.shape == tuple(getattr(torch.zeros(x.shape), name)(x.ndim - 1).shape)


@pytest.mark.parametrize("other", [None, {}, object()])
def test_operators_leave_what_they_do_not_know_to_others(other):
    for operate in (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a**b,
    ):
        for a, b in ((X, other), (other, X)):
            with pytest.raises(TypeError, match="unsupported operand"):
                operate(a, b)


def test_a_refused_batch_changes_no_running_statistics():
    mean, var = mr.zeros(4), mr.ones(4)
    for x, weight in ((X[:1], None), (X, mr.ones(3)), (INTEGERS, None)):
        with pytest.raises((ShapeError, DTypeError)):
            F.batch_norm(x, mean, var, weight, training=True)
    assert (mean.data == 0).all() and (var.data == 1).all()
