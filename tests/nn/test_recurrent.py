"""RNN, LSTM, GRU beside torch's, their layer-normalised forms beside NumPy, lengths that differ."""

import itertools

import numpy as np
import pytest

import microreg as mr
from microreg import nn
from microreg.errors import DTypeError, ShapeError

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-9}
TIME, N, IN, HIDDEN = 7, 4, 5, 3
KINDS = ["RNN", "LSTM", "GRU"]
NORMED = ["LayerNormRNN", "LayerNormLSTM", "LayerNormGRU"]
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "batch first": {"batch_first": True},
    "both ways": {"bidirectional": True},
    "deep": {"num_layers": 3},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 1e-30},
}
CASES = [*itertools.product(KINDS, OPTIONS), ("RNN", "relu")]
OPTIONS["relu"] = {"nonlinearity": "relu", "num_layers": 2}


def twins(kind, options, dtype, torch):
    ours = getattr(nn, kind)(IN, HIDDEN, **options).to(dtype)
    theirs = getattr(torch.nn, kind)(IN, HIDDEN, **options)
    theirs = theirs.to(getattr(torch, np.dtype(dtype).name))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs


def flat(result):
    out, states = result
    return [out, *(states if isinstance(states, tuple) else (states,))]


def close(got, want):
    want = want.detach().numpy()
    tolerance = TOLERANCE[got.dtype]
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_allclose(got.data, want, rtol=tolerance, atol=tolerance)


def scalar(outs):
    """A number to which every entry of every result contributes differently."""
    return sum((out * out * out).sum() * (i + 1.0) + out.sum() for i, out in enumerate(outs))


def random_states(layer, rng, dtype, single=False):
    layers = layer.num_layers * (2 if layer.bidirectional else 1)
    shape = (layers, HIDDEN) if single else (layers, N, HIDDEN)
    return [rng.normal(size=shape).astype(dtype) for _ in range(layer.states)]


