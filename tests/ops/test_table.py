"""What holds for every op in the table."""

import contextlib
import importlib
import pkgutil

import numpy as np
import pytest

import microreg as mr
import microreg.ops
from microreg.errors import CaptureError
from microreg.ops._op import Op

from .conftest import ACTIVATIONS, CASES, TABLE, Case, Library, over
from .noting import noted
from .table import COMPARISONS, LAYERS, LOSSES
from .table_elementwise import LOSSES as MORE_LOSSES
from .table_layers import MORE as MORE_LAYERS
from .table_tensors import LOGICAL, WHOLE

LOWER = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-13}  # of the largest number, or 1
COMPARED = [Case(line, shapes) for line in [*COMPARISONS, *LOGICAL] for shapes in line.shapes]
COUNTED = [Case(line, shapes) for line in WHOLE for shapes in line.shapes]
# whose NaN or inf is another's: by choice, or because terms are added in another order
OWN_WAY = {"sign", "einsum i,ij,j->", "einsum ij,jk,kl->il"}
OWN_WAY |= {"x ** -0.5"}  # of -inf it is 0 in C and in NumPy, NaN in torch
OWN_WAY |= {"hardsigmoid "}  # of NaN it has the slope 0 in torch
TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-9}  # relative, see `close`
ROUNDED = {"celu 1.7", "hardsigmoid "}  # torch has their 1/1.7 and 1/6 in float32 alone
SUMS = [*LAYERS, *LOSSES, *MORE_LAYERS, *MORE_LOSSES]  # inf - inf where torch has inf
SAMPLES = 12  # entries of an input that gradcheck looks at

compared = over(COMPARED)
counted = over(COUNTED)
formula_case = over([case for case in CASES if case.line.numpy])
torch_case = over([case for case in CASES if case.line.torch])
case_of_line = over({case.line.name: case for case in CASES}.values())
strange_case = over(  # one input of each line whose NaN and inf are torch's
    {
        case.line.name: case
        for case in CASES
        if case.line.torch
        and case.line not in SUMS
        and case.line.name not in OWN_WAY
        and all(np.prod(shape) for shape in case.shapes)
    }.values()
)


def close(got, want, rtol=None):
    """Equal up to rounding: relative to the entry, or to the largest one where terms cancel."""
    assert got.shape == want.shape
    rtol = rtol or TOLERANCE[got.dtype]
    largest = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * largest)


def all_close(got, want, rtol=None):
    for one, other in zip(got, want, strict=True):
        close(one, other, rtol)


def of_torch(case):
    """How near torch is, if another tolerance than that of the dtype."""
    return 1e-7 if case.line.name in ROUNDED else None


def gradients(case, xs):
    """The value, then the gradients of <value, a random cotangent>, as arrays."""
    out = case(*xs)
    found = mr.grad(out, xs, mr.tensor(case.cotangent(out)))
    return [out.data, *(dx.data for dx in found)]


def in_torch(torch, case, arrays):
    """The same by torch."""
    xs = [torch.tensor(x, requires_grad=True) for x in arrays]
    out = case.line.call(Library(torch), *xs)
    found = torch.autograd.grad(out, xs, torch.tensor(case.cotangent(out.detach().numpy())))
    return [out.detach().numpy(), *(dx.numpy() for dx in found)]


def test_the_value_is_that_of_the_formula(formula_case, dtype):
    arrays = formula_case.arrays(dtype)
    want = formula_case.line.numpy(*(x.astype(np.float64) for x in arrays))
    close(formula_case(*map(mr.tensor, arrays)).data, np.asarray(want))


def test_torch_gives_the_same(torch_case, dtype, torch):
    got = gradients(torch_case, torch_case.tensors(dtype))
    want = in_torch(torch, torch_case, torch_case.arrays(dtype))
    all_close(got, want, of_torch(torch_case) if dtype == np.float64 else None)


