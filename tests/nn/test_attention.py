"""Attention and the Transformer encoder beside torch's; masks and padding; gradients; recording."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn
from microreg.errors import DTypeError, ShapeError

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-9}
N, TIME, KEYS, WIDTH, NHEAD = 3, 4, 5, 6, 2
SHAPES = {
    "itself": {},
    "no bias": {"bias": False},
    "batch first": {"batch_first": True},
    "others": {"others": True},
    "other widths": {"others": True, "kdim": 5, "vdim": 7, "batch_first": True},
    "single": {"single": True},
    "single others": {"single": True, "others": True},
}
MASKS = ["none", "padding", "floating padding", "mask", "both", "causal", "floating", "by head"]


def twins(name, args, options, dtype, torch):
    ours = getattr(nn, name)(*args, **options).to(dtype)
    theirs = getattr(torch.nn, name)(*args, **options).to(getattr(torch, np.dtype(dtype).name))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs


def close(got, want):
    want, tolerance = want.detach().numpy(), TOLERANCE[got.dtype]
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_allclose(got.data, want, rtol=tolerance, atol=tolerance)


def results(layer, inputs, options):
    """Every result, then the gradients of inputs and parameters."""
    outs = layer(*inputs, **options)
    outs = [y for y in (outs if isinstance(outs, tuple) else (outs,)) if y is not None]
    sum((y * y * y).sum() for y in outs).backward()
    return [*outs, *(x.grad for x in {id(x): x for x in [*inputs, *layer.parameters()]}.values())]


def masked(kind, rng, n, queries, keys, dtype):
    padding, mask = rng.random((n, keys)) < 0.4, rng.random((queries, keys)) < 0.4
    by_head = rng.random((n * NHEAD, queries, keys)) < 0.4
    for some in (padding, mask, by_head):
        some[..., 0] = False
    return {
        "none": {},
        "padding": {"key_padding_mask": padding},
        "floating padding": {"key_padding_mask": rng.normal(size=(n, keys)).astype(dtype)},
        "mask": {"attn_mask": mask},
        "both": {"key_padding_mask": padding, "attn_mask": mask},
        "causal": {"attn_mask": np.triu(np.ones((queries, keys), bool), 1)},
        "floating": {"attn_mask": rng.normal(size=(queries, keys)).astype(dtype)},
        "by head": {"attn_mask": by_head},
    }[kind]


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("name", SHAPES)
def test_multihead_attention_follows_torchs(name, kind, torch, rng):
    options = dict(SHAPES[name])
    single, others = options.pop("single", False), options.pop("others", False)
    widths = WIDTH, options.get("kdim", WIDTH), options.get("vdim", WIDTH)
    n, keys = 1 if single else N, KEYS if others else TIME
    for weights, average in ((False, True), (True, True), (True, False)):
        dtype = np.float32 if weights and average else np.float64
        ours, theirs = twins("MultiheadAttention", (WIDTH, NHEAD), options, dtype, torch)
        arrays = [
            rng.normal(size=(n, t, width)).astype(dtype)
            for t, width in zip((TIME, keys, keys), widths, strict=True)
        ]
        if single:
            arrays = [a[0] for a in arrays]
        elif not ours.batch_first:
            arrays = [a.swapaxes(0, 1).copy() for a in arrays]
        masks = masked(kind, rng, n, TIME, keys, dtype)
        if single and "key_padding_mask" in masks:
            masks["key_padding_mask"] = masks["key_padding_mask"][0]
        found = []
        for library, layer in ((mr, ours), (torch, theirs)):
            inputs = [library.tensor(a, requires_grad=True) for a in arrays]
            inputs = inputs if others else inputs[:1] * 3
            given = {k: library.tensor(v) for k, v in masks.items()}
            given |= {"need_weights": weights, "average_attn_weights": average}
            found.append(results(layer, inputs, given))
        for got, want in zip(*found, strict=True):
            close(got, want)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("kind", ["none", "padding", "floating"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_the_encoder_follows_torchs(first, norm_first, activation, kind, n, torch, rng):
    args = WIDTH, NHEAD, 8, 0.0, activation
    options = {"batch_first": first, "norm_first": norm_first}
    masks = masked(kind, rng, n, TIME, TIME, np.float64)
    masks = {"src_key_padding_mask" if "key" in k else "mask": v for k, v in masks.items()}
    ours, theirs = twins("TransformerEncoderLayer", args, options, np.float64, torch)
    ours = nn.TransformerEncoder(ours, 2, nn.LayerNorm(WIDTH, dtype=np.float64))
    theirs = torch.nn.TransformerEncoder(
        theirs, 2, torch.nn.LayerNorm(WIDTH).double(), enable_nested_tensor=False
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = rng.normal(size=(n, TIME, WIDTH) if first else (TIME, n, WIDTH))
    found = [
        results(
            layer,
            [library.tensor(x, requires_grad=True)],
            {k: library.tensor(v) for k, v in masks.items()},
        )
        for library, layer in ((mr, ours), (torch, theirs))
    ]
    for got, want in zip(*found, strict=True):
        close(got, want)
    first_layer, second = ours.layers
    assert first_layer.linear1.weight is not second.linear1.weight


LENGTHS = np.array([4, 1, 3])


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_padding_changes_no_bit(norm_first, dtype, rng):
    """Not what lies there, not how much of it, not which sequences lie beside."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, NHEAD, 8, 0.0, batch_first=True, norm_first=norm_first, dtype=dtype
    )
    model = nn.TransformerEncoder(layer, 2)
    x = rng.normal(size=(N, TIME, WIDTH)).astype(dtype)

    def run(filling, more):
        """The results that count, and the gradients of the parameters by them."""
        wide = np.full((N, TIME + more, WIDTH), filling, dtype)
        counts = np.arange(TIME + more) < LENGTHS[:, None]
        wide[counts] = x[counts[:, :TIME]]
        out = model(mr.tensor(wide), src_key_padding_mask=mr.tensor(~counts))
        rows = out[mr.tensor(counts)]
        model.zero_grad()
        (rows * rows * rows).sum().backward()
        return [rows.data, *(p.grad.data for p in model.parameters())]

    want = run(0.0, 0)
    for filling in (7.0, -3.0):
        for a, b in zip(run(filling, 0), want, strict=True):
            np.testing.assert_array_equal(a, b)
    for more in (1, 70):
        for filling in (0.0, np.nan, np.inf):
            np.testing.assert_array_equal(run(filling, more)[0], want[0])
    alone = [model(mr.tensor(x[i : i + 1, :length])).data[0] for i, length in enumerate(LENGTHS)]
    np.testing.assert_array_equal(np.concatenate(alone), want[0])


