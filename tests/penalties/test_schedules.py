"""Strengths that change from epoch to epoch."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim, penalties
from microreg.penalties import L1, L2, GroupLasso, MaxNorm, Schedule, cosine, warmup

X = np.random.default_rng(5).normal(size=(40, 6))
Y = X @ np.random.default_rng(6).normal(size=(6, 3))


@pytest.mark.parametrize("value", [0.3, 2.0, 7.1])
@pytest.mark.parametrize("epochs", [1, 3.5, 20])
def test_warmup_and_cosine_at_their_ends_and_in_between(value, epochs):
    for made, marks in [
        (warmup(value, epochs), [(0, 0), (0.25, value / 4), (1, value), (9, value)]),
        (cosine(value, 0.1, epochs), [(0, value), (0.5, (value + 0.1) / 2), (1, 0.1), (9, 0.1)]),
    ]:
        for share, want in marks:
            made.epoch = share * epochs
            assert float(made) == pytest.approx(want, abs=1e-15)


def test_a_schedule_of_ones_own_counts_in_every_formula():
    lam = Schedule(lambda epoch: 0.1 * 2**epoch, "doubling")
    w = np.array([[0.4, -1.3], [0.0, 2.0]])
    for epoch in (0, 1.5, 3):
        lam.epoch = epoch
        for kind in (L1, L2, GroupLasso):
            moving, fixed = kind(lam), kind(0.1 * 2**epoch)
            assert moving.value(w) == fixed.value(w)
            np.testing.assert_array_equal(moving.grad(w), fixed.grad(w))
            np.testing.assert_array_equal(moving.prox(w, 0.3), fixed.prox(w, 0.3))
    assert "doubling" in penalties.table(mr.attach(nn.Linear(2, 2), L1(lam)))


def model():
    mr.manual_seed(3)
    return nn.Linear(6, 3, dtype=np.float64)


def rules(number):
    """Penalties with a strength, or a limit, that `number` makes from where it ends."""
    return [
        L1(number(0.3, 3)),
        [L2(number(0.2, 5)), L1(number(0.1, 3))],
        GroupLasso(number(0.4, 4), groups="in"),
        MaxNorm(number(1.3, 4)),
    ]


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam])
def test_fit_and_a_recorded_step_follow_the_epoch(make, index):
    def value(end, epochs, epoch):
        return end * min(epoch / epochs, 1.0)

    fitted, looped, replaced = model(), model(), model()
    mr.attach(fitted, rules(warmup)[index])
    mr.attach(looped, rules(warmup)[index])
    options = {"loss": F.mse_loss, "batch_size": 10, "shuffle": False, "progress": False}
    mr.fit(fitted, (X, Y), optimizer=make(fitted.parameters(), lr=0.1), epochs=6, **options)

    step_looped, step_replaced = (
        stepper(m, make(m.parameters(), lr=0.1), wrap)
        for m, wrap in ((looped, mr.compile), (replaced, lambda f: f))
    )
    for epoch in range(6):
        penalties.set_epoch(looped, epoch)
        now = rules(lambda end, epochs, epoch=epoch: value(end, epochs, epoch))[index]
        mr.attach(replaced, now)
        for rows in range(0, 40, 10):
            for step in (step_looped, step_replaced):
                step(X[rows : rows + 10], Y[rows : rows + 10])
    assert np.abs(replaced.weight.data - model().weight.data).max() > 0.1
    for other in (fitted, looped):
        np.testing.assert_allclose(other.weight.data, replaced.weight.data, rtol=1e-12)


def stepper(model, optimizer, wrap):
    @wrap
    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return lambda x, y: step(mr.tensor(x), mr.tensor(y))


def test_a_schedule_that_leaves_its_limits_says_when():
    lam = Schedule(lambda epoch: 0.3 - 0.1 * epoch, "falling")
    layer = mr.attach(model(), L1(lam))
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    penalties.set_epoch(layer, 4)
    layer.weight.grad = mr.Tensor(np.ones((3, 6)))
    before = layer.weight.data.copy()
    words = "L1: lam: expected at least 0, got -0.1 from falling at epoch 4"
    with pytest.raises(ValueError, match=words):
        optimizer.step()
    np.testing.assert_array_equal(layer.weight.data, before)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Schedule(0.3), TypeError, "Schedule: expected a function of the epoch, got 0.3"),
        (lambda: warmup(0.3, 0), ValueError, r"warmup\(epochs=0\): expected more than 0"),
        (lambda: cosine(0.3, 0.1, -2), ValueError, r"cosine\(epochs=-2\)"),
        (lambda: L1(Schedule(lambda epoch: np.nan)), ValueError, "L1: lam: expected a finite"),
    ],
)
def test_nonsense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
