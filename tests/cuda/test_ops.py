"""Every op of the table gives on device="cuda" what it gives on the CPU; its gradients, too."""

import numpy as np
import pytest

import microreg as mr

from ..ops.conftest import CASES, Library

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-10}
# ops whose results have shapes that depend on numbers, or whose indices are data: on the CPU
FALLBACKS = {"index", "order", "scatter"}
# it makes a tensor on the CPU; their kernels read tables that the machine does not hold
PASSED_BY = {"attention constant bias", "sin", "cos", "tan"}
# a case for each line, that of most axes; odd shapes are those of `test_kernels.py`
CHOSEN = {
    case.line.name: case
    for case in sorted(CASES, key=lambda case: max(map(len, case.shapes), default=0))
    if case.line.name not in PASSED_BY
}


class Here(Library):
    """The library of a case, its new tensors on the GPU."""

    def tensor(self, *args, **options):
        return mr.tensor(*args, **options, device="cuda")


@pytest.mark.parametrize("case", CHOSEN.values(), ids=lambda case: case.name)
def test_values_and_gradients(case, gpu):
    for dtype, tolerance in TOLERANCE.items():
        mr.manual_seed(2)
        here = case.tensors(dtype)
        want = case(*here)
        mr.manual_seed(2)
        there = [mr.tensor(x.data, device="cuda", requires_grad=True) for x in here]
        got = case.line.call(Here(mr), *there)
        assert got.device == "cuda" and got.dtype == want.dtype and got.shape == want.shape
        close(got, want, tolerance)
        if want.requires_grad:
            g = case.cotangent(want)
            want.backward(mr.tensor(g))
            got.backward(mr.tensor(g, device="cuda"))
            for x, y in zip(here, there, strict=True):
                assert (x.grad is None) == (y.grad is None)
                if x.grad is not None:
                    close(y.grad, x.grad, tolerance)
    assert gpu.fallbacks <= FALLBACKS


def close(got, want, tolerance):
    got, want = got.detach().cpu().numpy(), want.detach().numpy()
    np.testing.assert_allclose(got, want, tolerance, tolerance)
