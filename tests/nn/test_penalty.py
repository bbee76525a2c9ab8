"""Gates that close, penalties on activations, penalties on confidence."""

import copy
import math

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.errors import ShapeError
from microreg.kernels import random
from microreg.penalties import L0, L1, L2, GroupLasso, warmup

from ..kernels.running import garbage, run


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# hard concrete gates

SHAPES = [(0.6, -0.1, 1.1), (0.9, -0.3, 1.4), (1 / 3, -0.05, 1.02)]  # beta, gamma, zeta


@pytest.mark.parametrize("size", [0, 1, 17, 65, 8193])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logistic_numbers_come_from_the_stream_of_bits(size, dtype):
    state = np.array([11, 3])
    bits, got = garbage(size, np.uint32), garbage(size, dtype)
    run(random.draw_bits, state, bits)
    run(random.logistic, state, got)
    u = (bits + 0.5) / 2**32
    np.testing.assert_allclose(
        got, np.log(u) - np.log1p(-u), rtol=1e-6 if dtype == np.float32 else 1e-9
    )


@pytest.mark.parametrize(("beta", "gamma", "zeta"), SHAPES)
@pytest.mark.parametrize("alpha", [-2.0, 0.3, 1.7])
def test_the_penalty_is_the_probability_that_a_gate_is_open(alpha, beta, gamma, zeta):
    log_alpha = mr.tensor(np.array([alpha]))
    x = mr.ones(100_000, 1, dtype=np.float64)
    z = F.hard_concrete(x, log_alpha, beta, gamma, zeta).data
    assert z.min() >= 0 and z.max() <= 1 and (z == 1).any()
    open_ = L0(0.7, beta, gamma, zeta).value(log_alpha.data) / 0.7
    assert abs((z > 0).mean() - open_) < 5 * math.sqrt(open_ * (1 - open_) / len(z))
    kept = sigmoid(alpha) * (zeta - gamma) + gamma
    evaluated = F.hard_concrete(x[:3], log_alpha, beta, gamma, zeta, training=False).data
    np.testing.assert_allclose(evaluated, np.clip(kept, 0, 1), rtol=1e-12)


def test_the_gradient_of_a_gate(rng):
    x, log_alpha = (mr.tensor(rng.normal(size=s), requires_grad=True) for s in [(6, 3), (3,)])

    def loss(x, log_alpha):
        mr.manual_seed(5)
        return F.hard_concrete(x, log_alpha, 0.6, -0.2, 1.3)

    assert mr.gradcheck(loss, (x, log_alpha))


def test_gates_of_inputs_that_say_nothing_close_for_good(rng):
    X = rng.normal(size=(400, 8))
    y = X[:, :2] @ rng.normal(size=(2, 3)) * 3
    mr.manual_seed(0)
    gate = nn.HardConcrete(8, p=0.3)
    model = nn.Sequential(gate, nn.Linear(8, 3)).double()
    mr.attach(model, {"0.log_alpha": L0(0.3)})
    optimizer = optim.Adam(model.parameters(), lr=0.06)
    mr.fit(model, (X, y), loss=F.mse_loss, optimizer=optimizer, epochs=60, progress=False)
    z = gate.gates().data
    assert (z[2:] == 0).all() and (z[:2] > 0.5).all()
    moved = X.copy()
    moved[:, 2:] = 7.0
    np.testing.assert_array_equal(mr.predict(model, moved), mr.predict(model, X))


def test_a_gate_is_recorded_and_follows_the_seed():
    layer, x = nn.HardConcrete((4, 3)), mr.ones(5, 4, 3)
    mr.manual_seed(3)
    first, second = layer(x).data, layer(x).data
    assert (first != second).any() and first.dtype == np.float32
    mr.manual_seed(3)
    step = mr.compile(layer)
    np.testing.assert_allclose(step(x).data, first, rtol=1e-6)
    np.testing.assert_allclose(step(x).data, second, rtol=1e-6)
    layer.eval()
    np.testing.assert_array_equal(layer(x).data[0], layer.gates().data)
    assert abs(layer.log_alpha.data - math.log(9)).max() < 0.1


# activations


def model(penalty):
    mr.manual_seed(3)
    hidden = [nn.Linear(6, 12), nn.ReLU(), nn.ActivityPenalty(penalty), nn.Linear(12, 3)]
    return nn.Sequential(*hidden).double()


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.2), GroupLasso(0.4, groups="in")], ids=str)
def test_an_activity_penalty_is_a_mean_over_rows_and_has_a_gradient(penalty, rng):
    x = rng.normal(size=(7, 6))
    net = model(penalty)
    hidden = mr.tensor(net[1](net[0](mr.tensor(x))).data, requires_grad=True)
    out = net[2](hidden)
    assert out is hidden
    found = nn.activity_penalty(net)
    assert float(found) == pytest.approx(penalty.value(hidden.data) / 7, rel=1e-12)
    found.backward()
    np.testing.assert_allclose(hidden.grad.data, penalty.grad(hidden.data) / 7, rtol=1e-12)
    assert nn.activity_penalty(net) == 0.0  # taken
    with mr.no_grad():
        net(mr.tensor(x))
    assert nn.activity_penalty(net) == 0.0 == nn.activity_penalty(nn.Linear(2, 2))


