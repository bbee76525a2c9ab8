"""Schedules of the learning rate beside torch's, together, saved and continued."""

import math

import numpy as np
import pytest

import microreg as mr
from microreg import optim
from microreg.nn import Parameter
from microreg.optim import lr_scheduler as ours

STEPS = 60
SCHEDULES = {
    "StepLR": [{"step_size": 7}, {"step_size": 1, "gamma": 0.9}],
    "MultiStepLR": [{"milestones": [13, 4, 40]}, {"milestones": [5, 5, 9], "gamma": 0.3}],
    "ExponentialLR": [{"gamma": 0.93}, {"gamma": 1.01}],
    "LinearLR": [{}, {"start_factor": 0.2, "end_factor": 0.7, "total_iters": 11}],
    "CosineAnnealingLR": [{"T_max": 60}, {"T_max": 70, "eta_min": 0.003}],
    "CosineAnnealingWarmRestarts": [{"T_0": 8}, {"T_0": 3, "T_mult": 2, "eta_min": 0.001}],
    "OneCycleLR": [
        {"max_lr": 0.7, "total_steps": 60},
        {"max_lr": [0.7, 0.2], "epochs": 4, "steps_per_epoch": 16, "anneal_strategy": "linear"},
        {
            "max_lr": 0.3,
            "total_steps": 61,
            "three_phase": True,
            "pct_start": 0.4,
            "div_factor": 9.0,
        },
        {"max_lr": 0.4, "total_steps": 70, "base_momentum": 0.7, "max_momentum": 0.99},
    ],
    "LambdaLR": [
        {"lr_lambda": lambda t: 1.0 / (1 + t)},
        {"lr_lambda": [lambda t: 0.9**t, lambda t: 1.0 + math.sin(t)]},
    ],
}
CASES = [(name, options) for name, several in SCHEDULES.items() for options in several]
over_cases = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name} {list(options)}" for name, options in CASES]
)


def optimizer(kind="SGD", lr=0.1):
    options = {"momentum": 0.9} if kind == "SGD" else {}
    groups = [{"params": [Parameter(np.ones(2))]}, {"params": [Parameter(np.ones(3))], "lr": 0.02}]
    return getattr(optim, kind)(groups, lr=lr, **options)


def rates(opt, step, count=STEPS):
    """lr and momentum of every group, at first and after each step."""
    found = []
    for t in range(count):
        found.append([(g["lr"], g.get("momentum", g.get("betas"))) for g in opt.param_groups])
        if t < count - 1:
            opt.step()
            step()
    return [np.hstack([np.hstack(group) for group in row]) for row in found]


def theirs(torch, kind="SGD", lr=0.1):
    options = {"momentum": 0.9} if kind == "SGD" else {}
    first, second = (torch.zeros(2, requires_grad=True) for _ in range(2))
    groups = [{"params": [first]}, {"params": [second], "lr": 0.02}]
    return getattr(torch.optim, kind)(groups, lr=lr, **options), torch.optim.lr_scheduler


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@over_cases
def test_a_schedule_follows_torchs(name, options, kind, torch):
    opt = optimizer(kind)
    scheduler = getattr(ours, name)(opt, **options)
    got = rates(opt, scheduler.step)
    assert scheduler.get_last_lr() == [g["lr"] for g in opt.param_groups]
    other, schedules = theirs(torch, kind)
    want = rates(other, getattr(schedules, name)(other, **options).step)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def test_a_schedule_is_its_formula():
    opt = optimizer()
    got = [g[0] for g in rates(opt, ours.CosineAnnealingLR(opt, 59, 0.01).step)]
    t = np.arange(STEPS)
    want = 0.01 + 0.09 * (1 + np.cos(np.pi * t / 59)) / 2
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_schedules_one_after_the_other_follow_torchs(torch):
    def make(m, opt):
        parts = [
            m.LinearLR(opt, 0.1, total_iters=9),
            m.CosineAnnealingLR(opt, 30),
            m.ExponentialLR(opt, 0.8),
        ]
        return m.SequentialLR(opt, parts, [10, 35])

    opt = optimizer()
    other, schedules = theirs(torch)
    got, want = (rates(o, make(m, o).step) for m, o in ((ours, opt), (schedules, other)))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_schedules_of_one_optimizer_add_up_as_torchs_do(torch):
    def make(m, opt):
        both = m.LinearLR(opt, 0.3, total_iters=20), m.StepLR(opt, 7, 0.5)

        def step():
            for scheduler in both:
                scheduler.step()

        return step

    opt = optimizer()
    other, schedules = theirs(torch)
    got, want = (rates(o, make(m, o)) for m, o in ((ours, opt), (schedules, other)))
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 4},
        {"mode": "max", "patience": 3, "factor": 0.5},
        {"patience": 1, "cooldown": 4, "threshold": 0.1, "min_lr": [0.001, 0.01]},
        {"patience": 0, "threshold": 0.02, "threshold_mode": "abs", "eps": 0.01},
        {"mode": "max", "patience": 2, "threshold": 0.05, "threshold_mode": "abs"},
    ],
    ids=str,
)
def test_a_plateau_is_torchs(options, seed, torch):
    figures = np.exp(-np.arange(STEPS) / 10) + 0.05 * np.random.default_rng(seed).normal(size=STEPS)
    opt = optimizer()
    other, schedules = theirs(torch)
    found = []
    for o, m in ((opt, ours), (other, schedules)):
        scheduler, given = m.ReduceLROnPlateau(o, **options), iter(figures)
        found.append(rates(o, lambda s=scheduler, given=given: s.step(next(given))))
    np.testing.assert_allclose(*found, rtol=1e-12)
    assert len({tuple(row) for row in found[0]}) > 1


