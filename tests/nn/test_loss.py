"""Losses: every option against torch and against the formula, as functions and as modules."""

import itertools

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-9}
REDUCTIONS = ["mean", "sum", "none"]
CLASSES = [
    {"weighted": w, "label_smoothing": s, "ignore_index": i, "reduction": r}
    for w, s, i, r in itertools.product(
        (False, True), (0.0, 0.1, 0.6, 1.0), (-100, 2, 77), REDUCTIONS
    )
]
LOGITS = [
    {"weight": w, "pos_weight": p, "reduction": r}
    for w, p, r in itertools.product((None, "one each", "a column"), (None, 0.4, 3.0), REDUCTIONS)
]


PAIRED = [  # losses of an input and a target alike: class, options, targets
    ("L1Loss", {}, "real"),
    ("SmoothL1Loss", {"beta": 0.3}, "real"),
    ("HuberLoss", {}, "real"),
    ("HuberLoss", {"delta": 0.4}, "real"),
    ("BCELoss", {}, "chance"),
    ("KLDivLoss", {}, "chance"),
    ("KLDivLoss", {"log_target": True}, "real"),
    ("SoftMarginLoss", {}, "sign"),
]


def options_title(options):
    return ", ".join(f"{k}={v}" for k, v in options.items())


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


def check(ours, theirs, inputs, dtype, torch):
    """The value, and the gradients for every input that is floating, are torch's."""
    xs = [mr.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    others = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    out, want = ours(*xs), theirs(*others)
    assert out.dtype == dtype and out.shape == tuple(want.shape)
    tolerance = {"rtol": TOLERANCE[out.dtype], "atol": TOLERANCE[out.dtype]}
    np.testing.assert_allclose(out.data, want.detach().numpy(), **tolerance)
    weights = np.linspace(0.5, 2.0, out.numel()).reshape(out.shape).astype(dtype)
    (out * mr.tensor(weights)).sum().backward()
    (want * torch.tensor(weights)).sum().backward()
    for x, other in zip(xs, others, strict=True):
        if x.requires_grad:
            np.testing.assert_allclose(x.grad.data, other.grad.numpy(), **tolerance)


@pytest.mark.parametrize("options", CLASSES, ids=options_title)
def test_cross_entropy_is_torchs(options, dtype, torch, rng):
    options = dict(options)
    x = (3 * rng.normal(size=(9, 4))).astype(dtype)
    target = np.array([0, 1, 2, 3, 2, 0, 2, 3, 1])
    if options["ignore_index"] == 77:
        target[[1, 8]] = 77
    weight = rng.uniform(0.3, 2, 4).astype(dtype) if options.pop("weighted") else None
    theirs = None if weight is None else torch.tensor(weight)
    for ours in (None if weight is None else mr.tensor(weight), weight):
        check(
            lambda x, y, w=ours: F.cross_entropy(x, y, w, **options),
            lambda x, y: torch.nn.functional.cross_entropy(x, y, theirs, **options),
            (x, target),
            dtype,
            torch,
        )
    check(
        nn.CrossEntropyLoss(ours, **options),
        torch.nn.CrossEntropyLoss(theirs, **options),
        (x, target),
        dtype,
        torch,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_is_its_formula(smoothing, reduction, rng):
    x, target = rng.normal(size=(6, 5)), np.array([0, 4, 9, 2, 2, 1])
    weight, kept = rng.uniform(0.5, 2, 5), target != 9
    logs = x - np.log(np.exp(x).sum(1, keepdims=True))
    aims = np.full((6, 5), smoothing / 5)
    aims[kept, target[kept]] += 1 - smoothing
    rows = -(aims * logs * weight).sum(1) * kept
    want = {"none": rows, "sum": rows.sum(), "mean": rows.sum() / weight[target[kept]].sum()}
    got = F.cross_entropy(
        mr.tensor(x), target, weight, ignore_index=9, reduction=reduction, label_smoothing=smoothing
    )
    np.testing.assert_allclose(got.data, want[reduction], rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 1, 3)], ids=str)
