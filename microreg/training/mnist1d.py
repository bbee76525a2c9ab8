"""MNIST-1D: ten digits drawn as curves, and what makes them hard to read. Nothing is downloaded.

A digit is a curve of 12 heights. It is padded, stretched, scaled, moved, laid over smooth noise,
mixed with rough noise, sheared and read off at 40 points: a task on which a linear model, an MLP
and a convolutional network reach about 32, 65 and 92 % in seconds.

References
----------
Greydanus, Kobak, "Scaling Down Deep Learning with MNIST-1D", ICML 2024. The default arguments give
the paper's rows.
"""

import numpy as np

CURVES = np.array([
    [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
    [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
    [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
    [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
    [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
    [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
    [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
    [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
    [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
    [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
])  # fmt: skip
PADDING = 36, 60  # zeros behind a curve, from and to
STRETCHED = CURVES.shape[1] + PADDING[1]  # points of a padded curve
SCALE, SHEAR = 0.4, 0.75  # widths of the ranges of height and slope
PLACES = 48  # to which a curve is moved
SMOOTH, ROUGH, REACH = 0.25, 0.02, 2  # deviations of the two noises, and how far the first reaches
POINTS = 40


def mnist1d(n=5000, train=0.8, seed=42):
    """((X, y), (X_test, y_test)): curves of shape (rows, 40), float32, and their digits.

    Parameters
    ----------
    n : int, default 5000
        Rows in all, as many of each digit.
    train : float, default 0.8
        The share of training rows.
    seed : int, default 42

    All values together have mean 0 and deviation 1.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 20 or n % 10:
        raise ValueError(f"mnist1d(n={n!r}): expected a multiple of 10, at least 20")
    if not 0 < train < 1:
        raise ValueError(f"mnist1d(train={train}): expected a share between 0 and 1")
    rng = np.random.RandomState(seed)  # the paper's generator
    curves = CURVES - CURVES.mean(axis=1, keepdims=True)
    curves /= curves.std(axis=1, keepdims=True)
    curves = (curves - curves[:, :1]) / 6
    y = np.repeat(np.arange(10), n // 10)
    X = np.stack([_reading(curves[digit], rng) for digit in y])
    order = rng.permutation(n)
    X, y = ((X - X.mean()) / X.std())[order].astype(np.float32), y[order]
    end = int(n * train)
    return (X[:end], y[:end]), (X[end:], y[end:])


def _reading(curve, rng):
    """One row: a curve as it is read off, in the order of the random draws."""
    zeros = PADDING[0] + int(rng.rand() * (PADDING[1] - PADDING[0] + 1))
    x = _at(np.concatenate([curve + 1e-8, np.zeros(zeros)]), STRETCHED)  # a curve is nowhere 0
    x = x * (1 + SCALE * (rng.rand() - 0.5))
    x = np.roll(x, rng.choice(PLACES))
    x = np.where(x != 0, x, _smooth(SMOOTH * rng.randn(STRETCHED)))
    x = x + ROUGH * rng.randn(STRETCHED)
    x = x - SHEAR * (rng.rand() - 0.5) * np.linspace(-0.5, 0.5, STRETCHED)
    return _at(x, POINTS)


def _at(x, points):
    """A curve read off at so many points, straight between its own."""
    return np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(x)), x)


def _smooth(x):
    """Gaussian weights to both sides, cut off at four deviations; ends are mirrored."""
    ahead = np.arange(-4 * REACH, 4 * REACH + 1)
    weights = np.exp(-0.5 * (ahead / REACH) ** 2)
    mirrored = np.pad(x, 4 * REACH, mode="symmetric")
    return np.convolve(mirrored, weights / weights.sum(), mode="valid")
