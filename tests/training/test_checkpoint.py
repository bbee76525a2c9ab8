"""A training that was killed or interrupted goes on; one that has failed goes back."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.errors import CheckpointError
from microreg.penalties import L1, GroupLasso
from microreg.training import checkpoint, passes

OPTIMIZERS = {
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=0.02),
    "adamw": lambda p: optim.AdamW(p, lr=0.02, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.3),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.01),
}


def network(dropout=0.3):
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3)
    )
    return mr.attach(model, {"0.weight": GroupLasso(1e-3, groups="in"), "4.weight": L1(1e-3)})


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 75)
    return (rng.normal(size=(75, 4)) + 2.0 * np.eye(3, 4)[y]).astype(np.float32), y


@pytest.fixture
def at_every_step(monkeypatch):
    """Look at the world, and write the checkpoint, after every single step."""
    monkeypatch.setattr(passes, "CHUNK", 0.0)
    monkeypatch.setattr(checkpoint, "PAUSE", -1.0)
    monkeypatch.setattr(checkpoint, "SHARE", np.inf)


def everything(model, optimizer, history):
    """All that a run came to, as bytes and numbers."""
    state = [value.data.tobytes() for value in model.state_dict().values()]
    for one in optimizer.state_dict()["state"].values():
        state += [np.asarray(value).tobytes() for value in one.values()]
    return state, history.columns, mr.get_rng_state().tolist()


def trained(data, make="adam", dropout=0.3, seed=5, epochs=4, callbacks=(), **options):
    mr.manual_seed(seed)
    model = network(dropout)
    optimizer = OPTIMIZERS[make](model.parameters())
    history = mr.fit(
        model, data, val=data, optimizer=optimizer, epochs=epochs, batch_size=16,
        callbacks=callbacks, **options,
    )  # fmt: skip
    return everything(model, optimizer, history)


def interrupted(monkeypatch, writings):
    """Make the run end as Ctrl-C would, after so many writings of the checkpoint."""
    count = [0]

    def save(*args):
        mr.save(*args)
        count[0] += 1
        if count[0] == writings:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_run_goes_on_with_the_same_bits(
    make, dropout, shuffle, data, tmp_path, monkeypatch, at_every_step
):
    """In the middle of an epoch (5 writings each), at its end, before its last batch."""
    want = trained(data, make, dropout, shuffle=shuffle)
    for writings in (2, 5, 9, 14):
        folder = tmp_path / str(writings)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupted(patch, writings)
            trained(data, make, dropout, shuffle=shuffle, checkpoint=folder)
        got = trained(data, make, dropout, seed=99, shuffle=shuffle, checkpoint=folder)
        assert got == want, writings
        assert os.listdir(folder) == [checkpoint.FILE]


def test_checkpoints_change_nothing(data, tmp_path, at_every_step):
    assert trained(data, checkpoint=tmp_path) == trained(data)


def test_a_finished_run_is_not_trained_again_but_goes_on_when_asked(data, tmp_path):
    want = trained(data, epochs=6)
    short = trained(data, epochs=3, checkpoint=tmp_path)
    assert trained(data, epochs=3, seed=8, checkpoint=tmp_path) == short
    assert trained(data, epochs=6, seed=8, checkpoint=tmp_path) == want


def test_early_stopping_goes_on_counting(data, tmp_path, monkeypatch, at_every_step):
    stop = lambda: [mr.EarlyStopping(patience=2, monitor="loss", min_delta=0.2)]  # noqa: E731
    want = trained(data, epochs=30, callbacks=stop())
    epochs = len(want[1]["loss"])
    assert 3 < epochs < 30
    for writings in (7, 5 * epochs - 3, 5 * epochs):
        folder = tmp_path / str(writings)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupted(patch, writings)
            trained(data, epochs=30, callbacks=stop(), checkpoint=folder)
        assert trained(data, epochs=30, seed=1, callbacks=stop(), checkpoint=folder) == want


@pytest.mark.filterwarnings("ignore:fit cannot be recorded and runs op by op")
def test_a_step_that_runs_op_by_op_goes_on_too(data, tmp_path, monkeypatch, at_every_step):
    def loss(output, target):
        return F.cross_entropy(output, target) if float(output.sum()) < 1e9 else output.mean()

    want = trained(data, loss=loss)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted(patch, 7)
        trained(data, loss=loss, checkpoint=tmp_path)
    assert trained(data, seed=2, loss=loss, checkpoint=tmp_path) == want


def test_another_training_is_refused_and_nothing_changes(data, tmp_path):
    trained(data, checkpoint=tmp_path)
    X, y = data
    other = [
        (lambda: trained((X + 1, y), checkpoint=tmp_path), "data: '.*' instead of"),
        (lambda: trained((X, (y + 1) % 3), checkpoint=tmp_path), "data: "),
        (lambda: trained(data, "momentum", checkpoint=tmp_path), "optimizer: 'SGD' instead of 'Ad"),
        (lambda: trained(data, shuffle=False, checkpoint=tmp_path), "shuffle: False instead of Tr"),
        (
            lambda: trained(data, callbacks=[mr.EarlyStopping()], checkpoint=tmp_path),
            r"callbacks: \['EarlyStopping'\] instead of \[\]",
        ),
    ]
    for run, words in other:
        with pytest.raises(CheckpointError, match=words):
            run()
    mr.manual_seed(3)
    model = nn.Linear(4, 3)
    before = model.weight.data.copy(), mr.get_rng_state()
    with pytest.raises(CheckpointError, match=r"0\.weight"):
        mr.fit(model, data, batch_size=16, checkpoint=tmp_path)
    np.testing.assert_array_equal(model.weight.data, before[0])
    np.testing.assert_array_equal(mr.get_rng_state(), before[1])
    assert trained(data, seed=9, checkpoint=tmp_path) == trained(data)


def test_a_damaged_checkpoint_and_another_file_are_refused(data, tmp_path):
    trained(data, checkpoint=tmp_path)
    path = tmp_path / checkpoint.FILE
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum does not fit"):
        trained(data, checkpoint=tmp_path)
    mr.save({"w": np.ones(2)}, path)
    with pytest.raises(CheckpointError, match="is no checkpoint of fit; choose another folder"):
        trained(data, checkpoint=tmp_path)


# by hand


BY_HAND = """
import sys
import numpy as np
import microreg as mr
from microreg import nn, optim
import microreg.nn.functional as F

