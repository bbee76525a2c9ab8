"""Tensors that are computed from others: weight norm, spectral norm, one's own."""

import copy

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.errors import ShapeError
from microreg.nn.utils import parametrizations, parametrize
from microreg.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
)


class Symmetric(nn.Module):
    def forward(self, x):
        return (x + x.T) / 2


class Exp(nn.Module):
    def forward(self, x):
        return x.exp()

    def right_inverse(self, x):
        return x.log()


class Wide(nn.Module):
    def forward(self, x):
        return mr.cat([x, x])


KINDS = {
    "weight_norm": {},
    "weight_norm 1": {"dim": 1},
    "weight_norm None": {"dim": None},
    "spectral_norm": {},
    "spectral_norm 3": {"n_power_iterations": 3},
    "spectral_norm dim": {"dim": 1, "eps": 1e-10},
}
PLACES = {"Linear": ((4, 3), (5, 4)), "Conv2d": ((2, 3, 3), (2, 2, 5, 4))}


def twins(kind, place, torch):
    """A layer of ours and of torch's, reparametrized, with the same state; an input."""
    args, shape = PLACES[place]
    name, options = kind.split()[0], KINDS[kind]
    ours = getattr(parametrizations, name)(getattr(nn, place)(*args).double(), **options)
    plain = getattr(torch.nn, place)(*args).double()
    theirs = getattr(torch.nn.utils.parametrizations, name)(plain, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs, shape


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_training_follows_torchs(kind, place, torch, rng):
    ours, theirs, shape = twins(kind, place, torch)
    step = optim.SGD(ours.parameters(), lr=0.1)
    other = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for t in range(6):
        if t in (3, 5):
            ours.train(t == 5)
            theirs.train(t == 5)
        x = rng.normal(size=shape)
        out, want = ours(mr.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(out.data, want.detach().numpy(), rtol=1e-9, atol=1e-9)
        (out * out).sum().backward()
        (want * want).sum().backward()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-9, atol=1e-8)
        for optimizer in (step, other):
            optimizer.step()
            optimizer.zero_grad()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].data, value.numpy(), atol=1e-8)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_step_is_the_same(kind, place, torch, rng):
    ours, _, shape = twins(kind, place, torch)
    other = copy.deepcopy(ours)
    optimizers = [optim.SGD(model.parameters(), lr=0.1) for model in (ours, other)]

    def step(model, optimizer, x):
        out = model(x)
        loss = (out * out).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    recorded = mr.compile(lambda x: step(other, optimizers[1], x))
    for _ in range(4):
        x = mr.tensor(rng.normal(size=shape))
        assert recorded(x).item() == pytest.approx(step(ours, optimizers[0], x).item(), rel=1e-12)
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(other.state_dict()[name].data, value.data, rtol=1e-12)


def test_weight_norm_separates_length_from_direction(rng):
    layer = parametrizations.weight_norm(nn.Linear(5, 3).double())
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    g.data[:, 0] = 1.5, 0.3, 2.0
    np.testing.assert_allclose(np.linalg.norm(layer.weight.data, axis=1), g.data[:, 0])
    (layer(mr.tensor(rng.normal(size=(7, 5)))) ** 2).sum().backward()
    np.testing.assert_allclose((v.grad.data * v.data).sum(1), 0, atol=1e-12)
    w, dw = layer.weight.data, mr.grad((layer.weight * 2.0).sum(), [v])[0].data
    unit = w / g.data
    naive = g.data / np.linalg.norm(v.data, axis=1, keepdims=True)
    naive = naive * (2.0 - (2.0 * unit).sum(1, keepdims=True) * unit)
    np.testing.assert_allclose(dw, naive, atol=1e-12)


def test_spectral_norm_makes_the_largest_singular_value_one():
    layer = parametrizations.spectral_norm(nn.Linear(6, 5).double())
    for _ in range(60):
        weight = layer.weight
    assert np.linalg.norm(weight.data, 2) == pytest.approx(1, rel=1e-6)
    held = layer.parametrizations.weight[0]
    before = held._u.data.copy()
    np.testing.assert_array_equal(layer.eval().weight.data, layer.weight.data)
    np.testing.assert_array_equal(held._u.data, before)


