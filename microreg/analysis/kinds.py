"""Kinds of layers that the checks of this folder ask about."""

from .. import nn

ACTIVATIONS = (
    nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU,
    nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Hardtanh, nn.Hardsigmoid,
    nn.Hardswish,
)  # fmt: skip
BATCH_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.GhostBatchNorm1d, nn.GhostBatchNorm2d,
    nn.BatchRenorm1d, nn.BatchRenorm2d,
)  # fmt: skip
NOISE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.DropPath, nn.GaussianNoise)


def is_noise(module):
    """Whether a layer draws random numbers in training; one of your own is known by its name."""
    return isinstance(module, NOISE) or "Drop" in type(module).__name__
