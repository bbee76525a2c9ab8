"""Regularizers that are other regularizers in disguise: identities, not accuracies."""

import itertools

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis.descent import Descent
from microreg.nn import Parameter
from microreg.penalties import L2, WeightDecay

D = 6


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(40, D)) @ (np.eye(D) + 0.2)
    return X, X @ rng.normal(size=(D, 1)) + rng.normal(size=(40, 1))


# Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019


def network():
    mr.manual_seed(3)
    return nn.Sequential(nn.Linear(D, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def trajectory(model, optimizer, rows, steps, added=None):
    """The parameters after each step, as one array; `added` is one more term of the loss."""
    X, y = (mr.tensor(a) for a in rows)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.mse_loss(model(X), y)
        (loss if added is None else loss + added()).backward()
        optimizer.step()
        seen.append(np.concatenate([p.data.reshape(-1).copy() for p in model.parameters()]))
    return np.array(seen)


@pytest.mark.parametrize("lam", [0.03, 0.4, 2.5])
@pytest.mark.parametrize("momentum", [0, 0.8])
def test_proposition_1_for_sgd_decay_is_l2(lam, momentum, rows):
    """With step lr, decay by lr * lam a step is L2 of lam / 2 in the loss: one trajectory.

    Momentum carries the L2 term on to later steps and the decay not: there they differ.
    """
    decayed, penalised, coupled = network(), network(), network()
    for p in decayed.parameters():
        p.penalty = WeightDecay(lam)

    def l2():
        return lam / 2 * sum((p * p).sum() for p in penalised.parameters())

    def sgd(model, **options):
        return optim.SGD(model.parameters(), lr=0.05, momentum=momentum, **options)

    a = trajectory(decayed, sgd(decayed), rows, 200)
    b = trajectory(penalised, sgd(penalised), rows, 200, l2)
    c = trajectory(coupled, sgd(coupled, weight_decay=lam), rows, 200)
    np.testing.assert_allclose(b, c, rtol=0, atol=1e-12)
    if momentum:
        assert np.abs(a - b).max() > 1e-3
    else:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_proposition_2_for_adam_no_l2_is_decay(rows):
    """Whatever the strength of the L2 term, Adam's trajectory is another than with decay."""
    model = network()
    decayed = optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.3)
    a = trajectory(model, decayed, rows, 30)
    plain_model = network()
    plain = trajectory(plain_model, optim.Adam(plain_model.parameters(), lr=0.01), rows, 30)
    nearest = np.inf
    for lam in [0, *np.geomspace(1e-6, 1e3, 40)]:
        coupled = network()
        optimizer = optim.Adam(coupled.parameters(), lr=0.01, weight_decay=lam)
        nearest = min(nearest, np.abs(trajectory(coupled, optimizer, rows, 30) - a).max())
    assert nearest > 0.3 * np.abs(plain - a).max() > 0.01


@pytest.mark.parametrize("lam", [0.03, 0.4, 2.5])
def test_proposition_3_with_a_fixed_preconditioner_decay_is_a_scaled_l2(lam, rows, rng):
    """w <- w - lr * g / s: decay is a penalty lam / 2 * sum s w^2, strong where steps are short."""
    scales = [rng.uniform(0.5, 4, p.shape) for p in network().parameters()]

    def fixed(model):
        """RMSprop whose running squares stay where they are put."""
        made = optim.RMSprop(model.parameters(), lr=0.03, alpha=1.0, eps=0)
        state = made.state_dict()
        for entry, s in zip(state["state"].values(), scales, strict=True):
            entry["square"] = s**2
        made.load_state_dict(state)
        return made

    decayed, penalised = network(), network()
    for p in decayed.parameters():
        p.penalty = WeightDecay(lam)

    def scaled():
        pairs = zip(penalised.parameters(), scales, strict=True)
        return lam / 2 * sum((p * p * mr.tensor(s)).sum() for p, s in pairs)

    a = trajectory(decayed, fixed(decayed), rows, 100)
    b = trajectory(penalised, fixed(penalised), rows, 100, scaled)
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    plain = network()
    assert np.abs(trajectory(plain, fixed(plain), rows, 100) - a).max() > 1e-3


# Srivastava et al., "Dropout", JMLR 15 (2014), section 9.1


def enumerated(rows, w, p):
    """The expected loss over all masks of the inputs, kept entries divided by 1 - p."""
    X, y = (mr.tensor(a) for a in rows)
    total = 0.0
    for mask in itertools.product([0.0, 1.0], repeat=D):
        kept = np.array(mask)
        chance = (1 - p) ** kept.sum() * p ** (D - kept.sum())
        # every row alone: the rows' masks are independent, and the loss is a mean over rows
        total = total + chance * F.mse_loss((X * mr.tensor(kept / (1 - p))) @ w, y)
    return total


@pytest.mark.parametrize("p", [0.1, 0.35, 0.8])
def test_dropout_on_a_linear_model_is_ridge_by_column(p, rows, rng):
    """E loss = loss + p / (1 - p) * sum_j w_j^2 * mean_i x_ij^2, and so are their gradients."""
    X, y = rows
    w = Parameter(rng.normal(size=(D, 1)))
    noisy = enumerated(rows, w, p)
    noisy.backward()
    slope, w.grad = w.grad.data, None
    strength = p / (1 - p) * (X**2).mean(axis=0)[:, None]
    ridge = F.mse_loss(mr.tensor(X) @ w, mr.tensor(y)) + (mr.tensor(strength) * w * w).sum()
    ridge.backward()
    assert float(noisy) == pytest.approx(float(ridge), rel=1e-10)
    np.testing.assert_allclose(slope, w.grad.data, rtol=1e-10)


@pytest.mark.parametrize("p", [0.1, 0.35, 0.8])
def test_the_dropout_layer_has_that_expectation(p, rows, rng):
    w = mr.tensor(rng.normal(size=(D, 1)))
    X, y = (mr.tensor(a) for a in rows)
    mr.manual_seed(1)
    layer = nn.Dropout(p)
    losses = np.array([float(F.mse_loss(layer(X) @ w, y)) for _ in range(4000)])
    want = float(enumerated(rows, w, p))
    assert abs(losses.mean() - want) < 5 * losses.std() / np.sqrt(len(losses))


def test_training_with_dropout_ends_in_the_ridge_solution(rows):
    """Columns of mean square 1: the minimum of the expected loss is that of L2(p / (1 - p))."""
    X, y = rows
    X = X / np.sqrt((X**2).mean(axis=0))
    p, n = 0.35, len(X)
    w = Parameter(np.zeros((D, 1)))
    residual = Descent([w], lambda: enumerated((X, y), w, p)).run(1e-10, 2000)[1]
    want = np.linalg.solve(X.T @ X / n + p / (1 - p) * np.eye(D), X.T @ y / n)
    assert residual <= 1e-10
    np.testing.assert_allclose(w.data, want, atol=1e-9)
    model = mr.attach(nn.Linear(D, 1, bias=False, dtype=np.float64), L2(p / (1 - p)))
    inputs, targets = mr.tensor(X), mr.tensor(y)
    Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets)).run(1e-10, 2000)
    np.testing.assert_allclose(model.weight.data[0], w.data[:, 0], atol=1e-9)


# Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural Comput. 7 (1995)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
def test_input_noise_on_a_linear_model_is_l2(sigma, rows, rng):
    """E loss = loss + L2(sigma^2): noise of +-sigma in every input, all signs enumerated."""
    X, y = rows
    w = Parameter(rng.normal(size=(D, 1)))
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=D)))
    noisy = sum(F.mse_loss(mr.tensor(X + sigma * s) @ w, mr.tensor(y)) for s in signs) * (
        1 / len(signs)
    )
    noisy.backward()
    slope, w.grad = w.grad.data, None
    clean, penalty = F.mse_loss(mr.tensor(X) @ w, mr.tensor(y)), L2(sigma**2)
    clean.backward()
    assert float(noisy) == pytest.approx(float(clean) + penalty.value(w), rel=1e-12)
    np.testing.assert_allclose(slope, w.grad.data + penalty.grad(w), rtol=1e-10)


# Goodfellow, Bengio, Courville, "Deep Learning", 2016, section 7.8


def stopped(X, y, lr, steps):
    """Gradient descent from zero weights, stopped."""
    model = nn.Linear(D, 1, bias=False, dtype=np.float64)
    model.weight.data[...] = 0
    optimizer = optim.SGD(model.parameters(), lr=lr)
    mr.fit(
        model, (X, y), loss=F.mse_loss, optimizer=optimizer, epochs=steps, batch_size=len(X),
        progress=False,
    )  # fmt: skip
    return model.weight.data[0]


@pytest.mark.parametrize("steps", [1, 7, 60])
def test_early_stopping_is_a_ridge_filter_on_every_eigenvector(steps, rows):
    """1 - (1 - lr h)^t = h / (h + a): stopping is ridge with a strength a for each curvature h."""
    X, y = rows
    curvature, axes = np.linalg.eigh(2 * X.T @ X / len(X))
    lr = 0.9 / curvature[-1]
    got = axes.T @ stopped(X, y, lr, steps)
    optimum = axes.T @ np.linalg.lstsq(X, y, rcond=None)[0][:, 0]
    left = (1 - lr * curvature) ** steps
    np.testing.assert_allclose(got, (1 - left) * optimum, rtol=0, atol=1e-12)
    alike = curvature * left / (1 - left)  # the strength a
    np.testing.assert_allclose(got, curvature / (curvature + alike) * optimum, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_with_equal_curvatures_early_stopping_is_l2(steps, rng):
    X = np.linalg.qr(rng.normal(size=(40, D)))[0] * np.sqrt(40 * 0.7)  # curvature 1.4 everywhere
    y = X @ rng.normal(size=(D, 1)) + rng.normal(size=(40, 1))
    left = (1 - 0.1 * 1.4) ** steps
    model = mr.attach(
        nn.Linear(D, 1, bias=False, dtype=np.float64), L2(1.4 * left / (1 - left) / 2)
    )
    inputs, targets = mr.tensor(X), mr.tensor(y)
    Descent(model.parameters(), lambda: F.mse_loss(model(inputs), targets)).run(1e-12, 2000)
    np.testing.assert_allclose(model.weight.data[0], stopped(X, y, 0.1, steps), atol=1e-11)