def test_fit_polish_and_certificate_count_activity(rng):
    X, y = rng.normal(size=(60, 6)), rng.normal(size=(60, 3))
    options = {"loss": F.mse_loss, "batch_size": 20, "shuffle": False, "progress": False}
    fitted, looped, plain = model(L1(0.05)), model(L1(0.05)), model(L1(0.0))
    mr.fit(fitted, (X, y), optimizer=optim.SGD(fitted.parameters(), 0.1), epochs=10, **options)
    mr.fit(plain, (X, y), optimizer=optim.SGD(plain.parameters(), 0.1), epochs=10, **options)
    optimizer = optim.SGD(looped.parameters(), 0.1)
    for _ in range(10):
        for i in range(0, 60, 20):
            optimizer.zero_grad()
            loss = F.mse_loss(looped(mr.tensor(X[i : i + 20])), mr.tensor(y[i : i + 20]))
            (loss + nn.activity_penalty(looped)).backward()
            optimizer.step()
    np.testing.assert_allclose(fitted[0].weight.data, looped[0].weight.data, rtol=1e-10)
    mean = {
        name: net[:2](mr.tensor(X)).data.mean()
        for name, net in (("with", fitted), ("without", plain))
    }
    assert mean["with"] < 0.9 * mean["without"]

    found = mr.certificate(fitted, (X, y), F.mse_loss)
    hidden = fitted[:2](mr.tensor(X)).data
    data = np.square(mr.predict(fitted, X) - y).mean()
    assert found.loss == pytest.approx(data + 0.05 * hidden.sum() / 60, rel=1e-12)
    assert mr.polish(fitted, (X, y), F.mse_loss, steps=50).objective < found.objective


def test_an_activity_penalty_can_be_copied_saved_and_scheduled(rng):
    net = model(L1(warmup(0.3, 2)))
    net(mr.tensor(rng.normal(size=(4, 6))))
    copied = copy.deepcopy(net)
    assert nn.activity_penalty(copied) == 0.0
    assert list(net.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert float(nn.activity_penalty(net)) == 0.0
    mr.penalties.set_epoch(net, 1)
    hidden = net[:3](mr.tensor(rng.normal(size=(4, 6)))).data
    assert float(nn.activity_penalty(net)) == pytest.approx(0.15 * hidden.sum() / 4)


# confidence


@pytest.mark.parametrize("lam", [0.07, 0.3, 2.1])
def test_a_confidence_penalty_is_minus_the_entropy(lam, rng):
    z = rng.normal(size=(9, 4)) * 3
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    got = F.confidence_penalty(mr.tensor(z), lam)
    assert float(got) == pytest.approx(lam * (p * np.log(p)).sum(axis=1).mean(), rel=1e-12)
    assert mr.gradcheck(lambda z: F.confidence_penalty(z, lam), mr.tensor(z, requires_grad=True))


def test_a_confidence_penalty_keeps_a_classifier_from_being_too_sure(rng):
    X = rng.normal(size=(80, 5))
    y = (X[:, 0] > 0).astype(np.int64)
    sure = []
    for lam in (0.0, 0.3, 1.0):
        mr.manual_seed(1)
        net = nn.Linear(5, 2)
        mr.fit(
            net, (X, y), optimizer=optim.Adam(net.parameters(), 0.1), epochs=40, progress=False,
            loss=lambda z, y, lam=lam: F.cross_entropy(z, y) + F.confidence_penalty(z, lam),
        )  # fmt: skip
        z = mr.predict(net, X)
        sure.append(np.abs(z[:, 1] - z[:, 0]).mean())
    assert sure[0] > 1.15 * sure[1] > 1.3 * sure[2]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.HardConcrete(3, p=1.0), ValueError, r"HardConcrete\(p=1.0\)"),
        (lambda: nn.HardConcrete(3, zeta=0.9)(mr.ones(2, 3)), ValueError, "expected beta > 0"),
        (
            lambda: nn.HardConcrete(3)(mr.ones(2, 4)),
            ShapeError,
            r"log_alpha, got \(2, 4\) and \(3,\)",
        ),
        (
            lambda: nn.ActivityPenalty(0.1),
            TypeError,
            "ActivityPenalty: expected a penalty, got float",
        ),
        (lambda: F.confidence_penalty(mr.ones(3)), ShapeError, r"expected input \(n, classes\)"),
    ],
)
def test_nonsense_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
