"""Wrong inputs, one a row: each raises, with words that say what was expected and what came."""

import re

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.errors import CheckpointError, DTypeError, GraphError, ShapeError
from microreg.penalties import L1, L2, MCP, SCAD, Box, ElasticNet, GroupLasso, MaxNorm

NAN, INF = float("nan"), float("inf")
X = mr.tensor(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32))
Y = mr.tensor([0, 1, 2, 0, 1, 2])
IMAGE = mr.ones(2, 3, 8, 8)
W = nn.Parameter(mr.ones(5, 4))


def model():
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def fit(data=(X, Y), **options):
    """One epoch; a model that was refused is as it was."""
    trained = model()
    before = [value.data.copy() for value in trained.state_dict().values()]
    try:
        mr.fit(trained, data, **{"epochs": 1, **options})
    finally:
        if not options.get("callbacks"):
            for value, old in zip(trained.state_dict().values(), before, strict=True):
                np.testing.assert_array_equal(value.data, old)


def scalar(value=1.0):
    return mr.tensor(value, requires_grad=True)


LAYERS = [
    ("linear, too few features", lambda: nn.Linear(4, 5)(X[:, :3]), ShapeError, "(6, 3)"),
    ("linear, integers", lambda: nn.Linear(4, 5)(X.long()), DTypeError, "float32 or float64"),
    ("linear, features of -1", lambda: nn.Linear(-1, 5), ValueError, "-1"),
    ("linear, features of 2.5", lambda: nn.Linear(2.5, 5), (TypeError, ValueError), "2.5"),
    ("linear, features as text", lambda: nn.Linear("4", 5), (TypeError, ValueError), "'4'"),
    ("conv, channels", lambda: nn.Conv2d(4, 5, 3)(IMAGE), ShapeError, "(2, 3, 8, 8)"),
    ("conv, one image", lambda: nn.Conv2d(3, 5, 3)(IMAGE[0, 0]), ShapeError, "(8, 8)"),
    ("conv, too large a filter", lambda: nn.Conv2d(3, 5, 9)(IMAGE), ShapeError, "fits the input"),
    ("conv, stride 0", lambda: nn.Conv2d(3, 5, 3, stride=0)(IMAGE), ValueError, "stride"),
    ("conv, padding of -1", lambda: nn.Conv2d(3, 5, 3, padding=-1)(IMAGE), ValueError, "padding"),
    ("pool, window 0", lambda: nn.MaxPool2d(0)(IMAGE), ValueError, "0"),
    ("pool, window too large", lambda: nn.MaxPool2d(9)(IMAGE), ShapeError, "fits the input"),
    ("batch norm, one row", lambda: nn.BatchNorm1d(4)(X[:1]), ValueError, "more than one value"),
    ("batch norm, channels", lambda: nn.BatchNorm1d(3)(X), ShapeError, "(6, 4)"),
    ("batch norm, one axis", lambda: nn.BatchNorm1d(4)(X[0]), ShapeError, "(4,)"),
    ("batch norm 2d, matrix", lambda: nn.BatchNorm2d(4)(X), ShapeError, "(6, 4)"),
    ("batch norm, eps of -1", lambda: nn.BatchNorm1d(4, eps=-1.0), ValueError, "eps"),
    ("batch norm, momentum of 2", lambda: nn.BatchNorm1d(4, momentum=2.0), ValueError, "momentum"),
    ("layer norm, axis", lambda: nn.LayerNorm(5)(X), ShapeError, "(6, 4)"),
    ("layer norm, eps NaN", lambda: nn.LayerNorm(4, eps=NAN), ValueError, "eps"),
    ("group norm, groups", lambda: nn.GroupNorm(3, 4), ValueError, "3"),
    ("dropout, p of 2", lambda: nn.Dropout(2.0), ValueError, "2.0"),
    ("dropout, p of -0.1", lambda: nn.Dropout(-0.1), ValueError, "-0.1"),
    ("dropout, p NaN", lambda: nn.Dropout(NAN), ValueError, "nan"),
    ("F.dropout, p NaN", lambda: F.dropout(X, NAN), ValueError, "nan"),
    (
        "embedding, index too large",
        lambda: nn.Embedding(3, 2)(mr.tensor([3])),
        (IndexError, ValueError),
        "3",
    ),
    (
        "embedding, negative index",
        lambda: nn.Embedding(3, 2)(mr.tensor([-1])),
        (IndexError, ValueError),
        "-1",
    ),
    ("embedding, floats", lambda: nn.Embedding(3, 2)(X), TypeError, "int"),
    ("attention, heads", lambda: nn.MultiheadAttention(6, 4), ValueError, "4"),
    ("lstm, features", lambda: nn.LSTM(3, 2)(mr.ones(5, 2, 4)), ShapeError, "(5, 2, 4)"),
    ("sequential, no module", lambda: nn.Sequential(nn.ReLU(), 3), TypeError, "int"),
    ("module without super().__init__", lambda: Forgot(), AttributeError, "super().__init__()"),
    (
        "save into no folder",
        lambda: mr.save({}, "no such folder/a.safetensors"),
        FileNotFoundError,
        "writing 'no such folder/a.safetensors': expected an existing folder",
    ),
    ("module without forward", lambda: nn.Module()(X), NotImplementedError, "forward"),
    (
        "parameter replaced by numbers",
        lambda: setattr(nn.Linear(2, 2), "weight", np.ones((2, 2))),
        TypeError,
        "Parameter",
    ),
    ("module, unknown attribute", lambda: nn.Linear(2, 2).wieght, AttributeError, "wieght"),
    ("module to int", lambda: nn.Linear(2, 2).to(np.int64), DTypeError, "int64"),
    (
        "load_state_dict, missing name",
        lambda: model().load_state_dict({}),
        CheckpointError,
        "0.weight",
    ),
    (
        "load_state_dict, shape",
        lambda: nn.Linear(4, 5).load_state_dict(nn.Linear(3, 5).state_dict()),
        CheckpointError,
        "(5, 3)",
    ),
]