def test_a_query_without_keys_gives_zero_and_passes_no_gradient(rng):
    q, k, v = (mr.tensor(rng.normal(size=(2, 3, 4)), requires_grad=True) for _ in range(3))
    mask = np.ones((2, 3, 3), bool)
    mask[0, 1] = False
    for scores in (mask, np.where(mask, 0.0, -np.inf)):
        out = F.scaled_dot_product_attention(q, k, v, mr.tensor(scores))
        assert not out.data[0, 1].any() and out.data[0, 0].all()
        found = mr.grad((out**3).sum(), (q, k, v))
        assert not found[0].data[0, 1].any() and all(np.isfinite(g.data).all() for g in found)


def test_dropout_of_the_weights(rng):
    """Each weight is gone or divided by 1 - p, by the same choice in the gradient."""
    q, k = (mr.tensor(rng.normal(size=(2, 3, 5, 4))) for _ in range(2))
    v = mr.tensor(np.broadcast_to(np.eye(5), (2, 3, 5, 5)).copy(), requires_grad=True)
    whole = F.scaled_dot_product_attention(q, k, v).data
    for p in (0.2, 0.5, 0.9):
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        kept = out.data != 0
        np.testing.assert_allclose(out.data, np.where(kept, whole / (1 - p), 0), rtol=1e-12)
        assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / kept.size)
        (dv,) = mr.grad(out.sum(), v)
        want = out.data.sum(2)[..., None]
        np.testing.assert_allclose(dv.data, np.broadcast_to(want, dv.shape), rtol=1e-12)
    assert not F.scaled_dot_product_attention(q, k, v, dropout_p=1.0).data.any()
    layer = nn.MultiheadAttention(WIDTH, NHEAD, dropout=0.5, dtype=np.float64)
    x = mr.tensor(rng.normal(size=(TIME, N, WIDTH)))
    found = []
    for weights in (False, True, False):  # with weights it is the same function
        mr.manual_seed(4)
        found.append(layer(x, x, x, need_weights=weights)[0].data)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(found[2], found[0])
    assert (layer(x, x, x)[0].data != found[0]).any()
    assert (layer.eval()(x, x, x)[0].data == layer(x, x, x)[0].data).all()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}], ids=str)
