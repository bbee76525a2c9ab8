"""For all tests: Hypothesis draws the same examples in every run and takes the time it needs."""

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("microreg", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("microreg")


@pytest.fixture
def rng():
    return np.random.default_rng(17)


@pytest.fixture(scope="session")
def torch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # two teams of threads on one machine wait for each other
    return torch
