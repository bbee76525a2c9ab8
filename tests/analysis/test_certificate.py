"""certificate and polish: residuals, margins and gaps against definitions and other libraries."""

import itertools
import sys

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis import dual
from microreg.penalties import (
    L1,
    L2,
    MCP,
    Box,
    ElasticNet,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Simplex,
    SparseGroupLasso,
    SpectralNorm,
    TotalVariation,
    WeightDecay,
)

EXACT = {"tol": 1e-11, "steps": 100_000}


def standardized(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.fixture(scope="module")
def diabetes():
    X, y = pytest.importorskip("sklearn.datasets").load_diabetes(return_X_y=True)
    return standardized(X), standardized(y[:, None])


@pytest.fixture(scope="module")
def wine():
    X, y = pytest.importorskip("sklearn.datasets").load_wine(return_X_y=True)
    return standardized(X), y.astype(np.int64)


def linear(inputs, outputs, penalty, bias=True):
    return mr.attach(nn.Linear(inputs, outputs, bias=bias, dtype=np.float64), {"weight": penalty})


def regression(rng, n=50, d=6, k=3):
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.2)
    truth = np.where(rng.random((k, d)) < 0.5, 0, rng.normal(size=(k, d)))
    return X, X @ truth.T + 0.4 * rng.normal(size=(n, k)) + 0.7


# other libraries: the same objective and the same zeros


def half_squares(X, y, w, b):
    """The data term of scikit-learn, skglm and glmnet, half of mse_loss: strengths are halved."""
    return np.square(X @ w + b - y).mean() / 2


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.7, 0.2])
def test_lasso_and_elastic_net_are_scikit_learns(alpha, l1_ratio, diabetes):
    models = pytest.importorskip("sklearn.linear_model")
    X, y = diabetes
    theirs = models.ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-14, max_iter=1_000_000)
    theirs.fit(X, y[:, 0])
    model = linear(10, 1, ElasticNet(2 * alpha, l1_ratio))
    found = mr.polish(model, (X, y), F.mse_loss, **EXACT)
    w = theirs.coef_
    penalty = alpha * (l1_ratio * np.abs(w).sum() + (1 - l1_ratio) / 2 * np.square(w).sum())
    want = half_squares(X, y[:, 0], w, theirs.intercept_) + penalty
    assert found.objective / 2 == pytest.approx(want, abs=1e-9)
    np.testing.assert_array_equal(model.weight.data[0] == 0, w == 0)
    assert 0 <= found.gap < 1e-9 and found.residual < 1e-9


@pytest.mark.long  # compiles theirs
@pytest.mark.parametrize("alpha", [0.03, 0.1, 0.3])
def test_the_lasso_is_skglms(alpha, diabetes):
    skglm = pytest.importorskip("skglm")
    X, y = diabetes
    theirs = skglm.Lasso(alpha=alpha, tol=1e-12, fit_intercept=False).fit(X, y[:, 0])
    model = linear(10, 1, L1(2 * alpha), bias=False)
    found = mr.polish(model, (X, y), F.mse_loss, **EXACT)
    want = half_squares(X, y[:, 0], theirs.coef_, 0.0) + alpha * np.abs(theirs.coef_).sum()
    assert found.objective / 2 == pytest.approx(want, abs=1e-9)
    np.testing.assert_array_equal(model.weight.data[0] == 0, theirs.coef_ == 0)


@pytest.mark.long  # compiles theirs
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.15])
def test_the_group_lasso_is_skglms(alpha, diabetes):
    skglm = pytest.importorskip("skglm")
    X, y = diabetes
    labels = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3, 3])
    groups = [np.flatnonzero(labels == g).tolist() for g in range(4)]
    weights = np.sqrt([len(g) for g in groups])
    theirs = skglm.GroupLasso(
        groups, alpha, weights=weights, fit_intercept=False, tol=1e-12, max_iter=1000
    ).fit(X, y[:, 0])
    model = linear(10, 1, GroupLasso(2 * alpha, groups=labels[None]), bias=False)
    found = mr.polish(model, (X, y), F.mse_loss, **EXACT)
    norms = np.array([np.linalg.norm(theirs.coef_[g]) for g in groups])
    want = half_squares(X, y[:, 0], theirs.coef_, 0.0) + alpha * (weights * norms).sum()
    assert found.objective / 2 == pytest.approx(want, abs=1e-9)
    np.testing.assert_array_equal(model.weight.data[0] == 0, theirs.coef_ == 0)
    assert 0 <= found.gap < 1e-9


