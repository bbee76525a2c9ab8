"""Penalties on parameters: who gets which, and which sums have a known prox."""

import math

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim, penalties
from microreg.penalties import (
    L0,
    L1,
    L2,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    GroupLasso,
    L1Ball,
    L2Ball,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    Penalty,
    Simplex,
    SparseGroupLasso,
    Support,
    TotalVariation,
    WeightDecay,
    combine,
    plan,
)


def network():
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def attached(model):
    return {name: p.penalty for name, p in model.named_parameters() if p.penalty is not None}


# who gets what


def test_one_penalty_goes_to_every_weight_matrix():
    penalty = L1(0.1)
    model = network()
    assert mr.attach(model, penalty) is model
    assert attached(model) == {"0.weight": penalty, "3.weight": penalty}


@pytest.mark.parametrize(
    ("rules", "want"),
    [
        ({"*": "a"}, {"0.weight": "a", "3.weight": "a"}),
        ({"*.weight": "a"}, {"0.weight": "a", "3.weight": "a"}),
        ({"3.*": "a"}, {"3.weight": "a"}),
        ({"[03].weight": "a"}, {"0.weight": "a", "3.weight": "a"}),
        ({"3.weight": "a", "*": "b"}, {"0.weight": "b", "3.weight": "a"}),
        ({"3.weight": None, "*": "b"}, {"0.weight": "b"}),
        ({"1.weight": "a", "3.bias": "b"}, {"1.weight": "a", "3.bias": "b"}),
        ({"*": "a", "0.bias": "b"}, {"0.weight": "a", "3.weight": "a", "0.bias": "b"}),
    ],
    ids=str,
)
def test_the_first_rule_that_matches_decides(rules, want):
    made = {"a": L1(0.1), "b": [L2(0.2), MaxNorm(3.0)], None: None}
    model = mr.attach(network(), {pattern: made[key] for pattern, key in rules.items()})
    assert attached(model) == {name: made[key] for name, key in want.items()}


@pytest.mark.parametrize(
    "rules",
    [
        {"*.weight": L1(0.1), "2.weight": L1(0.2)},
        {"*": L1(0.1), "3.weight": L1(0.2)},  # nothing is left for the second
        {"*.bias": L1(0.1)},
        {"1.*": L1(0.1)},
        {"*.Weight": L1(0.1)},
    ],
    ids=lambda rules: str(list(rules)),
)
def test_a_rule_that_applies_to_nothing_raises_and_nothing_is_attached(rules):
    model = network()
    with pytest.raises(KeyError, match=r"applies to no parameter; names are .*3\.weight"):
        mr.attach(model, rules)
    assert not attached(model)


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({"0.weight": L1(0.1), "3.weight": 0.1}, TypeError),
        ({"0.weight": L1(0.1), "3.weight": [MaxNorm(1.0), GroupLasso(0.1)]}, ValueError),
        ({"0.weight": L1(0.1), "3.weight": GroupLasso(0.1, groups=[0, 1])}, ValueError),
        ({"0.weight": L1(0.1), "3.bias": GroupLasso(0.1, groups="in")}, ValueError),
    ],
    ids=["no penalty", "unknown sum", "labels of another shape", "no second axis"],
)
def test_what_cannot_be_attached_leaves_everything_as_it_was(rules, error):
    model = network()
    with pytest.raises(error):
        mr.attach(model, rules)
    assert not attached(model)


def test_a_model_without_matrices_has_nothing_to_penalise():
    with pytest.raises(KeyError, match="no parameter with two axes"):
        mr.attach(nn.BatchNorm1d(4), L1(0.1))


def test_table_shows_each_parameter():
    rules = {"0.weight": [L1(0.02), NonNegative()], "3.*": GroupLasso(3e-4)}
    assert penalties.table(mr.attach(network(), rules)).split("\n") == [
        "parameter  penalty      strength  shape",
        "0.weight   L1           0.02      (5, 6)",
        "0.weight   NonNegative            (5, 6)",
        "0.bias     -                      (5,)",
        "1.weight   -                      (5,)",
        "1.bias     -                      (5,)",
        "3.weight   GroupLasso   0.0003    (3, 5)",
        "3.bias     -                      (3,)",
    ]


# the sum as a number and as a tensor


def test_value_is_the_sum_and_can_be_differentiated():
    model = mr.attach(network(), {"0.weight": [L1(0.3), L2(0.2)], "3.weight": GroupLasso(0.7)})
    first, last = model[0].weight, model[3].weight
    total = penalties.value(model)
    want = 0.3 * np.abs(first.data).sum() + 0.2 * (first.data**2).sum()
    want += 0.7 * math.sqrt(5) * np.linalg.norm(last.data, axis=1).sum()
    assert float(total) == pytest.approx(want, rel=1e-6)
    assert penalties.number(model) == pytest.approx(want, rel=1e-6)
    (3.0 * total).backward()
    slope = 0.3 * np.sign(first.data) + 0.4 * first.data
    np.testing.assert_allclose(first.grad.data, 3 * slope, rtol=1e-5)
    np.testing.assert_allclose(last.grad.data, 3 * GroupLasso(0.7).grad(last.data), rtol=1e-5)
    assert model[0].bias.grad is None


