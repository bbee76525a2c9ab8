"""From a code to PTX. Imported when something must be compiled."""

from numba.cuda import types
from numba.cuda.core.compiler_lock import global_compiler_lock
from numba.cuda.cudadrv import nvvm
from numba.cuda.utils import numba_target_override

from . import _entry, _instructions  # noqa: F401  what words become
from ._numba import TARGET, compile_function, register


@global_compiler_lock
def ptx(code, dtype, cc):
    """The PTX of a code for an element type and a compute capability."""
    register()
    element = _entry.numba_type(dtype.name, None)
    body = compile_function(code.function, _entry.argument_types(code, element))
    module = TARGET.codegen()._create_empty_module(code.name)
    with numba_target_override():
        _entry.build(module, code, element, body)
    texts = [str(module)]
    for one in body.library.modules:
        for function in one.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"
        texts.append(str(one))
    options = {"arch": f"compute_{cc[0]}{cc[1]}", "opt": 3}
    made = nvvm.compile_ir(list(dict.fromkeys(texts)), **options)
    return made.decode().strip("\x00").strip() + "\n"
