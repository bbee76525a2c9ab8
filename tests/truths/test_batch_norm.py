"""Batch norm against none on the network of the paper that introduced it.

Ioffe, Szegedy, "Batch Normalization", ICML 2015, section 4.1: three hidden layers of 100 sigmoid
units, batches of 60, weights small at the start. Here on scikit-learn's digits; demos/batch_norm.py
trains longer, on MNIST if it is there.
"""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim


@pytest.fixture(scope="module")
def digits():
    X, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order]
    return (X[:1200], y[:1200]), (X[1200:], y[1200:])


def accuracies(normalized, seed, data, epochs):
    mr.manual_seed(seed)
    layers = []
    for width in (64, 100, 100):
        layers += [nn.Linear(width, 100), *([nn.BatchNorm1d(100)] * normalized), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(100, 10))
    for p in model.parameters():
        if p.ndim == 2:
            nn.init.normal_(p, 0.0, 0.1)
    sgd = optim.SGD(model.parameters(), lr=0.1)
    history = mr.fit(
        model, data[0], val=data[1], optimizer=sgd, epochs=epochs, batch_size=60, progress=False
    )
    return np.array(history["val_accuracy"])


@pytest.mark.parametrize("seed", [0, 1])
def test_batch_norm_learns_where_the_network_without_stands_still(seed, digits):
    with_norm, without = (accuracies(normalized, seed, digits, 8) for normalized in (1, 0))
    assert with_norm[-1] > 0.93
    assert without.max() < 0.25