def test_the_dtype_is_kept_and_inputs_are_left_as_they_were(case):
    for dtype in TOLERANCE:
        xs = case.tensors(dtype)
        out, *found = gradients(case, xs)
        assert out.dtype == dtype
        for x, dx, before in zip(xs, found, case.arrays(dtype), strict=True):
            assert dx.dtype == dtype and dx.shape == x.shape
            np.testing.assert_array_equal(x.data, before)


@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_is_that_of_the_value(case, order):
    xs = case.arrays()
    report = mr.gradcheck(case, *xs, order=order, samples=SAMPLES)
    assert report.kinks == 0
    assert report.checked == sum(min(x.size, SAMPLES) for x in xs)


def test_recording_the_backward_pass_changes_no_number(case):
    for dtype in TOLERANCE:
        xs = case.tensors(dtype)
        out = case(*xs)
        g = mr.tensor(case.cotangent(out))
        recorded = mr.grad(out, xs, g, create_graph=True)
        all_close([dx.data for dx in recorded], gradients(case, xs)[1:])


def test_gradients_have_memory_of_their_own(case_of_line):
    case, xs = case_of_line, case_of_line.tensors()
    out = case(*xs)
    g = mr.tensor(case.cotangent(out))
    found = [dx.data for dx in mr.grad(out, xs, g)]
    others = [*(x.data for x in xs), g.data, out.data]
    for i, dx in enumerate(found):
        assert type(dx) is np.ndarray and dx.flags.c_contiguous and dx.flags.writeable
        assert not any(np.shares_memory(dx, other) for other in [*others, *found[:i]])


def spread(x):
    """Every second entry of something larger."""
    return np.stack([x, x + 1], axis=-1)[..., 0]


def turned(x):
    """Counted backwards along every axis."""
    return np.flip(np.flip(x).copy())


@pytest.mark.parametrize("layout", [np.asfortranarray, spread, turned])
def test_how_an_input_lies_in_memory_does_not_matter(case_of_line, layout):
    case, xs = case_of_line, case_of_line.tensors()
    want = gradients(case, xs)
    for x in xs:
        x.data = np.asarray(layout(x.data)).reshape(x.shape)  # some lose 0-d
    all_close(gradients(case, xs), want)


def test_a_fused_op_is_its_reference(case, monkeypatch):
    """With every fused op replaced by its reference, value and gradients stay the same."""
    both, record = [case.tensors(dtype) for dtype in TOLERANCE], mr.Tensor.record
    want = [gradients(case, xs) for xs in both]

    def unfused(op, inputs, attrs):
        if op.reference is None:
            return record(op, inputs, attrs)
        out = op.reference(*inputs, **attrs)
        return out if isinstance(out, (mr.Tensor, tuple)) else mr.Tensor(out)

    monkeypatch.setattr(mr.Tensor, "record", staticmethod(unfused))
    for xs, found in zip(both, want, strict=True):
        all_close(gradients(case, xs), found)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_goes_where_torch_lets_it_go(strange_case, bad, torch):
    case = strange_case
    for i, x in enumerate(case.arrays()):
        arrays = case.arrays()
        arrays[i].flat[x.size // 2] = bad
        with np.errstate(all="ignore"):
            got = gradients(case, [mr.tensor(x, requires_grad=True) for x in arrays])
        want = in_torch(torch, case, arrays)
        count = None if case.line in ACTIVATIONS else 1  # where there is no slope, choices differ
        all_close(got[:count], want[:count], of_torch(case))


def all_passes(case, dtype=np.float64):
    """The ops of a case: forward, backward, and backward through the backward pass."""
    xs = case.tensors(dtype)

    def twice():
        out = case(*xs)
        found = mr.grad((out * out).sum(), xs, create_graph=True)
        curved = [(dx * dx).sum() for dx in found if dx.requires_grad]
        if curved:
            mr.grad(curved, xs, allow_unused=True)

    return noted(twice) + noted(gradients, case, xs)


def outputs(function, inputs, attrs):
    with np.errstate(all="ignore"):
        out = function(*inputs, **attrs)
    return [np.asarray(one) for one in (out if isinstance(out, tuple) else (out,))]


def lower_agrees(op, inputs, attrs):
    """`lower` gives what `forward` gives, however the inputs lie in memory."""
    for layout in (np.copy, np.asfortranarray, spread, turned):
        given = [
            np.asarray(layout(x)).reshape(x.shape) if isinstance(x, np.ndarray) else x
            for x in inputs
        ]
        got, want = (outputs(function, given, attrs) for function in (op.lower, op.forward))
        for x, y in zip(got, want, strict=True):
            assert (x.shape, x.dtype) == (y.shape, y.dtype), op
            if np.array_equal(x, y):
                continue
            tolerance = LOWER[x.dtype] * size_of(y, given) if x.dtype.kind == "f" else 0
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=repr(op))