@pytest.mark.parametrize("lam", [0.01, 0.05, 0.2])
def test_multinomial_logistic_regression_with_l1_is_scikit_learns(lam, wine):
    models = pytest.importorskip("sklearn.linear_model")
    X, y = wine
    theirs = models.LogisticRegression(
        l1_ratio=1.0, C=1 / (len(X) * lam), solver="saga", tol=1e-13, max_iter=100_000
    ).fit(X, y)
    model = linear(13, 3, L1(lam))
    found = mr.polish(model, (X, y), **EXACT)
    z = X @ theirs.coef_.T + theirs.intercept_
    loss = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    assert found.objective == pytest.approx(
        loss.mean() + lam * np.abs(theirs.coef_).sum(), abs=1e-9
    )
    np.testing.assert_array_equal(model.weight.data == 0, theirs.coef_ == 0)
    assert 0 <= found.gap < 1e-9 and found.residual < 1e-9


GLMNET = [  # python-glmnet 2.6.1, standardize=False, tol=1e-16: lambda, alpha, objective, support
    (0.1, 1.0, 0.3374150037678805, "0011001010"),
    (0.02, 1.0, 0.2667209554760762, "0111101011"),
    (0.1, 0.7, 0.31727624463555215, "0111001010"),
    (0.02, 0.7, 0.2606596136475551, "0111101011"),
]
GLMNET_OF_CLASSES = [
    (0.05, 0.4624264319037913, "0001001000011 1010000001001 0000001000110"),
    (0.01, 0.16658447933976206, "0001000000011 1110000101101 0000001000110"),
]


def support(w):
    return " ".join("".join("01"[int(x)] for x in row != 0) for row in w)


@pytest.mark.parametrize(("lam", "alpha", "objective", "want"), GLMNET)
def test_lasso_and_elastic_net_are_glmnets(lam, alpha, objective, want, diabetes):
    model = linear(10, 1, ElasticNet(2 * lam, alpha))
    found = mr.polish(model, diabetes, F.mse_loss, **EXACT)
    assert found.objective / 2 == pytest.approx(objective, abs=1e-9)
    assert support(model.weight.data) == want


@pytest.mark.parametrize(("lam", "objective", "want"), GLMNET_OF_CLASSES)
def test_multinomial_logistic_regression_with_l1_is_glmnets(lam, objective, want, wine):
    model = linear(13, 3, L1(lam))
    found = mr.polish(model, wine, **EXACT)
    assert found.objective == pytest.approx(objective, abs=1e-9)
    assert support(model.weight.data) == want


# the gap


PENALTIES = [
    *(L1(0.2), GroupLasso(0.1), SparseGroupLasso(0.2, 0.4), NuclearNorm(0.3)),
    *(L2(0.2), ElasticNet(0.3, 0.6), [L2(0.1), MaxNorm(0.9)], [L2(0.1), TotalVariation(0.2)]),
    *([L1(0.1), NonNegative()], [L1(0.1), L2(0.1), GroupLasso(0.1, "in")], [L2(0.2), Box(-1, 1)]),
    *(L1Ball(0.8), L1Ball(0.9, groups="out"), L2Ball(0.7), MaxNorm(0.4), Simplex(1.3, groups="in")),
    *(SpectralNorm(0.6), Box(-0.3, 0.4)),
]
TASKS = {
    F.mse_loss: lambda y: y,
    F.binary_cross_entropy_with_logits: lambda y: (y > 0.5).astype(float),
    F.cross_entropy: lambda y: y.argmax(axis=1),
}


