"""save and load: what comes back, what is refused, and what a crash leaves."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import microreg as mr
from microreg import files, nn, optim
from microreg.errors import CheckpointError


def network():
    mr.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def same(got, want):
    """Equal in kind, dtype and every bit."""
    assert type(got) is type(want), (got, want)
    if isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            same(got[key], want[key])
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            same(one, other)
    elif isinstance(want, (np.ndarray, mr.Tensor)):
        a, b = np.asarray(got), np.asarray(want)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        assert a.flags.writeable
    else:
        assert got == want or (got != got and want != want)


DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
OBJECTS = {
    "numbers": [0, -(2**70), 0.1, float("inf"), float("nan"), -0.0, True, None, "words \n\0 é"],
    "nested": {"a": {"b": [1, (2, ("x", {}))], 7: [], -1: ()}, "": {"": 3}},
    "dtypes": {d: np.arange(-3, 4).astype(d) for d in DTYPES},
    "tensors": {"w": mr.tensor([[1.0, np.nan], [np.inf, -0.0]]), "k": mr.tensor([1, 2]), "n": None},
    "shapes": [np.zeros(s, np.float32) for s in [(), (0,), (1,), (3, 0, 2), (2, 1, 3)]],
    "order in memory": [np.arange(12.0).reshape(3, 4).T, np.arange(9)[::2], np.ones((2, 2))[:, 1]],
    "names that meet": {"a": {"b": np.ones(1)}, "a.b": np.zeros(2), "__metadata__": np.ones(3)},
    "one array": np.arange(3),
    "a number": 1.5,
    "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_what_was_saved_comes_back(name, tmp_path):
    mr.save(OBJECTS[name], tmp_path / "file")
    same(mr.load(tmp_path / "file"), OBJECTS[name])
    assert os.listdir(tmp_path) == ["file"]


def test_numbers_have_the_dtypes_that_code_tells_apart_by_identity(tmp_path):
    mr.save([np.ones(2), mr.ones(2), np.arange(2)], tmp_path / "file")
    wide, short, whole = mr.load(tmp_path / "file")
    assert wide.dtype is np.dtype(np.float64) and short.dtype is np.dtype(np.float32)
    assert whole.dtype is np.dtype(np.int64)


def test_numbers_of_numpy_and_other_byte_orders_become_ordinary(tmp_path):
    mr.save(
        [np.float32(0.1), np.int64(3), np.bool_(True), np.arange(3, dtype=">i4")], tmp_path / "f"
    )
    same(mr.load(tmp_path / "f"), [float(np.float32(0.1)), 3, True, np.arange(3, dtype="i4")])


def test_a_model_and_its_optimizer_come_back(tmp_path, rng):
    data = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    model, other = network(), network()
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    mr.fit(model, data, optimizer=optimizer, epochs=2)
    mr.save({"model": model, "optimizer": optimizer, "random": mr.get_rng_state()}, tmp_path / "f")
    found = mr.load(tmp_path / "f")
    again = optim.AdamW(other.parameters(), lr=1.0)
    other.load_state_dict(found["model"])
    again.load_state_dict(found["optimizer"])
    same(again.state_dict(), optimizer.state_dict())
    same(found["random"], mr.get_rng_state())
    same(dict(other.state_dict()), dict(model.state_dict()))


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (object(), "save: '': expected tensors, arrays, .* got object"),
        ({"a": [1, {2}]}, r"save: 'a.1': expected .* got set"),
        ({"hook": len}, "save: 'hook': .* got builtin_function_or_method"),
        ({(1, 2): 3}, "got dict with keys that are no str or int"),
        ({True: 3}, "got dict with keys that are no str or int"),
        ({"z": np.ones(2, complex)}, "save: 'z': expected numbers or bools, got dtype complex128"),
        ({"z": np.array(["a"])}, "save: 'z': expected numbers or bools, got dtype <U1"),
        ({"z": np.array([object()])}, "save: 'z': expected numbers or bools, got dtype object"),
        ({"z": 1j}, "save: 'z': expected .* got complex"),
        ({"z": b"bytes"}, "save: 'z': expected .* got bytes"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_a_file_is_touched(obj, words, tmp_path):
    mr.save([1], tmp_path / "file")
    with pytest.raises(TypeError, match=words):
        mr.save(obj, tmp_path / "file")
    assert mr.load(tmp_path / "file") == [1] and os.listdir(tmp_path) == ["file"]


def test_what_contains_itself_is_refused(tmp_path):
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="lies more than 64 deep, or contains itself"):
        mr.save(loop, tmp_path / "file")


def test_places_that_cannot_be_written_or_read(tmp_path):
    for path in (tmp_path / "no" / "file", tmp_path):
        with pytest.raises(OSError):
            mr.save([1], path)
        with pytest.raises(OSError):
            mr.load(path)
    assert os.listdir(tmp_path) == []


# the format


def test_the_file_is_safetensors_with_pytorchs_names(tmp_path):
    model = network()
    mr.save(model, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    assert sorted(header) == sorted(model.state_dict())
    assert header["0.weight"]["dtype"] == "F32" and header["0.weight"]["shape"] == [6, 4]
    start = 8 + int.from_bytes(content[:8], "little")
    begin, end = header["0.weight"]["data_offsets"]
    assert content[start + begin : start + end] == model[0].weight.data.tobytes()
    assert start % 8 == begin % 4 == 0
    unsigned = content.replace(metadata["sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(unsigned).hexdigest() == metadata["sha256"]


def test_safetensors_reads_it_and_is_read(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    mr.save(network(), tmp_path / "ours")
    read = library.load_file(tmp_path / "ours")
    for name, value in network().state_dict().items():
        np.testing.assert_array_equal(read[name], value.data)
    its = {"w": np.arange(6.0).reshape(2, 3), "b": np.ones(1, bool)}
    library.save_file(its, tmp_path / "its")
    found = mr.load(tmp_path / "its", verify=False)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in its.items()}


def foreign(entries, data):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_files_of_others_are_read_when_asked(tmp_path):
    entries = {
        "half": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "flag": {"dtype": "BOOL", "shape": [2], "data_offsets": [4, 6]},
        "short": {"dtype": "F16", "shape": [], "data_offsets": [6, 8]},
    }
    data = np.array([1.5, -3.0], "<f4").view("<u2")[1::2].tobytes()
    data += bytes([0, 7]) + np.float16(0.25).tobytes()
    (tmp_path / "f").write_bytes(foreign(entries, data))
    with pytest.raises(CheckpointError, match=r"found no checksum.*verify=False"):
        mr.load(tmp_path / "f")
    found = mr.load(tmp_path / "f", verify=False)
    assert {k: v.tolist() for k, v in found.items()} == {
        "half": [1.5, -3.0], "flag": [False, True], "short": 0.25,
    }  # fmt: skip
    assert [v.dtype for v in found.values()] == [mr.float32, mr.bool, mr.float32]


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cut short"),
        (b"\x00" * 8, "cut short"),
        (b"\xff" * 8 + b"{}", "cut short"),
        ((2**40).to_bytes(8, "little") + b"{}", "cut short"),
        ((2).to_bytes(8, "little") + b"[]", "pop"),
        (foreign({"w": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "expected 0 on"),
        (foreign({"w": {**ENTRY, "data_offsets": [0, -8]}}, bytes(8)), "lies at 0 to -8"),
        (foreign({"w": {**ENTRY, "data_offsets": [0, 10**30]}}, bytes(8)), "lies at"),
        (foreign({"w": ENTRY}, bytes(9)), "expected 8 bytes of arrays, got 9"),
        (foreign({"w": ENTRY}, bytes(7)), "lies at 0 to 8"),
        (foreign({"w": {**ENTRY, "shape": [3]}}, bytes(8)), r"of shape \[3\], F32, has 8 bytes"),
        (foreign({"w": {**ENTRY, "shape": [-2, -1]}}, bytes(8)), r"has the shape \[-2, -1\]"),
        (foreign({"w": {**ENTRY, "shape": [True, 2]}}, bytes(8)), "has the shape"),
        (foreign({"w": {**ENTRY, "shape": [2**70, 2**70]}}, bytes(8)), "has 8 bytes"),
        (foreign({"w": {**ENTRY, "dtype": "C64"}}, bytes(8)), "got 'C64'"),
        (foreign({"w": {}}, b""), "data_offsets"),
        (foreign({"w": 3}, b""), "int"),
        (foreign({"__metadata__": {"tree": "[" * 10**5}}, b""), "recursion"),
        (foreign({"__metadata__": {"tree": '["tensor", "x"]'}}, b""), "x"),
        (foreign({"__metadata__": {"tree": '["os.system", "true"]'}}, b""), "os.system"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_refused_in_words(content, words, tmp_path):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        mr.load(tmp_path / "f", verify=False)
    with pytest.raises(CheckpointError, match="checksum"):
        mr.load(tmp_path / "f")


# mutated files


def mutated(content, draw):
    """The content with one to three things wrong."""
    out = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        kind, at = draw.randrange(7), draw.randrange(max(1, len(out)))
        if kind == 0 and out:
            out[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at:at] = draw.randbytes(draw.randint(1, 40))
        elif kind == 3:
            length = draw.randint(1, 64)
            other = draw.randrange(max(1, len(out)))
            a, b = out[at : at + length], out[other : other + length]
            out[at : at + len(b)], out[other : other + len(a)] = b, a
        elif kind == 4:
            out[:8] = draw.choice([0, 1, 2**31, 2**63, 2**64 - 1, len(out)]).to_bytes(8, "little")
        elif kind == 5:
            del out[at : at + draw.randint(1, 64)]
        else:
            found = [i for i in range(8, len(out)) if out[i : i + 1].isdigit()]
            if found:
                out[draw.choice(found)] = ord(draw.choice("0123456789"))
    return bytes(out)


def signed_again(content):
    """The content with a checksum that fits, if there is a place for one."""
    start = 8 + len(files._START)
    out = bytearray(content)
    if out[8:start] == files._START and len(out) > start + 64:
        out[start : start + 64] = b"0" * 64
        out[start : start + 64] = hashlib.sha256(out).hexdigest().encode()
    return bytes(out)


@pytest.mark.parametrize("signed", [False, True])
def test_a_thousand_mutated_files_are_refused(signed, tmp_path, rng):
    """With a checksum made to fit, they may load, but nothing else may happen."""
    model = network()
    mr.save({"model": model, "optimizer": optim.Adam(model.parameters())}, tmp_path / "good")
    good, draw, loaded = (tmp_path / "good").read_bytes(), random.Random(11), 0
    path, before = tmp_path / "bad", dict(os.environ)
    for _ in range(1000):
        content = mutated(good, draw)
        if content == good:
            continue
        path.write_bytes(signed_again(content) if signed else content)
        try:
            mr.load(path)
            loaded += 1
        except CheckpointError:
            pass
    assert signed or loaded == 0
    assert sorted(os.listdir(tmp_path)) == ["bad", "good"] and dict(os.environ) == before


def test_nothing_in_this_file_can_run_code():
    text = Path(files.__file__).read_text()
    assert not any(word in text for word in ("pickle", "eval(", "exec(", "allow_pickle"))


# crashes

SAVING = """
import itertools, sys
import numpy as np
import microreg as mr
for i in itertools.count(1):
    mr.save({"number": i, "array": np.full(200_000, i)}, sys.argv[1])
    print(i, flush=True)
