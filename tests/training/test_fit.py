"""fit, predict, evaluate, and what happens between epochs."""

import sys

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.errors import ShapeError
from microreg.kernels._jit import Kernel
from microreg.penalties import L1, MaxNorm
from microreg.runtime import cpu, get_num_threads, set_num_threads


@pytest.fixture
def rng():
    return np.random.default_rng(41)


@pytest.fixture
def blobs(rng):
    """Three clouds of points that a straight line separates from each other."""
    y = rng.integers(0, 3, 90)
    X = rng.normal(size=(90, 4)) + 6.0 * np.eye(3, 4)[y]
    return X.astype(np.float32), y


def network(hidden=8):
    mr.manual_seed(7)
    return nn.Sequential(
        nn.Linear(4, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(hidden, 3),
    )


def numbers(model):
    return {name: value.data.copy() for name, value in model.state_dict().items()}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def by_hand(model, data, loss, epochs, batch_size, optimizer=None):
    """What fit does without shuffling, op by op."""
    optimizer = optimizer or optim.Adam(model.parameters())
    X, y = data
    model.train()
    for _ in range(epochs):
        for i in range(0, len(X), batch_size):
            value = loss(model(mr.tensor(X[i : i + batch_size])), mr.tensor(y[i : i + batch_size]))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()


KEEPS = (
    "fit cannot be recorded and runs op by op: somebody keeps what was computed at .*test_fit.py"
)
CHANGES = "fit cannot be recorded .* the numbers that Python gives it change .* at .*test_fit.py"
LOOKS = "fit cannot be recorded .*: item: .*test_fit.py"


class Watch(mr.Callback):
    """Remembers the weights after each epoch; does `action` in it first."""

    def __init__(self, action=lambda run: None):
        self.action, self.seen, self.ended = action, [], 0

    def on_epoch_end(self, run):
        self.action(run)
        self.seen.append(numbers(run.model))

    def on_fit_end(self, run):
        self.ended += 1


# learning


def test_fit_learns_what_can_be_learned_and_records_it(blobs):
    X, y = blobs
    model = mr.attach(network(), L1(1e-3))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    history = mr.fit(model, (X[:60], y[:60]), val=(X[60:], y[60:]), optimizer=optimizer, epochs=25)
    columns = ["loss", "penalty", "accuracy", "zeros", "val_loss", "val_accuracy"]
    assert list(history.columns) == columns
    assert len(history) == 25 and {len(history[c]) for c in columns} == {25}
    assert history["loss"][-1] < history["loss"][0] / 3 and history["val_accuracy"][-1] > 0.95
    assert history["penalty"][-1] == pytest.approx(mr.penalties.number(model))
    weights = [model[0].weight.data, model[4].weight.data]
    zeros = sum((w == 0).sum() for w in weights) / sum(w.size for w in weights)
    assert history.last["zeros"] == pytest.approx(zeros)
    assert history.best_epoch == int(np.argmin(history["val_loss"]))
    measured = mr.evaluate(model, (X[60:], y[60:]))
    assert measured["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)
    assert measured["accuracy"] == history["val_accuracy"][-1]
    with pytest.raises(KeyError, match="'lost' was not recorded; there are"):
        history["lost"]


def test_regression_and_the_default_optimizer(rng):
    X = rng.normal(size=(50, 3))
    y = X @ np.array([[1.0], [-2.0], [0.5]])
    model = nn.Linear(3, 1, dtype=np.float64)
    history = mr.fit(model, (mr.tensor(X), y), loss=F.mse_loss, epochs=3, batch_size=7)
    assert list(history.columns) == ["loss", "penalty", "zeros"]
    assert history["loss"][2] < history["loss"][0]
    assert mr.fit(model, (X, y), loss=F.mse_loss, epochs=1).best_epoch == 0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_fit_trains_as_the_loop_by_hand(name, rng):
    data = rng.normal(size=(53, 4)), rng.integers(0, 3, 53)
    runs = []
    for train in (mr.fit, by_hand):
        model = mr.attach(network().double(), {"0.weight": [L1(1e-2), MaxNorm(1.0)]})
        optimizer = getattr(optim, name)(model.parameters(), lr=0.03)
        if train is mr.fit:
            mr.fit(model, data, optimizer=optimizer, epochs=4, batch_size=10, shuffle=False)
        else:
            by_hand(model, data, F.cross_entropy, 4, 10, optimizer)
        runs.append(numbers(model))
    for key in runs[0]:
        np.testing.assert_allclose(runs[0][key], runs[1][key], rtol=1e-9, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("n", [33, 65, 2, 32])
def test_a_last_batch_of_one_row_joins_the_one_before(n, rng):
    seen = []

    def loss(output, target):
        seen.append(len(target))
        return F.cross_entropy(output, target)

    data = rng.normal(size=(n, 4)), rng.integers(0, 3, n)
    mr.fit(network(), data, loss=loss, epochs=1, batch_size=32)
    assert set(seen) == {33: {33}, 65: {32, 33}, 2: {2}, 32: {32}}[n]


def test_every_row_is_used_once_an_epoch_in_a_new_order(rng):
    X, seen = np.arange(20.0)[:, None], []

    def loss(output, target):
        seen.append(target.data.copy())
        return F.mse_loss(output, target.reshape(-1, 1))

    for shuffle in (True, False):
        with pytest.warns(RuntimeWarning, match=KEEPS):
            mr.fit(
                nn.Linear(1, 1), (X, X[:, 0]), loss=loss, batch_size=6, epochs=2, shuffle=shuffle
            )
        first, second = np.concatenate(seen[-8:-4]), np.concatenate(seen[-4:])
        np.testing.assert_array_equal(np.sort(first), X[:, 0])
        np.testing.assert_array_equal(np.sort(second), X[:, 0])
        assert (first == X[:, 0]).all() == (first == second).all() == (not shuffle)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_given_back(training, blobs):
    model = network().train(training)
    mr.fit(model, blobs, epochs=1, val=blobs)
    mr.predict(model, blobs[0])
    mr.evaluate(model, blobs)
    with pytest.raises(ZeroDivisionError):
        mr.fit(model, blobs, epochs=1, loss=lambda output, target: 1 / 0)
    assert all(module.training is training for module in model.modules())


# repeating


def test_equal_seeds_give_equal_runs(blobs):
    runs = []
    for seed in (3, 3, 4):
        model = mr.attach(network(), [L1(1e-3), MaxNorm(2.0)])
        mr.manual_seed(seed)
        history = mr.fit(model, blobs, epochs=3, batch_size=16)
        runs.append((numbers(model), history.columns))
    same(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert (runs[0][0]["0.weight"] != runs[2][0]["0.weight"]).any()


@pytest.fixture
def always_a_team(monkeypatch):
    """Wake the team for work of any size, and never let it rest."""
    keep = property(lambda self: 1, lambda self, grain: self.__dict__.update(grain=grain))
    monkeypatch.setattr(Kernel, "grain", keep, raising=False)
    monkeypatch.setattr(cpu, "LATE", 10**9)
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.parametrize("make", ["adam", "momentum"])
def test_the_bits_do_not_depend_on_the_number_of_threads(make, always_a_team, rng):
    X, y = rng.normal(size=(1100, 90)).astype(np.float32), rng.integers(0, 5, 1100)
    runs = []
    for threads in (1, 2, 4):
        set_num_threads(threads)
        mr.manual_seed(11)
        model = nn.Sequential(
            nn.Linear(90, 130), nn.BatchNorm1d(130), nn.ReLU(), nn.Dropout(0.2), nn.Linear(130, 5)
        )
        mr.attach(model, {"0.weight": L1(1e-4), "4.weight": [L1(1e-4), MaxNorm(1.0)]})
        chosen = {
            "adam": lambda p: optim.Adam(p, lr=3e-3),
            "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
        }
        optimizer = chosen[make](model.parameters())
        history = mr.fit(model, (X, y), epochs=2, batch_size=550, optimizer=optimizer)
        runs.append((numbers(model), history.columns))
        assert threads == 1 or cpu._team._control is not None  # the team has worked
    for state, columns in runs[1:]:
        same(runs[0][0], state)
        assert columns == runs[0][1]


# between epochs


def test_early_stopping_goes_back_to_the_best_weights(blobs):
    def spoil(run):
        if run.epoch >= 3:
            run.model[4].bias.data[0] += 100.0

    model, watch = network(), Watch()
    order = [mr.Callback(), watch, mr.EarlyStopping(patience=4), Watch(spoil)]
    history = mr.fit(model, blobs, val=blobs, epochs=50, callbacks=order)
    best = history.best_epoch
    assert best <= 4 and len(history) == best + 5
    assert history.stopped == f"val_loss has not improved since epoch {best}"
    same(numbers(model), watch.seen[best])
    assert watch.ended == 1


def test_early_stopping_may_keep_the_last_weights_and_watch_accuracy(blobs):
    stop = mr.EarlyStopping(2, monitor="accuracy", min_delta=2.0, restore_best=False)
    model, watch = network(), Watch()
    history = mr.fit(model, blobs, epochs=9, callbacks=[stop, watch])
    assert len(history) == 3  # nothing is better by more than 2
    same(numbers(model), watch.seen[-1])
    with pytest.raises(KeyError, match="'val_loss' was not recorded"):
        mr.fit(model, blobs, epochs=1, callbacks=[mr.EarlyStopping()])
    with pytest.raises(ValueError, match="positive integer"):
        mr.EarlyStopping(patience=0)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_with_its_place(value):
    """The second batch moves the weight so far that it overflows when it comes by again."""

    def loss(output, target):
        found = F.mse_loss(output, target)
        return found * 2.0 - found if value == "nan" else found

    X, y = np.zeros((12, 1), np.float32), np.ones((12, 1), np.float32)
    X[5] = 1e18
    model, watch = nn.Linear(1, 1), Watch()
    model.weight.data[...] = 0.0
    optimizer = optim.SGD(model.parameters(), lr=1e3)
    with pytest.raises(FloatingPointError, match=f"epoch 1 the loss became {value} in batch 1"):
        mr.fit(
            model, (X, y), loss=loss, optimizer=optimizer, epochs=3, batch_size=4, shuffle=False,
            callbacks=[watch],
        )  # fmt: skip
    assert len(watch.seen) == 1
    assert all(np.isfinite(v).all() for v in numbers(model).values())


def test_a_label_that_is_no_class_is_named(blobs):
    X, y = blobs
    y = y.copy()
    y[40] = 17
    with pytest.raises(ValueError, match="expected labels from 0 to 2, got 17"):
        mr.fit(network(), (X, y), epochs=1)


# what a recording cannot hold


def _keeps(output, target, seen=[]):  # noqa: B006
    seen.append(target)
    return F.cross_entropy(output, target)


def _counts(output, target, seen=[]):  # noqa: B006
    seen.append(1)
    return F.cross_entropy(output, target) * (1.0 / len(seen))


def _looks(output, target):
    return F.cross_entropy(output, target) if float(output.sum()) > 0 else output.mean()


@pytest.mark.parametrize(("loss", "why"), [(_keeps, KEEPS), (_counts, CHANGES), (_looks, LOOKS)])
def test_what_python_does_at_every_step_is_done_at_every_step(loss, why, blobs):
    """fit then runs op by op, as the same loop by hand does."""
    model = network()
    with pytest.warns(RuntimeWarning, match=why):
        mr.fit(model, blobs, loss=loss, epochs=2, batch_size=25, shuffle=False)
    if loss is not _counts:
        other = network()
        by_hand(other, blobs, loss, 2, 25)
        same(numbers(model), numbers(other))


# the bar


def test_the_bar_tells_how_it_goes(blobs, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    mr.fit(network(), blobs, val=blobs, epochs=2)
    text = capsys.readouterr().err
    for words in ("2/2", "loss ", "penalty 0.0000", "val ", "acc ", "zeros 0.0%", "epoch"):
        assert words in text


@pytest.mark.parametrize("progress", [True, False])
def test_no_bar_in_a_file_and_none_when_unwanted(progress, blobs, capsys, monkeypatch):
    if not progress:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    mr.fit(network(), blobs, epochs=1, progress=progress)
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


# predict and evaluate


@pytest.mark.parametrize("batch_size", [1, 7, 90, 1000])
def test_predict_is_the_model_in_evaluation_mode(batch_size, blobs):
    model = network()
    got = mr.predict(model, blobs[0].astype(np.float64), batch_size=batch_size)
    model.eval()
    assert isinstance(got, np.ndarray) and got.dtype == np.float32
    np.testing.assert_allclose(got, model(mr.tensor(blobs[0])).data, rtol=1e-5, atol=1e-6)


def test_evaluate_by_hand(blobs):
    X, y = blobs
    model = network()
    scores = mr.predict(model, X).astype(np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(90), y]
    measured = mr.evaluate(model, (X, y), batch_size=32)
    assert measured["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert measured["accuracy"] == (scores.argmax(axis=1) == y).mean()


def test_a_binary_loss_on_logits_has_an_accuracy(rng):
    X = rng.normal(size=(40, 3))
    y = (X[:, :1] > 0).astype(np.float64)
    model = nn.Linear(3, 1)
    for loss in (F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss()):
        measured = mr.evaluate(model, (X, y), loss=loss)
        right = ((mr.predict(model, X) > 0) == (y > 0.5)).mean()
        assert measured["accuracy"] == pytest.approx(right)


# bad input

DATA = np.ones((6, 4)), np.zeros(6, np.int64)
HOLED = np.where(np.arange(24).reshape(6, 4) == 9, np.nan, 1.0)


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda m: mr.fit(m, DATA, epochs=0), ValueError, r"fit\(epochs=0\): expected a positive"),
        (lambda m: mr.fit(m, DATA, batch_size=2.5), ValueError, r"fit\(batch_size=2.5\)"),
        (lambda m: mr.fit(m, DATA[0]), TypeError, r"expected data as a pair \(X, y\), got ndarray"),
        (lambda m: mr.fit(m, (DATA[0], DATA[1][:5])), ShapeError, r"as many targets as rows"),
        (lambda m: mr.fit(m, (DATA[0][:0], DATA[1][:0])), ShapeError, "at least one row"),
        (lambda m: mr.fit(m, (HOLED, DATA[1])), ValueError, "NaN or infinity, first in row 2"),
        (lambda m: mr.fit(m, DATA, val=(HOLED, DATA[1])), ValueError, "fit: val: X holds NaN"),
        (lambda m: mr.predict(m, HOLED), ValueError, "predict: X holds NaN"),
        (lambda m: mr.predict(m, DATA[0][:0]), ValueError, "expected at least one row"),
        (lambda m: mr.evaluate(m, (DATA[0], 3.0)), ShapeError, "evaluate: expected as many"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_before_anything_changes(run, error, words):
    model = network()
    before = numbers(model)
    with pytest.raises(error, match=words):
        run(model)
    same(numbers(model), before)