@pytest.mark.parametrize(
    ("loss", "bias"), [*((loss, True) for loss in TASKS), (F.mse_loss, False)], ids=str
)
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_the_objective_is_never_further_from_the_least_than_the_gap(penalty, loss, bias, rng):
    X, Y = regression(rng)
    data = X, TASKS[loss](Y)
    model = linear(6, 3, penalty, bias)
    least = mr.polish(model, data, loss, tol=1e-9, steps=20_000)
    if least.residual < 1e-7:
        assert least.gap < 1e-7
    w, offset = model.weight.data.copy(), None if model.bias is None else model.bias.data.copy()
    for size in (1e-4, 0.03, 1.0):
        moved = w + size * rng.normal(size=w.shape) * (rng.random(w.shape) < 0.5)
        model.weight.data[...] = mr.penalties.combine.prox(penalty, moved, 1e-3)
        if bias:
            model.bias.data[...] = offset + size * rng.normal(size=3)
        found = mr.certificate(model, data, loss)
        assert found.gap >= found.objective - least.objective - 1e-12
        assert found.gap < 100 * size or size == 1.0


@pytest.mark.parametrize("size", [0.01, 1.0, 20.0])
def test_what_the_dual_is_measured_at_lies_in_its_domain(size, rng):
    z = size * rng.normal(size=(40, 3)) + np.array([size, 0.0, -size])  # the biases are off
    for name, y in [
        ("cross_entropy", rng.integers(0, 3, 40)),
        ("binary_cross_entropy_with_logits", rng.integers(0, 2, (40, 3)).astype(float)),
    ]:
        p, _, targets = dual.LOSSES[name](z, y)
        moved = dual._centred(p, targets, name)
        assert moved.min() >= -1e-15 and moved.max() <= 1 + 1e-15
        np.testing.assert_allclose((moved - targets).sum(axis=0), 0, atol=1e-12)
        if name == "cross_entropy":
            np.testing.assert_allclose(moved.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "loss", "why"),
    [
        (
            nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3)),
            F.mse_loss,
            "the model is not one Linear",
        ),
        (linear(6, 3, L1(0.1)), lambda z, y: (z - y).abs().mean(), "of <lambda> is not known"),
        (linear(6, 3, L1(0.1)), nn.CrossEntropyLoss(label_smoothing=0.1), "of CrossEntropyLoss"),
        (nn.Linear(6, 3), F.mse_loss, "the weight has no penalty"),
        (linear(6, 3, MCP(0.1)), F.mse_loss, "the conjugate of MCP is not known"),
        (linear(6, 3, WeightDecay(0.1)), F.mse_loss, "the conjugate of WeightDecay"),
        (linear(6, 3, TotalVariation(0.1)), F.mse_loss, "the conjugate of TotalVariation"),
        (linear(6, 3, [L1(0.1), MaxNorm(0.1)]), F.mse_loss, "the conjugate of L1 + MaxNorm"),
        (linear(6, 3, Box(-1.0, np.inf)), F.mse_loss, "the conjugate of Box"),
        (mr.attach(nn.Linear(6, 3), {"bias": L1(0.1)}), F.mse_loss, "the bias is penalised"),
    ],
)
def test_without_a_known_dual_the_certificate_says_why(model, loss, why, rng):
    X, Y = regression(rng)
    if isinstance(loss, nn.CrossEntropyLoss):
        Y = Y.argmax(axis=1)
    found = mr.certificate(model, (X, Y), loss)
    assert found.gap is None and why in found.why and f"no duality gap: {found.why}" in str(found)


# residuals and margins


