"""The rules without penalties: the same path as the formulas, and as torch."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.errors import CheckpointError
from microreg.nn import Parameter

TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-7}
DTYPES = [np.float32, np.float64]
STEPS = 200
SHAPES = [(3, 5), (7,), (2, 3, 4)]


def gradient(w, t):
    """Of a bowl whose middle wanders, so that no gradient dies out."""
    place = np.arange(w.size).reshape(w.shape)
    return ((w - np.cos(place) + 0.5 * np.sin(0.3 * t + place)) * (1 + place % 3)).astype(w.dtype)


def starts(rng, dtype):
    return [rng.normal(size=shape).astype(dtype) for shape in SHAPES]


def follow(parameters, optimizer, first, steps):
    """`steps` steps along `gradient`, the first one at time `first`."""
    for t in range(first, first + steps):
        optimizer.zero_grad()
        for p in parameters:
            p.grad = mr.Tensor(gradient(p.data, t))
        optimizer.step()


def unchanged(v, step):
    return v


@pytest.mark.parametrize("dtype", DTYPES)
def test_follows_its_formula(rule, dtype, rng):
    parameters = [Parameter(w) for w in starts(rng, dtype)]
    begin = [p.data.astype(np.float64) for p in parameters]
    follow(parameters, rule.make(parameters, **rule.options), 0, STEPS)
    for p, w in zip(parameters, begin, strict=True):
        want = rule.naive(w, gradient, unchanged, STEPS, **rule.options)
        assert p.dtype == dtype
        np.testing.assert_allclose(p.data, want, rtol=TOLERANCE[p.dtype], atol=TOLERANCE[p.dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_follows_torch(rule, dtype, rng):
    torch = pytest.importorskip("torch")
    parameters = [Parameter(w) for w in starts(rng, dtype)]
    theirs = [torch.nn.Parameter(torch.tensor(p.data)) for p in parameters]
    follow(parameters, rule.make(parameters, **rule.options), 0, STEPS)
    optimizer = getattr(torch.optim, rule.make.__name__)(theirs, **rule.options)
    for t in range(STEPS):
        for p in theirs:
            p.grad = torch.tensor(gradient(p.detach().numpy(), t))
        optimizer.step()
    for p, other in zip(parameters, theirs, strict=True):
        want = other.detach().numpy()
        np.testing.assert_allclose(p.data, want, rtol=TOLERANCE[p.dtype], atol=TOLERANCE[p.dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_to_maximize_is_to_minimize_the_opposite(rule, dtype, rng):
    begin = starts(rng, dtype)
    one, other = ([Parameter(w.copy()) for w in begin] for _ in range(2))
    up, down = (rule.make(p, **rule.options, maximize=m) for p, m in ((one, True), (other, False)))
    for t in range(20):
        for p, q in zip(one, other, strict=True):
            p.grad = mr.Tensor(-gradient(p.data, t))
            q.grad = mr.Tensor(gradient(q.data, t))
        up.step()
        down.step()
    for p, q in zip(one, other, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_defaults_are_torchs():
    torch = pytest.importorskip("torch")
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad"):
        theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
        ours = getattr(optim, name)([Parameter(np.zeros(1))]).defaults
        assert ours == {key: theirs[key] for key in ours}


def test_state_dict_continues_bit_for_bit(rule, rng):
    whole = [Parameter(w) for w in starts(rng, np.float32)]
    halves = [Parameter(p.data.copy()) for p in whole]
    follow(whole, rule.make(whole, **rule.options), 0, 20)
    optimizer = rule.make(halves, **rule.options)
    follow(halves, optimizer, 0, 11)
    saved = optimizer.state_dict()
    other = rule.make(halves, **{**rule.options, "lr": 9.0})
    other.load_state_dict(saved)
    follow(halves, other, 11, 9)
    for a, b in zip(whole, halves, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_a_state_dict_that_does_not_fit_is_refused_and_changes_nothing():
    def adam(*lengths, **options):
        return optim.Adam([Parameter(np.ones(n)) for n in lengths], **options)

    small, good = adam(3), adam(3).state_dict()
    unset = {k: v for k, v in good["param_groups"][0].items() if k != "eps"}
    odd = {**good["param_groups"][0], "lr": float("nan")}
    for state, words in [
        (adam(3, 3).state_dict(), r"groups: expected \[1\] parameters, got \[2\]"),
        (adam(4).state_dict(), r"parameter 0: expected .*'m': \(3,\), .* got .*'m': \(4,\)"),
        (adam(3, amsgrad=True).state_dict(), "parameter 0: expected .* got .*"),
        (optim.SGD([Parameter(np.ones(3))]).state_dict(), r"missing"),
        ({**good, "state": {}}, r"parameter 0: expected .* got \{\}"),
        ({**good, "param_groups": [unset]}, r"options: \['eps'\] are missing"),
    ]:
        with pytest.raises(CheckpointError, match=words):
            small.load_state_dict(state)
    with pytest.raises(ValueError, match="lr=nan"):
        small.load_state_dict({**good, "param_groups": [odd]})
    assert not small.state_dict()["state"][0]["m"].any()
    assert small.param_groups[0]["lr"] == 1e-3


def test_parameter_groups_have_their_own_options():
    a, b, c = (Parameter(np.full(4, 2.0)) for _ in range(3))
    groups = [{"params": [a], "lr": 0.3}, {"params": b, "weight_decay": 0.5}, {"params": [c]}]
    optimizer = optim.SGD(groups, lr=0.1)
    for p in (a, b, c):
        p.grad = mr.Tensor(np.ones(4))
    optimizer.step()
    np.testing.assert_allclose([a.data[0], b.data[0], c.data[0]], [1.7, 1.8, 1.9])
    optimizer.param_groups[2]["lr"] = 0.01
    optimizer.step()
    np.testing.assert_allclose(c.data, 1.89)


def test_a_parameter_without_gradient_is_untouched_and_starts_late(rule, rng):
    late, early = (Parameter(rng.normal(size=5)) for _ in range(2))
    begin = late.data.copy()
    optimizer = rule.make([late, early], **rule.options)
    before = optimizer.state_dict()["state"][0]
    follow([early], optimizer, 0, 6)
    np.testing.assert_array_equal(late.data, begin)
    np.testing.assert_equal(optimizer.state_dict()["state"][0], before)
    follow([late], optimizer, 0, 6)
    want = rule.naive(begin, gradient, unchanged, 6, **rule.options)
    np.testing.assert_allclose(late.data, want, rtol=1e-12)


@pytest.mark.parametrize("wrap", [mr.compile, lambda f: f], ids=["recorded", "eager"])
def test_gradients_filled_with_zeros(wrap, rng):
    """Whatever was there; and what is added next is all that counts."""
    layer = nn.Linear(3, 2, dtype=np.float64)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.5)
    x = mr.tensor(rng.normal(size=(4, 3)))
    layer.weight.grad = mr.tensor(np.full((2, 3), np.nan))
    for owner in (optimizer, layer):

        @wrap
        def step(x, owner=owner):
            owner.zero_grad(set_to_none=False)
            layer(x).sum().backward()

        for _ in range(3):
            step(x)
            want = np.broadcast_to(x.data.sum(0), (2, 3))
            np.testing.assert_allclose(layer.weight.grad.data, want, rtol=1e-12)
    optimizer.zero_grad(set_to_none=False)
    assert not layer.weight.grad.data.any()


def test_zero_grad_and_a_step_without_gradients():
    p = Parameter(np.ones(3))
    optimizer = optim.Adam([p])
    p.grad = mr.Tensor(np.ones(3))
    optimizer.zero_grad()
    assert p.grad is None
    assert optimizer.step() is None and optimizer.step(lambda: 3.5) == 3.5
    np.testing.assert_array_equal(p.data, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_replaced_data_are_taken_home(rule, dtype, rng):
    p, q = (Parameter(w) for w in starts(rng, dtype)[:2])
    optimizer = rule.make([p, q], **rule.options)
    follow([p, q], optimizer, 0, 3)
    home = p.data
    new = rng.normal(size=p.shape).astype(dtype)
    kept = new.copy()
    p.data = new
    want = Parameter(new.copy())
    twin = rule.make([want], **rule.options)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["params"] = [0]
    twin.load_state_dict(saved)
    follow([p], optimizer, 3, 2)
    follow([want], twin, 3, 2)
    assert p.data is home
    np.testing.assert_array_equal(new, kept)
    np.testing.assert_array_equal(p.data, want.data)


def test_two_optimizers_share_a_model(rng):
    layer = nn.Linear(4, 3)
    first, second = (optim.SGD([p], lr=0.1) for p in layer.parameters())
    both = [optim.SGD(layer.parameters(), lr=0.1) for _ in range(2)]
    begin = layer.weight.data.copy()
    for optimizer in (first, second, *both, first, both[0]):
        for p in layer.parameters():
            p.grad = mr.Tensor(np.ones_like(p.data))
        optimizer.step()
    np.testing.assert_allclose(layer.weight.data, begin - 0.5, rtol=1e-6, atol=1e-6)
    x = rng.normal(size=(2, 4)).astype(np.float32)
    want = x @ layer.weight.data.T + layer.bias.data
    np.testing.assert_allclose(layer(mr.tensor(x)).data, want, rtol=1e-5)


@pytest.mark.parametrize("kind", ["transposed", "strided", "other dtype", "array"])
def test_gradients_of_any_layout(kind, rng):
    p, g = Parameter(np.zeros((3, 5), np.float32)), rng.normal(size=(3, 5)).astype(np.float32)
    made = {
        "transposed": mr.Tensor(g.T.copy().T),
        "strided": mr.Tensor(np.repeat(g, 2, axis=1)[:, ::2]),
        "other dtype": mr.Tensor(g.astype(np.float64)),
        "array": g,
    }
    p.grad = made[kind]
    optim.SGD([p], lr=1.0).step()
    np.testing.assert_array_equal(p.data, -g)


def test_empty_and_single_number_parameters():
    empty, one = Parameter(np.zeros((0, 4))), Parameter(np.array(2.0))
    optimizer = optim.AdamW([empty, one], lr=0.1, weight_decay=0.0)
    for p in (empty, one):
        p.grad = mr.Tensor(np.ones_like(p.data))
    optimizer.step()
    assert float(one) == pytest.approx(1.9)


@pytest.mark.parametrize("grad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_shows(rule, grad):
    p = Parameter(np.ones(3))
    p.grad = mr.Tensor(np.array([0.1, grad, 0.1]))
    rule.make([p], **rule.options).step()
    assert not np.isfinite(p.data[1]) and np.isfinite(p.data[[0, 2]]).all()


P = Parameter(np.ones(3))
MOMENTUM = {"params": [P], "momentum": 0.9}


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: optim.SGD([P], lr=-0.1), ValueError, r"SGD\(lr=-0.1\): expected a finite number"),
        (lambda: optim.Adam([P], lr=np.nan), ValueError, r"Adam\(lr=nan\)"),
        (lambda: optim.Adam([P], lr="fast"), ValueError, r"Adam\(lr='fast'\)"),
        (lambda: optim.Adam([P], betas=(0.9, 1.0)), ValueError, r"beta2=1.0.*less than 1"),
        (lambda: optim.Adam([P], eps=-1e-8), ValueError, "eps"),
        (lambda: optim.AdamW([P], weight_decay=-0.1), ValueError, "weight_decay"),
        (lambda: optim.RMSprop([P], alpha=1.1), ValueError, "alpha=1.1.*at most 1"),
        (lambda: optim.RMSprop([P], momentum=1.0), ValueError, "momentum=1.0.*less than 1"),
        (lambda: optim.SGD([P], momentum=1.0), ValueError, "momentum=1.0.*less than 1"),
        (lambda: optim.SGD([P], momentum=0.9, dampening=1.5), ValueError, "dampening=1.5"),
        (lambda: optim.SGD([P], nesterov=True), ValueError, "expected momentum > 0"),
        (lambda: optim.SGD([P], 0.1, 0.9, 0.1, nesterov=True), ValueError, "dampening = 0"),
        (lambda: optim.SGD([MOMENTUM]), ValueError, "momentum must be given"),
        (lambda: optim.SGD([]), ValueError, "got an empty list"),
        (lambda: optim.SGD([P, P]), ValueError, "appears more than once"),
        (lambda: optim.SGD([{"params": [P], "lr": -1.0}]), ValueError, "lr=-1.0"),
        (lambda: optim.SGD([np.ones(3)]), TypeError, "expected floating leaf tensors, got ndarray"),
        (lambda: optim.SGD([mr.tensor([1, 2])]), TypeError, "floating leaf tensors"),
        (lambda: optim.SGD([P * 2.0]), TypeError, "floating leaf tensors"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_an_option_that_became_nonsense_is_refused_before_anything_moves():
    p = Parameter(np.ones(3))
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.param_groups[0]["lr"] = np.inf
    p.grad = mr.Tensor(np.ones(3))
    with pytest.raises(ValueError, match="lr=inf"):
        optimizer.step()
    np.testing.assert_array_equal(p.data, 1.0)


def test_a_converted_model_needs_a_new_optimizer():
    layer = nn.Linear(3, 2)
    optimizer = optim.Adam(layer.parameters())
    layer.double()
    for p in layer.parameters():
        p.grad = mr.Tensor(np.ones_like(p.data))
    with pytest.raises(ValueError, match="make a new optimizer after converting"):
        optimizer.step()


def test_a_gradient_of_another_shape_is_refused():
    p = Parameter(np.ones(3))
    p.grad = mr.Tensor(np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"expected a gradient of \(3,\), got \(3, 1\)"):
        optim.SGD([p]).step()
