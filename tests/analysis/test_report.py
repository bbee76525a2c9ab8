"""The report says what the history and the model say; Watch records what layers are given."""

import builtins
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

import microreg as mr
import microreg.nn.functional as F
from microreg import nn, optim
from microreg.analysis import effective_parameters
from microreg.penalties import L1, GroupLasso
from microreg.training import History


@pytest.fixture
def data(rng):
    X = rng.normal(size=(120, 6))
    return X, (X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=120) > 0).astype(int)


@pytest.fixture
def model():
    mr.manual_seed(4)
    return nn.Sequential(
        nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 2)
    ).double()


def trained(model, data, **options):
    X, y = data
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return mr.fit(
        model, (X[:80], y[:80]), val=(X[80:], y[80:]), optimizer=optimizer, epochs=12, **options
    )


def history(val_loss, model=None, stopped=None, loss=None):
    made = History(model or nn.Linear(2, 2))
    for i, v in enumerate(val_loss):
        made.add(loss=(loss or [0.5] * 99)[i], penalty=0.0, zeros=0.0, val_loss=v)
    made.stopped = stopped
    return made


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([3.0, 2.0, 1.0], "best epoch 2 (from 0): val_loss 1, the last; it may fall further"),
        ([3.0, 1.0, 1.5], "best epoch 1 (from 0): val_loss 1, 1.5 at the end: overfits"),
        ([3.0, 1.0, 1.001], "best epoch 1 (from 0): val_loss 1, 1.001 at the end: levelled off"),
        ([-1.0, -3.0, -2.0], "best epoch 1 (from 0): val_loss -3, -2 at the end: overfits"),
    ],
)
def test_the_best_epoch_and_what_came_after(values, said):
    assert said in str(mr.report(history(values)))


def test_gap_penalty_and_the_reason_for_stopping():
    made = history([1.0, 0.75], stopped="enough")
    made.add(accuracy=0.98, val_accuracy=0.875)
    made.columns["penalty"][-1] = 1.5
    text = str(mr.report(made))
    assert "2 epochs; stopped: enough" in text
    assert "loss: 0.5 as trained, 0.75 on validation rows, gap 0.25" in text
    assert "accuracy: 98 % as trained, 87.5 % on validation rows, gap 10.5" in text
    assert "penalty: 1.5 beside the loss, 75 % of the objective" in text


def test_without_validation_rows_or_epochs():
    made = History(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="expected a history of one epoch at least"):
        mr.report(made)
    made.add(loss=1.0, penalty=0.0, zeros=0.0)
    assert "no validation rows" in str(mr.report(made))


def test_a_row_for_each_weight_with_what_is_in_use(model, data):
    mr.attach(model, {"0.weight": GroupLasso(0.01, groups="in"), "3.weight": L1(0.01)})
    run = trained(model, data)
    model[0].weight.data[:, [3, 5]] = 0
    model[3].weight.data[[0, 2]] = 0
    model[3].bias.data[[0, 2]] = -1.0
    report = mr.report(run)
    first, second, third = report.layers
    assert first.sizes == ((6, 9), (4, 9)) and second.sizes[1][1] <= 5
    assert second.zeros == np.mean(model[3].weight.data == 0)
    assert third.norm == pytest.approx(np.sqrt((model[5].weight.data ** 2).sum()))
    lines = str(report).splitlines()
    row = next(line for line in lines if line.startswith("0.weight"))
    assert row.split()[:5] == ["0.weight", "9", "x", "6", "GroupLasso"] and row.endswith("4 -> 9")
    small = mr.compact(model)
    assert report.used == sum(np.count_nonzero(p.data) for p in small.parameters())
    assert f"{report.used} of {report.parameters} in use" in str(report)
    assert report.effective is None


def test_effective_parameters_with_the_training_rows(model, data):
    run = trained(model, data)
    rows = data[0][:80], data[1][:80]
    report = mr.report(run, data=rows)
    assert report.effective == effective_parameters(model, rows)
    assert f"{report.effective:.1f} effective" in str(report)
    targets = data[1][:80, None] * np.ones(2)
    assert mr.report(run, data=(rows[0], targets), loss=F.mse_loss).effective != report.effective


def test_watch_records_what_layers_are_given(model, data):
    X = data[0][:50]
    watch = mr.Watch(X)
    run = trained(model, data, callbacks=[watch])
    assert run.watch is watch
    assert list(watch.norms) == list(watch.zeros) == ["0.weight", "3.weight", "5.weight"]
    assert list(watch.activations) == ["2", "4"]
    assert {len(v) for v in (*watch.norms.values(), *watch.activations.values())} == {13}
    assert watch.norms["3.weight"][-1] == pytest.approx(np.linalg.norm(model[3].weight.data))
    model.eval()
    given = model[:4](mr.tensor(X)).detach().numpy()
    np.testing.assert_allclose(
        watch.activations["4"][-1], np.percentile(given, [15, 50, 85], axis=0), rtol=1e-12
    )
    assert watch.activations["4"][0].shape == (3, 7)


