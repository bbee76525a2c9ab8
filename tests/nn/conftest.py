import pytest

import microreg as mr


@pytest.fixture(autouse=True)
def seeded():
    """Initial weights do not depend on which tests ran before."""
    mr.manual_seed(29)
