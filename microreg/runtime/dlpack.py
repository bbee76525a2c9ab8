"""Device memory to and from other libraries: DLPack capsules and `__cuda_array_interface__`.

Both hand over an address, a shape and strides; nothing is copied, and what owns the memory is kept
until the other side lets go of it.
"""

import ctypes

import numpy as np

CUDA, CPU = 2, 1  # DLPack's numbers for devices
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_OLD, _USED = b"dltensor", b"used_dltensor"


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = (
    ("tensor", _Tensor),
    ("context", ctypes.c_void_p),
    ("deleter", _Deleter),
)
_api = ctypes.pythonapi
_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, _Destructor)
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
_api.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
_is_valid = ctypes.PyDLL(None).PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p)
_pointer = ctypes.PyDLL(None).PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)

# address of a managed tensor that others hold -> it, and what keeps it alive
_given: dict[int, object] = {}


@_Deleter
def _let_go(managed):
    _given.pop(ctypes.addressof(managed.contents), None)


@_Destructor
def _unused(capsule):
    """A capsule that nobody took takes its memory with it."""
    if _is_valid(capsule, _OLD):
        _given.pop(_pointer(capsule, _OLD), None)


def capsule(x):
    """A DLPack capsule of an array on the GPU."""
    numbers = (ctypes.c_int64 * (2 * x.ndim))(*x.shape, *(s // x.itemsize for s in x.strides))
    managed = _Managed()
    tensor = managed.tensor
    tensor.data = x.__array_interface__["data"][0]
    tensor.device_type, tensor.device_id = CUDA, 0
    tensor.ndim, tensor.lanes = x.ndim, 1
    tensor.code, tensor.bits = _CODES[x.dtype.kind], 8 * x.itemsize
    start = ctypes.addressof(numbers)
    pointer = ctypes.POINTER(ctypes.c_int64)
    tensor.shape = ctypes.cast(start, pointer)
    tensor.strides = ctypes.cast(start + 8 * x.ndim, pointer)
    managed.deleter = _let_go
    address = ctypes.addressof(managed)
    _given[address] = managed, numbers, x
    return _api.PyCapsule_New(address, _OLD, _unused)


class Foreign:
    """Memory of another library, as `cuda.Memory` is ours."""

    def __init__(self, device, interface, keep):
        self.device, self.keep, self.__array_interface__ = device, keep, interface


class _Taken:
    """A managed tensor that was taken over; it is given back when nobody holds this."""

    def __init__(self, managed):
        self.managed = managed

    def __del__(self):
        if self.managed.contents.deleter:
            self.managed.contents.deleter(self.managed)


def from_capsule(device, made):
    """The memory in a capsule."""
    address = _api.PyCapsule_GetPointer(made, _OLD)
    managed = ctypes.cast(address, ctypes.POINTER(_Managed))
    _api.PyCapsule_SetName(made, _USED)
    tensor, keep = managed.contents.tensor, _Taken(managed)
    kind = {number: letter for letter, number in _CODES.items()}[tensor.code]
    dtype = np.dtype(f"{kind}{tensor.bits // 8}")
    interface = {
        "data": (tensor.data + tensor.byte_offset, False),
        "shape": tuple(tensor.shape[: tensor.ndim]),
        "typestr": dtype.str,
        "version": 3,
    }
    if tensor.strides:
        interface["strides"] = tuple(s * dtype.itemsize for s in tensor.strides[: tensor.ndim])
    return Foreign(device, interface, keep)


def from_interface(device, interface, keep):
    """The memory that an object's `__cuda_array_interface__` describes."""
    known = {k: interface[k] for k in ("data", "shape", "typestr") if k in interface}
    strides = interface.get("strides")
    return Foreign(
        device, {**known, "version": 3, **({"strides": strides} if strides else {})}, keep
    )
