"""Averages of weights beside their definition and torch's, batch norm made anew, rates."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.nn import Parameter
from microreg.optim import lr_scheduler, swa_utils


def network(m=mr):
    return m.nn.Sequential(m.nn.Linear(3, 4), m.nn.BatchNorm1d(4), m.nn.Linear(4, 2)).double()


def wander(model, rng):
    """New weights, and new statistics by a batch; what the weights are then."""
    for p in model.parameters():
        p.data[...] += rng.normal(size=p.shape)
    model(mr.tensor(rng.normal(size=(6, 3)) + 1.0))
    return [p.data.copy() for p in model.parameters()]


@pytest.mark.parametrize("updates", [1, 2, 9])
def test_the_mean_is_the_mean(updates, rng):
    model = network()
    swa = optim.SWA(model)
    seen = []
    for _ in range(updates):
        seen.append(wander(model, rng))
        swa.update_parameters(model)
    assert int(swa.n_averaged) == updates
    for p, *values in zip(swa.module.parameters(), *seen, strict=True):
        np.testing.assert_allclose(p.data, np.mean(values, axis=0), rtol=1e-12, atol=1e-14)
    for a, b in zip(swa.module.buffers(), model.buffers(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    x = mr.tensor(rng.normal(size=(5, 3)))
    np.testing.assert_array_equal(swa(x).data, swa.module(x).data)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.95])
def test_the_exponential_mean_is_its_formula(decay, rng):
    model = network()
    ema, want, buffers = optim.EMA(model, decay, use_buffers=True), None, None
    for _ in range(7):
        now = wander(model, rng)
        floating = [b.data.copy() for b in model.buffers() if b.dtype.kind == "f"]
        ema.update_parameters(model)
        means = []
        for before, values in ((want, now), (buffers, floating)):
            pairs = zip(before or values, values, strict=True)
            means.append([decay * a + (1 - decay) * w for a, w in pairs])
        want, buffers = means
    got = [b for b in ema.module.buffers() if b.dtype.kind == "f"]
    for a, b in zip([*ema.module.parameters(), *got], want + buffers, strict=True):
        np.testing.assert_allclose(a.data, b, rtol=1e-12, atol=1e-14)
    assert int(ema.module[1].num_batches_tracked) == 7


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", ["plain", "ema", "multi", "own"])
def test_averages_are_torchs(kind, use_buffers, torch, rng):
    def options(m):
        utils = m.optim.swa_utils
        return {
            "plain": {},
            "ema": {"avg_fn": utils.get_ema_avg_fn(0.7)},
            "multi": {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.4)},
            "own": {"avg_fn": lambda a, w, n: 0.1 * a + 0.9 * w},
        }[kind]

    ours, theirs = network(), network(torch)
    swa = swa_utils.AveragedModel(ours, use_buffers=use_buffers, **options(mr))
    other = torch.optim.swa_utils.AveragedModel(theirs, use_buffers=use_buffers, **options(torch))
    assert sorted(swa.state_dict()) == sorted(other.state_dict())
    for _ in range(5):
        wander(ours, rng)
        state = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
        theirs.load_state_dict(state)
        swa.update_parameters(ours)
        other.update_parameters(theirs)
    want = other.state_dict()
    for name, value in swa.state_dict().items():
        if value.dtype.kind == "i" and use_buffers and name != "n_averaged":
            continue  # torch averages whole numbers too
        np.testing.assert_allclose(value.data, want[name].numpy(), rtol=1e-12, err_msg=name)


def test_the_mean_in_place_is_the_mean(rng):
    model = network()
    one = swa_utils.AveragedModel(model)
    other = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    for _ in range(4):
        wander(model, rng)
        for swa in (one, other):
            swa.update_parameters(model)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_an_average_is_saved_and_continued(rng):
    model = network()
    first, second = optim.EMA(model, 0.9), optim.EMA(model, 0.9)
    for _ in range(3):
        wander(model, rng)
        first.update_parameters(model)
    second.load_state_dict(first.state_dict())
    wander(model, rng)
    for ema in (first, second):
        ema.update_parameters(model)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_averages_within_a_recorded_step(rng):
    found = []
    data = rng.normal(size=(6, 4, 3))
    for wrap in (mr.compile, lambda f: f):
        mr.manual_seed(4)
        model = network()
        opt = optim.SGD(model.parameters(), lr=0.05)
        averages = optim.SWA(model), optim.EMA(model, 0.7, use_buffers=True)

        @wrap
        def step(x, model=model, opt=opt, averages=averages):
            opt.zero_grad()
            (model(x) ** 2).sum().backward()
            opt.step()
            for average in averages:
                average.update_parameters(model)

        for x in data:
            step(mr.tensor(x))
        found.append([v.data.copy() for a in averages for v in a.state_dict().values()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_an_average_of_what_an_optimizer_trains(rng):
    """The copy's memory is its own: training the model changes nothing in it."""
    model = network()
    opt = optim.Adam(model.parameters(), lr=0.1)
    swa = optim.SWA(model)
    swa.update_parameters(model)
    before = [p.data.copy() for p in swa.parameters()]
    model(mr.tensor(rng.normal(size=(6, 3)))).sum().backward()
    opt.step()
    for p, old, trained in zip(swa.parameters(), before, model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, old)
        assert not np.shares_memory(p.data, trained.data)