def test_without_penalties_value_is_zero():
    assert float(penalties.value(network())) == 0.0
    model = mr.attach(network(), WeightDecay(0.1))
    assert float(penalties.value(model)) == 0.0 and penalties.number(model) == 0.0


def test_a_constraint_in_the_loss_says_that_it_has_no_gradient():
    layer = mr.attach(nn.Linear(4, 3), MaxNorm(100.0))
    with pytest.raises(TypeError, match="a constraint has no gradient"):
        penalties.value(layer).backward()


# a change takes effect


def test_a_replaced_penalty_counts_from_the_next_step():
    layer = nn.Linear(4, 3, bias=False, dtype=np.float64)
    p, lr = layer.weight, 0.5
    optimizer = optim.SGD(layer.parameters(), lr=lr)
    alone = [L1(0.1), L1(0.3), GroupLasso(0.2), GroupLasso(0.4, groups="in"), MaxNorm(0.3)]
    sequence = [(penalty, lambda v, q=penalty: q.prox(v, lr)) for penalty in alone]
    sequence += [
        (None, lambda v: v),
        ([L1(0.1), L2(0.2)], lambda v: L2(0.2).prox(L1(0.1).prox(v, lr), lr)),
        (WeightDecay(0.3), lambda v: v * (1 - lr * 0.3)),
        ([], lambda v: v),
        (NonNegative(), lambda v: np.maximum(v, 0)),
    ]
    for penalty, prox in sequence:
        want = prox(p.data)
        p.penalty, p.grad = penalty, mr.Tensor(np.zeros((3, 4)))
        optimizer.step()
        np.testing.assert_allclose(p.data, want, rtol=1e-12, atol=1e-15)
        p.data = p.data + 0.1


# which sums are known


def total(parts, w):
    return sum(part.value(w) for part in parts)


KNOWN = [
    [L1(0.3), L2(0.7)],
    [L1(0.3), L1(0.2), ElasticNet(0.4, 0.3)],
    [L1(0.3), NonNegative()],
    [L2(0.3), NonNegative()],
    [L1(0.15), GroupLasso(0.4)],
    [L1(0.15), GroupLasso(0.3, groups="in")],
    [L2(0.6), GroupLasso(0.4)],
    [L1(0.1), L2(0.6), GroupLasso(0.4)],
    [ElasticNet(0.3, 0.5), GroupLasso(0.4)],
    [NonNegative(), GroupLasso(0.4)],
    [L1(0.2), MaxNorm(0.6)],
    [L2(0.5), MaxNorm(0.6)],
    [L1(0.1), NonNegative(), MaxNorm(0.6)],
    [L1(0.1), L2(0.3), Box(-0.4, 0.7), NonNegative()],
    [L2(0.3), MCP(0.3, 5.0)],
    [L2(0.3), SCAD(0.3, 5.0)],
    [L2(0.3), L0(0.4)],
    [L2(0.4), TotalVariation(0.2)],
    [L1(0.2), L2(0.4), TotalVariation(0.2)],
    [L1(0.1), SparseGroupLasso(0.4)],
    [L1(0.1), L2(0.4), SparseGroupLasso(0.3, groups="in")],
    [L1(0.1), L1Ball(1.3)],
    [L2(0.4), Simplex(groups="out")],
    [ElasticNet(0.3), NonNegative(), L2Ball(0.9)],
    [L1(0.3), L2(0.1), Support(np.eye(3, 4) == 0)],
    [L2(0.4), NuclearNorm(0.3)],
]


@pytest.mark.parametrize("metric", ["equal steps", "Adam's"])
@pytest.mark.parametrize("parts", KNOWN, ids=lambda p: "+".join(type(x).__name__ for x in p))
def test_a_known_sum_is_minimised_exactly(parts, metric, rng):
    for _ in range(2):
        v = rng.normal(size=(3, 4)) * np.array([[1.5], [0.4], [0.8]])
        step = np.full(v.shape, 0.7)
        if metric != "equal steps" and not any(isinstance(p, NuclearNorm) for p in parts):
            step = 0.7 * np.exp(rng.uniform(-1.5, 1.5, v.shape))
        w = combine.prox(parts, v, step)

        def objective(u, v=v, step=step):
            return (np.square(u - v) / (2 * step)).sum() + total(parts, u)

        least = objective(w)
        assert np.isfinite(least)
        moved = [
            w + size * rng.normal(size=w.shape) for size in (1e-5, 1e-3, 0.1) for _ in range(100)
        ]
        moved += [np.where(rng.random(w.shape) < 0.5, u, w) for u in moved]
        moved += [np.where(w == 0, 0, u) for u in moved] + [np.maximum(u, 0) for u in moved]
        moved += [shrink * w for shrink in (0, 0.9, 0.9999, 1.0001)]
        moved += [combine.prox(parts, u, 1e-9) for u in moved[::15]]  # in constraints
        assert min(map(objective, moved)) >= least - 1e-12


