"""The path: strengths, warm starts, supports, validation, refit; scikit-learn's where linear."""

import sys

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, Support, WeightDecay, warmup

EXACT = {"steps": 20_000, "tol": 1e-9, "progress": False}


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(70, 9)) @ (np.eye(9) + 0.15)
    return X, X @ np.array([[3.0, -2, 0, 0, 1, 0, 0, 0.3, 0]]).T + rng.normal(size=(70, 1)) + 4


def curved(rng, n, d):
    """Rows in which five columns matter, in curves and a product; targets of mean 0, variance 1."""
    X = rng.normal(size=(n, d)).astype(np.float32)
    y = 2 * np.tanh(2 * X[:, 0]) + 3 * np.maximum(X[:, 1], 0) + X[:, 2] * (1 + 0.7 * X[:, 3])
    y += X[:, 3] - 1.2 * X[:, 4] + 0.5 * X[:, 4] ** 2 + 0.5 * rng.normal(size=n)
    return X, ((y - y.mean()) / y.std()).astype(np.float32)[:, None]


def mlp(d, hidden=8, act=nn.Tanh):
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(d, hidden), act(), nn.Linear(hidden, 1))
    return mr.attach(model, {"2.weight": L2(1e-2)})


INPUTS = {"0.weight": GroupLasso(1.0, groups="in")}


# a linear model: scikit-learn's numbers


@pytest.mark.parametrize("l1_ratio", [1.0, 0.6])
def test_a_linear_path_is_scikit_learns(rows, l1_ratio):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = rows
    rule = {"weight": ElasticNet(2.0, l1_ratio) if l1_ratio < 1 else L1(2.0)}
    model = nn.Linear(9, 1, dtype=np.float64)
    path = mr.path(model, rows, rule, loss=F.mse_loss, val=None, n_lambdas=12, **EXACT)
    A, b = X - X.mean(axis=0), y[:, 0] - y.mean()
    largest = np.abs(A.T @ b).max() / 70 / l1_ratio
    np.testing.assert_allclose(path.lambdas, largest * np.geomspace(1, 0.01, 12), rtol=1e-9)
    _, want, _ = linear_model.enet_path(
        A, b, l1_ratio=l1_ratio, alphas=path.lambdas, tol=1e-14, max_iter=100_000
    )
    np.testing.assert_allclose(path.weights["weight"][:, 0], want.T, atol=1e-7)
    np.testing.assert_array_equal(path.support["weight"][1:], want.T[1:] != 0)
    assert not path.support["weight"][0].any()
    assert path.val_loss is path.best is path.one_se is None


def test_the_largest_strength_is_the_least_that_gives_zero(rows):
    model = nn.Linear(9, 1, dtype=np.float64)
    for penalty in (
        L1(0.7),
        GroupLasso(1.3, groups="in"),
        ElasticNet(0.4, 0.3),
        [L1(1.0), L2(0.1)],
    ):
        lambdas = mr.path(
            model, rows, {"weight": penalty}, loss=F.mse_loss, val=None, n_lambdas=2, **EXACT
        ).lambdas
        near = mr.path(
            model, rows, {"weight": penalty}, loss=F.mse_loss, val=None,
            lambdas=[lambdas[0] * 0.999, lambdas[0] * 1.001], **EXACT,
        )  # fmt: skip
        assert [len(np.flatnonzero(s)) for s in near.support["weight"]] == [0, 1]


