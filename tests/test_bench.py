"""The kernels as plain functions: each against its formula in float64, in odd shapes."""

import math

import numpy as np
import pytest

from microreg.kernels import BENCH

DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (3, 5), (33, 17), (70, 129)]


@pytest.fixture(params=DTYPES, ids=lambda d: d.__name__)
def dtype(request):
    return request.param


@pytest.fixture
def normal(dtype):
    rng = np.random.default_rng(0)
    return lambda *shape, shift=0.0: (rng.standard_normal(shape) + shift).astype(dtype)


def run(name, inputs, outputs, state=()):
    """What BENCH[name] writes into new arrays of these shapes; inputs must stay as they were."""
    made = [np.full(shape, np.nan, inputs[0].dtype) for shape in outputs]
    before = [x.copy() for x in inputs if isinstance(x, np.ndarray)]
    value = BENCH[name](*inputs, *made, *state)
    for x, kept in zip((x for x in inputs if isinstance(x, np.ndarray)), before, strict=True):
        assert np.array_equal(x, kept, equal_nan=True)
    return made if value is None else (value, *made)


def near(got, expected):
    tolerance = 2e-5 if got.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * 10)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


@pytest.mark.parametrize("how", ["nn", "tn", "nt", "tt", "strided"])
@pytest.mark.parametrize("m, k, n", [(1, 1, 1), (5, 3, 7), (65, 33, 17), (0, 3, 2), (2, 0, 3)])
def test_matmul(normal, how, m, k, n):
    a = normal(k, m).T if how[0] == "t" else normal(m, k)
    b = normal(n, k).T if how[1] == "t" else normal(k, n)
    if how == "strided":
        a, b = normal(2 * m, k)[::2], normal(k, 3 * n)[:, ::3]
    (out,) = run("matmul", (a, b), [(m, n)])
    near(out, np.matmul(*wide(a, b)))


@pytest.mark.parametrize("n, i, o", [(1, 1, 1), (5, 3, 7), (33, 65, 17)])
def test_linear_relu(normal, n, i, o):
    x, w, b = normal(n, i), normal(o, i), normal(o)
    (out,) = run("linear_relu", (x, w, b), [(n, o)])
    x, w, b = wide(x, w, b)
    near(out, np.maximum(x @ w.T + b, 0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name, axis", [("layer_norm", 1), ("batch_norm", 0)])
def test_norm_and_its_gradient(normal, name, axis, shape):
    n, d = shape
    x, dy, w, b = normal(n, d, shift=3), normal(n, d), normal(d, shift=1), normal(d)
    kept = shape[1 - axis]
    out, mean, rstd = run(name, (x, w, b), [shape, (kept,), (kept,)])
    wx, wdy, ww, wb = wide(x, dy, w, b)
    centre = wx.mean(axis, keepdims=True)
    scale = 1 / np.sqrt(((wx - centre) ** 2).mean(axis, keepdims=True) + 1e-5)
    unit = (wx - centre) * scale
    near(mean, centre.reshape(-1))
    np.testing.assert_allclose(rstd, scale.reshape(-1), rtol=1e-4)
    np.testing.assert_allclose(out, unit * ww + wb, rtol=1e-4, atol=1e-4)

    dx, dw, db = run(f"{name}_backward", (dy, x, mean, rstd, w), [shape, (d,), (d,)])
    g = wdy * ww
    expected = scale * (
        g - g.mean(axis, keepdims=True) - unit * (g * unit).mean(axis, keepdims=True)
    )
    for got, want in ((dx, expected), (dw, (wdy * unit).sum(0)), (db, wdy.sum(0))):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * abs(scale).max())


@pytest.mark.parametrize("n, c", [(1, 1), (5, 3), (33, 129)])
def test_softmax_cross_entropy(normal, n, c):
    z, y = normal(n, c), np.arange(n) % c
    loss, dz = run("softmax_cross_entropy", (z, y), [(n, c)])
    (z,) = wide(z)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(p[np.arange(n), y]).mean(), rel=1e-5, abs=1e-6)
    near(dz, (p - np.eye(c)[y]) / n)


@pytest.mark.parametrize("step", [1, 2, 100])
def test_adamw_l1(normal, step):
    p, g, m, v = normal(50), normal(50), normal(50) * 0.1, normal(50) ** 2
    lr, beta1, beta2, eps, decay, l1 = 0.01, 0.9, 0.99, 1e-8, 0.1, 0.5
    wp, wg, wm, wv = wide(p, g, m, v)
    BENCH["adamw_l1"](p, g, m, v, step, lr, beta1, beta2, eps, decay, l1)
    wm = beta1 * wm + (1 - beta1) * wg
    wv = beta2 * wv + (1 - beta2) * wg**2
    metric = lr / (np.sqrt(wv / (1 - beta2**step)) + eps)
    moved = wp * (1 - lr * decay) - metric * wm / (1 - beta1**step)
    near(m, wm)
    near(v, wv)
    near(p, np.sign(moved) * np.maximum(abs(moved) - metric * l1, 0))


@pytest.mark.parametrize(
    "name, formula",
    [
        ("exp", math.exp),
        ("log", math.log),
        ("tanh", math.tanh),
        ("erf", math.erf),
        ("gelu", lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2),
    ],
)
@pytest.mark.parametrize("n", [0, 1, 17, 1000])
def test_elementwise(normal, name, formula, n):
    x = np.abs(normal(n)) + 0.1 if name == "log" else normal(n)
    (out,) = run(name, (x,), [(n,)])
    near(out, np.array([formula(float(v)) for v in x]))
    x[:1] = np.nan
    (out,) = run(name, (x,), [(n,)])
    assert np.isnan(out[:1]).all()


def test_the_table_is_made_at_its_first_use():
    import microreg.kernels

    with pytest.raises(AttributeError, match="BENCHES"):
        _ = microreg.kernels.BENCHES
