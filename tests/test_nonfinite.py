"""NaN and infinity are never swallowed: what comes of them is what the formula says."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim, penalties

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
ROWS, COLUMNS = 37, 19  # longer than a vector, no multiple of one
NAN, INF = np.nan, np.inf
ACTIVATIONS = [
    name
    for name in (
        "relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "leaky_relu", "softplus",
        "softsign", "hardtanh", "hardswish", "hardsigmoid", "mish", "logsigmoid", "sigmoid", "tanh",
        "tanhshrink", "hardshrink", "softshrink", "softmax", "log_softmax", "softmin",
    )
    if hasattr(F, name)
]  # fmt: skip
ROW_WISE = {"softmax", "log_softmax", "softmin"}
REDUCTIONS = ["sum", "mean", "var", "std", "amax", "amin", "prod", "logsumexp", "norm"]
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "amsgrad": lambda p: optim.AdamW(p, lr=0.1, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
}
PENALTIES = [
    None,
    penalties.L1(0.1),
    penalties.L2(0.1),
    penalties.ElasticNet(0.1, 0.5),
    penalties.GroupLasso(0.1, groups="in"),
    penalties.GroupLasso(0.1, groups="out"),
    penalties.MaxNorm(1.0),
    penalties.NonNegative(),
    penalties.Box(-1.0, 1.0),
    [penalties.L1(0.1), penalties.MaxNorm(1.0)],
]


def tainted(rng, value, dtype=np.float32, at=(20, 13)):
    x = rng.normal(size=(ROWS, COLUMNS)).astype(dtype)
    x[at] = value
    return x


def both_ways(function, x):
    """The numbers of function(x), computed op by op and by a recorded step."""
    eager = function(mr.tensor(x)).data
    recorded = mr.compile(function)(mr.tensor(x)).data
    np.testing.assert_array_equal(np.isnan(eager), np.isnan(recorded))
    np.testing.assert_array_equal(np.isinf(eager), np.isinf(recorded))
    return eager


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_nan_where_it_is(name, dtype, rng):
    function = getattr(F, name)
    options = (-1,) if name in ROW_WISE else ()
    got = both_ways(lambda x: function(x, *options), tainted(rng, NAN, dtype))
    wanted = np.zeros(got.shape, bool)
    wanted[20, slice(None) if name in ROW_WISE else 13] = True
    np.testing.assert_array_equal(np.isnan(got), wanted)


@pytest.mark.parametrize("value", [INF, -INF])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_infinity_are_finite_where_torchs_are(name, value, torch, rng):
    options = (-1,) if name in ROW_WISE else ()
    x = tainted(rng, value)
    theirs = getattr(torch.nn.functional, name, getattr(torch, name, None))
    want = theirs(torch.from_numpy(x), *options).numpy()
    got = both_ways(lambda x: getattr(F, name)(x, *options), x)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("name", [name for name in REDUCTIONS if hasattr(mr.Tensor, name)])
def test_reductions_say_what_their_formula_says(name, value, dim, rng):
    x = tainted(rng, value)
    if name == "prod":
        x = 1.0 + 0.01 * x  # no product of some of them is 0 or infinite
    if name == "logsumexp" and dim is None:
        pytest.skip("needs an axis")
    got = both_ways(lambda x: getattr(x, name)(dim=dim), x)
    wide, axis = x.astype(np.float64), dim
    with np.errstate(all="ignore"):
        want = {
            "var": lambda: wide.var(axis, ddof=1),
            "std": lambda: wide.std(axis, ddof=1),
            "logsumexp": lambda: np.log(np.exp(wide).sum(axis)),
            "norm": lambda: np.sqrt((wide**2).sum(axis)),
            "amax": lambda: wide.max(axis),
            "amin": lambda: wide.min(axis),
        }.get(name, lambda: getattr(wide, name)(axis))()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


NORMS = {
    "layer": lambda: nn.LayerNorm(COLUMNS),
    "rms": lambda: nn.RMSNorm(COLUMNS),
    "batch": lambda: nn.BatchNorm1d(COLUMNS),
    "group": lambda: nn.GroupNorm(1, COLUMNS),
}


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("name", NORMS)
def test_norms_spoil_all_that_they_average(name, value, rng):
    got = both_ways(NORMS[name](), tainted(rng, value))
    spoiled = got[:, 13] if name == "batch" else got[20]
    whole = np.isnan(spoiled).all()
    if name == "rms" and value == INF:  # the others are divided by infinity
        whole = np.isnan(spoiled[13]) and (np.delete(spoiled, 13) == 0).all()
    assert whole and np.isfinite(got).sum() >= got.size - spoiled.size


LOSSES = {
    "mse_loss": lambda x: F.mse_loss(x, mr.zeros(ROWS, COLUMNS)),
    "cross_entropy": lambda x: F.cross_entropy(x, np.arange(ROWS) % COLUMNS),
    "smoothed": lambda x: F.cross_entropy(x, np.arange(ROWS) % COLUMNS, label_smoothing=0.1),
    "binary": lambda x: F.binary_cross_entropy_with_logits(x, mr.ones(ROWS, COLUMNS) * 0.5),
}


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_not_finite(name, value, rng):
    assert not np.isfinite(both_ways(LOSSES[name], tainted(rng, value)))
    x = mr.tensor(tainted(rng, NAN), requires_grad=True)
    LOSSES[name](x).backward()
    assert np.isnan(x.grad.data[20, 13])


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_do_not_swallow_a_gradient(name, penalty, value, rng):
    w = nn.Parameter(mr.tensor(rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)))
    w.penalty = penalty
    optimizer = OPTIMIZERS[name]([w])
    w.grad = mr.tensor(tainted(rng, value))
    optimizer.step()
    bounded = "NonNegative" in str(penalty) or "Box" in str(penalty)
    if value is NAN or (not bounded and name not in ("rmsprop", "adagrad")):
        assert not np.isfinite(w.data[20, 13]), w.data[20, 13]


@pytest.mark.parametrize("penalty", PENALTIES[1:-1], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalties_do_not_swallow_nan(penalty, dtype, rng):
    w = tainted(rng, NAN, dtype)
    assert np.isnan(penalty.prox(w, 0.3)[20, 13])
    if not isinstance(penalty, (penalties.NonNegative, penalties.Box, penalties.MaxNorm)):
        assert np.isnan(penalty.value(w))


def test_a_clipped_gradient_is_not_finite(rng):
    w = nn.Parameter(mr.ones(ROWS, COLUMNS))
    w.grad = mr.tensor(tainted(rng, NAN))
    assert np.isnan(nn.utils.clip_grad_norm_([w], 1.0).item())
    assert np.isnan(w.grad.data).all()


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_whole_networks(value, rng):
    networks = [
        nn.Sequential(nn.Linear(COLUMNS, 9), nn.ReLU(), nn.Linear(9, 3)),
        nn.Sequential(nn.Linear(COLUMNS, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 3)),
        nn.Sequential(nn.LayerNorm(COLUMNS), nn.Linear(COLUMNS, 9), nn.GELU(), nn.Linear(9, 3)),
    ]
    labels = np.arange(ROWS) % 3
    for network in networks:
        loss = both_ways(lambda x, n=network: F.cross_entropy(n(x), labels), tainted(rng, value))
        assert not np.isfinite(loss)