def test_one_of_ones_own(torch):
    ours, theirs = nn.Linear(3, 3), torch.nn.Linear(3, 3)
    register_parametrization(ours, "weight", Symmetric())
    torch.nn.utils.parametrize.register_parametrization(
        theirs, "weight", type("S", (torch.nn.Module,), {"forward": Symmetric.forward})()
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_array_equal(ours.weight.data, ours.weight.data.T)
    assert is_parametrized(ours) and is_parametrized(ours, "weight")
    assert not is_parametrized(ours, "bias") and not is_parametrized(nn.ReLU())
    original = ours.parametrizations.weight.original
    assert list(ours.parameters())[1] is original and type(original) is nn.Parameter
    ours.weight = mr.eye(3)
    np.testing.assert_array_equal(ours.weight.data, np.eye(3))
    twin = copy.deepcopy(ours)
    twin.parametrizations.weight.original.data[...] = 5
    np.testing.assert_array_equal(ours.weight.data, np.eye(3))
    assert "Linear(\n  3, 3, bias=True\n  (parametrizations)" in repr(ours)


def test_several_in_a_row_and_back():
    layer = nn.Linear(2, 2)
    layer.weight.data[...] = [[1.0, 2.0], [2.0, 3.0]]
    before = layer.weight.data.copy()
    register_parametrization(layer, "weight", Symmetric())
    register_parametrization(layer, "weight", Exp())
    np.testing.assert_allclose(layer.weight.data, before, rtol=1e-6)
    np.testing.assert_allclose(layer.parametrizations.weight.original.data, np.log(before))
    remove_parametrizations(layer, "weight")
    np.testing.assert_allclose(layer.weight.data, before, rtol=1e-6)
    assert list(layer.state_dict()) == ["bias", "weight"] and not is_parametrized(layer)
    register_parametrization(layer, "weight", Exp())
    remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_allclose(layer.weight.data, np.log(before), rtol=1e-6)


def test_a_buffer_can_be_parametrized():
    norm = nn.BatchNorm1d(2)
    register_parametrization(norm, "running_var", Exp())
    assert norm.running_var.tolist() == [1, 1]
    assert "parametrizations.running_var.original" in dict(norm.named_buffers())
    remove_parametrizations(norm, "running_var")
    assert norm.running_var.tolist() == [1, 1] and "running_var" in dict(norm.named_buffers())


def test_what_is_refused_leaves_the_layer_as_it_was():
    layer = nn.Linear(2, 2)
    layer.weight.data[...] = [[0.5, 1.0], [2.0, 0.3]]
    state = {k: v.data.copy() for k, v in layer.state_dict().items()}
    for make in (Wide, lambda: register_parametrization(layer, "weight", Exp()) and Wide()):
        with pytest.raises(ShapeError, match=r"expected float32 of shape \(2, 2\), got float32 of"):
            register_parametrization(layer, "weight", make())
    remove_parametrizations(layer, "weight", leave_parametrized=True)
    layer.weight.data[...] = state["weight"]
    assert set(layer.state_dict()) == set(state)
    with pytest.raises(ValueError, match="Linear has no parameter or buffer 'scale'"):
        register_parametrization(layer, "scale", Exp())
    with pytest.raises(ValueError, match=r"Linear\.bias is not parametrized"):
        remove_parametrizations(layer, "bias")
    parametrizations.weight_norm(layer)
    with pytest.raises(ValueError, match="several originals make no tensor by themselves"):
        remove_parametrizations(layer, "weight", leave_parametrized=False)
    with pytest.raises(TypeError, match="parametrizations: expected a Tensor, got int"):
        layer.weight = 3
    with pytest.raises(ShapeError, match=r"spectral_norm: expected at least two axes, got \(2,\)"):
        parametrizations.spectral_norm(layer, "bias")
    with pytest.raises(ValueError, match="n_power_iterations=0"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    assert parametrize.is_parametrized(layer)
