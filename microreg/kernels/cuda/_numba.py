"""Typing and lowering by numba-cuda: the only file that knows its options; see `../_numba.py`.

numba-cuda turns a function and the formulas it calls into LLVM instructions. `_entry.py` puts a
kernel around them, and libNVVM makes PTX of it, for any GPU and without one.
"""

import inspect

from numba.cuda import types
from numba.cuda.compiler import CUDACompiler, compile_extra
from numba.cuda.core.callconv import CUDACallConv
from numba.cuda.descriptor import cuda_target
from numba.cuda.flags import CUDAFlags
from numba.cuda.typing.templates import infer_global, make_intrinsic_template
from numba.cuda.utils import numba_target_override

from .._jit import SCALARS
from ._words import HELPERS

TYPING, TARGET = cuda_target.typing_context, cuda_target.target_context
CALLS = CUDACallConv(TARGET)


def _flags():
    flags = CUDAFlags()
    flags.error_model = "numpy"  # 1/0 is inf: a branch that raises would be one more in every loop
    flags.forceinline = True  # a call would keep arrays of registers in memory
    flags.nvvm_options = {}
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    return flags


def compile_function(function, kinds):
    """A function for given argument types, in LLVM instructions."""
    with numba_target_override():
        made = compile_extra(
            TYPING, TARGET, function, kinds, None, _flags(), {}, None, CUDACompiler, CALLS, {}
        )
    if not made.library._finalized:
        made.library.finalize()
    return made


def native(function, definition, prefer_literal=False):
    """Let calls of a Python function in kernels become what `definition` says.

    definition(typing, *kinds) -> (signature, generate(context, builder, signature, args)).
    """
    known = inspect.signature(function)
    first = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)

    def defined(*kinds):
        return definition(*kinds)

    defined.__signature__ = known.replace(parameters=[first, *known.parameters.values()])
    template = make_intrinsic_template(
        function, defined, function.__name__, prefer_literal=prefer_literal
    )
    infer_global(function, types.Function(template))


def _formula(function, single, double):
    """Let kernels call a scalar formula, which has a body for each type of its argument."""

    def definition(typing, *kinds):
        made = compile_function(single if kinds[0] == types.float32 else double, kinds)

        def generate(context, builder, signature, args):
            context.active_code_library.add_linking_library(made.library)
            _, out = context.call_internal_no_propagate(
                builder, made.fndesc, made.signature, args
            )  # nothing raises
            return out

        return made.signature, generate

    native(function, definition)


_registered = set()


def register():
    """Make every @scalar and @helper function known to numba-cuda."""
    for function, bodies, _ in [*SCALARS, *((helper, None, False) for helper in HELPERS)]:
        if function not in _registered:
            _registered.add(function)
            _formula(function, *(bodies or (function, function)))
