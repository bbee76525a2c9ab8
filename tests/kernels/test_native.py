"""Words of kernels that Python has no meaning for."""

import pytest

from microreg.kernels import _native


@pytest.mark.parametrize(
    "function, args",
    [
        (_native.load, (0,)),
        (_native.store, (0, 1)),
        (_native.add, (0, 1)),
        (_native.exchange, (0, 1)),
        (_native.call, (0, 0, 0, 1)),
        (_native.call_plain, (0,)),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_what_only_compiled_code_can_do_says_so(function, args):
    with pytest.raises(
        RuntimeError, match=f"{function.__name__}: expected a call in compiled code"
    ):
        function(*args)
