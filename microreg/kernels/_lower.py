"""From a declared kernel to an optimised LLVM module.

Imported when something must be compiled, never by `import microreg`.
"""

import re

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import types
from numba.core.compiler_lock import global_compiler_lock

from . import _cache, _entries, _instructions, _simd_calls  # noqa: F401  the last two: what calls of
from ._numba import FAST, TARGET, compile_function, register  # _native and _simd become
from ._spec import ELEMENT


def _numba_type(name, element):
    return element if name == ELEMENT else numba.from_dtype(np.dtype(name))


@global_compiler_lock
def module(kernel, dtype):
    """The optimised LLVM module of `kernel` for element type `dtype`, with its entries."""
    register()
    element = numba.from_dtype(dtype)
    signature = kernel.signature
    arrays = [
        types.Array(_numba_type(a.dtype, element), len(a.dims), "C") for a in signature.arrays
    ]
    scalars = [_numba_type(s.dtype, element) for s in signature.scalars]
    kinds = (*arrays, *scalars, *[types.int64] * len(signature.reserved))
    body = compile_function(kernel.function, kinds, FAST, kernel.alone)
    body.library.finalize()
    made = llvm.parse_assembly(str(_entries.module(kernel, kinds, body.fndesc, TARGET)))
    code = body.library._final_module
    if kernel.far is not None:
        made.link_in(_half_width(code, body.fndesc.llvm_func_name))
    made.link_in(code, preserve=True)
    for function in made.functions:
        if not function.is_declaration and function.name not in _entries.NAMES:
            function.linkage = "internal"
    _optimise(made, not kernel.short)
    _refuse_foreign_calls(kernel, made)
    return made


def _half_width(module, name):
    """The functions of a module once more, for vectors of 32 bytes; `name` as name + FAR_NAME."""
    text = str(module)
    for function in module.functions:
        if not function.is_declaration:
            text = text.replace(f'@"{function.name}"', f'@"{function.name}{_entries.FAR_NAME}"')
            text = text.replace(f"@{function.name}(", f'@"{function.name}{_entries.FAR_NAME}"(')
    width = f"{32 * 8}"
    lines = []
    for line in text.splitlines():
        if line.startswith("define "):
            only = "noinline " if f'@"{name}{_entries.FAR_NAME}"' in line else ""
            line = line.removesuffix("{") + f'{only}"prefer-vector-width"="{width}" {{'
        lines.append(line)
    return llvm.parse_assembly("\n".join(lines))


def _optimise(module, interleave):
    machine = _cache.machine()
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.loop_unrolling = True
    options.loop_interleaving = interleave
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


_LIBM = re.compile(
    r"llvm\.|microreg_|Py|(sqrt|exp|log|pow|fabs|floor|ceil|mem(cpy|set|move)"
    r"|sin|cos|tan|sinh|cosh|fmod)f?$"
)


def _refuse_foreign_calls(kernel, made):
    """Code that calls into Numba's runtime, or that raises, would not load without Numba."""
    names = [f.name for f in made.functions if f.is_declaration and not _LIBM.match(f.name)]
    if names:
        raise TypeError(f"{kernel.name}: a kernel must not raise or allocate; it calls {names}")
