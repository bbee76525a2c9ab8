"""save and load: safetensors files with a checksum. Nothing in a file is ever executed.

A file is 8 bytes with the length of the header, the header (JSON: for every array its name, dtype,
shape and place), and the arrays' bytes. In `__metadata__` stand the sha256 of the whole file, taken
with zeros in its own place, and the tree of dicts, lists and numbers that the arrays are part of.
"""

import contextlib
import hashlib
import json
import math
import os

import numpy as np

from .errors import CheckpointError
from .runtime.remote import on_cpu
from .tensor import Tensor

_DTYPES = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4",
    "F16": "<f2", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}
_BFLOAT16 = "BF16"  # the upper half of a float32
_START = b'{"__metadata__":{"sha256":"'  # what every header begins with; the digest follows
_DIGEST = 64
_DEEP = 64  # dicts and lists within each other


def save(obj, path):
    """Write `obj` to a file, whole or not at all.

    Parameters
    ----------
    obj : Module, Optimizer, or anything with a `state_dict`; tensor, array, number, str, None;
          dict (keys str or int), list or tuple of these
    path : str or path-like
        A file there is replaced at the last moment, by one rename. While it is written the new one
        is `path` + ".tmp"; a process killed meanwhile leaves that behind, and the next save takes
        its place.

    Raises
    ------
    TypeError
        If there is something else in obj; names where.
    OSError
        If the disk is full, say. The old file is untouched then.

    Notes
    -----
    The tensors of a module have PyTorch's names and layouts, in the safetensors format.
    """
    arrays = {}
    tree = _flatten(obj, "", arrays, _DEEP)
    put(path, _written(tree, arrays))


def load(path, verify=True):
    """What `save` wrote: tensors, arrays and numbers in dicts, lists and tuples.

    Give it to `load_state_dict`; an object with a `state_dict` was saved as what that returned.

    Parameters
    ----------
    path : str or path-like
    verify : bool, default True
        Whether the file must carry the checksum that `save` writes. With False safetensors files of
        other programs are read too, as a dict of tensors; no checksum then guards their numbers.

    Raises
    ------
    CheckpointError
        If a byte of the file is not as it was saved, or it is no such file.
    """
    with open(path, "rb") as file:
        content = bytearray(file.read())
    try:
        signed = content[8:].startswith(_START)
        if signed or verify:
            _verify(content, signed)
        return _parsed(content)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"load({os.fspath(path)!r}): {error}") from None


def _flatten(obj, name, arrays, deep):
    """obj as JSON, its arrays put into `arrays` under their names."""
    if isinstance(obj, np.generic):
        obj = obj.item()
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if not deep:
        raise ValueError(f"save: {name!r} lies more than {_DEEP} deep, or contains itself")
    if isinstance(obj, (np.ndarray, Tensor)):
        array = on_cpu(obj.data if isinstance(obj, Tensor) else obj)
        if array.dtype.newbyteorder("<") not in _CODES:
            raise TypeError(f"save: {name!r}: expected numbers or bools, got dtype {array.dtype}")
        while name in arrays or name in ("", "__metadata__"):
            name += "_"
        arrays[name] = array
        return ["tensor" if isinstance(obj, Tensor) else "array", name]
    if hasattr(obj, "state_dict"):
        return _flatten(obj.state_dict(), name, arrays, deep - 1)
    if isinstance(obj, dict) and all(type(key) in (str, int) for key in obj):
        pairs = list(obj.items())
    elif isinstance(obj, (list, tuple)):
        pairs = list(enumerate(obj))
    else:
        keys = " with keys that are no str or int" if isinstance(obj, dict) else ""
        raise TypeError(
            f"save: {name!r}: expected tensors, arrays, numbers, strings, None, what has a "
            f"state_dict, and dicts, lists and tuples of them, got {type(obj).__name__}{keys}"
        )
    values = [_flatten(v, f"{name}.{k}" if name else str(k), arrays, deep - 1) for k, v in pairs]
    if isinstance(obj, dict):
        return ["dict", [[key, value] for (key, _), value in zip(pairs, values, strict=True)]]
    return ["tuple" if isinstance(obj, tuple) else "list", values]


