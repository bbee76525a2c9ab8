"""Modules and parameters in lists and dicts, in order, under torch's names."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn


def test_sequential_and_module_list():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    x = mr.ones(1, 2)
    want = layers[2](F.relu(layers[0](x))).data
    np.testing.assert_array_equal(model(x).data, want)
    assert len(model) == 3 and model[-1] is layers[2] and list(model) == layers
    assert list(model[1:].state_dict()) == ["2.weight", "2.bias"]  # names stay, as in torch
    np.testing.assert_array_equal(nn.Sequential(model[:2], model[2]).forward(x).data, want)
    assert model.append(nn.Tanh()) is model and len(model) == 4 and isinstance(model[3], nn.Tanh)
    listed = nn.ModuleList(layers)
    listed.append(nn.Linear(1, 1))
    assert list(listed.state_dict())[-1] == "3.bias" and len(listed) == 4
    assert isinstance(listed[:2], nn.ModuleList) and list(listed[:2]) == layers[:2]
    with pytest.raises(TypeError, match="ModuleList: use what it holds; it has no forward"):
        listed(x)
    with pytest.raises(TypeError, match="Sequential: 1: expected a Module, got function"):
        nn.Sequential(nn.ReLU(), F.relu)
    assert nn.Identity()(x) is x and nn.Flatten(0)(x).shape == (2,)


def test_lists_are_lists_under_torchs_names(torch):
    def build(lib):
        made = lib.ModuleList([lib.Linear(1, 2), lib.Linear(1, 3)])
        made.insert(1, lib.Linear(1, 4))
        made.extend([lib.Linear(1, 5), lib.Linear(1, 6)])
        made += [lib.Linear(1, 7)]
        made[0] = lib.Linear(1, 8)
        del made[2]
        made.pop(-2)
        chain = lib.Sequential(lib.Linear(1, 2), lib.Linear(2, 3)) + lib.Sequential(lib.ReLU())
        chain.insert(1, lib.Linear(2, 2))
        chain[3] = lib.Linear(3, 4)
        held = lib.ModuleDict({"a": lib.Linear(1, 1), "b": lib.ReLU()})
        held["c"] = lib.Linear(1, 2)
        held.update({"a": lib.Linear(1, 3)})
        held.pop("b")
        return lib.ModuleList([made, chain, held])

    ours, theirs = build(nn), build(torch.nn)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    made, _, held = ours
    assert made[1] in made and nn.ReLU() not in made and len(made + made) == 2 * len(made)
    assert list(held) == ["a", "c"] and "a" in held and held.get("z") is None and len(held) == 2
    assert [type(m) for m in held.values()] == [nn.Linear] * 2 and dict(held.items())["c"] is held.c
    held.clear()
    assert not held.keys()
    with pytest.raises(IndexError, match="ModuleList: index 4 of 4"):
        made[4]
    with pytest.raises(TypeError, match="ModuleList: 4: expected a Module, got int"):
        made.append(3)


def test_parameters_in_lists_and_dicts():
    listed = nn.ParameterList([mr.ones(2), nn.Parameter([3.0])])
    named = nn.ParameterDict({"w": mr.zeros(1), "v": nn.Parameter([1.0])})
    model = nn.ModuleList([listed, named])
    assert list(model.state_dict()) == ["0.0", "0.1", "1.w", "1.v"]
    assert all(type(p) is nn.Parameter for p in model.parameters())
    assert listed[-1].tolist() == [3] and named["v"].tolist() == [1]
    with pytest.raises(TypeError, match="ParameterList: 2: expected a Parameter, got list"):
        listed.append([1.0])
    with pytest.raises(TypeError, match="ParameterDict: use what it holds"):
        named(1)
