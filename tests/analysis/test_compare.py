"""compare: every regularizer on the same folds, tables from disk, the command, the backends."""

import warnings

import numpy as np
import pytest

import microreg as mr
from microreg import nn
from microreg.__main__ import main
from microreg.analysis import RECIPES, Recipe, frame
from microreg.analysis.compare import _folds, one_fold
from microreg.penalties import L1

QUICK = {"folds": 3, "epochs": 4, "hidden": (6,), "progress": False}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(90, 5))
    return X, (X[:, 0] + 0.3 * rng.normal(size=90) > 0).astype(int) + (X[:, 1] > 1)


@pytest.fixture(scope="module")
def found(data):
    return mr.compare(*data, **QUICK)


def test_each_regularizer_is_tried_at_each_strength(found):
    assert sorted(row["name"] for row in found.rows) == sorted(RECIPES)
    for row in found.rows:
        assert row["strength"] in RECIPES[row["name"]].strengths
        assert len(row["losses"]) == 3
        np.testing.assert_allclose(row["loss"], np.mean(row["losses"]))
        np.testing.assert_allclose(row["error"], np.std(row["losses"], ddof=1) / 3**0.5)
    losses = [row["loss"] for row in found.rows]
    assert losses == sorted(losses)
    assert found.best == found.rows[0]["name"]
    assert found.best in str(found)


def test_the_strength_shown_has_the_least_held_out_loss(data):
    each = {str(s): Recipe("l1", strengths=(s,)) for s in (1e-3, 0.02, 0.3)}
    alone = {row["strength"]: row["loss"] for row in mr.compare(*data, **QUICK, recipes=each).rows}
    both = {"L1": Recipe("l1", strengths=tuple(alone))}
    (row,) = mr.compare(*data, **QUICK, recipes=both).rows
    assert (row["strength"], row["loss"]) == min(alone.items(), key=lambda pair: pair[1])


def test_a_fold_is_what_fit_gives_by_hand(data):
    X, y = data
    parts = _folds(y, 3, 0)
    rows, held = np.flatnonzero(parts != 1), np.flatnonzero(parts == 1)
    options = {"hidden": (6,), "epochs": 4, "batch_size": 32, "lr": 3e-3, "seed": 7}
    got = one_fold(X.astype("f"), y, RECIPES["L1"], 0.01, parts != 1, options)
    mr.manual_seed(7)
    Z = ((X - X[rows].mean(0)) / X[rows].std(0)).astype(np.float32)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    mr.attach(model, L1(0.01))
    mr.fit(
        model, (Z[rows], y[rows]), val=(Z[held], y[held]), epochs=4, progress=False,
        optimizer=mr.optim.Adam(model.parameters(), lr=3e-3),
    )  # fmt: skip
    want = mr.evaluate(model, (Z[held], y[held]))
    assert got["loss"] == pytest.approx(want["loss"], rel=1e-4)
    assert got["accuracy"] == want["accuracy"]


def test_folds_part_the_rows_and_spread_the_classes(data):
    _, y = data
    parts = _folds(y, 4, 0)
    for label in range(3):
        counts = np.bincount(parts[y == label], minlength=4)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(ValueError, match=r"folds=40\): expected 2 to \d+, there are \d+ rows in"):
        _folds(y, 40, 0)


def test_numbers_are_predicted_too(data):
    X, y = data
    found = mr.compare(X, y + 0.1 * X[:, 2], **QUICK, recipes=["none", "L2"])
    assert "accuracy" not in str(found)
    assert found.rows[0]["loss"] < 1.5  # of a target of variance 1


def test_the_page_and_the_figure(data, tmp_path):
    pytest.importorskip("matplotlib")
    found = mr.compare(*data, **QUICK, recipes=["early stopping", "L1", "none"])
    found.save(tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text()
    assert "<svg" in text and "early stopping" in text and "http-equiv" not in text
    assert " src=" not in text and "<script" not in text
    found.figure(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_what_is_not_a_recipe_is_refused(data):
    with pytest.raises(ValueError, match=r"expected some of \['none', 'L2'.*got \['L3'\]"):
        mr.compare(*data, recipes=["L3"])
    with pytest.raises(ValueError, match=r"expected X \(n, d\) and y \(n,\)"):
        mr.compare(data[0][:, 0], data[1])
    with pytest.raises(ValueError, match=r"expected class numbers 0, 1, ... without a gap, got"):
        mr.compare(data[0], data[1] * 2 - 1)


LIBRARIES = ["polars", "pandas"]


@pytest.fixture(params=LIBRARIES)
def library(request, monkeypatch):
    module = pytest.importorskip(request.param)
    if request.param == "pandas":
        monkeypatch.setitem(__import__("sys").modules, "polars", None)
    return module


def written(tmp_path, text):
    (tmp_path / "d.csv").write_text(text)
    return tmp_path / "d.csv"


def test_a_table_is_read(library, tmp_path):
    text = "a,b,word,y\n" + "".join(
        f"{i},{i % 7 / 2},x,{'no' if i % 3 else 'yes'}\n" for i in range(20)
    )
    data = frame.read(written(tmp_path, text), "y", drop=["word"])
    assert (data.columns, data.classes) == (["a", "b"], ["no", "yes"])
    np.testing.assert_array_equal(data.X[:, 1], np.float32([i % 7 / 2 for i in range(20)]))
    np.testing.assert_array_equal(data.y, [int(i % 3 == 0) for i in range(20)])
    numbers = frame.read(tmp_path / "d.csv", "b", drop=["word", "y"])
    assert numbers.classes is None and numbers.y.dtype == np.float32
    assert (
        frame.read(tmp_path / "d.csv", "a", drop=["word", "y"], task="regression").classes is None
    )
    if library.__name__ == "polars":
        library.read_csv(tmp_path / "d.csv").write_parquet(tmp_path / "d.parquet")
        again = frame.read(tmp_path / "d.parquet", "y", drop=["word"])
        np.testing.assert_array_equal(again.X, data.X)


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        ("a,y\n1,0\n2,1\n", "z", r"d\.csv: expected a column 'z'; there are \['a', 'y'\]"),
        ("age,y\n1,0\n2,1\n", "agee", r"a column 'agee'; did you mean 'age'\?"),
        ("a,b,y\n1,2,0\n,2,1\n3,,1\n", "y", "column 'a' has 1 missing values, the first in row 1"),
        ("a,y\n1,0\n2,\n", "y", "column 'y' has 1 missing values, the first in row 1"),
        ("a,y\nu,0\nv,1\nw,1\nx,0\n", "y", r"'a' holds text, 4 kinds of it \('u', 'v', 'w', ...\)"),
        ("a,y\n1,3\n2,3\n", "y", "target 'y' is 3 in every row; expected two values"),
        ("a,y\n1,u\n2,v\n3,w\n", "y", "target 'y' has 3 classes in 3 rows"),
        ("y\n1\n0\n1\n0\n", "y", "expected columns beside the target 'y', got none"),
        ("a,y\n", "y", "expected rows, got none"),
    ],
)
def test_a_table_that_will_not_do_is_explained(text, target, words, library, tmp_path):
    with pytest.raises(ValueError, match=words):
        frame.read(written(tmp_path, text), target)


