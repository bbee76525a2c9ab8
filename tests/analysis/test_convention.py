"""A converted strength has the same optimum: each library's solution is optimal in microreg."""

import os

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, penalties
from microreg.analysis.convention import BOTH, CONVENTIONS

N, D = 40, 5
LAMS = [0.013, 0.06, 0.15]


@pytest.fixture
def problem(rng):
    X = rng.normal(size=(N, D)) @ (np.eye(D) + 0.2) + 0.3
    score = X @ np.array([1.5, -1.0, 0.4, 0.0, 0.1]) + rng.normal(size=N)
    return X, {"mse": score + 0.7, "cross_entropy": (score > 0).astype(float)}


def penalty_of(kind, lam):
    return {
        "L1": lambda: penalties.L1(lam),
        "L2": lambda: penalties.L2(lam),
        "ElasticNet": lambda: penalties.ElasticNet(lam, l1_ratio=0.4),
    }[kind]()


def optimality(X, y, loss, penalty, w, b):
    """How far weights and bias are from the optimality condition of microreg's objective."""
    model = nn.Linear(D, 1, dtype=np.float64)
    model.weight.data[...], model.bias.data[...] = w, b
    error = F.mse_loss if loss == "mse" else F.binary_cross_entropy_with_logits
    error(model(mr.tensor(X)), mr.tensor(y[:, None])).backward()
    distance = penalty.subdiff_distance(model.weight, model.weight.grad.data).max()
    return max(distance, abs(model.bias.grad.data[0]))


def proximal(X, y, loss, l1, l2, row_weight):
    """Weights and bias that minimise sum_i row_weight * loss_i + l1 |w| + l2/2 w^2, by ISTA."""
    A = np.hstack([X, np.ones((N, 1))])
    w = np.zeros(D + 1)
    step = 1 / (row_weight * np.linalg.eigvalsh(A.T @ A)[-1] * (2 if loss == "mse" else 0.25) + l2)
    on = np.arange(D + 1) < D
    for _ in range(6000):
        f = A @ w
        slope = 2 * (f - y) if loss == "mse" else 1 / (1 + np.exp(-f)) - y
        v = w - step * (row_weight * A.T @ slope + l2 * w * on)
        w = np.where(on, np.sign(v) * np.maximum(np.abs(v) - step * l1, 0), v)
    return w[:D], w[D]


def solve(library, kind, loss, strength, X, y):
    """Weights and bias of the library's optimum."""
    if library == "torch":
        return solve_torch(loss, strength, X, y)
    if library == "glmnet":  # its objective as published: mean loss (half of squares) + penalty
        r = {"L1": 1.0, "L2": 0.0, "ElasticNet": 0.4}[kind]
        half = 0.5 if loss == "mse" else 1.0
        return proximal(X, y, loss, strength * r, strength * (1 - r), half / N)
    sklearn = pytest.importorskip("sklearn")
    from sklearn import linear_model, neural_network

    assert sklearn
    exact = {"tol": 1e-12, "max_iter": 100_000}
    made = {
        "sklearn.Lasso": lambda: linear_model.Lasso(alpha=strength, **exact),
        "sklearn.ElasticNet": lambda: linear_model.ElasticNet(
            alpha=strength, l1_ratio={"L1": 1.0, "ElasticNet": 0.4}[kind], **exact
        ),
        "sklearn.Ridge": lambda: linear_model.Ridge(alpha=strength),
        "sklearn.LogisticRegression": lambda: linear_model.LogisticRegression(
            C=strength,
            l1_ratio={"L1": 1.0, "L2": 0.0, "ElasticNet": 0.4}[kind],
            solver="saga",
            **exact,
        ),
        "sklearn.MLP": lambda: (
            neural_network.MLPRegressor if loss == "mse" else neural_network.MLPClassifier
        )(
            hidden_layer_sizes=(),
            alpha=strength,
            solver="lbfgs",
            tol=1e-14,
            max_iter=20_000,
            random_state=0,
        ),
    }[library]()
    made.fit(X, y)
    if library == "sklearn.MLP":
        return made.coefs_[0].T, made.intercepts_[0][0]
    return made.coef_, np.ravel(made.intercept_)[0]


