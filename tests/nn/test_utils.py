"""Clipping of gradients, parameters as vectors, sequences padded: beside torch's."""

import math

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.errors import ShapeError
from microreg.nn import utils

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]


def gradients(rng, dtype):
    return [np.asarray(rng.normal(size=shape) * 3, dtype) for shape in SHAPES]


def parameters(grads):
    made = [nn.Parameter(np.zeros_like(g)) for g in grads]
    for p, g in zip(made, grads, strict=True):
        p.grad = mr.tensor(g)
    return [*made[:2], nn.Parameter(np.zeros(2)), *made[2:]]  # one without a gradient


def torch_parameters(torch, grads):
    made = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.tensor(g).dtype)) for g in grads]
    for p, g in zip(made, grads, strict=True):
        p.grad = torch.tensor(g)
    return made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_norm", [0.0, 0.7, 3.3, 1000.0])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 2.5, math.inf])
def test_the_norm_of_gradients_is_bounded(norm_type, max_norm, dtype, torch, rng):
    grads = gradients(rng, dtype)
    ours, theirs = parameters(grads), torch_parameters(torch, grads)
    norm = utils.clip_grad_norm_(ours, max_norm, norm_type)
    want = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    assert norm.dtype == dtype and norm.item() == pytest.approx(want.item(), rel=rtol)
    held = [p for p in ours if p.grad is not None]
    for p, q in zip(held, theirs, strict=True):
        assert p.grad.dtype == dtype
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=rtol, atol=1e-30)


@pytest.mark.parametrize("bound", [0.0, 0.5, 2.2])
def test_the_entries_of_gradients_are_bounded(bound, rng):
    grads = gradients(rng, np.float64)
    ours = parameters(grads)
    utils.clip_grad_value_(iter(ours), bound)
    for p, g in zip([p for p in ours if p.grad is not None], grads, strict=True):
        np.testing.assert_array_equal(p.grad.data, np.clip(g, -bound, bound))


def test_clipping_without_gradients_or_with_one_parameter():
    p = nn.Parameter(np.zeros(3))
    assert utils.clip_grad_norm_([], 1.0).item() == utils.clip_grad_norm_(p, 1.0).item() == 0
    p.grad = mr.tensor([3.0, 0.0, 4.0]).double()
    assert utils.clip_grad_norm_(p, 1.0).item() == 5
    np.testing.assert_allclose(p.grad.data, [0.6, 0, 0.8], rtol=1e-6)


def test_a_norm_that_is_not_finite_is_refused_where_asked():
    p = nn.Parameter(np.zeros(2))
    p.grad = mr.tensor([np.nan, 1.0])
    with pytest.raises(RuntimeError, match="expected finite numbers, the norm is nan; error_if"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert math.isnan(utils.clip_grad_norm_([p], 1.0).item())
    for call in (
        lambda: utils.clip_grad_norm_([p], -1.0),
        lambda: utils.clip_grad_value_([p], math.nan),
    ):
        with pytest.raises(ValueError, match="at least 0"):
            call()


@pytest.mark.parametrize("how", ["norm", "value", "inf", "frozen"])
def test_a_recorded_step_clips(how, rng):
    def run(wrap):
        mr.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
        model[2].bias.requires_grad_(how != "frozen")
        optimizer = optim.AdamW(model.parameters(), lr=0.05)

        def step(x, y):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            if how == "value":
                utils.clip_grad_value_(model.parameters(), 0.01)
                norm = loss
            else:
                kind = math.inf if how == "inf" else 2.0
                norm = utils.clip_grad_norm_(model.parameters(), 0.02, kind)
            optimizer.step()
            return loss, norm

        step, found = wrap(step), []
        rng = np.random.default_rng(5)
        for _ in range(5):
            x, y = mr.tensor(rng.normal(size=(8, 4))), mr.tensor(rng.integers(0, 3, 8))
            found += [t.item() for t in step(x, y)]
        grads = [p.grad for p in model.parameters() if p.requires_grad]
        return found + [g.data for g in grads] + [p.data for p in model.parameters()]

    eager, recorded = run(lambda f: f), run(mr.compile)
    for a, b in zip(eager, recorded, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


# vectors


def test_parameters_become_a_vector_and_back(torch):
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    vector = utils.parameters_to_vector(ours.parameters())
    assert vector.shape == (8,) and vector.requires_grad
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    want = torch.nn.utils.parameters_to_vector(theirs.parameters()).detach().numpy()
    np.testing.assert_array_equal(vector.data, want)
    utils.vector_to_parameters(mr.arange(8), ours.parameters())
    assert ours.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and ours.bias.tolist() == [6, 7]
    with pytest.raises(ShapeError, match=r"expected 8 entries, got shape \(7,\)"):
        utils.vector_to_parameters(mr.zeros(7), ours.parameters())


# sequences


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_sequences_are_padded(batch_first, side, torch, rng):
    arrays = [rng.normal(size=(n, 2)) for n in (3, 1, 5)]
    ours = [mr.tensor(x, requires_grad=True) for x in arrays]
    out = utils.rnn.pad_sequence(ours, batch_first, -1.5, side)
    want = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(x) for x in arrays], batch_first, -1.5, side
    )
    np.testing.assert_array_equal(out.data, want.numpy())
    (out * out).sum().backward()
    for x in ours:
        np.testing.assert_array_equal(x.grad.data, 2 * x.data)
    tokens = utils.rnn.pad_sequence([np.arange(3), np.arange(1)], True)
    assert tokens.dtype == mr.int64 and tokens.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_sequences_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="alike but for their length, got shapes"):
        utils.rnn.pad_sequence([mr.ones(2, 3), mr.ones(2, 4)])
    with pytest.raises(ShapeError, match="expected at least one sequence"):
        utils.rnn.pad_sequence([])
    with pytest.raises(ValueError, match="padding_side='up'"):
        utils.rnn.pad_sequence([mr.ones(2)], padding_side="up")
