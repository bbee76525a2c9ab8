"""Layers: modules that hold parameters and call `functional`."""

from . import functional, init, utils
from .activation import GELU, Identity, ReLU, Sigmoid, Tanh
from .attention import MultiheadAttention, TransformerEncoder, TransformerEncoderLayer
from .batch_norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchRenorm1d,
    BatchRenorm2d,
    GhostBatchNorm1d,
    GhostBatchNorm2d,
    InstanceNorm1d,
    InstanceNorm2d,
)
from .container import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .embedding import Embedding
from .linear import Conv2d, Flatten, Linear, MaxPool2d
from .loss import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from .module import Module, Parameter
from .noise import AlphaDropout, Dropout, Dropout1d, Dropout2d, DropPath, GaussianNoise
from .normalization import GroupNorm, LayerNorm, RMSNorm
from .penalty import ActivityPenalty, HardConcrete, activity_penalty
from .recurrent import GRU, LSTM, RNN, LayerNormGRU, LayerNormLSTM, LayerNormRNN
from .utils.parametrizations import DropConnect

__all__ = [
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "ActivityPenalty",
    "AlphaDropout",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchRenorm1d",
    "BatchRenorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "DropConnect",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GhostBatchNorm1d",
    "GhostBatchNorm2d",
    "GroupNorm",
    "HardConcrete",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "LayerNormGRU",
    "LayerNormLSTM",
    "LayerNormRNN",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "activity_penalty",
    "functional",
    "init",
    "utils",
]