def test_mse_is_torchs(shape, reduction, dtype, torch, rng):
    inputs = [rng.normal(size=shape).astype(dtype) for _ in range(2)]
    for ours, theirs in (
        (nn.MSELoss(reduction), torch.nn.MSELoss(reduction=reduction)),
        (
            lambda x, y: F.mse_loss(x, y, reduction=reduction),
            lambda x, y: torch.nn.functional.mse_loss(x, y, reduction=reduction),
        ),
    ):
        check(ours, theirs, inputs, dtype, torch)
    rows = (inputs[0] - inputs[1]) ** 2
    want = {"mean": rows.mean(), "sum": rows.sum(), "none": rows}[reduction]
    got = F.mse_loss(*map(mr.tensor, inputs), reduction=reduction).data
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("options", LOGITS, ids=options_title)
def test_binary_cross_entropy_is_torchs(options, dtype, torch, rng):
    shapes = {None: None, "one each": (6, 3), "a column": (6, 1)}
    options, shape = dict(options), shapes[options["weight"]]
    x = (4 * rng.normal(size=(6, 3))).astype(dtype)
    target = rng.integers(0, 2, (6, 3)).astype(dtype)
    target[0] = 0.3  # a probability may be the target
    given = {"weight": None if shape is None else rng.uniform(0.3, 2, shape).astype(dtype)}
    p = options["pos_weight"]
    given["pos_weight"] = None if p is None else np.array([p, 1.0, 2 * p], dtype)
    ours = {k: None if v is None else mr.tensor(v) for k, v in given.items()}
    theirs = {k: None if v is None else torch.tensor(v) for k, v in given.items()}
    reduction = options["reduction"]
    check(
        nn.BCEWithLogitsLoss(**ours, reduction=reduction),
        torch.nn.BCEWithLogitsLoss(**theirs, reduction=reduction),
        (x, target),
        dtype,
        torch,
    )
    wide = {k: 1.0 if v is None else v.astype(float) for k, v in given.items()}
    log, other = -np.logaddexp(0, -x.astype(float)), -np.logaddexp(0, x.astype(float))
    rows = -(target * log * wide["pos_weight"] + (1 - target) * other) * wide["weight"]
    want = {"mean": rows.mean(), "sum": rows.sum(), "none": rows}[reduction]
    got = F.binary_cross_entropy_with_logits(
        mr.tensor(x), mr.tensor(target), **ours, reduction=reduction
    )
    np.testing.assert_allclose(got.data, want, rtol=TOLERANCE[np.dtype(dtype)])


def test_labels_of_any_integer_kind(rng):
    x = mr.tensor(rng.normal(size=(3, 4)))
    want = F.cross_entropy(x, mr.tensor([1, 0, 3])).item()
    for labels in ([1, 0, 3], (1, 0, 3), *(np.array([1, 0, 3], k) for k in ("i1", "u2", "i4"))):
        assert F.cross_entropy(x, labels).item() == want
    every_other = np.array([1, 9, 0, 9, 3, 9])[::2]
    assert F.cross_entropy(x, every_other).item() == want


def test_a_perfect_guess_costs_nothing_and_a_wrong_one_its_distance():
    x = mr.tensor(np.array([[80.0, 0.0, 0.0], [0.0, 0.0, 300.0]]))
    assert F.cross_entropy(x, [0, 2]).item() == pytest.approx(0, abs=1e-30)
    rows = F.cross_entropy(x, [1, 0], reduction="none")
    np.testing.assert_allclose(rows.data, [80, 300], rtol=1e-14)
    assert nn.CrossEntropyLoss(label_smoothing=1.0)(mr.zeros(2, 4), [0, 1]).item() == (
        pytest.approx(np.log(4), rel=1e-6)
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "options", "target"), PAIRED)
def test_a_loss_of_two_alike_is_torchs(name, options, target, reduction, dtype, torch, rng):
    y = {
        "real": lambda: rng.normal(size=(4, 3)),
        "chance": lambda: rng.uniform(0.1, 0.9, (4, 3)),
        "sign": lambda: rng.choice([-1.0, 1.0], (4, 3)),
    }[target]()
    x = rng.uniform(0.1, 0.9, (4, 3)) if name == "BCELoss" else rng.normal(size=(4, 3))
    if name == "KLDivLoss" and reduction == "mean":
        reduction = "batchmean"
    options = {**options, "reduction": reduction}
    ours, theirs = (getattr(m.nn, name)(**options) for m in (mr, torch))
    x, y = x.astype(dtype), y.astype(dtype)
    if target == "sign":  # for which torch has no gradient
        ours, theirs = (
            lambda x, loss=loss, y=y: loss(x, y)
            for loss, y in ((ours, mr.tensor(y)), (theirs, torch.tensor(y)))
        )
    check(ours, theirs, (x,) if target == "sign" else (x, y), dtype, torch)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_is_torchs(reduction, dtype, torch, rng):
    x, target = rng.normal(size=(5, 3, 2)).astype(dtype), rng.integers(0, 3, (5, 2))
    weight = rng.uniform(0.3, 2, 3).astype(dtype)
    for given in (None, weight):
        ours = nn.NLLLoss(given, ignore_index=1, reduction=reduction)
        given = None if given is None else torch.tensor(given)
        theirs = torch.nn.NLLLoss(given, ignore_index=1, reduction=reduction)
        check(ours, theirs, (x, target), dtype, torch)