class Forgot(nn.Module):
    def __init__(self):
        self.inner = nn.ReLU()


LOSSES = [
    ("label too large", lambda: F.cross_entropy(X, [0, 1, 4, 0, 1, 2]), ValueError, "got 4"),
    ("label of -1", lambda: F.cross_entropy(X, [0, 1, -1, 0, 1, 2]), ValueError, "got -1"),
    ("float labels", lambda: F.cross_entropy(X, X[:, 0]), TypeError, "int"),
    ("labels, too few", lambda: F.cross_entropy(X, [0, 1]), ShapeError, "(2,)"),
    ("no rows", lambda: F.cross_entropy(X[:0], np.zeros(0, int)), ShapeError, "empty batch"),
    ("class weights", lambda: F.cross_entropy(X, Y, weight=mr.ones(3)), ShapeError, "(3,)"),
    ("label smoothing", lambda: F.cross_entropy(X, Y, label_smoothing=1.5), ValueError, "1.5"),
    ("reduction", lambda: F.cross_entropy(X, Y, reduction="avg"), ValueError, "avg"),
    ("mse, shapes", lambda: F.mse_loss(X, X[:, 0]), ShapeError, "reshape the target"),
    ("mse, reduction", lambda: F.mse_loss(X, X, reduction="average"), ValueError, "average"),
    (
        "bce, shapes",
        lambda: F.binary_cross_entropy_with_logits(X[:, :1], X[:, 0]),
        ShapeError,
        "reshape the target",
    ),
]