def run(make, dropout, start, stop, path):
    mr.manual_seed(4)
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Dropout(dropout), nn.Linear(7, 2))
    optimizer = {"momentum": lambda p: optim.SGD(p, 0.1, 0.9), "adam": optim.Adam}[make](
        list(model.parameters()))
    rng = np.random.default_rng(1)
    X, y = mr.tensor(rng.normal(size=(40, 5))).float(), mr.tensor(rng.integers(0, 2, 40))
    if start:
        found = mr.load(path)
        model.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        mr.set_rng_state(found["random"])
    step = mr.compile(lambda x, t: train(model, optimizer, x, t))
    for i in range(start, stop):
        rows = mr.randperm(40)[:16]
        step(X[rows], y[rows])
    state = {"model": model, "optimizer": optimizer, "random": mr.get_rng_state()}
    mr.save(state, path)

def train(model, optimizer, x, t):
    optimizer.zero_grad()
    F.cross_entropy(model(x), t).backward()
    optimizer.step()

for make in ("momentum", "adam"):
    for dropout in (0.0, 0.4):
        at = f"{sys.argv[1]}-{make}-{dropout}"
        run(make, dropout, *map(int, sys.argv[2:]), at)
"""


def test_a_loop_by_hand_goes_on_in_another_process_with_the_same_bits(tmp_path):
    def process(name, *numbers):
        command = [sys.executable, "-c", BY_HAND, str(tmp_path / name), *map(str, numbers)]
        subprocess.run(command, check=True, timeout=300)

    process("whole", 0, 12)
    process("halves", 0, 5)
    process("halves", 5, 12)
    files = sorted(tmp_path.glob("whole-*"))
    assert len(files) == 4
    for whole in files:
        assert whole.read_bytes() == (tmp_path / whole.name.replace("whole", "halves")).read_bytes()


# killed and interrupted


TRAINING = """
import signal, sys, time
import numpy as np
import microreg as mr
from microreg import nn, optim
from microreg.training import checkpoint, passes

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
checkpoint.PAUSE = 0.0
mr.manual_seed(int(sys.argv[2]))
rng = np.random.default_rng(0)
X, y = rng.normal(size=(6000, 40)).astype(np.float32), rng.integers(0, 4, 6000)
model = nn.Sequential(nn.Linear(40, 200), nn.BatchNorm1d(200), nn.ReLU(), nn.Dropout(0.2),
                      nn.Linear(200, 4))
optimizer = optim.Adam(model.parameters())

