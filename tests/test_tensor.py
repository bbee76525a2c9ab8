"""Tensor as a container: making one, its dtype, NumPy on both sides, indexing, what it refuses."""

import copy
import pickle

import numpy as np
import pytest

import microreg as mr
from microreg.errors import DTypeError, GraphError, ShapeError

KINDS = {"bool": np.bool_, "int64": np.int64, "float32": np.float32, "float64": np.float64}


# making


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.0, 2.0], "float32"),
        ([1, 2], "int64"),
        (True, "bool"),
        ([[1, 2.5], [3, 4]], "float32"),
        (np.float64(1.5), "float64"),
        (np.arange(3.0), "float64"),
        (np.arange(3, dtype=np.int8), "int64"),
        (np.arange(3, dtype=np.uint16), "int64"),
        (np.ones(2, np.float16), "float32"),
        (np.zeros(2, bool), "bool"),
        ([], "float32"),
    ],
)
def test_numbers_get_the_default_dtype_and_arrays_keep_theirs(data, dtype):
    assert mr.tensor(data).dtype == mr.Tensor(data).dtype == KINDS[dtype]
    for name, kind in KINDS.items():
        assert mr.tensor(data, dtype=kind).dtype == mr.tensor(data, dtype=name).dtype == kind


def test_the_default_dtype_can_be_set():
    mr.set_default_dtype(np.float64)
    try:
        assert mr.get_default_dtype() == mr.float64
        assert mr.tensor(1.5).dtype == mr.zeros(2).dtype == mr.rand(2).dtype == mr.float64
        assert (mr.tensor([1, 2]) * 0.5).dtype == (mr.tensor([1, 2]) / 2).dtype == mr.float64
    finally:
        mr.set_default_dtype("float32")
    assert mr.tensor(1.5).dtype == mr.float32


def test_tensor_copies_and_from_numpy_shares():
    array = np.arange(3.0)
    copied, shared, same = mr.tensor(array), mr.from_numpy(array), mr.Tensor(array)
    array[0] = 7
    assert copied.tolist() == [0, 1, 2] and shared.tolist() == same.tolist() == [7, 1, 2]
    assert shared.numpy() is array
    assert not np.shares_memory(mr.tensor(shared).data, array)


@pytest.mark.parametrize("dtype", [None, np.float64, np.int64])
@pytest.mark.parametrize("size", [(), (3,), (2, 0), (2, 3, 1)])
def test_filled_tensors(size, dtype):
    for made, value in ((mr.zeros, 0), (mr.ones, 1)):
        for x in (made(*size, dtype=dtype), made(size, dtype=dtype)):
            assert x.shape == size and x.dtype == (dtype or np.float32)
            assert (x.data == value).all()
    assert mr.full(size, 2.5).tolist() == np.full(size, 2.5).tolist()
    like = mr.ones(*size, dtype=dtype)
    for x, value in ((mr.zeros_like(like), 0), (mr.ones_like(like), 1), (mr.full_like(like, 3), 3)):
        assert x.shape == size and x.dtype == like.dtype and (x.data == value).all()
    assert mr.zeros_like(like, dtype=np.float64).dtype == np.float64


def test_sequences():
    assert mr.arange(4).tolist() == [0, 1, 2, 3] and mr.arange(4).dtype == mr.int64
    assert mr.arange(1, 2, 0.5).tolist() == [1, 1.5] and mr.arange(1.0).dtype == mr.float32
    assert mr.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert mr.linspace(-1, 1, 5).tolist() == [-1, -0.5, 0, 0.5, 1]
    assert mr.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]] and mr.eye(2).shape == (2, 2)
    assert mr.full((2,), 7).dtype == mr.int64 and mr.full((2,), True).dtype == mr.bool


def test_random_tensors_follow_the_seed():
    def draws():
        mr.manual_seed(11)
        return [
            mr.rand(3, 2),
            mr.randn(4),
            mr.randint(5, (6,)),
            mr.randint(-2, 2, (6,)),
            mr.randperm(9),
        ]

    first, second = draws(), draws()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    uniform, _, small, signed, order = first
    assert uniform.shape == (3, 2) and 0 <= uniform.data.min() <= uniform.data.max() < 1
    assert set(small.tolist()) <= set(range(5)) and set(signed.tolist()) <= {-2, -1, 0, 1}
    assert sorted(order.tolist()) == list(range(9))
    assert mr.rand(2, requires_grad=True).requires_grad and not mr.rand(2).requires_grad
    state = mr.get_rng_state()
    again = mr.randn(3).tolist()
    mr.set_rng_state(state)
    assert mr.randn(3).tolist() == again
    mr.manual_seed(12)
    assert mr.randn(4).tolist() != first[1].tolist()


# dtypes


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
def test_two_dtypes_meet_as_in_torch(left, right, torch):
    a, b = np.array([1, 1]).astype(KINDS[left]), np.array([[1], [1]]).astype(KINDS[right])
    for operate in (
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a**b,
        lambda a, b: a > b,
    ):
        if "bool" in (left, right) and left == right and operate(2, 3) == 8:
            continue  # torch has no power of two bools
        want = operate(torch.tensor(a), torch.tensor(b)).dtype
        assert f"torch.{operate(mr.tensor(a), mr.tensor(b)).dtype}" == str(want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 0.5, True])
