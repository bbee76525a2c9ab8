"""A compacted network has the outputs of the network with zeros, and nothing that is not needed."""

import importlib

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim, penalties
from microreg.analysis.compact import TOLERANCE
from microreg.nn.utils import spectral_norm, weight_norm
from microreg.nn.utils.parametrize import is_parametrized, register_parametrization

compacting = importlib.import_module("microreg.analysis.compact")  # its name is the function's
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def timed_once(monkeypatch):
    monkeypatch.setattr(compacting, "SECONDS", 0.0)


def settle(model, rng):
    """Running statistics, norm parameters and biases as if the model had been trained."""
    for module in model.modules():
        for name, value in (*module._parameters.items(), *module._buffers.items()):
            if value is None or name == "num_batches_tracked" or value.ndim > 1:
                continue
            draw = rng.uniform(0.5, 2, value.shape) * rng.choice([-1, 1], value.shape)
            value.data[...] = np.abs(draw) if name == "running_var" else draw
    return model


def kill(layer, out=(), into=()):
    """Remove all weights of some outputs and inputs of a layer."""
    layer.weight.data[list(out)] = 0
    layer.weight.data[:, list(into)] = 0


def same_outputs(model, X, small=None, inputs=None):
    small = mr.compact(model, X) if small is None else small
    want, got = mr.predict(model, X), mr.predict(small, X if inputs is None else X[:, inputs])
    assert got.dtype == want.dtype
    assert np.abs(got - want).max() <= TOLERANCE[want.dtype] * np.abs(want).max()
    return small


def shapes(model):
    return [p.shape for p in model.parameters() if p.ndim > 1]


def mlp(dtype, norm=None, act=nn.ReLU):
    def block(d, out):
        between = [norm(out, dtype=dtype)] if norm else []
        return [nn.Linear(d, out, dtype=dtype), *between, act()]

    return nn.Sequential(*block(7, 9), nn.Dropout(0.4), *block(9, 6), nn.Linear(6, 3, dtype=dtype))


def cnn(dtype, norm=None, padding=1):
    def block(d, out):
        between = [norm(out, dtype=dtype)] if norm else []
        return [nn.Conv2d(d, out, 3, padding=padding, dtype=dtype), *between, nn.Sigmoid()]

    size = {0: 1, 1: 3}[padding]
    return nn.Sequential(
        *block(3, 6), nn.MaxPool2d(2), *block(6, 5), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(5 * size * size, 4, dtype=dtype), nn.Tanh(), nn.Linear(4, 2, dtype=dtype),
    )  # fmt: skip


def sequences(dtype):
    return nn.Sequential(
        nn.Conv1d(3, 6, 3, padding=1, dtype=dtype), nn.Softplus(), nn.MaxPool1d(2),
        nn.Conv1d(6, 5, 2, dtype=dtype), nn.ELU(0.7), nn.AdaptiveAvgPool1d(2), nn.Flatten(),
        nn.Linear(10, 4, dtype=dtype), nn.Hardsigmoid(), nn.Linear(4, 2, dtype=dtype),
    )  # fmt: skip


CHAINS = {
    "mlp, leaky relu": (lambda dtype: mlp(dtype, act=nn.LeakyReLU), (7,)),
    "cnn of sequences": (sequences, (3, 9)),
    "mlp": (lambda dtype: mlp(dtype), (7,)),
    "mlp, tanh": (lambda dtype: mlp(dtype, act=nn.Tanh), (7,)),
    "mlp, sigmoid, batch norm": (lambda dtype: mlp(dtype, nn.BatchNorm1d, nn.Sigmoid), (7,)),
    "mlp, gelu, layer norm": (lambda dtype: mlp(dtype, nn.LayerNorm, nn.GELU), (7,)),
    "mlp, ghost batch norm": (lambda dtype: mlp(dtype, nn.GhostBatchNorm1d), (7,)),
    "cnn, ghost batch norm": (lambda dtype: cnn(dtype, nn.GhostBatchNorm2d), (3, 6, 6)),
    "cnn": (lambda dtype: cnn(dtype), (3, 6, 6)),
    "cnn, no padding": (lambda dtype: cnn(dtype, padding=0), (3, 8, 8)),
    "cnn, batch norm": (lambda dtype: cnn(dtype, nn.BatchNorm2d), (3, 6, 6)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("seed", range(4))
def test_any_pattern_of_zeros_keeps_the_outputs(chain, dtype, seed):
    rng = np.random.default_rng(seed)
    make, shape = CHAINS[chain]
    model = settle(make(dtype), rng)
    for module in model:
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            out, into = module.weight.shape[:2]
            kill(module, np.flatnonzero(rng.random(out) < 0.4), rng.random(into) < 0.3)
            module.weight.data[rng.random(module.weight.shape) < 0.3] = 0
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)):
            module.weight.data[rng.random(len(module.weight.data)) < 0.3] = 0
    X = rng.normal(size=(11, *shape)).astype(dtype)
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    small = same_outputs(model, X)
    assert small.compaction.parameters[1] < small.compaction.parameters[0]
    assert small.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])