@pytest.mark.parametrize("pack", [lambda x: x, lambda x: (mr.tensor(x), 3), lambda x: [x]])
def test_batch_norm_made_anew(pack, rng):
    model, batches = network(), [rng.normal(size=(n, 3)) * 2 + 1 for n in (5, 8, 2)]
    wander(model, rng)
    model.eval()
    model[1].momentum = 0.3
    swa_utils.update_bn([pack(x) for x in batches], model)
    assert not model.training and model[1].momentum == 0.3
    hidden = [model[0](mr.tensor(x)).data for x in batches]
    norm = model[1]
    np.testing.assert_allclose(norm.running_mean.data, np.mean([h.mean(0) for h in hidden], 0))
    want = np.mean([h.var(0, ddof=1) for h in hidden], 0)
    np.testing.assert_allclose(norm.running_var.data, want)
    assert int(norm.num_batches_tracked) == 3


def test_other_norms_made_anew(rng):
    batches = [rng.normal(size=(6, 3)) + 1 for _ in range(4)]
    ghost, renorm = nn.GhostBatchNorm1d(3, 3).double(), nn.BatchRenorm1d(3).double()
    swa_utils.update_bn(batches, nn.Sequential(ghost))
    parts = np.stack(batches).reshape(8, 3, 3)
    np.testing.assert_allclose(ghost.running_mean.data, parts.mean((0, 1)))
    np.testing.assert_allclose(ghost.running_var.data, parts.var(1, ddof=1).mean(0))
    swa_utils.update_bn(batches, nn.Sequential(renorm))
    np.testing.assert_allclose(renorm.running_mean.data, np.mean(batches, (0, 1)))
    plain = nn.Linear(3, 2)
    swa_utils.update_bn(iter(()), plain)


@pytest.mark.parametrize(
    "options",
    [
        {"swa_lr": 0.05},
        {"swa_lr": [0.3, 0.01], "anneal_epochs": 4, "anneal_strategy": "linear"},
        {"swa_lr": 0.05, "anneal_epochs": 0},
    ],
    ids=str,
)
def test_rates_follow_torchs(options, torch):
    """After a schedule of its own, as in the tutorial."""

    def rates(m, utils, schedules, make):
        groups = [{"params": [make()]}, {"params": [make()], "lr": 0.2}]
        opt = m.optim.SGD(groups, lr=0.1)
        schedule = schedules.CosineAnnealingLR(opt, 30)
        swa, found = utils.SWALR(opt, **options), []
        for epoch in range(30):
            opt.step()
            (swa if epoch > 12 else schedule).step()
            found.append([g["lr"] for g in opt.param_groups])
        return found

    got = rates(mr, swa_utils, lr_scheduler, lambda: Parameter(np.zeros(1)))
    theirs = torch.optim
    want = rates(
        torch, theirs.swa_utils, theirs.lr_scheduler, lambda: torch.zeros(1, requires_grad=True)
    )
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match=r"decay=1\.5"):
        optim.EMA(nn.Linear(2, 2), 1.5)
    with pytest.raises(ValueError, match="got both"):
        swa_utils.AveragedModel(nn.Linear(2, 2), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="'poly'"):
        swa_utils.SWALR(optim.SGD([Parameter(np.zeros(1))]), 0.1, anneal_strategy="poly")
