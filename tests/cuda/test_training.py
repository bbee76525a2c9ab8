"""Training on device="cuda" is training on the CPU: eagerly, recorded, and by `fit`."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.penalties import L1, GroupLasso
from microreg.runtime.remote import on_cpu

from ..capture import steps
from ..capture.steps import INPUTS, MODELS, OPTIMIZERS, PENALTIES, Trained

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}
STEPS = 6


class Moved(Trained):
    """A training whose model and batches are on the GPU."""

    def __init__(self, model, penalty, optimizer, dtype):
        super().__init__(model, penalty, optimizer, dtype)
        self.optimizer = OPTIMIZERS[optimizer](self.model.to("cuda").parameters())

    def batch(self, *args):
        return tuple(x.to("cuda") for x in super().batch(*args))


@pytest.fixture(autouse=True)
def mlp(monkeypatch):
    """One more model: batch norm and dropout in one."""
    monkeypatch.setitem(MODELS, "mlp", normalized)


def normalized():
    """A bias before batch norm has no gradient but rounding errors, and Adam makes them large."""
    first = nn.Linear(INPUTS, 16, bias=False)
    return nn.Sequential(
        first, nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, steps.CLASSES)
    )


def numbers(trained):
    state = trained.optimizer.state_dict()["state"]
    found = {name: on_cpu(value.data).copy() for name, value in trained.model.state_dict().items()}
    for i, held in state.items():
        found |= {f"{i} {k}": np.array(on_cpu(getattr(v, "data", v))) for k, v in held.items()}
    return found | {"random": mr.get_rng_state()}


def agree(got, want, tolerance):
    assert got.keys() == want.keys()
    for name, x in want.items():
        np.testing.assert_allclose(got[name], x, tolerance, tolerance, err_msg=name)


COMBINED = [
    ("mlp", "l1", "adamw"),
    ("cnn", "groups", "nesterov"),
    ("attention", "elastic net", "sgd"),  # here it is the bias of the keys
]
MORE = [
    *(("gelu, layer norm", "none", optimizer) for optimizer in OPTIMIZERS),
    *(("tanh, sigmoid", penalty, "sgd") for penalty in PENALTIES),
]


def check(case, dtype, how):
    plain = Trained(*case, dtype)
    losses = plain.losses(plain.step, STEPS)
    want, there = numbers(plain), Moved(*case, dtype)
    found = there.losses(how(there.step), STEPS)
    np.testing.assert_allclose(found, losses, TOLERANCE[dtype])
    agree(numbers(there), want, TOLERANCE[dtype])


@pytest.mark.parametrize("case", COMBINED, ids=lambda case: case[0])
@pytest.mark.parametrize("how", [lambda step: step, mr.compile], ids=["eager", "recorded"])
def test_steps(case, dtype, how, gpu):
    check(case, dtype, how)
    assert not gpu.fallbacks


@pytest.mark.parametrize("case", MORE, ids=", ".join)
def test_recorded_steps_with_every_penalty_and_optimizer(case, gpu):
    check(case, np.float64, mr.compile)


def test_a_recorded_step_is_one_graph(gpu, monkeypatch):
    """After the first run a step is that, and copies: of the batch's arrays and of the loss."""
    there = Moved("mlp", "l1", "adamw", np.float32)
    step = mr.compile(there.step)
    there.losses(step, 2)
    driver, calls = gpu.driver, []
    replay, launch = driver.replay, driver.launch

    def whole(graph):
        calls.append("graph")
        monkeypatch.setattr(driver, "launch", launch)
        replay(graph)
        monkeypatch.setattr(driver, "launch", single)

    def single(*call):
        calls.append("copy")
        launch(*call)

    monkeypatch.setattr(driver, "replay", whole)
    monkeypatch.setattr(driver, "launch", single)
    there.losses(step, 3)
    assert calls == 3 * ["copy", "copy", "graph", "copy"]


def fitted(device, epochs=3, **options):
    mr.manual_seed(0)
    model = normalized().to(device)
    mr.attach(model, {"0.weight": GroupLasso(1e-2, groups="in"), "4.weight": L1(1e-3)})
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, INPUTS)).astype(np.float32), rng.integers(0, 3, 70)
    history = mr.fit(
        model, (X, y), val=(X[:20], y[:20]), epochs=epochs, batch_size=16, progress=False,
        optimizer=optim.AdamW(model.parameters(), lr=1e-2), **options,
    )  # fmt: skip
    return model, history, mr.predict(model, X)


def test_fit_and_predict(gpu):
    plain, history, want = fitted("cpu")
    there, found, got = fitted("cuda")
    assert there[0].weight.device == "cuda" and isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, want, 1e-5, 1e-5)
    assert history.columns.keys() == found.columns.keys()
    for name in {"loss", "penalty", "zeros", "val_loss", "val_accuracy"} & set(history.columns):
        np.testing.assert_allclose(found[name], history[name], 1e-5)
    for a, b in zip(plain.parameters(), there.parameters(), strict=True):
        np.testing.assert_allclose(on_cpu(b.data), a.data, 1e-5, 1e-5)
        np.testing.assert_array_equal(on_cpu(b.data) == 0, a.data == 0)


def test_dropout_draws_the_bits_of_the_cpu(gpu):
    masks = []
    for device in ("cpu", "cuda"):
        mr.manual_seed(9)
        ones = mr.ones(37, 11, device=device)
        masks.append(nn.functional.dropout(ones, 0.4).cpu().numpy() != 0)
    np.testing.assert_array_equal(*masks)
    assert 0.5 < masks[0].mean() < 0.7


def test_fit_goes_on_from_its_folder(gpu, tmp_path):
    want = fitted("cuda", 2)[0]
    fitted("cuda", 1, checkpoint=tmp_path)
    got = fitted("cuda", 2, checkpoint=tmp_path)[0]
    for a, b in zip(want.parameters(), got.parameters(), strict=True):
        np.testing.assert_array_equal(on_cpu(b.data), on_cpu(a.data))