def test_the_parts_by_hand(rng):
    X, Y = regression(rng, d=4, k=2)
    model = linear(4, 2, [L1(0.3), L2(0.2)])
    w = np.array([[0.5, 0.0, -0.2, 0.0], [0.0, 0.0, 1.3, 0.4]])
    model.weight.data[...] = w
    found = mr.certificate(model, (X, Y), F.mse_loss)
    off = X @ w.T + model.bias.data - Y
    slope = off.T @ X / len(X)
    weight, bias = found.parts["weight"], found.parts["bias"]
    balance = np.abs(slope + 0.3 * np.sign(w) + 0.4 * w)
    want = np.where(w == 0, np.maximum(np.abs(slope) - 0.3, 0), balance)
    np.testing.assert_allclose(weight.distance, want, atol=1e-14)
    inside = np.where(w == 0, np.maximum(0.3 - np.abs(slope), 0), 0)
    np.testing.assert_allclose(weight.slack, inside, atol=1e-14)
    np.testing.assert_allclose(bias.distance, np.abs(off.mean(axis=0)), atol=1e-14)
    assert weight.zeros == 4 and bias.penalty == "-" and np.isnan(bias.margin)
    assert weight.margin == pytest.approx(inside[inside > 0].min(), rel=1e-12)
    assert weight.residual == weight.distance.max() > bias.residual == bias.distance.max()
    assert found.residual == max(weight.residual, bias.residual)
    assert found.loss == pytest.approx(np.square(off).mean(), rel=1e-14)
    assert found.penalty == pytest.approx(0.3 * np.abs(w).sum() + 0.2 * np.square(w).sum())
    table = str(found).split("\n")
    assert table[2].split() == [
        "parameter",
        "penalty",
        "zeros",
        "residual",
        "zeros",
        "inside",
        "by",
    ]
    assert table[3].split()[:6] == ["weight", "L1", "+", "L2", "4", "of"]


def network(dtype=np.float64):
    mr.manual_seed(4)
    model = nn.Sequential(
        nn.BatchNorm1d(6), nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3)
    )
    model[0].requires_grad_(False)
    return mr.attach(model.to(dtype), {"1.weight": GroupLasso(0.02, "in"), "4.weight": L1(0.01)})


def test_batches_do_not_matter_and_nothing_is_changed(rng, monkeypatch):
    X, Y = regression(rng)
    model = network(np.float32)
    model.train()
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    whole = mr.certificate(model, (X, Y), F.mse_loss)
    monkeypatch.setattr(sys.modules["microreg.analysis.certificate"], "ROWS", 7)
    parts = mr.certificate(model, (X, Y), F.mse_loss)
    for name, part in whole.parts.items():
        np.testing.assert_allclose(parts.parts[name].distance, part.distance, atol=1e-13)
    assert model.training and model[1].weight.dtype == np.float32
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])


def test_a_support_that_flickers_settles(rng):
    X, Y = regression(rng, n=200)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    options = {"loss": F.mse_loss, "optimizer": optimizer, "batch_size": 20, "progress": False}
    mr.fit(model, (X, Y), epochs=15, **options)
    supports = []
    for _ in range(10):
        mr.fit(model, (X, Y), epochs=1, **options)
        supports.append(model[4].weight.data != 0)
    assert any((a != b).any() for a, b in itertools.pairwise(supports))
    rough = mr.certificate(model, (X, Y), F.mse_loss)
    stats = model[0].running_mean.data.copy()
    found = mr.polish(model, (X, Y), F.mse_loss, tol=1e-8)
    assert found.residual < 1e-6 < 1e-3 < rough.residual
    assert found.objective < rough.objective
    assert found.parts["4.weight"].zeros and found.parts["4.weight"].margin > 10 * found.residual
    np.testing.assert_array_equal(model[0].running_mean.data, stats)
    assert model.training and all(p.grad is None for p in model.parameters())
    support = model[4].weight.data != 0
    mr.polish(model, (X, Y), F.mse_loss, tol=1e-8)
    np.testing.assert_array_equal(model[4].weight.data != 0, support)


@pytest.mark.parametrize("penalty", [MCP(0.3, 1.6), [MCP(0.2, 2.2), L2(0.1)]], ids=str)
def test_polish_takes_only_steps_at_which_the_prox_is_single_valued(penalty, rng):
    X, Y = regression(rng)
    model = linear(6, 3, penalty)
    assert mr.polish(model, (0.1 * X, Y), F.mse_loss, tol=1e-10).residual < 1e-8


def test_a_model_without_parameters_is_refused(rng):
    with pytest.raises(ValueError, match="certificate: expected a model with parameters"):
        mr.certificate(nn.Flatten(), regression(rng), F.mse_loss)
