"""Module: names, modes, state, and what it refuses."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.errors import CheckpointError, DeviceError, DTypeError


def build(branch, lib, tensor):
    """A parameter, a buffer, a missing parameter and a submodule, under names of their own."""
    lib.Module.__init__(branch)
    branch.scale = lib.Parameter(tensor(np.array([1.0, 2.0], np.float32)))
    branch.register_parameter("shift", None)
    branch.register_buffer("count", tensor(np.array([3], np.int64)))
    branch.inner = lib.Linear(2, 2)
    branch.width = 2


class Branch(nn.Module):
    def __init__(self):
        build(self, nn, mr.tensor)

    def forward(self, input):
        return self.inner(input) * self.scale


def network(lib=nn, branch=Branch):
    return lib.Sequential(
        lib.Conv2d(1, 2, 3),
        lib.BatchNorm2d(2),
        lib.Flatten(),
        lib.Sequential(OrderedDict(first=lib.Linear(8, 2), act=lib.ReLU())),
        branch(),
        lib.LayerNorm(2),
        lib.BatchNorm1d(2, affine=False),
        lib.Linear(2, 3, bias=False),
    )


NAMES = [
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "3.first.weight",
    "3.first.bias",
    "4.scale",
    "4.inner.weight",
    "4.inner.bias",
    "5.weight",
    "5.bias",
    "7.weight",
]


def torch_network(torch):
    def start(branch):
        build(branch, torch.nn, torch.tensor)

    members = {"__init__": start, "forward": Branch.forward}
    return network(torch.nn, type("Branch", (torch.nn.Module,), members))


# registration


def test_parameters_are_named_by_their_path():
    model = network()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [p.shape for p in model.parameters()][:3] == [(2, 1, 3, 3), (2,), (2,)]
    assert all(type(p) is nn.Parameter and p.requires_grad for p in model.parameters())
    names = ["1.running_mean", "1.running_var", "1.num_batches_tracked", "4.count"]
    names += ["6.running_mean", "6.running_var", "6.num_batches_tracked"]
    assert [name for name, _ in model.named_buffers()] == names
    modules = dict(model.named_modules())
    assert list(modules) == [
        "",
        "0",
        "1",
        "2",
        "3",
        "3.first",
        "3.act",
        "4",
        "4.inner",
        "5",
        "6",
        "7",
    ]
    assert modules["3.first"] is model[3].first and list(modules.values()) == list(model.modules())
    assert [name for name, _ in model.named_children()] == [str(i) for i in range(8)]
    assert list(model.children()) == list(model)


def test_attributes_move_between_the_rooms():
    branch = Branch()
    assert branch.shift is None and branch.width == 2 and branch.count.tolist() == [3]
    branch.shift = nn.Parameter([0.5])
    branch.count = mr.tensor([4])  # a buffer stays one
    branch.width = nn.Linear(1, 1)  # what was a number becomes a module
    names = {"scale", "shift", "inner.weight", "inner.bias", "width.weight", "width.bias"}
    assert set(dict(branch.named_parameters())) == names
    assert dict(branch.named_buffers())["count"].tolist() == [4]
    branch.inner = None
    branch.scale = None
    del branch.width, branch.count
    assert [name for name, _ in branch.named_parameters()] == ["shift"]
    assert branch.scale is None and not list(branch.buffers()) and not list(branch.children())
    for name in ("width", "count", "nothing"):
        with pytest.raises(AttributeError, match=f"Branch has no attribute '{name}'"):
            getattr(branch, name)


def test_a_tensor_in_place_of_a_parameter_is_refused():
    branch = Branch()
    with pytest.raises(TypeError) as raised:
        branch.scale = mr.tensor([1.0, 2.0])
    assert str(raised.value) == (
        "Branch.scale: expected a Parameter or None, got Tensor; wrap it in nn.Parameter, or "
        "change scale.data"
    )
    assert "scale" in dict(branch.named_parameters())


def test_super_must_be_called_first():
    class Hasty(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter([1.0])

    with pytest.raises(AttributeError) as raised:
        Hasty()
    assert str(raised.value) == "Hasty.weight: call super().__init__() before assigning"
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        nn.Module()(1)


def test_shared_parts_are_counted_once_and_saved_under_every_name(torch):
    def tied(lib):
        layer, other = lib.Linear(2, 2), lib.Linear(2, 2)
        other.weight = layer.weight
        return lib.Sequential(layer, lib.Tanh(), layer, other)

    ours, theirs = tied(nn), tied(torch.nn)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(list(ours.modules())) == 4
    x = mr.ones(1, 2)
    ours(x).sum().backward()
    (single,) = mr.grad(ours(x).sum(), ours[0].weight)
    np.testing.assert_array_equal(ours[3].weight.grad.data, single.data)


# modes


def test_train_and_eval_reach_every_module():
    model = network()
    assert all(m.training for m in model.modules())
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert model.train() is model and all(m.training for m in model.modules())
    model[3].train(False)
    assert not model[3].first.training and model[4].inner.training and model.training


def test_apply_goes_from_the_leaves_up():
    model, seen = network(), []
    assert model.apply(seen.append) is model
    assert [type(m).__name__ for m in seen[2:6]] == ["Flatten", "Linear", "ReLU", "Sequential"]
    assert seen[-1] is model and len(seen) == 12


def test_freezing_and_zero_grad():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    model(mr.ones(4, 2)).sum().backward()
    assert model[0].weight.grad is None and model[1].bias.grad.tolist() == [4]
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert model.requires_grad_() is model and model[0].weight.requires_grad


def test_to_converts_what_is_floating():
    model = network()
    model[0].weight.grad = mr.zeros(2, 1, 3, 3)
    before = [p.data.copy() for p in model.parameters()]
    for convert in (model.double, lambda: model.to(np.float64), lambda: model.to("float64")):
        assert convert() is model
        dtypes = {name: value.dtype for name, value in model.state_dict().items()}
        assert dtypes.pop("4.count") == dtypes.pop("1.num_batches_tracked") == mr.int64
        assert dtypes.pop("6.num_batches_tracked") == mr.int64
        assert set(dtypes.values()) == {mr.float64} and model[0].weight.grad is None
    assert model(mr.ones(2, 1, 4, 4, dtype=mr.float64)).dtype == mr.float64
    assert model.to("cpu") is model and model.float()[0].weight.dtype == mr.float32
    for p, array in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, array)
    with pytest.raises(
        DTypeError, match=r"^Sequential\.to: expected float32 or float64, got int64$"
    ):
        model.to(np.int64)
    with pytest.raises(DeviceError, match="expected 'cpu' or 'cuda'"):
        model.to("cuda:1")


# state


def test_state_dict_has_the_layout_of_torchs(torch):
    ours, theirs = network().state_dict(), torch_network(torch).state_dict()
    assert list(ours) == list(theirs)
    assert [v.shape for v in ours.values()] == [tuple(v.shape) for v in theirs.values()]
    assert [f"torch.{v.dtype}" for v in ours.values()] == [str(v.dtype) for v in theirs.values()]


def test_a_state_moves_to_torch_and_back(torch, rng):
    torch.manual_seed(0)
    ours, theirs = network().double(), torch_network(torch).double()
    X = rng.normal(size=(5, 1, 4, 4))
    ours.load_state_dict(theirs.state_dict())
    for _ in range(3):
        want = theirs(torch.tensor(X)).detach().numpy()
        np.testing.assert_allclose(ours(mr.tensor(X)).data, want, rtol=0, atol=1e-9)
    other = torch_network(torch).double()
    other.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    want, got = other.eval()(torch.tensor(X)), ours.eval()(mr.tensor(X))
    np.testing.assert_allclose(got.data, want.detach().numpy(), rtol=0, atol=1e-9)
    fresh = network().double().eval()
    fresh.load_state_dict(ours.state_dict())
    np.testing.assert_array_equal(fresh(mr.tensor(X)).data, got.data)


def test_state_dict_shares_and_load_copies():
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    state = model.state_dict()
    assert np.shares_memory(state["weight"].data, model.weight.data)
    assert not state["weight"].requires_grad
    kept = other.weight
    assert other.load_state_dict(state) == ([], [])
    assert other.weight is kept and not np.shares_memory(kept.data, model.weight.data)
    np.testing.assert_array_equal(kept.data, model.weight.data)
    other.double().load_state_dict({"weight": model.weight.data, "bias": [1, 2]})
    assert other.weight.dtype == mr.float64 and other.bias.tolist() == [1, 2]


REFUSED = {
    "load_state_dict(Sequential): missing ['0.weight'], unexpected ['7.w']; strict=False loads the "
    "rest": (CheckpointError, {"0.weight": None, "7.w": np.zeros(1)}),
    "load_state_dict(Sequential): missing [], unexpected ['7.w']; strict=False loads the rest; "
    "0.bias: expected (2,), got (3,)": (
        CheckpointError,
        {"7.w": np.zeros(1), "0.bias": np.zeros(3)},
    ),
    "load_state_dict(Sequential): missing ['4.count'], unexpected []; strict=False loads the "
    "rest": (CheckpointError, {"4.count": None}),
    "load_state_dict(Sequential): 0.bias: expected (2,), got (); 7.weight: expected (3, 2), got "
    "(2, 3)": (CheckpointError, {"7.weight": np.zeros((2, 3)), "0.bias": np.zeros(())}),
    "tensor: expected numbers or bools, got dtype <U5": (DTypeError, {"7.weight": "zeros"}),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_state_that_does_not_fit_changes_nothing(text):
    error, change = REFUSED[text]
    model = network()
    before = {k: v.data.copy() for k, v in model.state_dict().items()}
    state = {k: np.full(v.shape, 7.0) for k, v in before.items()} | change
    with pytest.raises(error) as raised:
        model.load_state_dict({k: v for k, v in state.items() if v is not None})
    assert raised.value.args[0] == text
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])


def test_without_strict_what_fits_is_loaded():
    model = nn.Linear(2, 1)
    found = model.load_state_dict({"weight": np.ones((1, 2)), "extra": 1.0}, strict=False)
    assert found == (["bias"], ["extra"]) and model.weight.tolist() == [[1, 1]]


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_parameters_of_its_own(twin, rng):
    model = network().eval()
    X = mr.tensor(rng.normal(size=(3, 1, 4, 4)).astype(np.float32))
    other, want = twin(model), model(X).data
    np.testing.assert_array_equal(other(X).data, want)
    assert [n for n, _ in other.named_parameters()] == NAMES and not other.training
    for p in other.parameters():
        assert type(p) is nn.Parameter and p.requires_grad and p.penalty is None
        p.data[...] = 0
    np.testing.assert_array_equal(model(X).data, want)


# hooks


def test_hooks_see_and_change_what_goes_in_and_out():
    layer, seen = nn.Linear(2, 2, bias=False), []
    x = mr.ones(1, 2)
    plain = layer(x).data
    assert layer.register_forward_pre_hook(lambda m, args: seen.append((m, args))) is not None
    double = layer.register_forward_pre_hook(lambda m, args: args[0] * 2)
    noting = layer.register_forward_hook(lambda m, args, out: seen.append((m, args, out)))
    np.testing.assert_allclose(layer(x).data, 2 * plain)
    assert seen[0] == (layer, (x,)) and seen[1][0] is layer
    np.testing.assert_array_equal(seen[1][1][0].data, 2 * x.data)
    double.remove()
    noting.remove()
    noting.remove()  # once more does nothing
    with layer.register_forward_hook(lambda m, args, out: out + 1.0):
        np.testing.assert_allclose(layer(x).data, plain + 1)
    np.testing.assert_array_equal(layer(x).data, plain)
    assert len(seen) == 4


# parts by name


def test_parts_are_found_by_their_path():
    model = network()
    assert model.get_submodule("3.first") is model[3].first and model.get_submodule("") is model
    assert model.get_parameter("4.inner.bias") is model[4].inner.bias
    assert model.get_buffer("4.count") is model[4].count
    for call in (
        lambda: model.get_parameter("4.count"),
        lambda: model.get_buffer("4.scale"),
        lambda: model.get_submodule("4.width"),
        lambda: model.get_submodule("9"),
    ):
        with pytest.raises(AttributeError):
            call()
    names = [name for name, _ in model.named_parameters(prefix="net")]
    assert names == [f"net.{name}" for name in NAMES]
    assert [n for n, _ in model[4].named_parameters(recurse=False)] == ["scale"]
    assert len(list(model.buffers())) == 7 and not list(model.buffers(recurse=False))
    assert list(model.state_dict(prefix="a.")) == [f"a.{n}" for n in model.state_dict()]


def test_a_buffer_that_does_not_persist_is_not_saved():
    model = nn.Linear(1, 1)
    model.register_buffer("kept", mr.ones(1))
    model.register_buffer("cache", mr.ones(1), persistent=False)
    assert list(model.state_dict()) == ["weight", "bias", "kept"]
    assert [n for n, _ in model.named_buffers()] == ["kept", "cache"]
    model.register_buffer("cache", mr.ones(2))
    assert list(model.state_dict()) == ["weight", "bias", "kept", "cache"]


def test_names_are_checked():
    model = nn.Linear(1, 1)
    for register in (model.register_buffer, model.register_parameter, model.add_module):
        for name in ("a.b", "", 3):
            with pytest.raises(KeyError, match="expected a name without dots"):
                register(name, None)
        with pytest.raises(KeyError, match="there is an attribute 'in_features' already"):
            register("in_features", None)
    with pytest.raises(TypeError, match="expected a Parameter or None, got Tensor; wrap it in"):
        model.register_parameter("scale", mr.ones(1))
    with pytest.raises(TypeError, match="expected a Module or None, got function"):
        model.register_module("act", F.relu)
    model.register_module("act", nn.ReLU())
    assert list(dict(model.named_modules())) == ["", "act"]


def test_to_takes_a_device_and_a_dtype():
    model = network()
    assert model.to("cpu", np.float64).to(device="cpu", dtype="float32") is model
    assert model[0].weight.dtype == mr.float32
    with pytest.raises(TypeError, match="expected a device, a dtype or both"):
        model.to("cpu", "cpu")
    model[0].weight.grad = mr.ones(2, 1, 3, 3)
    model.zero_grad(set_to_none=False)
    assert not model[0].weight.grad.data.any() and model[0].bias.grad is None


# containers


def test_what_it_prints():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Dropout(0.25), nn.ReLU()))
    assert repr(model) == (
        "Sequential(\n  (0): Linear(2, 3, bias=True)\n  (1): Sequential(\n    (0): "
        "Dropout(p=0.25)\n    (1): ReLU()\n  )\n)"
    )
    assert repr(nn.Parameter([1.0])).startswith("Parameter containing:\ntensor([1.], requires")
