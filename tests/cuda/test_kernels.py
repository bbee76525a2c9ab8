"""Every kernel for a GPU gives what the one for the CPU gives, to rounding, without a fault."""

import numpy as np
import pytest

from microreg.errors import DeviceError
from microreg.kernels.cuda import plan
from microreg.runtime.remote import Remote

from ..kernels.entries import Draw
from ..kernels.registry import ENTRIES
from ..kernels.running import arrays, at_once, close
from . import aligned
from .resources import Device

# what a kernel leaves in memory that it only works in
WORKSPACE = {
    ("column_stats", "work"), ("column_sums", "work"), ("merge_stats", "partial"),
    ("merge_sums", "partial"),
}  # fmt: skip
FOR_THE_CPU_ALONE = set()  # names of kernels that no GPU runs
WITH_TABLES = {"sin_map", "cos_map", "tan_map"}  # of the compiler, which the machine does not hold


def on_device(device, kernel, args):
    """The arguments after a launch on a device."""
    there = [
        device.upload(x) if spec.written else device.constant(x) for spec, x in arrays(kernel, args)
    ]
    there += args[len(there) :]
    device.launch(kernel, tuple(there))
    return tuple(device.fetch(x) if isinstance(x, Remote) else x for x in there)


def check(device, line, dtype, n):
    args = line.make(Draw(dtype), n)
    want, got = at_once(line.kernel, args), on_device(device, line.kernel, args)
    for i, (spec, _) in enumerate(arrays(line.kernel, args)):
        if (line.kernel.name, spec.name) in WORKSPACE:
            got = (*got[:i], want[i], *got[i + 1 :])
        elif not spec.written:
            np.testing.assert_array_equal(got[i], args[i])
    # sums in another order move the last step towards the root of an equation
    close(
        line.kernel,
        got,
        want,
        times=100 if "limit_norm" in line.name and dtype == np.float64 else 1,
    )


runs = [line for line in ENTRIES if line.kernel.name not in FOR_THE_CPU_ALONE | WITH_TABLES]


@pytest.mark.parametrize("line", runs, ids=lambda line: line.name)
def test_small_and_large(line, dtype, device):
    check(device, line, dtype, line.small)
    check(device, line, dtype, line.large)


@pytest.mark.parametrize("line", aligned.ENTRIES, ids=lambda line: line.name)
def test_four_numbers_at_once_and_long_rows(line, dtype, device):
    check(device, line, dtype, line.small)


def test_kernels_for_the_cpu_alone_say_so():
    """All that are not listed have a counterpart."""
    alone = set()
    for line in ENTRIES:
        try:
            for _ in plan.parts(line.kernel, line.make(Draw(np.float32), line.small), Device(2)):
                pass
        except DeviceError as error:
            alone.add(line.kernel.name)
            assert "expected arrays on the CPU, got arrays on cuda" in str(error)
    assert alone == FOR_THE_CPU_ALONE
