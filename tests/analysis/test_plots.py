"""Pictures show the numbers that they are about; the plane of losses is the model's."""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim, plots
from microreg.analysis.plots import _directions, landscape
from microreg.penalties import L1

pyplot = pytest.importorskip("matplotlib.pyplot")
pyplot.switch_backend("Agg")


@pytest.fixture
def data(rng):
    X = rng.normal(size=(60, 5))
    return X, (X[:, 0] > X[:, 1]).astype(int)


@pytest.fixture
def run(data):
    mr.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 2))
    mr.attach(model.double(), {"0.weight": L1(0.02)})
    adam = optim.Adam(model.parameters(), lr=0.02)
    watch = mr.Watch(data[0])
    return mr.fit(model, data, val=data, optimizer=adam, epochs=8, callbacks=[watch])


DRAWN = [
    ("learning_curves", lambda run: run, ["loss", "accuracy", "penalty"]),
    ("weight_histograms", lambda run: run, ["0.weight", "2.weight", "4.weight"]),
    ("sparsity_map", lambda run: run.model, None),
    ("activations", lambda run: run, None),
]


@pytest.mark.parametrize(("name", "given", "titles"), DRAWN, ids=[row[0] for row in DRAWN])
def test_a_page_is_written_or_given_back(name, given, titles, run, tmp_path):
    figure = getattr(plots, name)(given(run), tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 5000 and not pyplot.get_fignums()
    if titles:
        assert [axis.get_title() for axis in figure.axes] == titles
    open_figure = getattr(plots, name)(given(run))
    assert pyplot.get_fignums() == [open_figure.number]
    pyplot.close(open_figure)


def test_curves_are_the_columns_of_the_history(run, tmp_path):
    figure = plots.learning_curves(run, tmp_path / "page.png")
    lines = figure.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), run["loss"])
    np.testing.assert_array_equal(lines[1].get_ydata(), run["val_loss"])
    assert lines[2].get_xdata()[0] == run.best_epoch


def test_histograms_count_the_weights_that_were_watched(run, tmp_path):
    (mesh,) = plots.weight_histograms(run, tmp_path / "page.png", bins=11).axes[1].collections
    counts = np.rint(np.expm1(mesh.get_array().reshape(11, 9)))
    assert (counts.sum(axis=0) >= 0.95 * 42).all() and (counts.sum(axis=0) <= 42).all()
    np.testing.assert_array_equal(
        run.watch.samples["2.weight"][-1], run.model[2].weight.data.ravel()
    )
    assert len(run.watch.samples["2.weight"]) == 9


def test_a_large_weight_is_sampled_at_the_same_places(data):
    model = nn.Sequential(nn.Linear(5, 900), nn.Tanh(), nn.Linear(900, 2))
    history = mr.fit(model, data, epochs=2, callbacks=[mr.Watch(data[0])])
    taken = history.watch.samples["0.weight"]
    assert [len(s) for s in taken] == [1500] * 3
    np.testing.assert_array_equal(taken[-1], model[0].weight.data.ravel()[::3])


def test_zeros_are_masked(run, tmp_path):
    figure = plots.sparsity_map(run.model, tmp_path / "page.png")
    weight = run.model[0].weight.data
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), weight == 0)
    assert figure.axes[0].get_title() == f"0.weight: {np.mean(weight == 0):.0%} zeros"


def test_the_plane_of_losses(run, data):
    model = run.model
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    rng = np.random.default_rng(5)
    ways = [[rng.normal(size=p.shape) for p in model.parameters()] for _ in range(2)]
    got = landscape(model, data, np.array([-0.5, 0.0, 2.0]), directions=ways)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])
    assert got[1, 1] == mr.evaluate(model, data)["loss"]
    for p, d, e in zip(model.parameters(), *ways, strict=True):
        p.data[...] += 2.0 * d - 0.5 * e
    assert got[0, 2] == pytest.approx(mr.evaluate(model, data)["loss"], rel=1e-9)


def test_random_directions_move_each_unit_by_its_norm(rng):
    weights = [rng.normal(size=(4, 3, 2, 2)), rng.normal(size=4), np.zeros((2, 5))]
    first, second = _directions(weights, rng)
    for kernel, bias, dead in (first, second):
        np.testing.assert_allclose(
            np.linalg.norm(kernel.reshape(4, -1), axis=1),
            np.linalg.norm(weights[0].reshape(4, -1), axis=1),
        )
        assert not bias.any() and not dead.any()
    assert abs((first[0] * second[0]).sum()) < 0.9 * (first[0] ** 2).sum()


def test_the_landscape_is_drawn_around_the_model(run, data, tmp_path):
    figure = plots.loss_landscape(run.model, data, tmp_path / "page.png", steps=7, span=0.5)
    assert (tmp_path / "page.png").stat().st_size > 5000
    assert figure.axes[0].get_xlim() == (-0.5, 0.5)


@pytest.mark.parametrize("name", ["weight_histograms", "activations"])
def test_what_was_not_watched_cannot_be_drawn(name, data):
    history = mr.fit(nn.Linear(5, 2), data, epochs=1)
    with pytest.raises(ValueError, match=rf"{name}: nothing was recorded; give fit callbacks="):
        getattr(plots, name)(history)


def test_nothing_to_draw_is_said(data):
    history = mr.fit(nn.Linear(5, 2), data, epochs=1, callbacks=[mr.Watch(data[0])])
    with pytest.raises(ValueError, match="activations: expected a model with activation layers"):
        plots.activations(history)
    with pytest.raises(ValueError, match="sparsity_map: expected a model with weights"):
        plots.sparsity_map(nn.LayerNorm(3))
