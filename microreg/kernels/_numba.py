"""Typing and lowering by Numba: the only file that knows its options.

Numba turns a function and the formulas it calls into LLVM instructions and nothing more: they are
optimised once, when a whole kernel has been put together (`_lower.py`), and loaded by `_cache.py`.
"""

import inspect

from numba import types
from numba.core import codegen, compiler, cpu
from numba.core.registry import cpu_target
from numba.core.typing.templates import infer_global, make_intrinsic_template

from ._jit import SCALARS

# sums may be reordered and fused; never nnan or ninf, which would delete the checks for NaN
FAST = {"reassoc", "nsz", "contract", "arcp"}
# exact arithmetic for formulas: reordering would break argument reduction; fma is written out
EXACT = False


def _flags(fastmath, noalias):
    flags = compiler.Flags()
    flags.nrt = False  # no reference counting: kernels allocate nothing
    flags.error_model = "numpy"  # 1/0 is inf: a branch that raises would stop vectorisation
    flags.fastmath = cpu.FastMathOptions(fastmath)
    flags.noalias = noalias
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    return flags


class _Library(codegen.AOTCodeLibrary):
    """Instructions as they were written: optimised once, when all is linked, and never loaded."""

    def _optimize_functions(self, module):
        pass

    def _optimize_final_module(self):
        pass


class _Codegen(codegen.AOTCPUCodegen):
    _library_class = _Library


TARGET = cpu_target.target_context.subtarget(_internal_codegen=_Codegen("microreg", "host"))


def compile_function(function, kinds, fastmath, noalias=False):
    """A function for given argument types, in LLVM instructions."""
    typing, flags = cpu_target.typing_context, _flags(fastmath, noalias)
    return compiler.compile_extra(typing, TARGET, function, kinds, None, flags, {})


def native(function, definition, prefer_literal=False):
    """Let calls of a Python function in kernels become what `definition` says.

    definition(typing, *kinds) -> (Numba's signature, generate(context, builder, signature, args)),
    as for numba.extending.intrinsic, but nothing is compiled in between.
    """
    known = inspect.signature(function)
    first = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    definition.__signature__ = known.replace(parameters=[first, *known.parameters.values()])
    template = make_intrinsic_template(
        function, definition, function.__name__, prefer_literal=prefer_literal
    )
    infer_global(function, types.Function(template))


def _formula(function, choose, fastmath=EXACT):
    """Let kernels call a scalar formula; `choose` gives the body for the type of its argument."""

    def definition(typing, *kinds):
        made = compile_function(choose(kinds[0]), kinds, fastmath)

        def generate(context, builder, signature, args):
            context.active_code_library.add_linking_library(made.library)
            return context.call_internal(builder, made.fndesc, made.signature, args)

        return made.signature, generate

    native(function, definition)


_registered = 0


def register():
    """Make every @scalar function known to Numba."""
    global _registered
    for function, bodies, fast in SCALARS[_registered:]:
        if bodies is None:
            _formula(function, lambda kind, one=function: one, FAST if fast else EXACT)
        else:
            _formula(function, lambda kind, both=bodies: both[0 if kind == types.float32 else 1])
    _registered = len(SCALARS)
