"""Choices a table cannot show: kinks, ties, saturation, integers."""

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F

FLOATS = mr.tensor(np.random.default_rng(0).normal(size=(3, 4)))
INTEGERS = mr.tensor(np.arange(12).reshape(3, 4))


def slope(function, *numbers):
    """The gradients of function at numbers, as Python floats."""
    xs = [mr.tensor(np.float64(x), requires_grad=True) for x in numbers]
    found = [dx.item() for dx in mr.grad(function(*xs), xs)]
    return found[0] if len(found) == 1 else found


# kinks and ties


def test_the_gradient_at_a_kink_is_torchs(torch):
    places = [-0.5, 0.0, 0.7]
    for function in (
        lambda m, x: m.relu(x),
        lambda m, x: x.abs(),
        lambda m, x: x.clamp(min=-0.5),
        lambda m, x: x.clamp(max=0.7),
        lambda m, x: x.clamp(0.0, 0.7),
    ):
        for place in places:
            x = torch.tensor(place, dtype=torch.float64, requires_grad=True)
            function(torch, x).backward()
            assert slope(lambda x, f=function: f(mr, x), place) == x.grad.item()


def test_kinks_without_torch():
    assert [slope(mr.relu, v) for v in (-0.2, 0.0, 0.2)] == [0, 0, 1]
    assert [slope(abs, v) for v in (-0.2, 0.0, 0.2)] == [-1, 0, 1]
    assert [slope(lambda x: x.clamp(-1, 2), v) for v in (-1.1, -1, 0, 2, 2.1)] == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("function", [mr.maximum, mr.minimum])
def test_a_tie_of_two_is_halved(function):
    assert slope(function, 0.3, 0.3) == [0.5, 0.5]
    assert slope(function, 0.3, 0.4) in ([0, 1], [1, 0])


@pytest.mark.parametrize(("name", "best"), [("amax", 2.0), ("amin", -1.0)])
def test_a_tie_of_several_shares_the_gradient_evenly(name, best, torch):
    array = np.array([[2.0, -1.0, 2.0, 0.5, 2.0], [2.0, -1.0, 0.0, -1.0, 0.1]])
    for dim in (None, 0, 1):
        x = mr.tensor(array, requires_grad=True)
        other = torch.tensor(array, requires_grad=True)
        getattr(x, name)(dim).sum().backward()
        getattr(other, name)(*() if dim is None else (dim,)).sum().backward()
        np.testing.assert_array_equal(x.grad.data, other.grad.numpy())
        assert (x.grad.data[array != best] == 0).all() or dim == 0


def test_the_first_of_equal_entries_is_the_largest():
    x = mr.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 0.0]])
    assert x.argmax().item() == 1 and x.argmin().item() == 4
    assert x.argmax(1).tolist() == [1, 0] and x.argmin(-1, keepdim=True).tolist() == [[0], [1]]
    assert x.argmax(0).dtype == mr.int64 and not x.argmax(0).requires_grad


def test_a_pooling_tie_goes_to_one_entry(torch):
    x = mr.tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    other = torch.tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    torch.nn.functional.max_pool2d(other, 2).sum().backward()
    np.testing.assert_array_equal(x.grad.data, other.grad.numpy())


def test_the_power_of_zero():
    assert slope(lambda x: x**2, 0.0) == 0 and slope(lambda x: x**1, 0.0) == 1
    assert slope(lambda x, p: x**p, 0.0, 2.0) == [0, 0]  # 0 ** p is 0 for every p > 0


def test_a_row_of_one_is_its_bias():
    x, one, bias = (
        mr.tensor(np.full(s, v), requires_grad=True) for s, v in [((3, 1), 5.0), (1, 1.0), (1, 0.4)]
    )
    out = F.layer_norm(x, (1,), one, bias)
    out.sum().backward()
    np.testing.assert_array_equal(out.data, np.full((3, 1), 0.4))
    assert abs(x.grad.data).max() < 1e-12 and bias.grad.item() == 3


# far from zero


@pytest.mark.parametrize("far", [50.0, 1e3, 1e30])
def test_saturated_functions_are_exact_and_flat(far):
    values = {mr.tanh: (-1, 1), mr.sigmoid: (0, 1), F.softplus: (0, far), F.gelu: (0, far)}
    for function, (low, high) in values.items():
        ends = function(mr.tensor(np.array([-far, far]))).data
        np.testing.assert_allclose(ends, [low, high], rtol=1e-15, atol=1e-20)
        steep = 1.0 if high == far else 0.0
        assert abs(slope(function, -far)) < 1e-20 and abs(slope(function, far) - steep) < 1e-20