OPTIMIZERS = [
    *(
        (
            f"{name}, lr={lr}",
            lambda name=name, lr=lr: getattr(optim, name)([W], lr=lr),
            ValueError,
            f"lr={lr}",
        )
        for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
        for lr in (NAN, INF, -1.0)
    ),
    ("lr as text", lambda: optim.SGD([W], lr="0.1"), ValueError, "lr='0.1'"),
    ("beta1 of 1", lambda: optim.Adam([W], betas=(1.0, 0.9)), ValueError, "beta1=1.0"),
    ("beta2 NaN", lambda: optim.Adam([W], betas=(0.9, NAN)), ValueError, "beta2=nan"),
    ("one beta", lambda: optim.Adam([W], betas=(0.9,)), ValueError, "betas"),
    ("a number as betas", lambda: optim.Adam([W], betas=0.9), (TypeError, ValueError), "betas"),
    ("eps negative", lambda: optim.Adam([W], eps=-1e-8), ValueError, "eps=-1e-08"),
    ("weight decay inf", lambda: optim.SGD([W], weight_decay=INF), ValueError, "weight_decay=inf"),
    ("momentum of 1", lambda: optim.SGD([W], momentum=1.0), ValueError, "momentum=1.0"),
    ("nesterov alone", lambda: optim.SGD([W], nesterov=True), ValueError, "momentum > 0"),
    ("no parameters", lambda: optim.Adam([]), ValueError, "empty"),
    ("numbers as parameters", lambda: optim.Adam([1.0]), TypeError, "float"),
    ("a model as parameters", lambda: optim.Adam(model()), TypeError, "parameters()"),
    ("a parameter twice", lambda: optim.Adam([W, W]), ValueError, "more than once"),
    ("a result as parameter", lambda: optim.Adam([W * 2]), TypeError, "leaf"),
    ("integers as parameter", lambda: optim.Adam([Y]), TypeError, "floating"),
    ("lr spoiled later", lambda: spoiled("lr", NAN), ValueError, "lr=nan"),
    (
        "weight decay spoiled later",
        lambda: spoiled("weight_decay", -1.0),
        ValueError,
        "weight_decay=-1.0",
    ),
    ("a scheduler of a number", lambda: optim.lr_scheduler.StepLR(0.1, 3), TypeError, "optimizer"),
    (
        "a scheduler, step of 0",
        lambda: optim.lr_scheduler.StepLR(optim.SGD([W], 0.1), 0),
        ValueError,
        "step_size",
    ),
    ("clip to -1", lambda: nn.utils.clip_grad_norm_([W], -1.0), ValueError, "-1"),
    ("clip to NaN", lambda: nn.utils.clip_grad_norm_([W], NAN), ValueError, "nan"),
]


def spoiled(name, value):
    w = nn.Parameter(mr.ones(3))
    optimizer = optim.SGD([w], lr=0.1)
    w.grad = mr.ones(3)
    optimizer.step()
    optimizer.param_groups[0][name] = value
    before = w.data.copy()
    try:
        optimizer.step()
    finally:
        assert (w.data == before).all()


PENALTIES = [
    *(
        (f"{kind.__name__}({lam})", lambda kind=kind, lam=lam: kind(lam), ValueError, "lam")
        for kind in (L1, L2, GroupLasso)
        for lam in (NAN, INF, -1.0, "0.1")
    ),
    ("elastic net, l1_ratio", lambda: ElasticNet(0.1, 1.5), ValueError, "l1_ratio"),
    ("mcp, gamma", lambda: MCP(0.1, NAN), ValueError, "gamma"),
    ("scad, gamma", lambda: SCAD(0.1, 1.0), ValueError, "gamma"),
    ("max norm", lambda: MaxNorm(-1.0), ValueError, "-1"),
    ("box, ends", lambda: Box(1.0, -1.0), ValueError, "Box"),
    ("groups, a word", lambda: GroupLasso(0.1, groups="row"), ValueError, "'row'"),
    (
        "groups, length",
        lambda: mr.attach(nn.Linear(4, 5), GroupLasso(0.1, groups=np.zeros(3, int))),
        ValueError,
        "3",
    ),
    (
        "a rule that matches nothing",
        lambda: mr.attach(model(), {"wieght": L1(0.1)}),
        (KeyError, ValueError),
        "wieght",
    ),
    ("a number as penalty", lambda: mr.attach(model(), 0.1), TypeError, "got 0.1"),
    ("attach to a list", lambda: mr.attach([1, 2], L1(0.1)), TypeError, "list"),
    ("prox, step negative", lambda: L1(0.1).prox(np.ones(3), -1.0), ValueError, "step"),
    ("prox, step NaN", lambda: L1(0.1).prox(np.ones(3), NAN), ValueError, "step"),
    ("adam with mcp beyond its bound", lambda: stepped(MCP(0.1, 1.5), lr=4.0), ValueError, "gamma"),
]