def solve_torch(loss, strength, X, y):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(D, 1, dtype=torch.float64)
    # LBFGS has no weight_decay: torch's own SGD says what it adds to the gradient
    sgd = torch.optim.SGD([layer.weight], lr=1.0, weight_decay=strength)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    layer.weight.grad = torch.zeros_like(layer.weight)
    sgd.step()
    added = 1.0 - layer.weight[0, 0].item()
    error = getattr(
        torch.nn.functional, "mse_loss" if loss == "mse" else "binary_cross_entropy_with_logits"
    )
    inputs, target = torch.tensor(X), torch.tensor(y[:, None])
    optimizer = torch.optim.LBFGS(
        layer.parameters(),
        max_iter=200,
        tolerance_grad=1e-10,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        value = error(layer(inputs), target)
        value.backward()
        layer.weight.grad += added * layer.weight.detach()
        return value + added / 2 * (layer.weight.detach() ** 2).sum()

    optimizer.step(closure)
    return layer.weight.detach().numpy(), layer.bias.item()


CASES = [
    (library, kind, loss)
    for library, c in CONVENTIONS.items()
    for kind in c.penalties
    for loss in c.losses
    if library not in ("microreg", "keras") and (library, kind) != ("sklearn.ElasticNet", "L2")
]


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize(("library", "kind", "loss"), CASES)
def test_a_librarys_optimum_is_optimal_in_microreg(library, kind, loss, lam, problem):
    X, y = problem[0], problem[1][loss]
    strength = mr.convention(lam, "microreg", library, penalty=kind, loss=loss, n=N)
    w, b = solve(library, kind, loss, strength, X, y)
    assert np.abs(w).max() > 0.1
    assert optimality(X, y, loss, penalty_of(kind, lam), w, b) < 5e-5
    # the check sees a strength that is off by a tenth
    assert optimality(X, y, loss, penalty_of(kind, lam * 1.1), w, b) > 2e-4


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_keras_computes_the_same_objective(kind, loss, problem, rng):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras", exc_type=ImportError)
    X, y = problem[0], problem[1][loss][:, None]
    lam = mr.convention(0.17, "keras", penalty=kind, loss=loss)
    regularizer = getattr(keras.regularizers, kind)(0.17)
    layer = keras.layers.Dense(1, kernel_regularizer=regularizer, dtype="float64")
    layer.build(X.shape)
    error = {
        "mse": keras.losses.MeanSquaredError(dtype="float64"),
        "cross_entropy": keras.losses.BinaryCrossentropy(from_logits=True, dtype="float64"),
    }[loss]
    ours = F.mse_loss if loss == "mse" else F.binary_cross_entropy_with_logits
    for _ in range(3):
        w, b = rng.normal(size=(D, 1)), rng.normal(size=1)
        layer.set_weights([w, b])
        theirs = float((error(y, layer(X)) + sum(layer.losses)).detach())
        mine = float(ours(mr.tensor(X @ w + b), mr.tensor(y))) + penalty_of(kind, lam).value(w)
        assert mine == pytest.approx(theirs, rel=1e-7)  # Keras keeps 0.17 in float32


@pytest.mark.parametrize("loss", BOTH)
@pytest.mark.parametrize("kind", ["L1", "L2", "ElasticNet"])
def test_there_and_back_is_the_same_and_detours_do_not_matter(kind, loss):
    names = [k for k, c in CONVENTIONS.items() if kind in c.penalties and loss in c.losses]
    options = {"penalty": kind, "loss": loss, "n": 37}
    for a in names:
        for b in names:
            there = mr.convention(0.23, a, b, **options)
            assert mr.convention(there, b, a, **options) == pytest.approx(0.23, rel=1e-14)
            over = mr.convention(mr.convention(0.23, a, **options), "microreg", b, **options)
            assert over == pytest.approx(there, rel=1e-14)


def test_numbers_known_by_heart():
    assert mr.convention(0.1, "sklearn.Lasso", penalty="L1") == 0.2
    assert mr.convention(1e-4, "torch", penalty="L2") == 5e-5
    assert mr.convention(5e-5, "microreg", "torch", penalty="L2") == 1e-4
    assert mr.convention(4.0, "sklearn.LogisticRegression", penalty="L1", n=50) == 1 / 200
    assert mr.convention(0.2, "microreg", "sklearn.Lasso", penalty="L1") == 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mr.convention(0.1, "glmnett", penalty="L1"), "expected one of .*'glmnet'"),
        (lambda: mr.convention(0.1, "torch", penalty="L1"), "torch has L2, got 'L1'"),
        (lambda: mr.convention(0.1, "glmnet", penalty="L1"), "depends on the loss; give loss="),
        (
            lambda: mr.convention(0.1, "sklearn.Lasso", penalty="L1", loss="cross_entropy"),
            r"expected a loss among \['mse'\], got 'cross_entropy'",
        ),
        (
            lambda: mr.convention(
                0.1, "sklearn.Ridge", "sklearn.LogisticRegression", penalty="L2", n=3
            ),
            r"expected a loss among \[\]",
        ),
        (
            lambda: mr.convention(0.1, "sklearn.Ridge", penalty="L2"),
            "number of rows; give n=..., got None",
        ),
        (lambda: mr.convention(-1.0, "torch", penalty="L2"), "finite strength of at least 0"),
        (
            lambda: mr.convention(0.0, "sklearn.LogisticRegression", penalty="L2", n=3),
            "finite strength above 0, got 0.0",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
