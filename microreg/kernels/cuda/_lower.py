"""From a code to PTX. Imported when something must be compiled."""

import functools
import re

from numba.core.errors import NumbaError
from numba.cuda.core.compiler_lock import global_compiler_lock
from numba.cuda.cudadrv import nvvm
from numba.cuda.utils import numba_target_override

from . import _entry, _instructions  # noqa: F401  what words become
from ._numba import TARGET, compile_function, register
from .plan import missing

_NUMBER = re.compile(r"v\d+")  # in the names of functions: how many came before


@global_compiler_lock
def ptx(code, dtype, cc):
    """The PTX of a code for an element type and a compute capability."""
    made = nvvm.compile_ir(_modules(code, dtype), arch=f"compute_{cc[0]}{cc[1]}", opt=3)
    return made.decode().strip("\x00").strip() + "\n"


@functools.lru_cache(maxsize=1)  # whoever wants it for several GPUs asks for them in a row
def _modules(code, dtype):
    """The kernel and all that it calls as LLVM instructions, the same for every GPU."""
    register()
    element = _entry.numba_type(dtype.name, None)
    try:
        body = compile_function(code.function, _entry.argument_types(code, element))
    except NumbaError as error:
        raise missing(code) from error
    module = TARGET.codegen()._create_empty_module(code.name)
    with numba_target_override():
        _entry.build(module, code, element, body)
    return list(dict.fromkeys([str(module), *_texts(body.library)]))


def _texts(library):
    """The modules of a library, each behind one that calls it: libNVVM takes what is asked for."""
    for function in library._module.functions:
        if not function.is_declaration:
            function.linkage = "linkonce_odr"
    texts = [str(library._module)]
    called = library._linking_libraries  # a set has no order, and the order decides about registers
    for one in sorted(called, key=lambda one: _NUMBER.sub("", str(one._module))):
        texts += _texts(one)
    return texts


def link(ptx, cc):
    """The machine code of PTX."""
    from cuda import core

    options = core.LinkerOptions(arch=f"sm_{cc[0]}{cc[1]}", optimization_level=3)
    linker = core.Linker(core.ObjectCode.from_ptx(ptx.encode(), name="kernel"), options=options)
    return bytes(linker.link("cubin").code)