def test_a_dead_unit_goes_and_its_constant_is_folded(rng):
    model = mlp(np.float64, act=nn.Tanh)
    kill(model[0], out=[2, 5])
    model[0].bias.data[[2, 5]] = 0.7, -1.3
    small = same_outputs(model, rng.normal(size=(5, 7)))
    assert shapes(small) == [(7, 7), (6, 7), (3, 6)]
    folded = model[3].weight.data[:, [2, 5]] @ np.tanh([0.7, -1.3])
    np.testing.assert_allclose(small[3].bias.data, model[3].bias.data + folded, rtol=1e-14)


def test_a_unit_that_nothing_reads_goes_and_takes_others_with_it(rng):
    model = mlp(np.float64)
    kill(model[5], into=[0, 1, 2, 3])  # nobody reads 4 of 6 units
    model[3].weight.data[[4, 5], 1:] = 0  # the others read one of nine
    small = same_outputs(model, rng.normal(size=(5, 7)))
    assert shapes(small) == [(1, 7), (2, 1), (3, 2)]


def test_inputs_that_nothing_reads_are_named(rng):
    model, X = mlp(np.float64), rng.normal(size=(5, 7))
    kill(model[0], into=[0, 3, 6])
    small = same_outputs(model, X)
    np.testing.assert_array_equal(small.compaction.inputs, [1, 2, 4, 5])
    smaller = mr.compact(model, X, drop_inputs=True)
    same_outputs(model, X, smaller, smaller.compaction.inputs)
    assert len(smaller) == len(small) - 1 == len(model)
    whole = mlp(np.float64)
    same_outputs(whole, X, mr.compact(whole, drop_inputs=True))


def test_input_channels_of_an_image(rng):
    model, X = cnn(np.float64), rng.normal(size=(5, 3, 6, 6))
    kill(model[0], into=[1])
    small = mr.compact(model, X, drop_inputs=True)
    np.testing.assert_array_equal(small.compaction.inputs, [0, 2])
    same_outputs(model, X, small, [0, 2])
    same_outputs(model, X)


def test_a_layer_without_bias_gets_one_when_constants_are_folded_into_it(rng):
    model = nn.Sequential(
        nn.Linear(4, 5, dtype=np.float64), nn.Sigmoid(), nn.Linear(5, 2, bias=False, dtype=float)
    )
    kill(model[0], out=[1])
    assert same_outputs(model, rng.normal(size=(6, 4)))[2].bias is not None
    kill(model[2], into=[1])
    assert same_outputs(model, rng.normal(size=(6, 4)))[2].bias is None


def test_beside_padding_one_constant_channel_carries_the_others(rng):
    model = cnn(np.float64)
    kill(model[0], out=[0, 2, 3])
    model[0].bias.data[[0, 2, 3]] = 0.3, -0.8, 0.5
    small = same_outputs(model, rng.normal(size=(5, 3, 6, 6)))
    assert shapes(small)[:2] == [(4, 3, 3, 3), (5, 4, 3, 3)]
    free = cnn(np.float64, padding=0)  # no edge, no carrier
    kill(free[0], out=[0, 2, 3])
    small = same_outputs(free, rng.normal(size=(5, 3, 8, 8)))
    assert shapes(small)[:2] == [(3, 3, 3, 3), (5, 3, 3, 3)]


def test_a_channel_that_batch_norm_switches_off_is_a_constant(rng):
    model = settle(cnn(np.float64, nn.BatchNorm2d, padding=0), rng)
    model[1].weight.data[[1, 4]] = 0
    small = same_outputs(model, rng.normal(size=(5, 3, 8, 8)))
    assert shapes(small)[:2] == [(4, 3, 3, 3), (5, 4, 3, 3)]
    assert small[1].num_features == 4 and len(small[1].running_var.data) == 4


