"""The IDX format, in which MNIST and the sets made after it come."""

import gzip
import math
import struct
from pathlib import Path

import numpy as np

DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path):
    """The array in an IDX file, packed by gzip or not.

        0 0 type ndim | ndim sizes, 4 bytes each | the numbers, all big-endian

    Parameters
    ----------
    path : str or Path
        Such as train-images-idx3-ubyte.gz.

    Returns
    -------
    array of the file's shape and dtype, in the machine's byte order.

    Raises
    ------
    ValueError
        If the file is none of that format, or cut short.
    """
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    start, (kind, ndim) = content[:2], tuple(content[2:4].ljust(2, b"\0"))
    head = 4 + 4 * ndim
    if start != b"\0\0" or kind not in DTYPES or len(content) < head:
        raise ValueError(
            f"read_idx({str(path)!r}): expected an IDX file, which starts with 0, 0, a type of "
            f"{list(DTYPES)} and the number of axes, got {list(content[:4])}"
        )
    shape = struct.unpack(f">{ndim}I", content[4:head])
    dtype = np.dtype(DTYPES[kind])
    want, got = math.prod(shape) * dtype.itemsize, len(content) - head
    if want != got:
        raise ValueError(
            f"read_idx({str(path)!r}): expected {want} bytes for shape {shape}, got {got}; the "
            "file is cut short or altered"
        )
    return np.frombuffer(content, dtype, offset=head).reshape(shape).astype(dtype.newbyteorder("="))


def mnist(folder):
    """MNIST, or a set made after it, from its four files (train-images-idx3-ubyte.gz and so on).

    Returns
    -------
    (X, y), (X, y): images (n, 28, 28), float32 between 0 and 1, and labels int64, for training and
    for testing.
    """
    parts = []
    for part in ("train", "t10k"):
        images, labels = (
            read_idx(_found(folder, f"{part}-{kind}")) for kind in ("images-idx3", "labels-idx1")
        )
        parts.append((images / np.float32(255), labels.astype(np.int64)))
    return tuple(parts)


def _found(folder, name):
    """The file of that name in its usual spellings."""
    dotted = name.replace("-idx", ".idx")  # as some unpack it
    for spelling in (f"{name}-ubyte.gz", f"{name}-ubyte", f"{dotted}-ubyte"):
        if (Path(folder) / spelling).exists():
            return Path(folder) / spelling
    raise FileNotFoundError(f"mnist({str(folder)!r}): expected a file {name}-ubyte.gz, got none")
