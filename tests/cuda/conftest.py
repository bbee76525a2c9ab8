"""The kernels for a GPU without one: compiled by numba-cuda, executed by the machine of `ptx/`.

Where numba-cuda is not installed, `make test` passes these tests by; `make test-cuda` installs it.
Where there is a GPU they run on it, too.
"""

import functools
import gc

import numpy as np
import pytest

from microreg.errors import DeviceError
from microreg.runtime import cuda, get_num_threads, set_num_threads
from microreg.runtime.cuda_driver import Driver

from .simulated import Simulated


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(autouse=True, scope="package")
def compiler():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")


@pytest.fixture(autouse=True, scope="package")
def one_thread(compiler):
    before = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)


@functools.cache
def driver(name, races):
    """The machine, or the GPU; skips where there is none."""
    if name == "machine":
        return Simulated(races=races)
    try:
        return Driver()
    except DeviceError as error:
        pytest.skip(str(error))


EACH = ["machine", pytest.param("gpu", marks=pytest.mark.cuda)]


@pytest.fixture(params=EACH)
def device(request, compiler):
    """A device of its own for tests of kernels."""
    made = cuda.Device(driver(request.param, True))
    yield made
    made.empty_cache()


@pytest.fixture(params=EACH)
def gpu(request, compiler):
    """What device="cuda" means as long as a test runs."""
    cuda.use(driver(request.param, False))
    yield cuda.get_device()
    gc.collect()
    cuda.empty_cache()
    cuda.use(None)