def stepped(penalty, lr):
    w = nn.Parameter(mr.ones(3))
    w.penalty = penalty
    w.grad = mr.ones(3)
    optim.SGD([w], lr=lr).step()


TRAINING = [
    ("epochs of 0", lambda: fit(epochs=0), ValueError, "epochs=0"),
    ("epochs of 1.5", lambda: fit(epochs=1.5), ValueError, "epochs=1.5"),
    ("batch of -3", lambda: fit(batch_size=-3), ValueError, "batch_size=-3"),
    ("no pair", lambda: fit(X), TypeError, "(X, y)"),
    ("rows and targets", lambda: fit((X, Y[:4])), ShapeError, "as many targets as rows"),
    ("NaN in X", lambda: fit((X * NAN, Y)), ValueError, "row 0"),
    ("NaN in targets", lambda: fit((X, X[:, :3] * NAN), loss=F.mse_loss), ValueError, "y"),
    (
        "text in X",
        lambda: fit((np.array([["a"] * 4] * 6), Y)),
        (TypeError, ValueError),
        "expected numbers",
    ),
    ("ragged X", lambda: fit(([[1.0, 2.0], [1.0]], [0, 1])), ShapeError, "different lengths"),
    ("features", lambda: fit((X[:, :2], Y)), ShapeError, "(6, 2)"),
    ("labels", lambda: fit((X, Y + 3)), ValueError, "labels from 0 to 2"),
    ("loss without a number", lambda: fit(loss=lambda o, t: o), ShapeError, "one number"),
    ("loss of another kind", lambda: fit(loss=lambda o, t: 3.0), ShapeError, "float"),
    ("loss by name", lambda: fit(loss="mse"), TypeError, "loss"),
    ("no model", lambda: mr.fit(len, (X, Y)), TypeError, "Module"),
    ("optimizer by name", lambda: fit(optimizer="adam"), TypeError, "optimizer"),
    ("optimizer as a class", lambda: fit(optimizer=optim.Adam), TypeError, "optimizer"),
    ("a callback that is a function", lambda: fit(callbacks=[print]), TypeError, "Callback"),
    ("one callback, no list", lambda: fit(callbacks=mr.EarlyStopping()), TypeError, "Callback"),
    ("patience", lambda: mr.EarlyStopping(0), ValueError, "patience"),
    ("min_delta NaN", lambda: mr.EarlyStopping(min_delta=NAN), ValueError, "min_delta"),
    (
        "monitor that is not there",
        lambda: fit(callbacks=[mr.EarlyStopping()]),
        KeyError,
        "val_loss",
    ),
    ("predict, NaN", lambda: mr.predict(model(), X * NAN), ValueError, "NaN"),
    ("predict, no rows", lambda: mr.predict(model(), X[:0]), ValueError, "at least one row"),
    (
        "predict, batch of 0",
        lambda: mr.predict(model(), X, batch_size=0),
        ValueError,
        "batch_size=0",
    ),
    (
        "evaluate, batch of 0",
        lambda: mr.evaluate(model(), (X, Y), batch_size=0),
        ValueError,
        "batch_size=0",
    ),
    ("checkpoint in a file", lambda: fit(checkpoint=__file__), (OSError, TypeError), "File exists"),
]

