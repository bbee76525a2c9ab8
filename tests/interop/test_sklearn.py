"""The estimators: scikit-learn's own checks, its optima at depth 0, its tools and frames."""

import importlib.util
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_diabetes, make_classification
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import microreg as mr
from microreg import nn, optim
from microreg.penalties import L1, L2
from microreg.sklearn import Classifier, PathClassifier, PathRegressor, Regressor

QUICK = {"n_lambdas": 2, "cv": 2, "steps": 30}
EXACT = {"hidden": (), "optimizer": lambda p: optim.SGD(p, lr=0.3, momentum=0.9)}


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:200], y[:200]
    return (X - X.mean(0)) / X.std(0), (y - y.mean()) / y.std()


@pytest.fixture(scope="module")
def blobs():
    X, y = make_classification(
        240, 12, n_informative=3, n_redundant=0, n_clusters_per_class=1, class_sep=2.0,
        shuffle=False, random_state=0,
    )  # fmt: skip
    return X, y


@pytest.mark.parametrize(
    "estimator",
    [Classifier(), Regressor(), PathClassifier(**QUICK), PathRegressor(**QUICK)],
    ids=lambda e: type(e).__name__,
)
def test_every_check_of_scikit_learn_passes(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(estimator, on_skip=None, on_fail=None)
    failed = {f["check_name"]: f["exception"] for f in found if f["status"] == "failed"}
    skipped = {f["check_name"] for f in found if f["status"] == "skipped"}
    assert failed == {}
    may_skip = {"check_array_api_input"}  # it asks for an environment variable
    if not importlib.util.find_spec("pandas"):
        may_skip |= {c for c in skipped if c.endswith(("_pandas_series", "_data_not_an_array"))}
    assert skipped <= may_skip
    assert len(found) > 45


@pytest.mark.parametrize("lam", [0.03, 0.2, 0.7])
def test_at_depth_0_it_is_ridge_regression(diabetes, lam):
    X, y = diabetes
    got = Regressor(**EXACT, penalty="l2", lam=lam, batch_size=200, epochs=400).fit(X, y)
    want = Ridge(alpha=lam * len(X)).fit(X, y)  # |y - Xw|^2 + alpha |w|^2
    np.testing.assert_allclose(got.coef_, want.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(got.intercept_, want.intercept_, atol=1e-8)


@pytest.mark.parametrize("lam", [0.004, 0.03, 0.3])
def test_at_depth_0_it_is_logistic_regression(blobs, lam):
    X, y = blobs
    got = Classifier(**EXACT, penalty="l2", lam=lam, batch_size=240, epochs=1500).fit(X, y)
    want = LogisticRegression(C=1 / (2 * lam * len(X)), tol=1e-10).fit(X, y)
    np.testing.assert_allclose(got.coef_, want.coef_, atol=1e-5)
    np.testing.assert_allclose(got.predict_proba(X), want.predict_proba(X), atol=1e-5)


def test_a_path_has_the_coefficients_of_the_lasso(diabetes):
    X, y = diabetes
    made = PathRegressor(n_lambdas=5, cv=3, random_state=0).fit(X, y)
    for lam, weight in zip(made.path_.lambdas, made.path_.weights["0.weight"], strict=True):
        want = Lasso(alpha=lam / 2, tol=1e-10).fit(X, y).coef_
        np.testing.assert_allclose(weight[0], want, atol=1e-3)
    assert made.lam_ == made.path_.lambdas[made.path_.one_se]
    np.testing.assert_array_equal(made.support_, made.coef_ != 0)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_weight_of_a_row_is_what_so_many_copies_are(blobs, weighted):
    X, y = blobs[0][:60], np.arange(60) % 3
    weight = np.arange(60) % 4
    options = {"hidden": (5,), "epochs": 10, "batch_size": 300, "random_state": 1}
    extra = {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}} if weighted else {}
    got = Classifier(**options, **extra).fit(X, y, sample_weight=weight)
    rows = np.repeat(np.arange(60), weight)
    want = Classifier(**options, **extra).fit(X[rows], y[rows])
    np.testing.assert_allclose(got.predict_proba(X), want.predict_proba(X), rtol=1e-6)
    plain = Classifier(**options).fit(X, y)
    assert np.abs(got.predict_proba(X) - plain.predict_proba(X)).max() > 1e-3


def test_group_lasso_finds_the_inputs_in_use(rng):
    X = rng.normal(size=(400, 20))
    y = np.maximum(X[:, 0], X[:, 1]) > X[:, 2] + 0.5
    made = Classifier((16,), penalty="group_lasso", lam=0.01, lr=0.01, random_state=0).fit(X, y)
    assert made.support_[:3].all()
    assert made.support_[3:].sum() <= 3
    assert made.score(X, y) > 0.85
    np.testing.assert_array_equal(made.support_, made.model_[0].weight.data.any(axis=0))


def test_pipelines_and_searches_give_the_same_for_any_number_of_processes(blobs):
    X, y = blobs
    pipe = make_pipeline(StandardScaler(), Classifier((8,), epochs=40, lr=0.02, random_state=0))
    alone, shared = (cross_val_score(pipe, X, y, cv=3, n_jobs=jobs) for jobs in (None, 2))
    np.testing.assert_array_equal(alone, shared)
    grid = {"classifier__penalty": [None, "l1", L1(0.01)], "classifier__lam": [1e-3]}
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.85


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_keep_their_column_names(library, blobs):
    frames = pytest.importorskip(library)
    X, y = blobs
    names = [f"x{i}" for i in range(X.shape[1])]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    target = frames.Series(np.where(y == 1, "ill", "well"))
    made = Classifier((4,), epochs=3, random_state=0).fit(frame, target)
    assert list(made.feature_names_in_) == names
    assert set(made.predict(frame)) <= {"ill", "well"}
    np.testing.assert_array_equal(made.predict_proba(frame).shape, (240, 2))
    with pytest.raises(ValueError, match="feature names"):
        made.predict(frame[names[::-1]])


def test_parts_and_warm_starts_go_on_from_where_the_network_is(blobs):
    X, y = blobs
    parts = Classifier((8,), random_state=0)
    for _ in range(30):
        parts.partial_fit(X, y, classes=[0, 1])
    assert parts.n_iter_ == 30
    assert parts.score(X, y) > 0.9
    warm = Classifier((8,), epochs=4, warm_start=True, random_state=0).fit(X, y)
    model, loss = warm.model_, warm.history_["loss"][-1]
    assert warm.fit(X, y).model_ is model
    assert warm.n_iter_ == 8
    assert warm.history_["loss"][-1] < loss
    assert warm.fit(X[:, :5], y).model_ is not model


def test_early_stopping_goes_back_to_the_best_weights(blobs):
    X, y = blobs[0], blobs[1]
    noisy = np.where(np.arange(240) % 3, y, 1 - y)
    made = Classifier((64,), lr=0.02, early_stopping=True, patience=3, random_state=0)
    made.fit(X, noisy)
    assert made.n_iter_ == made.history_.best_epoch + 4 < 200


def test_a_network_of_your_own_and_several_targets(diabetes):
    X, y = diabetes

    def make(inputs, outputs):
        return nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))

    both = np.column_stack([y, X[:, 0]])
    made = Regressor(make, penalty={"0.weight": L2(1e-3)}, lr=0.02, epochs=60, random_state=0)
    made.fit(X, both)
    assert made.predict(X).shape == both.shape
    assert made.score(X, both) > 0.5
    assert made.model_[0].weight.penalty == L2(1e-3)
    assert made.model_[0].weight.dtype == np.float64
    assert Regressor(make, epochs=1).fit(X.astype(np.float32), y).predict(X).dtype == np.float32
    with pytest.raises(AttributeError, match="one linear layer"):
        made.coef_  # noqa: B018