def test_a_number_meets_a_tensor_as_in_torch(kind, number, torch):
    array = np.array([1, 1]).astype(KINDS[kind])
    for operate in (lambda a, b: a + b, lambda a, b: b - a, lambda a, b: a * b, lambda a, b: b / a):
        try:
            want = operate(torch.tensor(array), number).dtype
        except RuntimeError:  # torch refuses to subtract bools
            continue
        assert f"torch.{operate(mr.tensor(array), number).dtype}" == str(want)


def test_casts():
    x = mr.tensor([0.0, 1.7, -2.3])
    assert x.double().dtype == x.to("float64").dtype == mr.float64
    assert x.long().tolist() == [0, 1, -2] and x.bool().tolist() == [False, True, True]
    assert x.float() is x and x.to(mr.float32) is x and x.to("cpu") is x
    w = mr.tensor([1.0, 2.0], requires_grad=True)
    (w.double() * mr.tensor(np.array([3.0, 4.0]))).sum().backward()
    assert w.grad.dtype == mr.float32 and w.grad.tolist() == [3, 4]


def test_mixed_precision_gives_each_its_own_dtype_back():
    a = mr.tensor(np.float32([1.5, 2.0]), requires_grad=True)
    b = mr.tensor(np.float64([0.5, 3.0]), requires_grad=True)
    out = a * b
    out.sum().backward()
    assert out.dtype == b.grad.dtype == mr.float64 and a.grad.dtype == mr.float32
    assert a.grad.tolist() == [0.5, 3] and b.grad.tolist() == [1.5, 2]


# Python and NumPy


def test_it_looks_like_its_array(rng):
    array = rng.normal(size=(2, 3))
    x = mr.tensor(array)
    assert x.shape == x.size() == (2, 3) and x.ndim == x.dim() == 2 and x.numel() == 6
    assert x.size(1) == x.size(-1) == len(x[0]) == 3 and len(x) == 2 and x.device == "cpu"
    assert x.tolist() == array.tolist() and [row.tolist() for row in x] == array.tolist()
    assert x[1, 2].item() == float(x[1, 2]) == array[1, 2]
    assert int(mr.tensor(3.9)) == 3 and ["a", "b"][mr.tensor(1)] == "b"
    assert bool(mr.tensor(0.0)) is False and bool(mr.tensor([2])) is True
    assert (x == x).data.all() and (x != x + 1).data.all() and (x < x + 1).data.all()
    assert (x <= x).data.all() and (x + 1 > x).data.all() and (x >= x).data.all()
    assert len({x, x, mr.tensor(array)}) == 2  # a tensor is hashed as the object it is


def test_numpy_reads_a_tensor_and_leaves_operators_to_it(rng):
    array = rng.normal(size=3)
    x = mr.tensor(array)
    assert np.asarray(x) is x.data and np.shares_memory(np.from_dlpack(x), x.data)
    assert not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, np.float32).dtype == np.float32
    for got in (array + x, array - x, array * x, array / x, array @ x, array == x, array > x):
        assert isinstance(got, mr.Tensor)
    np.testing.assert_array_equal((array - 2 * x).data, -array)
    w = mr.tensor(array, requires_grad=True)
    (array * w).sum().backward()
    np.testing.assert_array_equal(w.grad.data, array)


def test_copies():
    x = mr.tensor([1.0, 2.0], requires_grad=True)
    assert not np.shares_memory(x.clone().data, x.data) and x.clone().requires_grad
    assert np.shares_memory(x.detach().data, x.data) and not x.detach().requires_grad
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.tolist() == [1, 2] and twin.requires_grad and twin is not x
        assert not np.shares_memory(twin.data, x.data)
    y = mr.zeros(2)
    assert y.copy_(x) is y and y.tolist() == [1, 2] and not np.shares_memory(y.data, x.data)
    assert y.copy_([3, 4]).tolist() == [3, 4]


def test_numbers_from_a_pickle_have_the_dtypes_that_code_tells_apart_by_identity():
    for given in (np.arange(6.0), np.arange(6, dtype=np.float32), np.arange(6), np.ones(2, bool)):
        array = pickle.loads(pickle.dumps(given))
        assert array.dtype is not given.dtype  # what NumPy does
        for twin in (mr.Tensor(array), pickle.loads(pickle.dumps(mr.Tensor(given)))):
            assert twin.dtype is given.dtype
    array = pickle.loads(pickle.dumps(np.arange(6.0)))
    assert np.shares_memory(mr.Tensor(array).data, array)
    step = mr.compile(lambda x: (x * mr.Tensor(array)).sum())
    assert float(step(mr.tensor(np.ones(6)))) == 15.0