def test_batch_norm_without_running_statistics(rng):
    norm = nn.BatchNorm1d(6, track_running_stats=False, dtype=np.float64)
    model = settle(nn.Sequential(nn.Linear(3, 6, dtype=np.float64), norm, nn.Linear(6, 2)), rng)
    model.double()
    kill(model[0], out=[0, 4])
    assert shapes(same_outputs(model, rng.normal(size=(8, 3)))) == [(4, 3), (2, 4)]


def test_a_constant_goes_through_layer_norm_only_if_nothing_reads_it(rng):
    model = settle(mlp(np.float64, nn.LayerNorm), rng)
    kill(model[0], out=[1, 2, 6])  # constants; they still count in each row's mean
    kill(model[4], into=[0, 2])  # 2 is not read, 0 is not either but moves
    model[1].weight.data[6] = 0  # 6 is constant behind the norm as well
    small = same_outputs(model, rng.normal(size=(5, 7)))
    assert shapes(small) == [(7, 7), (6, 7), (3, 6)]
    assert small[1].number == 2


def test_a_network_that_is_constant_keeps_one_unit_a_layer(rng):
    for norm in (None, nn.BatchNorm1d, nn.LayerNorm):
        model = settle(mlp(np.float64, norm), rng)
        kill(model[0], out=range(9))
        small = same_outputs(model, rng.normal(size=(5, 7)))
        assert shapes(small) == [(1, 1), (1, 1), (3, 1)]


def test_sequentials_inside_sequentials_become_one(rng):
    model = nn.Sequential(nn.Flatten(), nn.Sequential(*mlp(np.float64)[:3]), mlp(np.float64)[3:])
    kill(model[1][0], out=[3], into=[5])
    small = same_outputs(model, rng.normal(size=(4, 7)))
    assert all(not isinstance(m, nn.Sequential) for m in small)
    assert [name for name, *_ in small.compaction.layers] == ["1.0", "2.3", "2.5"]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 5))
        self.head = nn.Linear(5, 2)

    def forward(self, input):
        return self.head(input + self.inside(input))


def test_the_inside_of_a_module_with_its_own_forward(rng):
    model = Residual().double()
    kill(model.inside[0], out=[0, 1, 2])
    kill(model.inside[2], out=[4])
    X = rng.normal(size=(9, 5))
    small = same_outputs(model, X)
    assert shapes(small) == [(5, 5), (5, 5), (2, 5)]  # the block's own ends stay
    assert mr.compact(model).compaction.seconds is None
    assert "not timed" in str(mr.compact(model).compaction)
    with pytest.raises(ValueError, match=r"expected a Sequential .*, got Residual; leave"):
        mr.compact(model, X, drop_inputs=True)
    block = nn.Sequential(nn.Linear(5, 5), model, nn.Linear(2, 2)).double()
    kill(block[0], out=[2])
    assert shapes(same_outputs(block, X))[0] == (5, 5)  # what a strange module is given stays


def test_layers_outside_a_sequential_are_left_alone_and_the_report_says_so(rng):
    model = Residual().double()
    model.inside = nn.Identity()
    small = same_outputs(model, rng.normal(size=(3, 5)))
    assert str(small.compaction) == "nothing to follow: expected layers in a Sequential"
    same_outputs(nn.Linear(3, 2), rng.normal(size=(3, 3)).astype(np.float32))

    class Named(nn.Sequential):
        pass

    chain = Named(*mlp(np.float64))
    kill(chain[0], out=[2])
    assert shapes(same_outputs(chain, rng.normal(size=(3, 7))))[0] == (8, 7)


def test_a_module_that_reaches_into_its_sequential_is_found_out(rng):
    class Reaching(Residual):
        def forward(self, input):
            return self.inside[0](input)

    model = Reaching().double()
    kill(model.inside[0], out=[0, 1, 2])
    with pytest.raises(ValueError, match=r"outputs differ|shape|broadcast"):
        mr.compact(model, rng.normal(size=(9, 5)))