class Told(mr.Callback):
    def on_epoch_end(self, run):
        print("epoch", run.epoch, flush=True)

print("started", flush=True)
try:
    mr.fit(model, (X, y), optimizer=optimizer, epochs=int(sys.argv[3]), callbacks=[Told()],
           checkpoint=sys.argv[1])
    print("done", flush=True)
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
"""


def training(folder, seed, epochs):
    command = [sys.executable, "-c", TRAINING, str(folder), str(seed), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def final(folder):
    found = mr.load(folder / checkpoint.FILE)["state"]
    return [v.data.tobytes() for v in found["model"].values()], found["history"]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("times", [2, pytest.param(30, marks=pytest.mark.long)])
def test_a_run_that_is_killed_and_started_again_ends_with_the_same_bits(times, tmp_path):
    epochs, draw = 12 if times == 2 else 60, random.Random(times)
    with training(tmp_path / "whole", 1, epochs) as whole:
        assert whole.stdout.read().endswith("done\n")
    for i in range(times):
        with training(tmp_path / "killed", 1 if not i else i + 7, epochs) as process:
            process.stdout.readline()
            time.sleep(0.1 + 0.2 * draw.random())
            process.kill()
            process.stdout.read()
    with training(tmp_path / "killed", 1, epochs) as last:
        assert last.stdout.read().endswith("done\n")
    assert final(tmp_path / "killed") == final(tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.long)])
def test_ctrl_c_is_honoured_and_leaves_a_checkpoint(times, tmp_path):
    draw = random.Random(3)
    for _ in range(times):
        with training(tmp_path, 1, 10**6) as process:
            process.stdout.readline()
            time.sleep(0.3 + draw.random())
            process.send_signal(signal.SIGINT)
            sent = time.time()
            told = process.stdout.read().split()
        assert process.returncode == 0 and told[-2] == "interrupted"
        if times > 1:
            assert float(told[-1]) - sent < 0.5
        assert mr.load(tmp_path / checkpoint.FILE)["state"]["epoch"] >= 0


# a loss that is not finite


def numbers(model):
    return {name: value.data.copy() for name, value in model.state_dict().items()}


class Remember(mr.Callback):
    def on_epoch_end(self, run):
        self.model, self.optimizer = numbers(run.model), run.optimizer.state_dict()
        self.random = mr.get_rng_state()


@pytest.mark.filterwarnings("ignore:fit cannot be recorded and runs op by op")
@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize("recorded", [True, False])
def test_the_parameter_that_went_first_is_named_and_the_last_good_state_is_back(recorded, data):
    """From the third epoch on the root of 0 comes up in one batch: its slope is infinite."""
    model, remember = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)), Remember()
    mr.manual_seed(1)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    aside = mr.ones(1)

    def loss(output, target):
        if not recorded:
            float(output.sum())
        return ((output.reshape(-1) * (target + aside)) ** 2).sum().sqrt()

    class Spoil(mr.Callback):
        def on_epoch_end(self, run):
            if run.epoch == 1:
                aside.data[...] = 0.0

    target = (np.arange(75) // 16 != 2).astype(np.float32)
    with pytest.raises(FloatingPointError, match="in epoch 2 the loss became") as caught:
        fit_with(model, (data[0], target), loss, optimizer, [remember, Spoil()])
    assert "first was, in batch 2, the gradient of 2.bias and 3 more;" in str(caught.value)
    assert "again as they were before epoch 2; lower lr" in str(caught.value)
    for name, value in numbers(model).items():
        np.testing.assert_array_equal(value, remember.model[name])
    assert str(optimizer.state_dict()) == str(remember.optimizer)
    np.testing.assert_array_equal(mr.get_rng_state(), remember.random)


def fit_with(model, data, loss, optimizer, callbacks):
    mr.fit(
        model, data, loss=loss, optimizer=optimizer, epochs=5, batch_size=16, shuffle=False,
        callbacks=callbacks,
    )  # fmt: skip


def test_a_loss_that_is_not_finite_by_itself_is_told_so(data):
    X, y = data
    target = np.where(np.arange(75) == 40, 3e38, y).astype(np.float32)

    def loss(output, target):
        return (output.reshape(-1) * 0.0 + target * 10.0).mean()

    with pytest.raises(FloatingPointError, match="batch 2; all gradients and parameters before"):
        mr.fit(nn.Linear(4, 1), (X, target), loss=loss, batch_size=16, shuffle=False, epochs=1)
