"""MNIST-1D: the paper's rows, and the accuracies that its models reach on them.

The published table says 32, 68 and 94 % for the linear model, the MLP and the convolutional one;
the authors' notebook prints 31.5, 65.1 and 92.3 % at its last step, which other seeds repeat. Its
settings: Adam with lr 1e-2, batches of 100 in order, 6000 steps.
"""

import numpy as np
import pytest

import microreg as mr
from microreg import nn, optim
from microreg.analysis.descent import Descent
from microreg.training import mnist1d

SEEDS = 42, 0, 1


class MLP(nn.Module):
    """40-100-100-10; the second layer adds to the first."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (
            nn.Linear(40, 100),
            nn.Linear(100, 100),
            nn.Linear(100, 10),
        )

    def forward(self, input):
        hidden = mr.relu(self.first(input))
        return self.last(hidden + mr.relu(self.second(hidden)))


class Rows(nn.Module):
    """(n, 40) as images of one row."""

    def forward(self, input):
        return input.reshape(-1, 1, 1, 40)


def cnn():
    def block(channels, width):
        return nn.Conv2d(channels, 25, (1, width), stride=(1, 2), padding=(0, 1)), nn.ReLU()

    return nn.Sequential(
        Rows(), *block(1, 5), *block(25, 3), *block(25, 3), nn.Flatten(), nn.Linear(125, 10)
    )


def accuracies(make, seed):
    """Percent in training and test after 6000 steps, and the loss of the first batch."""
    train, test = mnist1d()
    mr.manual_seed(seed)
    model = make()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    mr.fit(
        model, train, optimizer=optimizer, epochs=150, batch_size=100, shuffle=False, progress=False
    )
    seen, unseen = mr.evaluate(model, train), mr.evaluate(model, test)
    first = mr.evaluate(model, (train[0][:100], train[1][:100]))["loss"]
    return 100 * seen["accuracy"], 100 * unseen["accuracy"], first


def test_the_default_rows_are_the_papers():
    (X, y), (X_test, y_test) = mnist1d()
    assert X.shape == (4000, 40) and X_test.shape == (1000, 40) and X.dtype == np.float32
    np.testing.assert_array_equal(y[:12], [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9])
    want = [-0.33200568, -0.47191036, -0.7786971, -1.0097408, -0.8823526]
    np.testing.assert_allclose(X[0, :5], want, rtol=1e-6)
    np.testing.assert_allclose(X[-1, -3:], [-1.2162452, -1.4649417, -1.6509929], rtol=1e-6)
    np.testing.assert_allclose(X_test[10, :3], [0.884804, 0.8730713, 0.9834287], rtol=1e-6)
    whole = np.concatenate([X, X_test])
    assert abs(whole.mean()) < 1e-6 and whole.std() == pytest.approx(1, rel=1e-5)
    assert (np.bincount(np.concatenate([y, y_test])) == 500).all()


def test_sizes_and_seeds():
    (X, y), (X_test, _) = mnist1d(n=200, train=0.25, seed=7)
    assert len(X) == len(y) == 50 and len(X_test) == 150
    assert (mnist1d(n=200, train=0.25, seed=8)[0][0] != X).any()
    np.testing.assert_array_equal(mnist1d(n=200, train=0.25, seed=7)[0][0], X)
    with pytest.raises(ValueError, match=r"mnist1d\(n=55\): expected a multiple of 10"):
        mnist1d(n=55)
    with pytest.raises(ValueError, match=r"mnist1d\(train=1.0\): expected a share"):
        mnist1d(train=1.0)


def test_sizes_of_the_models():
    def size(model):
        return sum(p.data.size for p in model.parameters())

    assert (size(nn.Linear(40, 10)), size(MLP()), size(cnn())) == (410, 15_210, 5_210)


def test_the_linear_model_after_6000_steps():
    # the notebook prints 31.5 and 37.2 %, and the loss of its last batch, which is the first again
    seen, unseen, loss = np.transpose([accuracies(lambda: nn.Linear(40, 10), s) for s in SEEDS])
    assert (np.abs(unseen - 31.5) < 0.5).all() and (np.abs(seen - 37.2) < 0.3).all()
    assert (np.abs(loss - 1.535) < 0.005).all()


def test_the_linear_model_at_its_optimum():
    (X, y), test = mnist1d()
    model = nn.Linear(40, 10, dtype=np.float64)
    inputs, targets = mr.tensor(X.astype(np.float64)), mr.tensor(y)
    descent = Descent(
        model.parameters(), lambda: nn.functional.cross_entropy(model(inputs), targets)
    )
    loss, residual, _ = descent.run(1e-8, 5000)
    assert residual <= 1e-8 and loss == pytest.approx(1.58324777, rel=1e-8)
    assert mr.evaluate(model, (X, y))["accuracy"] == 0.37225
    assert mr.evaluate(model, test)["accuracy"] == 0.324


@pytest.mark.long
def test_the_mlp():
    seen, unseen, _ = np.transpose([accuracies(MLP, s) for s in SEEDS])
    assert (np.abs(unseen - 65) < 4).all() and abs(unseen.mean() - 65) < 2, unseen
    assert (seen > 97).all()


@pytest.mark.long
def test_the_convolutional_network():
    unseen = np.array([accuracies(cnn, s)[1] for s in SEEDS])
    assert (unseen > 91).all() and (unseen < 96).all(), (
        unseen
    )  # the notebook's 92.3, the table's 94