"""


def killed_while_saving(path, times):
    """Kill a process that saves in a loop, so many times; (states lost, most files left)."""
    draw, lost, most, last = random.Random(5), 0, 0, 0
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(draw.random() * 0.02)
        process.kill()
        told = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        found = mr.load(path)
        whole = (found["array"] == found["number"]).all() and len(found["array"]) == 200_000
        # the state it told of last, or the one it was about to tell of
        last = int(told[-1]) if told else 1
        lost += not (whole and last <= found["number"] <= last + 1)
        most = max(most, len(os.listdir(path.parent)) - 1)
    return lost, most


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("times", [4, pytest.param(200, marks=pytest.mark.long)])
def test_a_process_killed_while_saving_loses_nothing(times, tmp_path):
    mr.save({"number": 0, "array": np.zeros(200_000)}, tmp_path / "file")
    lost, most = killed_while_saving(tmp_path / "file", times)
    assert lost == 0 and most <= 1
    mr.save([1], tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    resource = pytest.importorskip("resource")
    mr.save([1], tmp_path / "file")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            mr.save(np.zeros(200_000), tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert mr.load(tmp_path / "file") == [1] and os.listdir(tmp_path) == ["file"]


def test_a_torn_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    """The disk fills up, or Ctrl-C comes, at every stage."""
    for stage in ("fsync", "replace"):
        for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):
            mr.save([1], tmp_path / "file")

            def fail(*args, error=error):
                raise error

            with monkeypatch.context() as patch:
                patch.setattr(files.os, stage, fail)
                with pytest.raises(type(error)):
                    mr.save([2], tmp_path / "file")
            assert mr.load(tmp_path / "file") == [1]
            assert os.listdir(tmp_path) == ["file"]


def test_several_writers_of_one_file_leave_one_whole_file(tmp_path):
    path, failed = tmp_path / "file", []

    def write(number):
        try:
            for _ in range(20):
                mr.save(np.full(5000, number), path)
                assert len(set(mr.load(path).tolist())) == 1
        except BaseException as error:
            failed.append(error)

    crowd = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(60)
    assert not failed and os.listdir(tmp_path) == ["file"]


def test_a_link_stays_a_link_and_rights_stay_the_default(tmp_path):
    mr.save([1], tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    mr.save([2], tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and mr.load(tmp_path / "real") == [2]
    plain = tmp_path / "plain"
    plain.write_text("")
    assert (tmp_path / "real").stat().st_mode == plain.stat().st_mode
