"""Each check of lint finds its mistake, names the place, and is silent where all is well."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.penalties import L1, L2, GroupLasso, MaxNorm, WeightDecay


def network(norm=nn.BatchNorm1d, bias=False, dropout=True):
    drop = [nn.Dropout(0.5)] if dropout else []
    return nn.Sequential(
        nn.Linear(6, 8, bias=bias), *([norm(8)] if norm else []), nn.ReLU(), *drop, nn.Linear(8, 3)
    )


def checks(*args, **options):
    return [(f.check, f.where) for f in mr.lint(*args, **options)]


def sgd(model, **options):
    return optim.SGD(model.parameters(), lr=0.1, **options)


def test_a_sound_set_up_gives_no_finding():
    model = mr.attach(network(), {"4.weight": GroupLasso(1e-3)})
    found = mr.lint(model, optim.AdamW(model.parameters(), weight_decay=0))
    assert found == [] and str(found) == "nothing found"
    assert mr.lint(model.eval()) == []


@pytest.mark.parametrize(("n", "size", "bad"), [(65, 32, True), (64, 32, False), (1, 32, True)])
def test_a_last_batch_of_one(n, size, bad, rng):
    model = network()
    data = rng.normal(size=(n, 6)), np.zeros(n, int)
    found = mr.lint(model, sgd(model), data, batch_size=size)
    assert [f.check for f in found] == ["batch of one"] * bad
    if bad:
        assert found[0].where == "1" and f"{n} rows in batches of {size}" in found[0].message
    plain = network(norm=nn.LayerNorm)
    assert "batch of one" not in str(mr.lint(plain, sgd(plain), data[0], batch_size=size))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
@pytest.mark.parametrize("penalty", [L1(1e-3), L2(1e-3), [MaxNorm(2.0), WeightDecay(1e-2)]])
def test_a_penalty_on_weights_before_a_norm(norm, penalty):
    model = mr.attach(network(norm), {"0.weight": penalty, "4.weight": penalty})
    assert checks(model, sgd(model)) == [("scale", "0.weight")]
    plain = mr.attach(network(None), penalty)
    assert checks(plain, sgd(plain)) == []


def test_decay_by_the_optimizer_on_weights_before_a_norm():
    model = network()
    weights = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": rest}]
    found = mr.lint(model, optim.SGD(groups, lr=0.1))
    assert [(f.check, f.where) for f in found] == [("scale", "0.weight")]
    assert found[0].message.startswith("weight_decay=0.1 on weights whose scale a norm")


def test_a_constraint_before_a_norm_is_sound():
    model = mr.attach(network(), {"0.weight": MaxNorm(2.0)})
    assert checks(model, sgd(model)) == []


def test_scale_passes_through_relu_but_not_through_tanh():
    def chain(act):
        layers = nn.Linear(6, 8), act(), nn.BatchNorm1d(8), nn.Linear(8, 3)
        return mr.attach(nn.Sequential(*layers), {"0.weight": L1(1e-3)})

    model = chain(nn.ReLU)
    assert checks(model, sgd(model)) == [("scale", "0.weight")]
    model = chain(nn.Tanh)
    assert checks(model, sgd(model)) == []


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_a_bias_before_batch_norm(norm):
    model = network(norm, bias=True)
    found = checks(model, sgd(model))
    assert found == ([("bias", "0.bias")] if norm is nn.BatchNorm1d else [])


def test_a_bias_before_batch_norm_of_an_image_needs_rows(rng):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    model.append(nn.Linear(12, 2))
    mr.attach(model, {"0.weight": L1(1e-3)})
    assert checks(model, sgd(model)) == []
    images = rng.normal(size=(9, 1, 4, 4))
    assert checks(model, sgd(model), images) == [("scale", "0.weight"), ("bias", "0.bias")]


def test_a_module_with_its_own_forward(rng):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.norm = nn.Linear(8, 2), nn.BatchNorm1d(8)
            self.body = nn.Linear(6, 8)

        def forward(self, input):
            return self.head(mr.relu(self.norm(self.body(input))))

    model = mr.attach(Own(), L1(1e-3))
    found = checks(model, sgd(model), rng.normal(size=(10, 6)))
    assert found == [("scale", "body.weight"), ("bias", "body.bias")]


def test_a_layer_that_contributes_nothing_is_not_accused():
    model = mr.attach(network(None), L1(1e-3))
    model[-1].weight.data[...] = 0
    assert checks(model, sgd(model)) == []


@pytest.mark.parametrize("make", [optim.Adam, optim.RMSprop, optim.Adagrad])
def test_l2_added_to_the_gradient_of_an_adaptive_optimizer(make):
    model = network(None)
    weights = [p for p in model.parameters() if p.ndim == 2]
    found = mr.lint(model, make(weights, weight_decay=1e-2))
    assert [f.check for f in found] == ["coupled decay"] and found[0].where == make.__name__
    assert "use AdamW" in found[0].message
    assert mr.lint(model, make(weights)) == []
    assert mr.lint(model, optim.AdamW(weights)) == []


def test_penalised_biases():
    model = network()
    found = mr.lint(model, optim.AdamW(model.parameters(), weight_decay=0.03))
    assert [f.check for f in found] == ["scale", "biases"]
    assert found[1].where == "1.weight, 1.bias, 4.bias" and "weight_decay=0.03" in found[1].message
    model = mr.attach(network(), {"4.bias": L2(1e-3)})
    assert checks(model, sgd(model)) == [("biases", "4.bias")]
    model = mr.attach(network(), {"4.bias": MaxNorm(1.0)})
    assert checks(model, sgd(model)) == []


def test_decayed_twice():
    model = mr.attach(network(None), {"*.weight": WeightDecay(1e-2)})
    optimizer = optim.AdamW([p for p in model.parameters() if p.ndim == 2])
    assert checks(model, optimizer) == [("twice", "0.weight"), ("twice", "3.weight")]


def test_a_forgotten_eval_or_train():
    model = network()
    found = mr.lint(model)
    assert [(f.check, f.where) for f in found] == [("mode", "1")]
    assert "BatchNorm1d is in training mode" in found[0].message and "model.eval()" in str(found)
    with mr.no_grad():
        assert checks(model, sgd(model)) == [("mode", "1")]
    model.eval()
    found = mr.lint(model, sgd(model))
    assert [f.check for f in found] == ["mode"] and "call model.train()" in found[0].message
    model.train()
    model[3].eval()  # one layer alone
    assert checks(model, sgd(model)) == [("mode", "3")]
    assert mr.lint(network(None, dropout=False)) == []


@pytest.mark.parametrize(
    "layer",
    [nn.GaussianNoise(), nn.AlphaDropout(), nn.DropPath(), nn.GhostBatchNorm1d(4, 8),
     nn.BatchRenorm1d(4)],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_every_layer_that_is_another_in_training_is_known(layer):
    model = nn.Sequential(nn.Linear(6, 4, bias=False), layer, nn.Linear(4, 2)).train()
    assert checks(model) == [("mode", "1")]
    assert checks(model, sgd(model)) == []


def test_a_penalty_on_what_is_not_trained():
    model = mr.attach(network(None), {"0.weight": L1(1e-3)})
    assert checks(model, optim.SGD(model[3].parameters())) == [("not trained", "0.weight")]


def test_lint_leaves_everything_as_it_was(rng):
    model = mr.attach(network(bias=True), L1(1e-3))
    before = {k: v.data.copy() for k, v in model.state_dict().items()}
    state = mr.get_rng_state().copy()
    mr.lint(model, sgd(model), rng.normal(size=(9, 6)))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])
    np.testing.assert_array_equal(mr.get_rng_state(), state)
    assert model[1].eps == 1e-5 and model.training and model[0].weight.dtype == np.float32