def size_of(out, inputs):
    """The largest finite number, or 1; where many go into one, times the root of how many."""
    largest = [np.abs(v[np.isfinite(v)]).max(initial=1.0) for v in map(np.asarray, (out, *inputs))]
    count = max(np.size(x) for x in inputs) / max(1, out.size)
    return max(largest) * max(1.0, count**0.5)


SEEN = set()  # ops with inputs of such shapes, which several lines may apply


def test_an_op_written_with_launches_alone_gives_the_same(case, dtype):
    for op, inputs, attrs in all_passes(case, dtype):
        how = op, repr(attrs), *((x.shape, x.dtype) if hasattr(x, "shape") else x for x in inputs)
        if op.lower is not op.forward and how not in SEEN:
            SEEN.add(how)
            with contextlib.suppress(CaptureError):  # some kinds of indexing are refused
                lower_agrees(op, inputs, attrs)


def test_every_op_has_a_line():
    one_each = {case.line.name: case for case in CASES}.values()
    applied = {op for case in one_each for op, _, _ in all_passes(case)}
    applied |= {op for case in [*COMPARED, *COUNTED] for op, _, _ in noted(case, *case.tensors())}
    known = set()
    for found in pkgutil.iter_modules(microreg.ops.__path__):
        module = importlib.import_module(f"microreg.ops.{found.name}")
        if found.name not in ("batch", "move"):  # see tests/training and tests/cuda
            known |= {op for op in vars(module).values() if isinstance(op, Op)}
    assert known - applied == set()


def test_a_comparison_gives_bools_without_a_gradient(compared, dtype, torch):
    arrays = compared.arrays(dtype)
    for bad in (None, np.nan, np.inf, -np.inf):
        if bad is not None and arrays[0].size:
            arrays[0].flat[0] = arrays[-1].flat[-1] = bad
        xs = [mr.tensor(x, requires_grad=True) for x in arrays]
        out = compared(*xs)
        assert out.dtype == np.bool_ and not out.requires_grad
        if compared.line.numpy is not None:
            np.testing.assert_array_equal(out.data, compared.line.numpy(*arrays))
        other = compared.line.call(Library(torch), *map(torch.tensor, arrays))
        np.testing.assert_array_equal(out.data, other.numpy())
        for op, inputs, attrs in noted(compared, *xs):
            lower_agrees(op, inputs, attrs)


def test_a_count_or_a_place_is_an_integer_without_a_gradient(counted, dtype, torch):
    arrays = counted.arrays(dtype)
    xs = [mr.tensor(x, requires_grad=True) for x in arrays]
    out = counted(*xs)
    assert out.dtype == np.int64 and not out.requires_grad
    if counted.line.numpy is not None:
        np.testing.assert_array_equal(out.data, counted.line.numpy(*arrays))
    other = counted.line.call(Library(torch), *map(torch.tensor, arrays))
    np.testing.assert_array_equal(out.data, other.numpy())
    for op, inputs, attrs in noted(counted, *xs):
        lower_agrees(op, inputs, attrs)


def test_names_are_given_once():
    names = [line.name for line in [*TABLE, *COMPARISONS, *LOGICAL, *WHOLE]]
    assert sorted(set(names)) == sorted(names)
