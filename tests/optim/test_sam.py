"""SAM: its formula, around any optimizer, with penalties, groups, recorded, saved."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.nn import Parameter
from microreg.optim import lr_scheduler
from microreg.penalties import L1

BASES = [(optim.SGD, {"lr": 0.1, "momentum": 0.8}), (optim.AdamW, {"lr": 0.02})]


def loss_of(w, v):
    return (w**4).sum() + ((v - 1.0) ** 2 * w[:2]).sum()


def gradients(w, v):
    dw = 4 * w**3
    dw[:2] += (v - 1.0) ** 2
    return dw, 2 * (v - 1.0) * w[:2]


def closure_of(opt, w, v, sign=1.0):
    def closure():
        opt.zero_grad()
        loss = loss_of(w, v) * sign
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.03, 0.4])
@pytest.mark.parametrize(("base", "options"), BASES)
def test_a_step_is_the_formula(base, options, rho, adaptive, maximize, rng):
    start = [np.abs(rng.normal(size=3)) + 0.1, rng.normal(size=2)]
    w, v = (Parameter(x.copy()) for x in start)
    opt = optim.SAM([w, v], base, rho, adaptive, maximize=maximize, **options)
    twins = [Parameter(x.copy()) for x in start]
    plain = base(twins, **options)
    closure = closure_of(opt, w, v, -1.0 if maximize else 1.0)
    for _ in range(5):
        before = loss_of(w, v).item()
        assert opt.step(closure).item() == (-before if maximize else before)
        here = [p.data for p in twins]
        size = [np.abs(x) if adaptive else 1.0 for x in here]
        slope = gradients(*[x.copy() for x in here])
        scaled = [g * s for g, s in zip(slope, size, strict=True)]
        norm = np.sqrt(sum((g * g).sum() for g in scaled)) + 1e-12
        there = [x + rho / norm * g * s for x, g, s in zip(here, scaled, size, strict=True)]
        for p, g in zip(twins, gradients(*there), strict=True):
            p.grad = g
        plain.step()
        for p, q in zip((w, v), twins, strict=True):
            np.testing.assert_allclose(p.data, q.data, rtol=1e-10, atol=1e-12)


def test_weights_come_back_bit_for_bit_and_penalties_act_there():
    w, v = Parameter(np.array([0.3, -0.7, 0.2])), Parameter(np.array([0.1, 0.2]))
    w.penalty = L1(1e3)
    opt = optim.SAM([w, v], lr=0.1, rho=0.2)
    seen = []
    closure = closure_of(opt, w, v)

    def watched():
        seen.append(w.data.copy())
        return closure()

    opt.step(watched)
    assert (seen[0] != seen[1]).all() and not w.data.any()
    opt = optim.SAM([w, v], lr=0.0, rho=0.2)
    w.penalty, before = None, (w.data.copy(), v.data.copy())
    opt.step(closure)
    np.testing.assert_array_equal(w.data, before[0])
    np.testing.assert_array_equal(v.data, before[1])


def test_groups_have_their_own_options_and_schedules_work():
    w, v, late = Parameter(np.ones(3)), Parameter(np.zeros(2)), Parameter(np.ones(1))
    opt = optim.SAM([{"params": [w], "rho": 0.3}, {"params": [v], "lr": 0.5}], lr=1.0)
    opt.add_param_group({"params": [late], "rho": 0.1})
    assert [g["rho"] for g in opt.param_groups] == [0.3, 0.05, 0.1]
    scheduler = lr_scheduler.ExponentialLR(opt, 0.1)
    scheduler.step()
    np.testing.assert_allclose([g["lr"] for g in opt.param_groups], [0.1, 0.05, 0.1])
    before = w.data.copy()
    opt.step(closure_of(opt, w, v))
    assert np.abs(w.data - before).max() < 1.0 and late.data == 1.0


@pytest.mark.parametrize(("base", "options"), BASES)
def test_saved_and_continued(base, options, rng):
    start = [rng.normal(size=3), rng.normal(size=2)]
    whole, half = ([Parameter(x.copy()) for x in start] for _ in range(2))
    opt = optim.SAM(whole, base, **options)
    for _ in range(9):
        opt.step(closure_of(opt, *whole))
    first, second = (optim.SAM(half, base, **options) for _ in range(2))
    for _ in range(4):
        first.step(closure_of(first, *half))
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        second.step(closure_of(second, *half))
    for a, b in zip(whole, half, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize(("base", "options"), BASES)
def test_a_recorded_step_is_the_same(base, options, rng):
    x, y = mr.tensor(rng.normal(size=(9, 4))), mr.tensor(rng.integers(0, 3, 9))
    found = []
    for wrap in (mr.compile, lambda f: f):
        mr.manual_seed(6)
        model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        opt = optim.SAM(model.parameters(), base, 0.3, **options)

        @wrap
        def step(x, y, model=model, opt=opt):
            def closure():
                opt.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                return loss

            return opt.step(closure)

        found.append([step(x, y).item() for _ in range(6)])
        found[-1] += [p.data.copy() for p in model.parameters()]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_nonsense_is_refused():
    p = Parameter(np.ones(3))
    with pytest.raises(TypeError, match="expected a closure"):
        optim.SAM([p], lr=0.1).step()
    with pytest.raises(ValueError, match=r"rho=-0\.1"):
        optim.SAM([p], rho=-0.1, lr=0.1)
    with pytest.raises(ValueError, match="rho=nan"):
        optim.SAM([p], lr=0.1).add_param_group({"params": [Parameter(np.ones(2))], "rho": np.nan})