def test_watching_changes_nothing(model, data):
    def run(callbacks):
        mr.manual_seed(4)
        made = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        made.append(nn.Linear(8, 2))
        trained(made, data, callbacks=callbacks)
        assert made.training and "forward" not in made[2].__dict__
        return [v.data for v in made.state_dict().values()]

    for a, b in zip(run([]), run([mr.Watch(data[0])]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_shift_is_counted_in_spreads():
    watch = mr.Watch(None)
    before = np.full((3, 3), 99.0)  # does not count: running statistics have seen nothing yet
    first = np.array([[-1.0, 0, 5], [0.0, 1, 5], [1.0, 2, 5]])  # the third unit is dead
    second = np.array([[2.0, -3, 5], [4.0, 1, 5], [6.0, 5, 5]])
    third = np.array([[0.0, -1, 5], [3.0, 5, 5], [4.0, 3, 5]])
    watch.activations = {"a": [before, first, second, third], "dead": [np.zeros((3, 2))] * 3}
    moves = 4 / 2, 0 / 2, 1 / 4, 4 / 8
    assert watch.shift("a") == (pytest.approx(np.mean(moves)), pytest.approx((4 / 2 + 4 / 2) / 2))
    assert watch.shift("dead") == (0.0, 1.0)
    watch.activations = {"a": [before, first]}
    assert watch.shift("a") == (0.0, 1.0)


def test_channels_of_images_are_units(rng):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    X, y = rng.normal(size=(20, 1, 4, 4)), rng.integers(0, 2, 20)
    watch = mr.Watch(X)
    mr.fit(model, (X, y), epochs=1, callbacks=[watch])
    assert watch.activations["1"][0].shape == (3, 3)


@pytest.mark.parametrize("watched", [True, False])
def test_the_figure_shows_all_of_it(model, data, watched, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    run = trained(model, data, callbacks=[mr.Watch(data[0])] * watched)
    figure = mr.report(run).figure(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
    shown = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert shown[:3] == ["loss", "accuracy", "exact zeros, % of each weight"]
    assert len(shown) == (6 if watched else 3)
    assert ("of 4 (ReLU) is given" in shown[-1]) == watched
    assert not plt.get_fignums()
    open_figure = mr.report(run).figure()
    assert plt.get_fignums() == [open_figure.number]
    plt.close(open_figure)


class Reader(HTMLParser):
    """What a page says, by tag, what it asks other files for, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.said, self.asked, self.tags, self.open = {}, [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.asked += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v[0] != "#"]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.said.setdefault(self.open[-1], []).append(data.strip())


@pytest.mark.parametrize("watched", [True, False])
def test_a_page_that_needs_no_other_file(model, data, watched, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    run = trained(model, data, callbacks=[mr.Watch(data[0])] * watched)
    path = tmp_path / "report.html"
    report = mr.report(run, path)
    text = path.read_text(encoding="utf-8")
    page = Reader(text)
    assert not page.open and not page.asked and "script" not in page.tags and "svg" in page.tags
    assert "url(" not in text.replace("url(#", "")
    lines = [line for line in str(report).split("\n\n")[0].splitlines() if line]
    assert page.said["li"][: len(lines)] == lines
    given = ["What activations are given, since the first epoch"] * watched
    assert page.said["h2"] == ["Weights", *given, "Model"] and page.said["pre"] == [repr(model)]
    assert {"0.weight", "9 x 6", "3.weight", "5.weight"} <= set(page.said["td"])
    assert {"epoch", "loss", "val_loss", "zeros"} <= set(page.said["th"])
    assert page.said["summary"] == ["12 epochs"] and page.said["td"].count("11") == 1
    assert not plt.get_fignums()
    report.save(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


@pytest.mark.long
def test_a_browser_shows_the_page(model, data, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None or not pytest.importorskip("matplotlib"):
        pytest.skip("needs Chromium")
    path = tmp_path / "report.html"
    mr.report(trained(model, data), path)
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'user'}",
    ]
    command = [browser, *options, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    shown, written = Reader(done.stdout), Reader(path.read_text(encoding="utf-8"))
    assert shown.said == written.said and "svg" in shown.tags
    assert "CONSOLE" not in done.stderr


def test_a_page_shows_names_as_they_are(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    made = history([1.0], stopped="<b>&</b>")
    mr.report(made, tmp_path / "report.html")
    page = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.said["li"][0] == "1 epochs; stopped: <b>&</b>"


def test_a_page_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"report: expected a path that ends in .html, got '.*pdf"):
        mr.report(history([1.0]), tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())


def test_a_figure_without_matplotlib_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"needs matplotlib; pip install 'microreg\[plot\]'"):
        mr.report(history([1.0])).figure()
