"""Embedding: a vector for each of a number of words."""

import numpy as np

from .. import functional as F
from ..dtypes import get_default_dtype
from ..errors import ShapeError
from . import init
from .linear import _positive
from .module import Module, Parameter


class Embedding(Module):
    """y[..., j] = weight[x[...], j].

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows and columns of the table.
    padding_idx : int, optional
        A row that starts as zeros and gets no gradient.

    Shapes
    ------
    x (...) of integers -> y (..., embedding_dim); weight (num_embeddings, embedding_dim) starts
    standard normal.
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, dtype=None):
        super().__init__()
        _positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding(padding_idx={padding_idx}): expected one of {num_embeddings} rows"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        table = np.empty((num_embeddings, embedding_dim), dtype or get_default_dtype())
        self.weight = Parameter(table)
        self.reset_parameters()

    def reset_parameters(self):
        """Standard normal, and zeros in the row of padding_idx."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None):
        """A layer with a given table, which training leaves alone if it is frozen."""
        if embeddings.ndim != 2:
            raise ShapeError(f"from_pretrained: expected a matrix, got shape {embeddings.shape}")
        made = cls(*embeddings.shape, padding_idx, dtype=embeddings.dtype)
        made.weight = Parameter(embeddings, not freeze)
        return made

    def forward(self, input):
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self):
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
