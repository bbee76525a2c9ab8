"""What docs/differences.md says of layers and optimizers is so, on both sides."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.optim import lr_scheduler


def test_a_query_without_keys_in_multihead_attention(torch):
    x, hidden = np.ones((1, 3, 4)), np.array([[True, True, True]])
    ours = nn.MultiheadAttention(4, 2, batch_first=True).double()
    theirs = torch.nn.MultiheadAttention(4, 2, batch_first=True).double()
    found = []
    for m, layer in ((mr, ours), (torch, theirs)):
        y = m.tensor(x)
        out, _ = layer(y, y, y, key_padding_mask=m.tensor(hidden))
        found.append(out.detach().numpy())
    np.testing.assert_array_equal(found[0], np.broadcast_to(ours.out_proj.bias.data, (1, 3, 4)))
    assert np.isnan(found[1]).all()


def test_causal_attention_needs_no_mask(torch):
    x = mr.tensor(np.random.default_rng(0).normal(size=(1, 3, 4)))
    layer = nn.MultiheadAttention(4, 2, batch_first=True).double()
    mask = mr.tensor(np.triu(np.ones((3, 3), bool), 1))
    found = [layer(x, x, x, is_causal=True)[0], layer(x, x, x, attn_mask=mask)[0]]
    np.testing.assert_allclose(found[0].data, found[1].data, rtol=1e-12)
    theirs, y = torch.nn.MultiheadAttention(4, 2, batch_first=True), torch.zeros(1, 3, 4)
    with pytest.raises(RuntimeError, match="attn_mask"):
        theirs(y, y, y, is_causal=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LambdaLR", {"lr_lambda": lambda t: 1.0 / (1 + t)}),
        ("CosineAnnealingWarmRestarts", {"T_0": 20}),
        ("OneCycleLR", {"max_lr": 0.4, "total_steps": 20}),
    ],
)
def test_a_rate_that_somebody_else_changed(name, options, torch):
    """Halved after three steps, it stays half of the formula's here; there it is the formula's."""

    def rates(m, schedules, factor):
        p = m.nn.Parameter(m.zeros(1))
        opt = m.optim.SGD([p], lr=0.1, momentum=0.9)
        scheduler, found = getattr(schedules, name)(opt, **options), []
        for t in range(8):
            opt.step()
            scheduler.step()
            if t == 2:
                opt.param_groups[0]["lr"] *= factor
            found.append(opt.param_groups[0]["lr"])
        return np.array(found)

    plain, halved = (rates(mr, lr_scheduler, factor) for factor in (1.0, 0.5))
    np.testing.assert_allclose(halved[2:], plain[2:] / 2, rtol=1e-12)
    theirs = rates(torch, torch.optim.lr_scheduler, 0.5)
    np.testing.assert_allclose(theirs[3:], plain[3:], rtol=1e-12)


def test_momentum_taken_up_later(torch):
    found = []
    for m in (mr, torch):
        p = m.nn.Parameter(m.zeros(1))
        opt = m.optim.SGD([p], lr=0.1)
        opt.param_groups[0]["momentum"] = 0.9
        (p * 1.0).sum().backward()
        found.append(opt)
    with pytest.raises(ValueError, match="momentum must be given when the optimizer is made"):
        found[0].step()
    found[1].step()


def test_whole_numbers_in_an_average_of_buffers(torch):
    counts = []
    for m in (mr, torch):
        model = m.nn.BatchNorm1d(2)
        average = m.optim.swa_utils.AveragedModel(model, use_buffers=True)
        for _ in range(3):
            model(m.ones(3, 2))
            average.update_parameters(model)
        counts.append(int(average.module.num_batches_tracked))
    assert counts[0] == 3 and counts[1] < 3


def test_arguments_that_are_left_out():
    for name in ("foreach", "fused", "capturable", "differentiable"):
        with pytest.raises(TypeError, match=name):
            optim.Adam([nn.Parameter(np.zeros(1))], **{name: True})
    with pytest.raises(TypeError, match="device"):
        nn.Linear(2, 2, device="cpu")
    with pytest.raises(TypeError, match="add_bias_kv"):
        nn.MultiheadAttention(4, 2, add_bias_kv=True)
