"""Which dtype comes out: PyTorch's promotion, over every pair of kinds and every method."""

import itertools
import operator

import numpy as np
import pytest

import microreg as mr

from .conftest import Library

KINDS = {
    "float32": np.float32,
    "float64": np.float64,
    "int64": np.int64,
    "bool": np.bool_,
}
NUMBERS = [True, 2, 2.5]
BINARY = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "floordiv")},
    **{name: getattr(operator, name) for name in ("mod", "pow", "eq", "ne", "lt", "ge")},
}
BITS = {name: getattr(operator, name) for name in ("and_", "or_", "xor")}
FUNCTIONS = {
    "maximum": lambda m, a, b: m.maximum(a, b),
    "where": lambda m, a, b: m.where(m.tensor([True, False]), a, b),
    "div floor": lambda m, a, b: m.div(a, b, rounding_mode="floor"),
    "div trunc": lambda m, a, b: m.div(a, b, rounding_mode="trunc"),
    "cat": lambda m, a, b: m.cat([a.reshape(-1), b.reshape(-1)]),
}
UNARY = [
    *["neg", "abs", "exp", "log1p", "sqrt", "rsqrt", "sin", "tanh", "sigmoid", "erf", "square"],
    *["reciprocal", "sign", "floor", "ceil", "round", "relu", "isnan", "isfinite", "clone"],
    *["sum", "mean", "var", "std", "prod", "amax", "max", "min", "argmax", "any", "all", "norm"],
    *["float", "double", "long", "bool", "flatten", "t"],
]
ALONG = {
    "cumsum": lambda x: x.cumsum(0),
    "softmax": lambda x: x.softmax(0),
    "log_softmax": lambda x: x.log_softmax(0),
    "logsumexp": lambda x: x.logsumexp(0),
    "sum 0": lambda x: x.sum(0),
    "prod 0": lambda x: x.prod(0),
    "max 0": lambda x: x.max(0)[0],
    "sort": lambda x: x.sort(0)[0],
    "topk": lambda x: x.topk(1)[1],
    "clamp": lambda x: x.clamp(0, 1),
    "clamp float": lambda x: x.clamp(0.5, 1.5),
    "masked_fill": lambda x: x.masked_fill(x > 0, 3),
    "flip": lambda x: x.flip(0),
    "repeat": lambda x: x.repeat(2),
    "sum float64": lambda x: x.sum(dtype=x.double().dtype),
    "mean float64": lambda x: x.mean(dtype=x.double().dtype),
    "softmax float64": lambda x: x.softmax(0, dtype=x.double().dtype),
    "pow half": lambda x: x**0.5,
    "pow -1": lambda x: x.double() ** -1,
    "number - x": lambda x: 1.5 - x.long(),
    "matmul": lambda x: x.float() @ x.float(),
}
# what torch refuses and microreg answers: bools are numbers beside others; integers, which become
# the default dtype, have means and norms
ANSWERED = {
    *(("sub", *pair) for kind in KINDS for pair in ((kind, "bool"), ("bool", kind))),
    *(("sub", kind, "bool") for kind in KINDS),
    *(("sub", "bool", kind) for kind in ("int", "float")),
    *((name, "bool") for name in ("abs", "floor", "ceil", "round", "relu", "argmax", "topk")),
    *((name, k) for name in ("mean", "var", "std", "norm") for k in ("int64", "bool")),
    *((name, k) for name in ("softmax", "log_softmax") for k in ("int64", "bool")),
}


def arrays(kind, ndim):
    return np.array([3, 1])[: 2 if ndim else 1].astype(KINDS[kind]).reshape((2,) * ndim)


def outcome(function):
    """(name of the dtype, numbers) of a result; None where the function raises."""
    try:
        out = function()
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        return None
    return str(out.dtype).removeprefix("torch."), out.tolist()


def same(ours, theirs, torch, answered=False):
    got, want = outcome(lambda: ours(mr)), outcome(lambda: theirs(torch))
    if want is None and answered:
        return
    assert (got is None) == (want is None), (got, want)
    if got is not None:
        assert got[0] == want[0]
        np.testing.assert_allclose(got[1], want[1], rtol=1e-5, equal_nan=True)


def both(function, *inputs):
    """The function on microreg's tensors, and on torch's."""

    def of(m):
        return function(m, *(m.tensor(x) if isinstance(x, np.ndarray) else x for x in inputs))

    return of


@pytest.mark.parametrize("name", [*BINARY, *BITS, *FUNCTIONS])
def test_two_tensors_meet_as_in_torch(name, torch):
    plain = {**BINARY, **BITS}.get(name)
    function = FUNCTIONS.get(name) or (lambda m, a, b: plain(a, b))
    for first, second in itertools.product(KINDS, KINDS):
        if name in BITS and "float" in first + second:
            continue
        for m, n in itertools.product((0, 1), (0, 1)):
            made = both(function, arrays(first, m), arrays(second, n))
            same(made, made, torch, (name, first, second) in ANSWERED)


@pytest.mark.parametrize("name", [*BINARY, *(n for n in FUNCTIONS if n not in ("cat", "maximum"))])
def test_a_tensor_and_a_number_meet_as_in_torch(name, torch):
    function = FUNCTIONS.get(name) or (lambda m, a, b: BINARY[name](a, b))
    for kind, number, ndim in itertools.product(KINDS, NUMBERS, (0, 1)):
        if (name, kind, number) == ("pow", "bool", True):
            continue  # refused like every power of two bools
        made = both(function, arrays(kind, ndim), number)
        same(made, made, torch, (name, kind, type(number).__name__) in ANSWERED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*UNARY, *ALONG])
def test_a_function_of_one_tensor_has_torchs_dtype(name, kind, torch):
    function = ALONG.get(name) or (lambda x: getattr(x, name)())
    made = both(lambda m, x: function(x), arrays(kind, 1))
    same(made, made, torch, (name, kind) in ANSWERED)


def test_functions_of_layers_want_one_floating_dtype(torch):
    """Where torch refuses to mix float32 and float64, the wider is taken; integers are refused."""
    library = Library(mr)
    x, w = mr.ones(2, 3), mr.ones(4, 3, dtype=np.float64)
    assert library.linear(x, w).dtype == np.float64
    assert library.mse_loss(x, x.double()).dtype == np.float64