def test_gradients_are_those_of_the_value(options, order, rng):
    layer = nn.TransformerEncoderLayer(4, 2, 5, 0.1, batch_first=True, **options)
    x = rng.normal(size=(2, 3, 4))
    mr.gradcheck(layer, x, order=order, samples=6)


@pytest.mark.parametrize("kind", ["none", "padding", "mask", "floating"])
@pytest.mark.parametrize("weights", [False, True])
def test_a_recorded_layer_is_the_same(kind, weights, rng):
    layer = nn.MultiheadAttention(WIDTH, NHEAD, dropout=0.3).double()

    def step(x, **masks):
        layer.zero_grad()
        outs = layer(x, x, x, need_weights=weights, **masks)
        (outs[0] * outs[0] * outs[0]).sum().backward()
        return outs

    def run(function):
        mr.manual_seed(5)
        rng, found = np.random.default_rng(1), []
        for _ in range(3):
            x = mr.tensor(rng.normal(size=(TIME, N, WIDTH)))
            masks = masked(kind, rng, N, TIME, TIME, np.float64)
            out = function(x, **{k: mr.tensor(v) for k, v in masks.items()})
            found += [y.data for y in out if y is not None]
            found += [p.grad.data.copy() for p in layer.parameters()]
        return found

    for a, b in zip(run(step), run(mr.compile(step)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


X = mr.zeros(TIME, N, WIDTH)


def call(**options):
    return lambda: nn.MultiheadAttention(WIDTH, NHEAD)(X, X, X, **options)


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "expected a multiple of num_heads"),
        (lambda: nn.MultiheadAttention(6, 0), ValueError, "num_heads"),
        (lambda: nn.MultiheadAttention(6, 2, 1.5), ValueError, "expected a probability"),
        (lambda: nn.MultiheadAttention(8, 2)(X, X, X), ShapeError, "the last axes of (8, 8, 8)"),
        (lambda: nn.MultiheadAttention(6, 2)(X, X[:2], X), ShapeError, "got (4, 3, 6), (2, 3, 6)"),
        (call(key_padding_mask=mr.zeros(2, 4)), ShapeError, "expected shape (3, 4), got (2, 4)"),
        (call(attn_mask=mr.zeros(4, 3)), ShapeError, "expected shape (4, 4) or (6, 4, 4)"),
        (call(attn_mask=np.zeros((4, 4), int)), DTypeError, "bool or floating, got int64"),
        (lambda: F.scaled_dot_product_attention(X, X[:2], X), ShapeError, "got (4, 3, 6), (2,"),
        (
            lambda: F.scaled_dot_product_attention(X, X, X, mr.zeros(3, 3), is_causal=True),
            ValueError,
            "attn_mask or is_causal, got both",
        ),
        (
            lambda: F.scaled_dot_product_attention(X, X, X, mr.zeros(2, 3)),
            ShapeError,
            "shape (2, 3) does not broadcast to (4, 3, 3)",
        ),
        (
            lambda: F.scaled_dot_product_attention(X, X, X, dropout_p=2.0),
            ValueError,
            "(p=2.0): expected a prob",
        ),
        (
            lambda: nn.TransformerEncoderLayer(6, 2, activation="no"),
            ValueError,
            "'no'): expected 'relu'",
        ),
    ],
)
def test_bad_input_is_refused(act, error, says):
    with pytest.raises(error) as raised:
        act()
    assert says in str(raised.value)
