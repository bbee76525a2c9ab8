"""Machine code on disk: one small file for each kernel and dtype.

The folder is $MICROREG_CACHE_DIR, or microreg in the user's cache folder; inside it one folder
named by the hash of all kernel sources, the compiler's versions and the CPU, so an edited formula
never meets old code. A file is a line "microreg 1 SHA256" and an object file, written whole or not
at all. A damaged file is compiled again with one warning; a folder that cannot be written, too.
"""

import ctypes
import functools
import hashlib
import os
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

SYMBOL, CALL = "microreg_entry", "microreg_call"  # what a kernel's code defines, see `_entries.py`
HEAD = object.__basicsize__  # bytes before the address of the data in an array object
_MAGIC = b"microreg 1 "


@functools.cache
def machine():
    """The target machine of this CPU; the only place that says how code is generated."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu(), features=features(), opt=3, jit=True
    )


def cpu():
    return os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()


def features():
    asked = os.environ.get("NUMBA_CPU_FEATURES")
    if asked is None:
        asked = "" if os.environ.get("NUMBA_CPU_NAME") else llvm.get_host_cpu_features().flatten()
    return asked


def folder():
    """Where this version of the kernels keeps its machine code. Created when first written."""
    base = os.environ.get("MICROREG_CACHE_DIR")
    if base is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "microreg")
    return Path(base) / _fingerprint()


@functools.cache
def _fingerprint():
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    versions = [metadata.version(name) for name in ("numba", "llvmlite")]
    portable = os.environ.get("MICROREG_PORTABLE", "0") != "0"
    checked = os.environ.get("NUMBA_BOUNDSCHECK", "")
    digest.update(repr((versions, cpu(), features(), portable, checked, HEAD)).encode())
    return digest.hexdigest()[:16]


def load(kernel, dtype):
    """The loaded machine code of `kernel` for element type `dtype`: from disk, or compiled now."""
    for needed in kernel.needs:
        needed.link(dtype)

    def compile():
        from . import _lower  # numba, half a second: only when there is something to compile

        return _lower.module(kernel, dtype)

    name = "-".join(filter(None, (kernel.name, kernel.key, dtype.name)))
    return engine(name, compile)


def engine(name, compile):
    """The loaded machine code of this name: from disk, or of the LLVM module that `compile` makes.

    It lives for ever, since its functions may be called from anywhere.
    """
    code = _read(folder() / f"{name}.o")
    if code is None:
        code = machine().emit_object(compile())
        _write(folder() / f"{name}.o", code)
    made = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())
    made.add_object_file(llvm.ObjectFileRef.from_data(code))
    made.finalize_object()
    _engines.append((name, made))
    return made


def text(name, compile):
    """The code of this name for another machine: from disk, or what `compile` makes."""
    code = _read(folder() / name)
    if code is None:
        code = compile()
        _write(folder() / name, code)
    return code


class _Method(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def function(name, address):
    """The machine code at `address` as a Python function; it is called with (self, args, count).

    `self` is numpy.ndarray. Calling it costs as much as calling a function of a C extension.
    """
    method = _Method(name.encode(), address, 0x80, None)  # METH_FASTCALL
    _methods.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = (
        (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p),
        ctypes.py_object,
    )
    return make(ctypes.addressof(method), np.ndarray, None)


def symbol(name, dtype):
    """The name under which other machine code calls a function for element type `dtype`."""
    return f"microreg_{name}_{dtype}"


def define(symbol, address):
    """Let machine code that is loaded from now on call the function at `address` by name."""
    llvm.add_symbol(symbol, address)


def _read(path):
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head, _, code = content.partition(b"\n")
    if head == _MAGIC + hashlib.sha256(code).hexdigest().encode():
        return code
    _warn(f"microreg: {path} is damaged and is compiled again")
    return None


def _write(path, code):
    content = _MAGIC + hashlib.sha256(code).hexdigest().encode() + b"\n" + code
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        _warn(
            f"microreg: cannot keep compiled kernels in {path.parent} ({error.strerror}); they are "
            "compiled again in every process. Set MICROREG_CACHE_DIR to a folder you can write"
        )


_engines, _methods = [], []
for _name in ("Py_IncRef", "PyFloat_AsDouble", "PyLong_AsLongLong"):
    define(_name, ctypes.cast(getattr(ctypes.pythonapi, _name), ctypes.c_void_p).value)
_warned = set()


def _warn(message):
    """Warn of each kind of trouble once, not once for each kernel."""
    kind = message.split("(")[0].split(".o ")[-1]
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=6)