def test_what_it_prints():
    assert repr(mr.tensor([1.5, 2.0])) == "tensor([1.5, 2. ])"
    assert repr(mr.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(mr.tensor(0.25, dtype=np.float64)) == "tensor(0.25, dtype=float64)"
    x = mr.tensor([1.5], requires_grad=True)
    assert repr(x) == "tensor([1.5], requires_grad=True)"
    y = x * 2
    assert repr(y) == "tensor([3.], grad_fn=mul)"
    y.backward()
    assert repr(y) == "tensor([3.], grad_fn=None)"


# indexing

KEYS = [
    0,
    -1,
    slice(None),
    slice(1, None, 2),
    slice(None, None, -1),
    Ellipsis,
    None,
    (1, 2),
    (slice(None), 1),
    (..., -1),
    (None, 1, ..., None),
    (slice(2, 2),),
    [2, 0, 2, 2],
    np.array([[0, 1], [2, 2]]),
    ([0, 2, 0], [1, 1, 1]),
    (slice(None), [3, 0, 3]),
    ([1, 1], slice(1, 3)),
    np.array([True, False, True]),
    (np.array([0, 0]), None, np.array([[1], [2]])),
    np.int64(1),
    [],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_an_index_takes_what_numpy_takes_and_gives_the_gradient_back(key, rng):
    array = rng.normal(size=(3, 4, 2))
    x = mr.tensor(array, requires_grad=True)
    if isinstance(key, list) and not key:
        key = np.zeros(0, int)
    out = x[key]
    np.testing.assert_array_equal(out.data, array[key])
    g = rng.normal(size=out.shape)
    (dx,) = mr.grad(out, x, mr.tensor(g))
    want = np.zeros_like(array)
    places = np.arange(array.size).reshape(array.shape)[key]  # which entry each result is
    np.add.at(want.reshape(-1), places, g)
    np.testing.assert_allclose(dx.data, want, rtol=1e-14, atol=0)
    assert mr.gradcheck(lambda x: x[key] * x[key], array, order=2).ok


def test_a_tensor_can_be_the_index():
    x = mr.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    picked = x[mr.tensor([2, 2, 0])]
    assert picked.tolist() == [[5, 6], [5, 6], [1, 2]]
    picked.sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0], [2, 2]]
    assert x[x > 2.5].tolist() == [3, 4, 5, 6] and x[mr.tensor(1), [0]].tolist() == [3]


def test_a_basic_index_shares_memory_and_an_advanced_one_does_not():
    x = mr.tensor(np.arange(6.0).reshape(3, 2))
    assert np.shares_memory(x[1:].data, x.data) and not np.shares_memory(x[[1, 2]].data, x.data)


# what is refused


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: mr.tensor("one"), DTypeError, "tensor: expected numbers or bools, got dtype <U3"),
        (
            lambda: mr.tensor(1j),
            DTypeError,
            "tensor: expected numbers or bools, got dtype complex128",
        ),
        (
            lambda: mr.tensor(None),
            DTypeError,
            "tensor: expected numbers or bools, got dtype object",
        ),
        (
            lambda: mr.tensor([1.0], dtype=np.int32),
            DTypeError,
            "tensor: expected float32, float64, int64 or bool, got int32",
        ),
        (
            lambda: mr.set_default_dtype(np.int64),
            DTypeError,
            f"set_default_dtype: expected float32 or float64, got {np.int64}",
        ),
        (lambda: mr.from_numpy([1]), TypeError, "from_numpy: expected an ndarray, got list"),
        (
            lambda: mr.tensor([1], requires_grad=True),
            DTypeError,
            "requires_grad_: only floating tensors have gradients, this one is int64",
        ),
        (
            lambda: mr.zeros(2, 3).item(),
            ShapeError,
            "item: expected a single number, got shape (2, 3)",
        ),
        (lambda: float(mr.zeros(0)), ShapeError, "item: expected a single number, got shape (0,)"),
        (lambda: mr.zeros(2).copy_([1]), ShapeError, "copy_: expected shape (2,), got (1,)"),
        (lambda: len(mr.tensor(1.0)), TypeError, "len() of a 0-d tensor"),
        (
            lambda: mr.zeros(2, requires_grad=True).numpy(),
            GraphError,
            "numpy: this tensor requires a gradient; use detach().numpy()",
        ),
        (
            lambda: np.asarray(mr.zeros(2, requires_grad=True)),
            GraphError,
            "numpy: this tensor requires a gradient; use detach().numpy()",
        ),
        (
            lambda: mr.manual_seed(-1),
            ValueError,
            "manual_seed(-1): expected an integer from 0 to 2**63 - 1",
        ),
    ],
)
def test_the_error_says_what_was_expected(call, error, text):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == text


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ShapeError, match=r"^tensor: the rows have different lengths"):
        mr.tensor([[1.0], [2.0, 3.0]])


@pytest.mark.parametrize("key", [3, (0, 4), 1.0, "a", [[0, 3]], np.array([True, False])])
def test_an_index_that_does_not_fit_is_refused(key):
    with pytest.raises(IndexError):
        mr.zeros(3, 4)[key]