@over_cases
def test_a_saved_schedule_continues(name, options, tmp_path):
    def make(opt):
        return getattr(ours, name)(opt, **options)

    whole, half = optimizer(), optimizer()
    want = rates(whole, make(whole).step)
    first = make(half)
    for _ in range(23):
        first.step()
    other = optimizer(lr=3.0)
    second = make(other)
    mr.save([half, first], tmp_path / "file")
    state = mr.load(tmp_path / "file")
    other.load_state_dict(state[0])
    second.load_state_dict(state[1])
    np.testing.assert_array_equal(rates(other, second.step, STEPS - 23), want[23:])


def test_a_saved_sequence_continues():
    def make(opt):
        return ours.SequentialLR(opt, [ours.LinearLR(opt), ours.ExponentialLR(opt, 0.9)], [8])

    for done in (3, 7, 8, 20):
        whole, half, other = (optimizer() for _ in range(3))
        want = rates(whole, make(whole).step)
        first, second = make(half), make(other)
        for _ in range(done):
            first.step()
        other.load_state_dict(half.state_dict())
        second.load_state_dict(first.state_dict())
        np.testing.assert_array_equal(rates(other, second.step, STEPS - done), want[done:])


def test_last_epoch_continues_where_the_groups_say_what_they_began_with():
    whole, half = optimizer(), optimizer()
    want = rates(whole, ours.StepLR(whole, 4).step)
    first = ours.StepLR(half, 4)
    for _ in range(10):
        first.step()
    second = ours.StepLR(half, 4, last_epoch=10)
    np.testing.assert_allclose(rates(half, second.step, 20), want[11:31], rtol=1e-14)
    with pytest.raises(KeyError, match="initial_lr"):
        ours.StepLR(optimizer(), 4, last_epoch=10)


def test_restarts_take_fractions_of_an_epoch(torch):
    opt = optimizer()
    other, schedules = theirs(torch)
    found = []
    for o, m in ((opt, ours), (other, schedules)):
        scheduler, times = m.CosineAnnealingWarmRestarts(o, 3, 2), iter(np.arange(0, 20, 0.3))
        found.append(rates(o, lambda s=scheduler, times=times: s.step(next(times))))
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_the_rate_counts_at_the_next_step():
    p = Parameter(np.zeros(2))
    opt = optim.SGD([p], lr=1.0)
    scheduler = ours.ExponentialLR(opt, 0.5)
    for _ in range(4):
        p.grad = np.ones(2)
        opt.step()
        scheduler.step()
    np.testing.assert_array_equal(p.data, -1.875)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_rates_and_momenta_count_in_a_recorded_step(kind, torch):
    """One that moves both at every step, beside torch's."""
    start, found = np.array([0.3, -1.2, 2.0]), []
    for m, schedules in ((mr, ours), (torch, torch.optim.lr_scheduler)):
        p = m.nn.Parameter(m.tensor(start))
        opt = getattr(m.optim, kind)([p], lr=0.1, **({"momentum": 0.9} if kind == "SGD" else {}))
        scheduler = schedules.OneCycleLR(opt, 0.2, 40)

        def step(p=p, opt=opt):
            opt.zero_grad()
            (p**4).sum().backward()
            opt.step()

        step = mr.compile(step) if m is mr else step
        for _ in range(40):
            step()
            scheduler.step()
        found.append(p.detach().numpy())
    np.testing.assert_allclose(*found, rtol=1e-10)


OPT = optimizer()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ours.StepLR(OPT, 0), ValueError, "step_size=0.*at least 1"),
        (lambda: ours.StepLR([], 1), TypeError, "expected an optimizer, got list"),
        (lambda: ours.LinearLR(OPT, 0.0), ValueError, "start_factor=0.0"),
        (lambda: ours.CosineAnnealingLR(OPT, 2.5), ValueError, "T_max=2.5"),
        (lambda: ours.CosineAnnealingWarmRestarts(OPT, 0), ValueError, "T_0=0"),
        (lambda: ours.OneCycleLR(OPT, 0.1), ValueError, "total_steps, or epochs"),
        (lambda: ours.OneCycleLR(OPT, 0.1, 9, pct_start=2.0), ValueError, "pct_start=2.0"),
        (lambda: ours.OneCycleLR(OPT, 0.1, 9, anneal_strategy="no"), ValueError, "'no'"),
        (lambda: ours.LambdaLR(OPT, [abs] * 3), ValueError, "LambdaLR.lr_lambda.*expected 2"),
        (lambda: ours.ReduceLROnPlateau(OPT, factor=1.0), ValueError, "factor=1.0"),
        (lambda: ours.ReduceLROnPlateau(OPT, "best"), ValueError, "mode='best'"),
        (lambda: ours.SequentialLR(OPT, [], [3]), ValueError, "0 schedulers and 1 milestones"),
        (
            lambda: ours.SequentialLR(OPT, [ours.StepLR(optimizer(), 1)], []),
            ValueError,
            "of the same optimizer",
        ),
    ],
)  # fmt: skip
def test_nonsense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_cycle_has_an_end():
    opt = optimizer()
    scheduler = ours.OneCycleLR(opt, 0.1, 5)
    for _ in range(5):
        scheduler.step()
    with pytest.raises(ValueError, match="at most 5 steps, got 6"):
        scheduler.step()