def test_the_random_state_of_others_is_left_alone(blobs):
    X, y = blobs
    mr.manual_seed(5)
    before = mr.get_rng_state()
    first = Classifier((4,), dropout=0.3, epochs=2, random_state=3).fit(X, y)
    np.testing.assert_array_equal(mr.get_rng_state(), before)
    again = Classifier((4,), dropout=0.3, epochs=2, random_state=3).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize(
    ("estimator", "text"),
    [
        (Classifier((0,)), r"Classifier\(hidden=\(0,\)\): expected widths of layers"),
        (Classifier(activation="rleu"), r"activation='rleu'\): expected one of 'gelu', "),
        (Classifier(norm="bach"), r"norm='bach'\): expected one of 'batch', 'layer', None"),
        (Classifier(penalty="l3"), r"penalty='l3'\): expected None, 'elastic_net', "),
        (Regressor(optimizer="adm"), r"Regressor\(optimizer='adm'\): expected one of 'adam', "),
        (PathClassifier(select="min"), r"select='min'\): expected 'one_se' or 'best'"),
        (PathClassifier(cv=500), r"cv=500\): expected a row for each fold, got n_samples=240"),
    ],
)
def test_a_wrong_parameter_is_named(estimator, text, blobs):
    with pytest.raises(ValueError, match=text):
        estimator.fit(*blobs)


def test_wrong_labels_and_weights_are_named(blobs):
    X, y = blobs
    with pytest.raises(ValueError, match="expected two classes or more, got 1 class"):
        Classifier().fit(X, np.zeros(240))
    with pytest.raises(ValueError, match="rows with weight in two classes"):
        Classifier().fit(X, y, sample_weight=(y == 1).astype(float))
    with pytest.raises(ValueError, match="at least one non-zero"):
        Regressor().fit(X, y, sample_weight=np.zeros(240))
    with pytest.raises(ValueError, match="expected classes in the first call"):
        Classifier().partial_fit(X, y)
    with pytest.raises(ValueError, match=r"expected classes \[0 1\], got \[7\]"):
        Classifier().partial_fit(X, np.full(240, 7), classes=[0, 1])