def _written(tree, arrays):
    """The pieces of a file: its head, then the arrays, the widest numbers first (aligned so)."""
    metadata = {"sha256": "0" * _DIGEST, "microreg": "1", "tree": json.dumps(tree)}
    header, at, pieces = {"__metadata__": metadata}, 0, []
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        dtype = array.dtype.newbyteorder("<")
        data = np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data
        end = at + len(data)
        entry = {"dtype": _CODES[dtype], "shape": list(array.shape), "data_offsets": [at, end]}
        header[name], at = entry, end
        pieces.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    head = bytearray(len(text).to_bytes(8, "little") + text)
    digest = hashlib.sha256(head)
    for piece in pieces:
        digest.update(piece)
    _sign(head, digest.hexdigest().encode())
    return [head, *pieces]


def _sign(content, digest):
    start = 8 + len(_START)
    content[start : start + _DIGEST] = digest


def _verify(content, signed):
    """Raise ValueError unless every byte is as `save` wrote it."""
    if not signed:
        raise ValueError(
            "expected a file written by save, found no checksum; it was altered or cut short, or "
            "it is from elsewhere: load safetensors of other programs with verify=False"
        )
    start = 8 + len(_START)
    digest = bytes(content[start : start + _DIGEST])
    _sign(content, b"0" * _DIGEST)
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError(
            "the checksum does not fit: the file was altered or cut short; take an older one"
        )


def _parsed(content):
    """The object in a file's content; an exception of some kind if it is malformed."""
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= len(content) - 8:
        raise ValueError("expected a safetensors file, this is none, or it is cut short")
    header = json.loads(content[8 : 8 + length].decode())
    metadata = header.pop("__metadata__", {})
    data, at = memoryview(content)[8 + length :], 0
    arrays = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != at or end < begin or end > len(data):
            raise ValueError(f"array {name!r} lies at {begin} to {end}, expected {at} on")
        arrays[name], at = _array(name, data[begin:end], entry["dtype"], entry["shape"]), end
    if at != len(data):
        raise ValueError(f"expected {at} bytes of arrays, got {len(data)}")
    if "tree" not in metadata:
        return {name: Tensor(array) for name, array in arrays.items()}
    return _restored(json.loads(metadata["tree"]), arrays)


def _array(name, data, code, shape):
    """One array, in memory of its own."""
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"array {name!r} has the shape {shape}")
    if code not in _DTYPES and code != _BFLOAT16:
        raise ValueError(f"array {name!r}: expected one of {list(_DTYPES)} as dtype, got {code!r}")
    dtype = np.dtype({_BFLOAT16: "<u2", "BOOL": "|u1"}.get(code, _DTYPES.get(code)))
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"array {name!r} of shape {shape}, {code}, has {len(data)} bytes")
    found = np.frombuffer(data, dtype).reshape(shape)
    if code == _BFLOAT16:
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found != 0 if code == "BOOL" else found.astype(dtype.str[1:])  # this machine's order


def _restored(tree, arrays):
    """The object that `_flatten` made a tree of."""
    if not isinstance(tree, list):
        return tree
    kind, value = tree
    if kind == "dict":
        return {key: _restored(one, arrays) for key, one in value}
    if kind in ("list", "tuple"):
        made = [_restored(one, arrays) for one in value]
        return made if kind == "list" else tuple(made)
    return {"array": np.asarray, "tensor": Tensor}[kind](arrays[value])


def put(path, pieces):
    """Put a file with this content at path, at once, when it is safe on the disk."""
    given, path = os.fspath(path), os.path.realpath(os.fspath(path))
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"writing {given!r}: expected an existing folder, got {folder!r}; create it first"
        )
    temporary = path + ".tmp"
    file = _sole_writer(temporary)
    try:
        with file:
            file.truncate(0)
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            if os.name == "posix":
                os.replace(temporary, path)  # while no other writer may have it
        if os.name != "posix":
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)  # the new name is on the disk, too
        finally:
            os.close(opened)


def _sole_writer(path):
    """The file at path, open for writing when nobody else has it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "wb")
        if os.name != "posix":
            return file
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        file.close()  # another writer has moved it meanwhile