def test_shared_layers_and_parameters_stay_whole(rng):
    layer = nn.Linear(4, 4, dtype=np.float64)
    kill(layer, out=[0, 1])
    X = rng.normal(size=(6, 4))
    small = same_outputs(nn.Sequential(layer, nn.Tanh(), layer), X)
    assert shapes(small) == [(4, 4)] and small[0] is small[2]
    tied = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    tied.double()
    tied[2].weight = tied[0].weight
    kill(tied[0], out=[0, 1])
    small = same_outputs(tied, X)
    assert small[2].weight is small[0].weight


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Conv2d(2, 3, 3), nn.Linear(4, 6), nn.Flatten(), nn.Linear(72, 2)],
        lambda: [nn.Conv2d(2, 3, 3), nn.LayerNorm(4), nn.Flatten(), nn.Linear(48, 2)],
        lambda: [nn.Conv2d(2, 3, 3), nn.LayerNorm((3, 4, 4)), nn.Flatten(), nn.Linear(48, 2)],
        lambda: [nn.Linear(6, 5), nn.Flatten(), nn.Linear(60, 2)],
        lambda: [nn.Linear(6, 5), nn.Flatten(2), nn.Linear(30, 2)],
        lambda: [nn.Conv2d(2, 4, 3), nn.Linear(4, 6), nn.Flatten(), nn.Linear(96, 2)],
        lambda: [nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.Conv2d(4, 2, 3, groups=2)],
        lambda: [nn.Conv2d(2, 4, 3, padding="same"), nn.ReLU(), nn.Conv2d(4, 2, 3)],
        lambda: [
            nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
            nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"),
        ],
    ],
)
def test_features_along_another_axis_are_not_mistaken(layers, rng):
    model = settle(nn.Sequential(*layers()).double(), rng)
    kill(model[0], out=[1])
    if isinstance(model[1], nn.Linear):
        kill(model[1], out=[0], into=[2])
    same_outputs(model, rng.normal(size=(4, 2, 6, 6)))


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
def test_weights_that_are_computed_become_plain(norm, rng):
    mr.manual_seed(2)
    model = nn.Sequential(norm(nn.Linear(4, 6)), nn.ReLU(), norm(nn.Linear(6, 3))).double()
    for name, p in model.named_parameters():
        if name.startswith("2.") and p.shape == (3, 6):
            p.data[:, [1, 4]] = 0
    for _ in range(20):
        model(mr.tensor(rng.normal(size=(5, 4))))  # spectral_norm turns its vectors in training
    before = [p.data.copy() for p in model.parameters()]
    small = same_outputs(model, rng.normal(size=(30, 4)))
    assert shapes(small) == [(4, 4), (3, 4)] and not is_parametrized(small[0])
    for p, data in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, data)
    mr.fit(small, (rng.normal(size=(9, 4)), rng.integers(0, 3, 9)), epochs=1)
    inside = nn.Sequential(Doubled(), nn.Linear(4, 2)).double()
    same_outputs(inside, rng.normal(size=(30, 4)))


class Doubled(nn.Module):
    """A layer of another kind with a computed weight."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.array([1.0, 2.0, 0.5, 3.0]))
        register_parametrization(self, "scale", Twice())

    def forward(self, input):
        return input * self.scale


class Twice(nn.Module):
    def forward(self, x):
        return x * 2


def test_no_random_numbers_are_used_up_and_no_penalty_is_carried_over():
    model = mr.attach(mlp(np.float32), penalties.L1(0.1))
    mr.manual_seed(5)
    state = mr.get_rng_state().copy()
    small = mr.compact(model)
    np.testing.assert_array_equal(mr.get_rng_state(), state)
    assert all(p.penalty is None for p in small.parameters())
    assert isinstance(model[0].weight.penalty, penalties.L1)


def test_what_training_with_a_group_penalty_left_is_cut_out(rng):
    X = rng.normal(size=(200, 12)).astype(np.float32)
    y = (X[:, 0] * 2 - X[:, 1] > np.abs(X[:, 2])).astype(int)
    mr.manual_seed(3)
    model = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 2))
    mr.attach(model, {"0.weight": [penalties.GroupLasso(0.01), penalties.L1(2e-3)]})
    mr.fit(model, (X, y), optimizer=optim.Adam(model.parameters(), lr=0.02), epochs=60)
    small = same_outputs(model, X)
    alive = int(model[0].weight.data.any(axis=1).sum())
    assert 0 < alive < 24 and small.compaction.layers[0][3][1] == alive
    text = str(small.compaction)
    assert f"12 -> 24  {len(small.compaction.inputs)} -> {alive}" in text
    assert "times fewer" in text and "for 200 rows" in text
    again = mr.fit(small, (X, y), epochs=1)
    assert np.isfinite(again["loss"][0])