@pytest.mark.parametrize("parts", KNOWN, ids=lambda p: "+".join(type(x).__name__ for x in p))
def test_the_order_of_a_sum_does_not_matter_and_decay_goes_with_everything(parts, rng):
    v, step = rng.normal(size=(3, 4)), np.full((3, 4), 0.4)
    want = combine.prox(parts, v, step)
    np.testing.assert_array_equal(combine.prox([*parts[::-1], WeightDecay(0.3)], v, step), want)
    assert plan([WeightDecay(0.2), *parts, WeightDecay(0.3)]).decay == pytest.approx(0.5)


class Own(Penalty):
    strength = 0.1


@pytest.mark.parametrize(
    ("penalty", "error", "words"),
    [
        (
            [GroupLasso(0.1), MaxNorm(1.0)],
            ValueError,
            r"GroupLasso \+ MaxNorm: the prox of this sum",
        ),
        (
            [GroupLasso(0.1), L1(0.1), GroupLasso(0.1, "in")],
            ValueError,
            "one group penalty",
        ),
        ([L1(0.1), Own()], ValueError, r"L1 \+ Own"),
        (0.1, TypeError, "expected a penalty, got float"),
        ([L1(0.1), "L2"], TypeError, "expected a penalty, got str"),
    ],
    ids=str,
)
def test_an_unknown_sum_is_refused(penalty, error, words):
    with pytest.raises(error, match=words):
        plan(penalty)
    layer = nn.Linear(3, 2)
    layer.weight.penalty = penalty  # set behind attach's back: refused at the next step
    layer.weight.grad = mr.Tensor(np.ones((2, 3), np.float32))
    before = layer.weight.data.copy()
    with pytest.raises(error, match=words):
        optim.Adam(layer.parameters()).step()
    np.testing.assert_array_equal(layer.weight.data, before)


@pytest.mark.parametrize("change", ["strength", "penalty"])
def test_a_recorded_step_with_penalties_in_the_loss_follows_them(change):
    layer = nn.Linear(4, 3, bias=False, dtype=np.float64)
    strength = penalties.Schedule(lambda epoch: 0.3 + epoch, "rising")
    mr.attach(layer, L1(strength))
    step = mr.compile(lambda: penalties.value(layer) * 2.0)
    for epoch in (0, 1, 1, 0):
        if change == "strength":
            penalties.set_epoch(layer, epoch)
        else:
            mr.attach(layer, L1(0.3) if epoch else L2(0.7))
        for _ in range(2):
            assert float(step()) == pytest.approx(2 * penalties.number(layer), rel=1e-12)


def test_a_recorded_step_with_a_penalty_in_the_loss_is_what_runs_op_by_op(finite, rng):
    holder = nn.Module()
    holder.weight = nn.Parameter(rng.normal(size=(5, 4)))
    holder.weight.penalty = finite

    def step():
        loss = penalties.value(holder) * 3.0
        return loss, mr.grad(loss, (holder.weight,))[0]

    recorded = mr.compile(step)
    for _ in range(2):
        for got, want in zip(recorded(), step(), strict=True):
            np.testing.assert_allclose(got.data, want.data, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("lam", "bound"), [(0.0, 3.0), (0.1, 7.5), (0.15, 30.0), (0.2, math.inf), (1.3, math.inf)]
)
def test_a_quadratic_lengthens_the_step_at_which_a_prox_is_single_valued(lam, bound):
    parts = [L2(lam), MCP(0.3, 3.0)]  # as a whole convex from lam = 1 / 6 on
    assert plan(parts).bound == pytest.approx(bound, rel=1e-12)
    step = min(0.999 * bound, 100.0)
    grid = np.linspace(-4, 4, 2001)
    values = np.array([total(parts, np.array([u])) for u in grid])
    for v in (-2.1, 0.3, 1.7):
        w = combine.prox(parts, np.array([v]), step)
        costs = (grid - v) ** 2 / 2 + step * values
        assert (w[0] - v) ** 2 / 2 + step * total(parts, w) <= costs.min() + 1e-12
    if bound < math.inf:
        with pytest.raises(ValueError, match=r"L2 \+ MCP: its prox is single-valued only for"):
            combine.prox(parts, np.array([1.0]), 1.001 * bound)