def packed(tensors):
    return tuple(tensors) if len(tensors) > 1 else tensors[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_layer_follows_torchs(kind, name, start, dtype, torch, rng):
    ours, theirs = twins(kind, OPTIONS[name], dtype, torch)
    x = rng.normal(size=(TIME, N, IN)).astype(dtype)
    x = x.swapaxes(0, 1).copy() if ours.batch_first else x
    arrays = [x, *(random_states(ours, rng, dtype) if start else ())]
    mine = [mr.tensor(a, requires_grad=True) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    got = flat(ours(mine[0], packed(mine[1:])) if start else ours(mine[0]))
    want = flat(theirs(others[0], packed(others[1:])) if start else theirs(others[0]))
    for a, b in zip(got, want, strict=True):
        close(a, b)
    scalar(got).backward()
    scalar(want).backward()
    for a, b in zip([*mine, *ours.parameters()], [*others, *theirs.parameters()], strict=True):
        close(a.grad, b.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_sequence_may_come_alone(kind, torch, rng):
    ours, theirs = twins(kind, {"num_layers": 2, "batch_first": True}, np.float64, torch)
    x, states = rng.normal(size=(TIME, IN)), random_states(ours, rng, np.float64, single=True)
    got = flat(ours(mr.tensor(x), packed([mr.tensor(s) for s in states])))
    want = flat(theirs(torch.tensor(x), packed([torch.tensor(s) for s in states])))
    for a, b in zip(got, want, strict=True):
        close(a, b)


# different lengths

LENGTHS = np.array([7, 2, 5, 1])


def padded(rng, dtype, filling):
    x = rng.normal(size=(TIME, N, IN)).astype(dtype)
    x[np.arange(TIME)[:, None] >= LENGTHS] = filling
    return x


@pytest.mark.parametrize("name", ["plain", "both ways", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_those_of_a_packed_sequence(kind, name, torch, rng):
    ours, theirs = twins(kind, OPTIONS[name], np.float64, torch)
    x = padded(rng, np.float64, np.nan)
    mine = mr.tensor(x.swapaxes(0, 1) if ours.batch_first else x, requires_grad=True)
    other = torch.tensor(np.nan_to_num(x), requires_grad=True)
    rnn = torch.nn.utils.rnn
    pack = rnn.pack_padded_sequence(other, torch.tensor(LENGTHS), enforce_sorted=False)
    theirs.batch_first = False
    out, states = theirs(pack)
    want = flat((rnn.pad_packed_sequence(out)[0], states))
    got = flat(ours(mine, lengths=LENGTHS))
    got[0] = got[0].transpose(0, 1) if ours.batch_first else got[0]
    for a, b in zip(got, want, strict=True):
        close(a, b)
    scalar(got).backward()
    scalar(want).backward()
    gradient = mine.grad.transpose(0, 1) if ours.batch_first else mine.grad
    close(gradient, other.grad)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p.grad, q.grad)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["plain", "deep", "both ways"])
@pytest.mark.parametrize("kind", [*KINDS, *NORMED])
def test_padding_changes_no_bit(kind, name, dtype, rng):
    """Not what lies there, not how much of it, not which sequences lie beside."""
    layer = getattr(nn, kind)(IN, HIDDEN, **OPTIONS[name], dtype=dtype)
    x = padded(rng, dtype, 0.0)

    def run(x, lengths, time):
        """The results and the gradients of the parameters and of what counts of the input."""
        layer.zero_grad()
        x = mr.tensor(x, requires_grad=True)
        out, *states = flat(layer(x, lengths=lengths))
        scalar([out, *states]).backward()
        np.testing.assert_array_equal(out.data[time:], 0)
        grads = [p.grad.data for p in layer.parameters()]
        return [out.data[:time], x.grad.data[:time], *(s.data for s in states), *grads]

    want = run(x, LENGTHS, TIME)
    for filling in (5.0, np.nan, np.inf):
        for more in (0, 1, 9):
            wide = np.concatenate([padded(rng, dtype, filling), np.full((more, N, IN), filling)])
            wide = wide.astype(dtype)
            counts = np.arange(TIME)[:, None] < LENGTHS
            wide[:TIME][counts] = x[counts]
            for a, b in zip(run(wide, LENGTHS, TIME), want, strict=True):
                np.testing.assert_array_equal(a, b)
    for i, length in enumerate(LENGTHS):
        alone = flat(layer(mr.tensor(x[:length, i : i + 1])))
        np.testing.assert_array_equal(alone[0].data[:, 0], want[0][:length, i])
        for state, whole in zip(alone[1:], want[2:], strict=False):
            np.testing.assert_array_equal(state.data[:, 0], whole[:, i])


# layer-normalised


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm(layer, x):
    x_hat = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x_hat * layer.weight.data + layer.bias.data


def naive(layer, x):
    """The formulas of Ba et al., step by step."""
    (h, c), outs = np.zeros((2, x.shape[1], HIDDEN)), []
    w, u = layer.weight_ih_l0.data.T, layer.weight_hh_l0.data.T
    for row in x:
        if isinstance(layer, nn.LayerNormRNN):
            h = np.tanh(norm(layer.norm_l0, row @ w + h @ u))
        elif isinstance(layer, nn.LayerNormLSTM):
            gates = norm(layer.norm_ih_l0, row @ w) + norm(layer.norm_hh_l0, h @ u)
            i, f, g, o = np.split(gates, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(norm(layer.norm_c_l0, c))
        else:
            cut = 2 * HIDDEN
            gates = norm(layer.norm_ih_l0, (row @ w)[:, :cut])
            gates = sigmoid(gates + norm(layer.norm_hh_l0, (h @ u)[:, :cut]))
            r, z = np.split(gates, 2, axis=1)
            new = norm(layer.norm_ih_n_l0, (row @ w)[:, cut:])
            new = np.tanh(new + r * norm(layer.norm_hh_n_l0, (h @ u)[:, cut:]))
            h = (1 - z) * new + z * h
        outs.append(h)
    return np.stack(outs)


@pytest.mark.parametrize("kind", NORMED)
def test_a_layer_normalised_step_follows_its_formula(kind, rng):
    layer = getattr(nn, kind)(IN, HIDDEN).double()
    for p in layer.parameters():
        p.data[...] = rng.normal(size=p.shape)
    x = rng.normal(size=(TIME, N, IN))
    out, *_ = flat(layer(mr.tensor(x)))
    np.testing.assert_allclose(out.data, naive(layer, x), atol=1e-12)
    for p in layer.parameters(recurse=False):  # the scale of weights does not matter
        p.data[...] *= 37.0
    if kind == "LayerNormRNN":  # input and state share one norm
        np.testing.assert_allclose(flat(layer(mr.tensor(x)))[0].data, out.data, atol=1e-4)
    names = [name for name, _ in layer.named_parameters()]
    assert names[:2] == ["weight_ih_l0", "weight_hh_l0"] and "bias_ih_l0" not in names
    bare = getattr(nn, kind)(IN, HIDDEN, bias=False)
    assert not any("bias" in name for name, _ in bare.named_parameters())


# gradients, recording, modes


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("kind", [*KINDS, *NORMED])
def test_gradients_are_those_of_the_value(kind, order, rng):
    layer = getattr(nn, kind)(2, 3, num_layers=3 - order, bidirectional=order == 1)

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return mr.cat([y.reshape(-1) for y in flat(self.layer(x, lengths=[3, 1]))])

    mr.gradcheck(Whole(), rng.normal(size=(3, 2, 2)), order=order, samples=9 - 3 * order)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, *NORMED])
def test_a_recorded_layer_is_the_same(kind, lengths, rng):
    layer = getattr(nn, kind)(IN, HIDDEN, num_layers=2, dropout=0.4).double()

    def step(x, lengths=None):
        outs = flat(layer(x, lengths=lengths))
        layer.zero_grad()
        scalar(outs).backward()
        return outs

    def run(function):
        mr.manual_seed(5)
        found = []
        rng = np.random.default_rng(1)
        for _ in range(3):
            given = [mr.tensor(rng.normal(size=(TIME, N, IN)))]
            if lengths:
                given.append(mr.tensor(rng.integers(1, TIME + 1, N)))
            found += [out.data for out in function(*given)]
            found += [p.grad.data.copy() for p in layer.parameters()]
        return found

    recorded = mr.compile(step)
    for a, b in zip(run(step), run(recorded), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_dropout_lies_between_the_layers(rng):
    x = mr.tensor(rng.normal(size=(TIME, N, IN)))
    layer = nn.LSTM(IN, HIDDEN, num_layers=2, dropout=0.5, dtype=np.float64)
    first, second = layer(x)[0].data, layer(x)[0].data
    assert (first != second).any()
    np.testing.assert_array_equal(layer.eval()(x)[0].data, layer(x)[0].data)
    one = nn.LSTM(IN, HIDDEN, dropout=0.5, dtype=np.float64)
    np.testing.assert_array_equal(one(x)[0].data, one(x)[0].data)


def test_weights_start_within_their_bound():
    layer = nn.GRU(40, 25)
    assert layer.weight_ih_l0.shape == (75, 40) and layer.bias_hh_l0.shape == (75,)
    for p in layer.parameters():
        assert 0.15 < np.abs(p.data).max() <= 0.2
    assert repr(nn.GRU(4, 2, bidirectional=True)) == "GRU(4, 2, bidirectional=True)"


# embedding


@pytest.mark.parametrize("padding_idx", [None, 0, 3, -1])
def test_embedding_follows_torchs(padding_idx, torch, rng):
    ours = nn.Embedding(6, 3, padding_idx).double()
    theirs = torch.nn.Embedding(6, 3, padding_idx).double()
    assert ours.padding_idx == theirs.padding_idx
    theirs.load_state_dict({"weight": torch.tensor(ours.weight.detach().numpy())})
    for shape in ((4,), (2, 5), (), (3, 0), (40, 3)):
        index = rng.integers(0, 6, shape)
        out, want = ours(mr.tensor(index)), theirs(torch.tensor(index))
        assert out.shape == (*shape, 3)
        np.testing.assert_array_equal(out.data, want.detach().numpy())
        ours.zero_grad()
        theirs.zero_grad()
        (out**3).sum().backward()
        (want**3).sum().backward()
        close(ours.weight.grad, theirs.weight.grad)


def test_embedding_starts_with_zeros_for_padding_and_may_be_given():
    layer = nn.Embedding(200, 50, padding_idx=2)
    assert not layer.weight.data[2].any() and abs(layer.weight.data.std() - 1) < 0.03
    table = np.arange(6.0).reshape(3, 2)
    frozen = nn.Embedding.from_pretrained(mr.tensor(table))
    assert not frozen.weight.requires_grad and frozen([2, 0]).tolist() == [[4, 5], [0, 1]]
    assert nn.Embedding.from_pretrained(mr.tensor(table), freeze=False).weight.requires_grad
    assert repr(layer) == "Embedding(200, 50, padding_idx=2)"


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_embedding_is_recorded_and_differentiable_again(padding_idx, rng):
    layer = nn.Embedding(5, 3, padding_idx, dtype=np.float64)
    step = mr.compile(lambda index: mr.grad((layer(index) ** 3).sum(), layer.weight)[0])
    for _ in range(3):
        index = mr.tensor(rng.integers(0, 5, (4, 2)))
        want = mr.grad((layer(index) ** 3).sum(), layer.weight)[0]
        np.testing.assert_allclose(step(index).data, want.data, rtol=1e-12)
        slope = mr.grad((layer(index) ** 3).sum(), layer.weight, create_graph=True)[0]
        (curve,) = mr.grad((slope**2).sum(), layer.weight)
        count = np.bincount(index.data.reshape(-1), minlength=5)[:, None]
        want = 2 * (3 * count * layer.weight.data**2) * (6 * count * layer.weight.data)
        if padding_idx is not None:
            want[padding_idx] = 0
        np.testing.assert_allclose(curve.data, want, rtol=1e-12)


# what is refused

X = mr.ones(3, 2, 5)
REFUSED = {
    "LSTM(input_size=4): expected x of three axes, or two for one sequence, the last of 4, got "
    "(3, 2, 5)": lambda: nn.LSTM(4, 2)(X),
    "GRU: hx: expected 1 of shape (1, 2, 4), got [(1, 3, 4)]": lambda: nn.GRU(5, 4)(
        X, mr.zeros(1, 3, 4)
    ),
    "LSTM: hx: expected 2 of shape (1, 2, 4), got [(1, 2, 4), (2, 2, 4)]": lambda: nn.LSTM(5, 4)(
        X, (mr.zeros(1, 2, 4), mr.zeros(2, 2, 4))
    ),
    "RNN: lengths: expected 2 integers, got int64 of shape (3,)": lambda: nn.RNN(5, 4)(
        X, lengths=[1, 2, 3]
    ),
    "RNN: lengths: expected numbers from 1 to 3, got 0 to 3": lambda: nn.RNN(5, 4)(
        X, lengths=[3, 0]
    ),
    "RNN(nonlinearity='sin'): expected 'tanh' or 'relu'": lambda: nn.RNN(5, 4, nonlinearity="sin"),
    "GRU(hidden_size=0): expected a positive integer": lambda: nn.GRU(5, 0),
    "GRU(dropout=1.5): expected a probability": lambda: nn.GRU(5, 2, dropout=1.5),
    "Embedding(padding_idx=7): expected one of 3 rows": lambda: nn.Embedding(3, 2, 7),
    "embedding: expected numbers from 0 to 2, got 3": lambda: nn.Embedding(3, 2)([0, 3]),
    "embedding: expected numbers from 0 to 2, got -1": lambda: nn.Embedding(3, 2)([0, -1]),
    "embedding: expected integers, got float32; use .long()": lambda: nn.Embedding(3, 2)(X),
    "from_pretrained: expected a matrix, got shape (3, 2, 5)": lambda: nn.Embedding.from_pretrained(
        X
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_error_says_what_was_expected(text):
    with pytest.raises((ValueError, ShapeError, DTypeError, IndexError)) as raised:
        REFUSED[text]()
    assert raised.value.args[0] == text