TENSORS = [
    ("text", lambda: mr.tensor("abc"), TypeError, "expected numbers"),
    ("objects", lambda: mr.tensor([None]), TypeError, "expected numbers"),
    ("complex", lambda: mr.tensor(1j), TypeError, "complex"),
    ("ragged", lambda: mr.tensor([[1.0], [1.0, 2.0]]), ShapeError, "different lengths"),
    (
        "gradient of integers",
        lambda: mr.tensor([1, 2], requires_grad=True),
        (TypeError, RuntimeError),
        "float",
    ),
    ("backward of a matrix", lambda: (X * scalar()).backward(), GraphError, "(6, 4)"),
    ("backward without graph", lambda: X.sum().backward(), GraphError, "requires_grad=True"),
    ("backward twice", lambda: twice(), GraphError, "retain_graph=True"),
    ("numpy of what is trained", lambda: W.numpy(), GraphError, "detach()"),
    ("item of many", lambda: X.item(), ValueError, "(6, 4)"),
    ("truth of many", lambda: bool(X), ValueError, "any()"),
    ("shapes that do not broadcast", lambda: X + mr.ones(3), ValueError, "broadcast"),
    ("matmul", lambda: X @ X, ShapeError, "(6, 4)"),
    ("index too large", lambda: X[9], IndexError, "9"),
    ("indices too large", lambda: X[[0, 9]], IndexError, "9"),
    ("too many indices", lambda: X[0, 0, 0], IndexError, "3"),
    ("a float as index", lambda: X[1.5], IndexError, "only integers, slices"),
    ("mask of another shape", lambda: X[mr.tensor([True, False])], IndexError, "boolean"),
    ("reshape", lambda: X.reshape(5, 5), ShapeError, "(6, 4)"),
    ("axis", lambda: X.sum(2), ValueError, "axis from -2 to 1"),
    ("mean of nothing", lambda: X[:0].mean(), ShapeError, "at least one entry"),
    ("max of nothing", lambda: X[:0].amax(), ShapeError, "at least one entry"),
    ("a copy of another shape", lambda: W.copy_(X), ShapeError, "expected shape (5, 4)"),
    ("seed of -1", lambda: mr.manual_seed(-1), ValueError, "-1"),
    ("seed of 1.5", lambda: mr.manual_seed(1.5), ValueError, "1.5"),
    ("random state", lambda: mr.set_rng_state("x"), (TypeError, ValueError), "get_rng_state"),
    ("threads of 0", lambda: mr.set_num_threads(0), ValueError, "1 to 63"),
    ("default dtype", lambda: mr.set_default_dtype(np.int64), DTypeError, "float32 or float64"),
    ("negative size", lambda: mr.zeros(-1), ValueError, "negative dimensions"),
    ("huge size", lambda: mr.zeros(2**62), (MemoryError, ValueError), "too big"),
    (
        "gradcheck of float32",
        lambda: mr.gradcheck(lambda x: x * 2, (mr.ones(2, requires_grad=True),)),
        TypeError,
        "float64",
    ),
    (
        "grad of what is not there",
        lambda: mr.grad(scalar() * 2, [scalar()]),
        GraphError,
        "allow_unused=True",
    ),
    ("compile a number", lambda: mr.compile(3), TypeError, "got 3"),
    ("compiled, a list", lambda: mr.compile(lambda x: x)([1, 2]), TypeError, "hashable"),
]


def twice():
    y = scalar() * 2
    y.backward()
    y.backward()


CASES = LAYERS + LOSSES + OPTIMIZERS + PENALTIES + TRAINING + TENSORS


@pytest.mark.parametrize(
    ("call", "kind", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_wrong_input_raises_in_words(call, kind, words):
    given = [value.data.copy() for value in (X, Y, IMAGE, W)]
    with pytest.raises(kind, match=re.escape(words)) as caught:
        call()
    assert len(str(caught.value)) > 15
    for value, before in zip((X, Y, IMAGE, W), given, strict=True):
        np.testing.assert_array_equal(value.data, before)


def test_there_are_many_of_them():
    assert len({name for name, *_ in CASES}) == len(CASES) >= 80