@pytest.mark.parametrize("shift", [0.0, 1e3, -1e5])
def test_softmax_and_losses_do_not_overflow(shift):
    z = np.array([[0.3, -1.2, 2.0]])
    want = np.exp(z) / np.exp(z).sum()
    x = mr.tensor(z + shift, requires_grad=True)
    np.testing.assert_allclose(x.softmax(1).data, want, rtol=1e-9)
    np.testing.assert_allclose(x.log_softmax(1).data, np.log(want), rtol=1e-9)
    loss = F.cross_entropy(x, [1])
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(want[0, 1]), rel=1e-9)
    np.testing.assert_allclose(x.grad.data, want - [[0, 1, 0]], rtol=1e-9)
    logit = mr.tensor([shift], dtype=np.float64)
    got = F.binary_cross_entropy_with_logits(logit, mr.tensor([1.0], dtype=np.float64)).item()
    assert got == pytest.approx(np.logaddexp(0, -shift), abs=1e-300)


def test_nan_in_an_ignored_row_stays_there():
    x = mr.tensor(np.array([[1.0, 2.0], [np.nan, np.inf]]), requires_grad=True)
    loss = F.cross_entropy(x, [0, -100], label_smoothing=0.1)
    loss.backward()
    assert np.isfinite(loss.item()) and (x.grad.data[1] == 0).all()


def test_the_mean_over_no_labels_is_not_a_number():
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.cross_entropy(FLOATS, [-100, -100, -100]).item())
    assert F.cross_entropy(FLOATS, [7, 7, 7], ignore_index=7, reduction="sum").item() == 0


# integers


@pytest.mark.parametrize(
    "function",
    [
        mr.tanh,
        mr.sigmoid,
        F.softplus,
        F.gelu,
        lambda x: F.gelu(x, "tanh"),
        lambda x: x.exp(),
        lambda x: (x + 1).log(),
        lambda x: x.sqrt(),
        lambda x: x.erf(),
        lambda x: x.mean(),
        lambda x: x.var(),
        lambda x: x.softmax(0),
        lambda x: x.log_softmax(1),
    ],
)
def test_functions_of_integers_are_float32(function):
    got = function(INTEGERS)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.data, function(INTEGERS.double()).data, rtol=1e-5, atol=1e-6)


def test_sums_and_extremes_of_integers_stay_integers():
    for got, want in ((INTEGERS.sum(), 66), (INTEGERS.amax(), 11), (INTEGERS.amin(), 0)):
        assert got.dtype == np.int64 and got.item() == want
    assert (INTEGERS > 5).sum().item() == 6
    for got in (mr.relu(INTEGERS - 3), F.relu6(INTEGERS - 3), F.hardtanh(INTEGERS - 3, 0, 20)):
        assert got.dtype == np.int64 and got.data[0].tolist() == [0, 0, 0, 0]
    assert (INTEGERS @ INTEGERS.T).dtype == np.int64


# running statistics


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (2, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("kept", [np.float32, np.float64])
@pytest.mark.parametrize("dense", [True, False])
def test_running_statistics_are_moved_where_they_lie(dense, kept, shape, dtype):
    """In their own dtype, beside an x of another; nothing beside them is written."""
    x = np.random.default_rng(2).normal(size=shape).astype(dtype)
    memory = np.full((2, 4, 3), 7, kept)
    running = [m[:, 1].copy() if dense else m[:, 1] for m in memory]
    tensors = [mr.tensor(0.0) for _ in running]
    for tensor, array in zip(tensors, running, strict=True):
        tensor.data = array
    F.batch_norm(mr.tensor(x), *tensors, training=True, momentum=0.3)
    axes = (0, *range(2, x.ndim))
    for got, new in zip(running, (x.mean(axes), x.var(axes, ddof=1)), strict=True):
        np.testing.assert_allclose(got, 7 + 0.3 * (new - 7), rtol=1e-6)
    assert all(tensor.data is array for tensor, array in zip(tensors, running, strict=True))
    assert (memory[:, :, [0, 2]] == 7).all() and (not dense or (memory == 7).all())
