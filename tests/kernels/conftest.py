"""For kernel tests: both dtypes, a source of numbers that is the same in every run, one thread."""

import numpy as np
import pytest

from microreg.runtime import get_num_threads, set_num_threads


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(23)


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """NumPy's threads, which compute what is right, and ours would wait for each other.

    `test_threads.py` has teams of its own.
    """
    before = get_num_threads()
    set_num_threads(1)
    yield
    set_num_threads(before)
