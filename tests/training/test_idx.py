"""The IDX format: what is written by hand is read; what is broken is refused."""

import gzip
import struct

import numpy as np
import pytest

from microreg.training import mnist, read_idx

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def packed(array, code):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, CODES[code], array.ndim]) + sizes + array.astype(f">{code}").tobytes()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0, 2)])
def test_every_type_and_shape(code, shape, zipped, tmp_path, rng):
    want = (100 * rng.normal(size=shape)).astype("f8" if code[0] == "f" else "i1").astype(code)
    content = packed(want, code)
    path = tmp_path / "numbers"
    path.write_bytes(gzip.compress(content) if zipped else content)
    got = read_idx(path)
    assert got.dtype == np.dtype(code) and got.dtype.isnative and got.flags.writeable
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-1], r"expected 12 bytes for shape \(3, 4\), got 11; the file is cut short"),
        (lambda c: c + b"\0", "expected 12 bytes"),
        (lambda c: c[:6], r"expected an IDX file, .*, got \[0, 0, 8, 2\]"),
        (lambda c: b"\1" + c[1:], r"got \[1, 0, 8, 2\]"),
        (lambda c: c[:2] + b"\7" + c[3:], r"got \[0, 0, 7, 2\]"),
        (lambda c: b"", r"got \[\]"),
    ],
)
def test_a_broken_file_is_refused(change, message, tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(change(packed(np.arange(12).reshape(3, 4), "u1")))
    with pytest.raises(ValueError, match=message):
        read_idx(path)


@pytest.mark.parametrize("spelling", ["{}-{}-idx{}-ubyte.gz", "{}-{}.idx{}-ubyte"])
def test_the_four_files_of_mnist(spelling, tmp_path, rng):
    want = []
    for part, n in (("train", 6), ("t10k", 3)):
        images, labels = rng.integers(0, 256, (n, 28, 28)), rng.integers(0, 10, n)
        for kind, axes, array in (("images", 3, images), ("labels", 1, labels)):
            content = packed(array, "u1")
            content = gzip.compress(content) if spelling.endswith("gz") else content
            (tmp_path / spelling.format(part, kind, axes)).write_bytes(content)
        want.append((images / 255, labels))
    for (X, y), (images, labels) in zip(mnist(tmp_path), want, strict=True):
        assert X.dtype == np.float32 and y.dtype == np.int64
        np.testing.assert_allclose(X, images, rtol=1e-6)
        np.testing.assert_array_equal(y, labels)
    (tmp_path / spelling.format("t10k", "labels", 1)).unlink()
    with pytest.raises(FileNotFoundError, match=r"expected a file t10k-labels-idx1-ubyte.gz"):
        mnist(tmp_path)
