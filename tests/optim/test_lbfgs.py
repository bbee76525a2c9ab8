"""L-BFGS and its line search: beside torch's, on bowls, valleys; saved and continued."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import optim
from microreg.nn import Parameter
from microreg.penalties import L1

OPTIONS = [
    {"max_iter": 10},
    {"lr": 0.3, "max_iter": 3},
    {"lr": 0.5, "history_size": 3, "max_iter": 4},
    {"max_iter": 9, "max_eval": 5, "tolerance_change": 1e-5},
    {"line_search_fn": "strong_wolfe", "max_iter": 6},
    {"line_search_fn": "strong_wolfe", "lr": 0.1, "history_size": 2, "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "lr": 3.0, "max_iter": 4},
]
over_options = pytest.mark.parametrize("options", OPTIONS, ids=str)


def network(m):
    return m.nn.Sequential(m.nn.Linear(5, 8), m.nn.Tanh(), m.nn.Linear(8, 1)).double()


def data(m, rng):
    x = rng.normal(size=(40, 5))
    return m.tensor(x), m.tensor(np.sin(x.sum(1, keepdims=True)))


def losses(m, model, opt, rng, steps):
    """The loss at the start of every step, and how often it was computed."""
    (x, y), calls = data(m, rng), []

    def closure():
        opt.zero_grad()
        loss = m.nn.functional.mse_loss(model(x), y)
        loss.backward()
        calls.append(float(loss.detach()))
        return loss

    return [float(opt.step(closure).detach()) for _ in range(steps)], calls


@over_options
@pytest.mark.parametrize("seed", range(4))
def test_follows_torch(options, seed, torch):
    """For few steps: each makes a difference in rounding many times larger."""
    mr.manual_seed(seed)
    ours, theirs = network(mr), network(torch)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    opt = optim.LBFGS(ours.parameters(), **options)
    other = torch.optim.LBFGS(theirs.parameters(), **options)
    found, calls = losses(mr, ours, opt, np.random.default_rng(3), 3)
    want, others = losses(torch, theirs, other, np.random.default_rng(3), 3)
    assert len(calls) == len(others) and found[-1] < found[0]
    np.testing.assert_allclose(calls, others, rtol=1e-7)
    np.testing.assert_allclose(found, want, rtol=1e-7)


def test_defaults_are_torchs(torch):
    theirs = torch.optim.LBFGS([torch.zeros(1, requires_grad=True)]).defaults
    assert optim.LBFGS([Parameter(np.zeros(1))]).defaults == theirs


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_a_bowl_is_solved(search, rng):
    """Of n dimensions, in few evaluations: the least-squares solution to many digits."""
    a, b = rng.normal(size=(30, 6)), rng.normal(size=30)
    w, v = Parameter(np.zeros(4)), Parameter(np.zeros((1, 2)))
    opt = optim.LBFGS([w, v], max_iter=60, tolerance_change=1e-14, line_search_fn=search)

    def closure():
        opt.zero_grad()
        whole = mr.cat([w, v.reshape(-1)])
        loss = ((mr.tensor(a) @ whole - mr.tensor(b)) ** 2).mean()
        loss.backward()
        return loss

    opt.step(closure)
    want = np.linalg.lstsq(a, b, rcond=None)[0]
    np.testing.assert_allclose(np.hstack([w.data, v.data[0]]), want, rtol=1e-5, atol=1e-6)
    assert opt.state_dict()["state"][0]["func_evals"] < 60


def test_a_curved_valley_is_followed_to_its_end():
    w = Parameter(np.array([-1.2, 1.0]))
    opt = optim.LBFGS([w], line_search_fn="strong_wolfe", max_iter=100)

    def closure():
        opt.zero_grad()
        loss = (1.0 - w[0]) ** 2 + 100.0 * (w[1] - w[0] ** 2) ** 2
        loss.backward()
        return loss

    opt.step(closure)
    np.testing.assert_allclose(w.data, 1.0, atol=1e-4)


@over_options
def test_state_dict_continues_bit_for_bit(options, rng):
    whole, half = network(mr), network(mr)
    half.load_state_dict(whole.state_dict())
    opt = optim.LBFGS(whole.parameters(), **options)
    want, _ = losses(mr, whole, opt, np.random.default_rng(3), 6)
    first = optim.LBFGS(half.parameters(), **options)
    got, _ = losses(mr, half, first, np.random.default_rng(3), 2)
    saved = first.state_dict()
    second = optim.LBFGS(half.parameters(), lr=7.0)
    second.load_state_dict(saved)
    got += losses(mr, half, second, np.random.default_rng(3), 4)[0]
    np.testing.assert_array_equal(got, want)
    assert saved["param_groups"][0]["params"] == [0, 1, 2, 3]


def test_the_closure_may_be_recorded(rng):
    found = []
    for wrap in (mr.compile, lambda f: f):
        mr.manual_seed(2)
        model = network(mr)
        opt, (x, y) = optim.LBFGS(model.parameters()), data(mr, np.random.default_rng(3))

        @wrap
        def closure(x, y, model=model, opt=opt):
            opt.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            return loss

        found.append([opt.step(lambda x=x, y=y, f=closure: f(x, y)).item() for _ in range(3)])
    np.testing.assert_allclose(*found, rtol=1e-7)


def test_nonsense_is_refused():
    p = Parameter(np.ones(3))
    with pytest.raises(TypeError, match="expected a closure"):
        optim.LBFGS([p]).step()
    with pytest.raises(ValueError, match="line_search_fn='armijo'"):
        optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [Parameter(np.ones(2))]}])
    with pytest.raises(ValueError, match="max_iter=0"):
        optim.LBFGS([p], max_iter=0)
    opt = optim.LBFGS([p])
    small = optim.LBFGS([Parameter(np.ones(2))])
    opt.step(lambda: bowl(p))
    with pytest.raises(ValueError, match="expected a state of 2 weights, got 3"):
        small.load_state_dict(opt.state_dict())
    p.penalty = L1(0.1)
    with pytest.raises(ValueError, match=r"expected a smooth loss, got L1.* of shape \(3,\)"):
        opt.step(lambda: bowl(p))


def bowl(p):
    p.grad = None
    loss = (p * p).sum()
    loss.backward()
    return loss


def test_a_parameter_without_gradient_stays():
    p, q = Parameter(np.ones(3)), Parameter(np.ones(2))
    optim.LBFGS([p, q]).step(lambda: bowl(p))
    assert (q.data == 1.0).all() and np.abs(p.data).max() < 1e-3