def test_folds_errors_and_the_one_standard_error_rule(rows):
    X, y = rows
    model = nn.Linear(9, 1, dtype=np.float64)
    mr.manual_seed(3)
    path = mr.path(model, rows, L1(2.0), loss=F.mse_loss, val=7, n_lambdas=15, **EXACT)
    mr.manual_seed(3)
    folds = np.array_split(mr.random.generator().permutation(70), 7)
    losses = np.empty((7, 15))
    for k, fold in enumerate(folds):
        rest = np.setdiff1d(np.arange(70), fold)
        part = mr.path(
            model,
            (X[rest], y[rest]),
            L1(2.0),
            loss=F.mse_loss,
            val=None,
            lambdas=path.lambdas,
            **EXACT,
        )
        for i in range(15):
            losses[k, i] = mr.evaluate(part.at(i), (X[fold], y[fold]), F.mse_loss)["loss"]
    np.testing.assert_allclose(path.val_loss, losses.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(path.val_error, losses.std(axis=0, ddof=1) / np.sqrt(7), rtol=1e-5)
    assert path.best == np.argmin(path.val_loss)
    within = path.val_loss <= path.val_loss[path.best] + path.val_error[path.best]
    assert path.one_se == np.argmax(within) <= path.best
    assert path.lambdas[path.one_se] > path.lambdas[path.best]


def test_validation_rows_and_the_error_over_them(rows, rng):
    X, y = rows
    held = X[40:], y[40:]
    model = nn.Linear(9, 1, dtype=np.float64)
    path = mr.path(
        model, (X[:40], y[:40]), L1(2.0), loss=F.mse_loss, val=held, n_lambdas=8, **EXACT
    )
    for i in (0, 4, 7):
        squares = (mr.predict(path.at(i), held[0]) - held[1])[:, 0] ** 2
        assert path.val_loss[i] == pytest.approx(squares.mean(), rel=1e-9)
        assert path.val_error[i] == pytest.approx(squares.std(ddof=1) / np.sqrt(30), rel=1e-9)


def test_multinomial_regression_with_groups(rng):
    X = rng.normal(size=(90, 6))
    y = np.argmax(X[:, :3] + 0.5 * rng.normal(size=(90, 3)), axis=1)
    rule = {"weight": GroupLasso(1.0, groups="in")}
    path = mr.path(nn.Linear(6, 3, dtype=np.float64), (X, y), rule, n_lambdas=20, **EXACT)
    assert set(path.entries()[:3]) == {0, 1, 2}
    assert path.support["weight"].shape == (20, 6)
    np.testing.assert_array_equal(path.support["weight"][5], path.weights["weight"][5].any(axis=0))


def test_the_order_of_entry(rows):
    path = mr.path(
        nn.Linear(9, 1, dtype=np.float64), rows, L1(1.0), loss=F.mse_loss, val=None, n_lambdas=60,
        lam_min_ratio=0.3, **EXACT,
    )  # fmt: skip
    np.testing.assert_array_equal(path.entries(), [0, 1, 4])
    assert list(path.entries("weight")) == [0, 1, 4]
    with pytest.raises(KeyError, match=r"expected one of \['weight'\], got 'bias'"):
        path.entries("bias")


# what comes out


def test_a_model_of_the_path_is_a_copy_with_its_penalties(rows):
    model = mr.attach(nn.Linear(9, 1, dtype=np.float64), {"bias": L2(1e-3)})
    before = model.weight.data.copy()
    rule = {"weight": [L1(0.5), MaxNorm(2.5)]}
    path = mr.path(model, rows, rule, loss=F.mse_loss, val=3, n_lambdas=6, **EXACT)
    np.testing.assert_array_equal(model.weight.data, before)
    assert model.weight.penalty is None and model.training
    made = path.at(4)
    np.testing.assert_array_equal(made.weight.data, path.weights["weight"][4])
    assert made.weight.penalty[0] == L1(0.5 * path.lambdas[4])
    assert isinstance(made.weight.penalty[1], MaxNorm) and made.bias.penalty == L2(1e-3)
    assert np.linalg.norm(made.weight.data) <= 2.5 + 1e-12
    assert path.loss[4] == pytest.approx(mr.evaluate(made, rows, F.mse_loss)["loss"], rel=1e-12)
    assert path.penalty[4] == pytest.approx(mr.penalties.number(made), rel=1e-12)
    made.weight.data[...] = 0
    assert path.weights["weight"][4].any()
    np.testing.assert_array_equal(path.at().weight.data, path.weights["weight"][path.one_se])


def test_refitting_keeps_zeros_and_frees_the_rest(rows):
    X, y = rows
    path = mr.path(
        nn.Linear(9, 1, dtype=np.float64), rows, L1(1.0), loss=F.mse_loss, n_lambdas=15, **EXACT
    )
    alive = path.support["weight"][path.one_se]
    assert 0 < alive.sum() < 9
    refit = path.refit()
    want = np.linalg.lstsq(np.c_[X[:, alive], np.ones(len(X))], y, rcond=None)[0][:, 0]
    np.testing.assert_allclose(refit.weight.data[0, alive], want[:-1], rtol=1e-6)
    assert not refit.weight.data[0, ~alive].any()
    assert isinstance(refit.weight.penalty[0], Support)
    some = X[:35], y[:35]
    other = path.refit(path.best, some).weight.data
    assert np.abs(other - path.refit(path.best).weight.data).max() > 1e-3
    ridge = mr.path(
        nn.Linear(9, 1, dtype=np.float64), rows, {"weight": [L1(1.0), L2(0.2)]}, loss=F.mse_loss,
        val=None, n_lambdas=5, **EXACT,
    ).refit(3)  # fmt: skip
    alive = ridge.weight.data[0] != 0
    A, b = X[:, alive] - X[:, alive].mean(axis=0), y - y.mean()
    want = np.linalg.solve(A.T @ A / 70 + 0.2 * np.eye(alive.sum()), A.T @ b / 70)
    np.testing.assert_allclose(ridge.weight.data[0, alive], want[:, 0], rtol=1e-6)


def test_without_validation_an_index_is_needed(rows):
    path = mr.path(
        nn.Linear(9, 1), rows, L1(1.0), loss=F.mse_loss, val=None, n_lambdas=3, progress=False
    )
    with pytest.raises(ValueError, match="without validation nothing is chosen; give the index"):
        path.at()
    assert "validation" not in str(path)


def test_the_table_and_the_figure(rows, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    path = mr.path(nn.Linear(9, 1), rows, L1(1.0), loss=F.mse_loss, n_lambdas=10, progress=False)
    lines = str(path).splitlines()
    assert lines[0].split() == ["lam", "weight", "loss", "validation"] and len(lines) == 11
    assert lines[1].split()[1:4] == ["0", "of", "9"]
    assert [i for i, line in enumerate(lines[1:]) if "1-SE" in line] == [path.one_se]
    assert [i for i, line in enumerate(lines[1:]) if "best" in line] == [path.best]
    figure = path.figure(tmp_path / "path.png")
    assert (tmp_path / "path.png").stat().st_size > 10_000
    assert [a.get_title() for a in figure.axes] == ["weights", "not zero", "loss"]
    assert len(figure.axes[0].lines) == 9 + 2


# networks


def test_a_network_selects_the_inputs_that_matter(rng):
    X, y = curved(rng, 260, 120)
    path = mr.path(
        mlp(120), (X[:200], y[:200]), INPUTS, loss=F.mse_loss, n_lambdas=15, lam_min_ratio=0.05,
        tol=1e-3, progress=False,
    )  # fmt: skip
    chosen = np.flatnonzero(path.support["0.weight"][path.one_se])
    assert set(range(5)) <= set(chosen) and len(chosen) <= 12
    assert not path.support["0.weight"][0].any() and path.support["0.weight"][-1].sum() > 20
    held = X[200:], y[200:]
    shrunk, free = (mr.evaluate(m, held, F.mse_loss)["loss"] for m in (path.at(), path.refit()))
    assert free < shrunk < 0.6


def test_the_grid_of_a_network_ends_where_its_last_weight_does(rng):
    X, y = curved(rng, 120, 15)
    path = mr.path(
        mlp(15), (X, y), INPUTS, loss=F.mse_loss, val=None, n_lambdas=12, lam_min_ratio=0.1,
        tol=1e-3, progress=False,
    )  # fmt: skip
    alive = path.support["0.weight"].sum(axis=1)
    assert alive[0] == 0 and alive[4] > 0 and (np.diff(alive) >= 0).mean() > 0.8


def test_weights_that_could_grow_in_place_of_others(rng, monkeypatch):
    X, y = curved(rng, 60, 6)
    model = mlp(6)
    options = {"loss": F.mse_loss, "val": None, "steps": 50, "progress": False}
    monkeypatch.setattr(sys.modules["microreg.analysis.path"], "DOUBLINGS", 1)
    with pytest.raises(ValueError, match=r"0.weight'\] are not zero .* in their place: penalise"):
        mr.path(model, (X, y), INPUTS, **options)
    model[2].weight.penalty = None
    with pytest.warns(RuntimeWarning, match=r"path: 2.weight may grow .* attach L2, of 0.01 say"):
        mr.path(model, (X, y), INPUTS, lambdas=[0.1], **options)


def test_an_optimizer_of_ones_own_with_dropout_and_batches(rng):
    X, y = curved(rng, 80, 6)
    mr.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
    )
    options = {"loss": F.mse_loss, "val": 2, "lambdas": [0.003, 0.03, 0.3], "progress": False}
    with pytest.raises(ValueError, match=r"BatchNorm1d needs batches; give optimizer=lambda"):
        mr.path(model, (X, y), INPUTS, **options)
    with pytest.raises(ValueError, match=r"\['epochs'\] are options of fit; give optimizer=lambda"):
        mr.path(mlp(6), (X, y), INPUTS, epochs=3, **options)

    def adam(parameters):
        return optim.Adam(parameters, lr=0.02)

    runs = [
        mr.path(model, (X, y), INPUTS, optimizer=adam, epochs=15, batch_size=16, **options)
        for _ in range(2)
    ]
    assert runs[0].support["0.weight"].sum(axis=1)[0] < runs[0].support["0.weight"].sum(axis=1)[-1]
    assert np.isnan(runs[0].residual).all()
    np.testing.assert_array_equal(runs[0].weights["0.weight"], runs[1].weights["0.weight"])


def test_two_rules_at_once_share_the_strength(rng):
    X, y = curved(rng, 100, 8)
    rule = {"0.weight": GroupLasso(1.0, groups="in"), "2.weight": L1(0.5)}
    path = mr.path(
        mlp(8), (X, y), rule, loss=F.mse_loss, val=None, n_lambdas=5, tol=1e-3, progress=False
    )
    assert set(path.support) == {"0.weight", "2.weight"}
    assert path.support["0.weight"].shape == (5, 8) and path.support["2.weight"].shape == (5, 8)
    made = path.at(2)
    assert made[0].weight.penalty[0].lam == 2 * made[2].weight.penalty[0].lam == path.lambdas[2]
    assert made[2].weight.penalty[0].lam > 0 and str(path).count("of 8") == 10


# runs, seeds, processes


def test_seeds_start_anew_and_leave_the_random_state(rng):
    X, y = curved(rng, 60, 5)
    options = {"loss": F.mse_loss, "val": 2, "lambdas": [0.01, 0.1], "steps": 40, "progress": False}
    model = mlp(5)
    scores = []
    for seeds in (1, 2, 3):
        mr.manual_seed(9)
        scores.append(mr.path(model, (X, y), INPUTS, seeds=seeds, **options).val_loss)
        state = mr.get_rng_state()
        mr.manual_seed(9)
        mr.random.generator()
        np.testing.assert_array_equal(mr.get_rng_state(), state)  # one draw, for the folds
    assert len({tuple(s) for s in scores}) == 3
    held = mr.path(model, (X, y), INPUTS, **{**options, "val": (X[:20], y[:20])}, seeds=2)
    alone = mr.path(model, (X, y), INPUTS, **{**options, "val": (X[:20], y[:20])})
    np.testing.assert_array_equal(held.weights["0.weight"], alone.weights["0.weight"])
    assert (held.val_loss != alone.val_loss).any()


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_processes_and_threads_give_the_same_bits(backend, rng):
    joblib = pytest.importorskip("joblib")
    X, y = curved(rng, 60, 5)
    found = []
    for n_jobs in (None, 2):
        mr.manual_seed(9)
        with joblib.parallel_config(backend=backend):
            found.append(
                mr.path(
                    mlp(5), (X, y), INPUTS, loss=F.mse_loss, val=3, lambdas=[0.01, 0.1], steps=40,
                    n_jobs=n_jobs, seeds=2, progress=False,
                )
            )  # fmt: skip
    a, b = found
    np.testing.assert_array_equal(a.weights["0.weight"], b.weights["0.weight"])
    np.testing.assert_array_equal(a.val_loss, b.val_loss)
    np.testing.assert_array_equal(a.val_error, b.val_error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rule": L1(warmup(1.0, 5))},
            "rule for weight: expected lam to be a number, got .*warmup",
        ),
        ({"rule": {"weight": L2(1.0)}}, r"rule for weight: expected a penalty with lam > 0"),
        ({"rule": {"weight": L1(0.0)}}, r"rule for weight: expected a penalty with lam > 0"),
        ({"rule": {"weight": WeightDecay(1.0)}}, r"makes weights zero, got \[WeightDecay"),
        ({"n_lambdas": 0}, r"path\(n_lambdas=0\): expected a positive integer"),
        ({"seeds": 1.5}, r"path\(seeds=1.5\): expected a positive integer"),
        ({"lam_min_ratio": 1.0}, r"path\(lam_min_ratio=1.0\): expected a number between 0 and 1"),
        ({"lambdas": [-1.0]}, "expected finite strengths of at least 0"),
        ({"val": 1}, r"path\(val=1\): expected 2 to 70 folds"),
        ({"val": 71}, r"path\(val=71\): expected 2 to 70 folds"),
    ],
)
def test_what_makes_no_path_is_refused(rows, options, message):
    options = {"rule": L1(1.0), **options}
    with pytest.raises((ValueError, TypeError), match=message):
        mr.path(nn.Linear(9, 1), rows, loss=F.mse_loss, progress=False, **options)


@pytest.mark.long
def test_500_rows_and_5000_columns(rng):
    X, y = curved(rng, 2500, 5000)
    mr.manual_seed(0)
    path = mr.path(
        mlp(5000, hidden=16), (X[:500], y[:500]), INPUTS, loss=F.mse_loss, n_lambdas=25,
        lam_min_ratio=0.05, tol=1e-3, progress=False,
    )  # fmt: skip
    chosen = np.flatnonzero(path.support["0.weight"][path.one_se])
    assert set(chosen) == set(range(5))
    held = X[500:], y[500:]
    assert mr.evaluate(path.refit(), held, F.mse_loss)["loss"] < 0.12
    assert mr.evaluate(path.at(), held, F.mse_loss)["loss"] < 0.4
