"""A penalty on the gradient of the input, through every layer: trained by second derivatives,
checked to third ones."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.nn.utils import parametrizations

LAYERS = {
    "Linear": (lambda: nn.Linear(3, 2), (4, 3)),
    "Conv2d": (lambda: nn.Conv2d(2, 2, 2, padding=1), (2, 2, 3, 3)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (1, 2, 4, 4)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (4, 3)),
    "BatchNorm1d eval": (lambda: nn.BatchNorm1d(3).eval(), (4, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2), (2, 2, 2, 3)),
    "GhostBatchNorm1d": (lambda: nn.GhostBatchNorm1d(2, 3), (6, 2)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (3, 4)),
    "LayerNorm 2d": (lambda: nn.LayerNorm((2, 3), eps=0.1), (2, 2, 3)),
    "RMSNorm": (lambda: nn.RMSNorm(4), (3, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2, affine=True), (2, 2, 4)),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(3, 2)), (4, 3)),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(3, 2)).eval(), (4, 3)),
    "RNN": (lambda: nn.RNN(2, 3), (3, 2, 2)),
    "LSTM": (lambda: nn.LSTM(2, 2), (2, 2, 2)),
    "GRU": (lambda: nn.GRU(2, 2), (2, 2, 2)),
    "LayerNormRNN": (lambda: nn.LayerNormRNN(2, 4), (2, 2, 2)),
    "LayerNormLSTM": (lambda: nn.LayerNormLSTM(2, 4), (2, 2, 2)),
    "LayerNormGRU": (lambda: nn.LayerNormGRU(2, 4), (2, 2, 2)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), (2, 3, 4)),
    "pre-norm encoder": (
        lambda: nn.TransformerEncoderLayer(4, 2, 5, 0.0, "gelu", norm_first=True),
        (3, 2, 4),
    ),
    "post-norm encoder": (lambda: nn.TransformerEncoderLayer(4, 2, 5, 0.0, "gelu"), (3, 2, 4)),
    "Dropout": (lambda: nn.Dropout(0.4), (3, 4)),
    "GELU": (nn.GELU, (3, 4)),
    "Tanh": (nn.Tanh, (3, 4)),
    "Sigmoid": (nn.Sigmoid, (3, 4)),
    "ReLU": (nn.ReLU, (3, 4)),
    "softmax": (lambda: Call(F.softmax), (3, 4)),
    "softplus": (lambda: Call(F.softplus), (3, 4)),
    "cross-entropy": (lambda: Call(lambda x: F.cross_entropy(x, np.array([1, 3, 0]))), (3, 4)),
    "mean square": (lambda: Call(lambda x: F.mse_loss(x, x.tanh())), (3, 4)),
}


class Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x, -1) if self.function is F.softmax else self.function(x)


class Penalty(nn.Module):
    """sum_ij (d/dx_ij of a curved function of the layer's output)^2."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def value(self, x):
        """A scalar of the layer's output to which no entry contributes as another does."""
        outs = self.layer(x, x, x) if isinstance(self.layer, nn.MultiheadAttention) else None
        outs = self.layer(x) if outs is None else outs
        out = outs[0] if isinstance(outs, tuple) else outs
        weights = mr.tensor(np.cos(np.arange(out.numel())).reshape(out.shape))
        return ((0.7 * out + weights).tanh() * (weights + 2.0)).sum()

    def forward(self, x):
        if not x.requires_grad:
            x = x.detach()
            x.requires_grad = True
        (slope,) = mr.grad(self.value(x), [x], create_graph=True)
        return (slope * slope).sum()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_a_gradient_penalty_is_differentiable_twice(name, order, rng):
    """Its gradient holds second derivatives of the layer, the gradient of that third ones."""
    make, shape = LAYERS[name]
    model = Penalty(make()).double()
    for p in model.parameters():
        p.data[...] += 0.3 * rng.normal(size=p.shape)
    report = mr.gradcheck(model, rng.normal(size=shape), order=order, samples=5)
    assert report.checked > report.kinks


def test_training_with_a_gradient_penalty_follows_torchs(torch, rng):
    """Batch norm, layer norm and attention in one network; ten steps."""

    def make(lib):
        return lib.nn.ModuleDict(
            {
                "first": lib.nn.Linear(5, 8),
                "batch": lib.nn.BatchNorm1d(8),
                "layer": lib.nn.LayerNorm(4),
                "attention": lib.nn.MultiheadAttention(4, 2, batch_first=True),
                "last": lib.nn.Linear(8, 1),
            }
        ).double()

    def step(lib, net, optimizer, array):
        x = lib.tensor(array, requires_grad=True)
        h = net["batch"](net["first"](x)).tanh().reshape(len(array), 2, 4)
        h = net["layer"](h)
        fused = lib is mr  # torch has no second derivative of its fused attention
        h = h + net["attention"](h, h, h, need_weights=not fused)[0]
        out = net["last"](h.reshape(len(array), 8))
        grad = mr.grad if lib is mr else torch.autograd.grad
        (slope,) = grad(out.sum(), [x], create_graph=True)
        norm = (slope * slope).sum(1).sqrt()
        loss = (out * out).mean() + 10.0 * ((norm - 1.0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    ours, theirs = make(mr), make(torch)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    optimizers = [
        lib.optim.SGD(net.parameters(), 0.01) for lib, net in ((mr, ours), (torch, theirs))
    ]
    for _ in range(10):
        x = rng.normal(size=(6, 5))
        found = [
            step(lib, net, optimizer, x)
            for lib, net, optimizer in zip((mr, torch), (ours, theirs), optimizers, strict=True)
        ]
        assert found[0] == pytest.approx(found[1], rel=1e-9)