def test_dates_are_no_numbers(tmp_path):
    pl = pytest.importorskip("polars")
    days = np.arange("2026-01-01", "2026-01-05", dtype="datetime64[D]")
    pl.DataFrame({"day": days, "y": [0, 1, 0, 1]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="column 'day' holds dates, 4 kinds of it"):
        frame.read(tmp_path / "d.parquet", "y")


def test_files_that_are_not_tables_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected a CSV or Parquet file, there is none"):
        frame.read(tmp_path / "no.csv", "y")
    (tmp_path / "d.txt").write_text("a")
    with pytest.raises(ValueError, match=r"ends in \.csv or \.parquet"):
        frame.read(tmp_path / "d.txt", "y")


def test_the_command_prints_the_table_and_writes_the_page(tmp_path, capsys, monkeypatch):
    pytest.importorskip("polars")
    pytest.importorskip("matplotlib")
    rows = np.random.default_rng(0).normal(size=(40, 3))
    text = "a,b,y\n" + "".join(f"{a},{b},{int(a + c > 0)}\n" for a, b, c in rows)
    monkeypatch.chdir(tmp_path)
    path = str(written(tmp_path, text))
    assert main(["compare", path, "--target", "y", "--only", "none", "L1", "--epochs", "3"]) == 0
    said = capsys.readouterr().out
    assert "40 rows, 2 inputs, classes ['0', '1']" in said
    assert "d-comparison.html written" in said
    assert (tmp_path / "d-comparison.html").exists()
    with pytest.raises(SystemExit, match=r"compare: d\.csv: expected a column 'z'"):
        main(["compare", path, "--target", "z"])


def numbers(found):
    return [[row["name"], *row["losses"]] for row in found.rows]


def test_processes_give_the_same_numbers(data):
    pytest.importorskip("joblib")
    some = QUICK | {"recipes": ["none", "L1"]}
    assert numbers(mr.compare(*data, **some, n_jobs=2)) == numbers(mr.compare(*data, **some))


def test_a_cluster_of_dask_gives_the_same_numbers(data):
    joblib = pytest.importorskip("joblib")
    distributed = pytest.importorskip("distributed")
    some = QUICK | {"recipes": ["none", "L1"]}
    rule = {"0.weight": L1(1.0)}
    walk = {"n_lambdas": 3, "val": 2, "steps": 20, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with distributed.Client(**cluster), joblib.parallel_config(backend="dask"):
            got = mr.compare(*data, **some, n_jobs=2)
            mr.manual_seed(0)
            path = mr.path(nn.Sequential(nn.Linear(5, 3)), data, rule, n_jobs=2, **walk)
    assert numbers(got) == numbers(mr.compare(*data, **some))
    mr.manual_seed(0)
    want = mr.path(nn.Sequential(nn.Linear(5, 3)), data, rule, **walk)
    np.testing.assert_array_equal(path.val_loss, want.val_loss)


@pytest.mark.long
def test_ray_gives_the_same_numbers(data):
    joblib = pytest.importorskip("joblib")
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    some = QUICK | {"recipes": ["none", "L1"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
        register_ray()
        try:
            with joblib.parallel_config(backend="ray"):
                got = mr.compare(*data, **some, n_jobs=2)
        finally:
            ray.shutdown()
    assert numbers(got) == numbers(mr.compare(*data, **some))


def test_bench_prints_a_line_for_each_network(capsys, monkeypatch):
    from microreg import speed

    monkeypatch.setattr(speed, "SECONDS", 0.01)
    monkeypatch.setattr(speed, "NETWORKS", {"tiny": ((4, 3, 2), 8, True)})
    assert main(["bench"]) == 0
    name, *times = capsys.readouterr().out.splitlines()[-1].split()
    assert name == "tiny" and all(float(t) > 0 for t in times) and len(times) == 2
