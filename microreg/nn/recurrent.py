"""RNN, LSTM and GRU, plain and layer-normalised, for sequences of equal or different lengths."""

import math

import numpy as np

from .. import functional as F
from ..dtypes import as_array, get_default_dtype
from ..errors import ShapeError
from ..ops import recurrent as ops
from ..tensor import Tensor
from . import init
from .linear import _positive
from .module import Module, Parameter
from .normalization import LayerNorm


class _Recurrent(Module):
    """Layers of a recurrence over time, in one direction or both.

    A subclass gives the number of `gates`, the number of arrays in its `state`, and `step`.
    """

    gates, states = 1, 1
    normed: tuple[tuple[str, int], ...] = ()  # norms of a layer, over so many times hidden_size

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        dtype=None,
    ):
        super().__init__()
        _positive(
            type(self).__name__,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
        )
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"{type(self).__name__}(dropout={dropout}): expected a probability")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional = bidirectional
        dtype, rows = dtype or get_default_dtype(), self.gates * hidden_size
        for layer in range(num_layers):
            width = hidden_size * len(self._ends) if layer else input_size
            for end in self._ends:
                shapes = {"weight_ih": (rows, width), "weight_hh": (rows, hidden_size)}
                if bias and not self.normed:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    self.register_parameter(
                        f"{name}_l{layer}{end}", Parameter(np.empty(shape, dtype))
                    )
                for name, times in self.normed:
                    made = LayerNorm(times * hidden_size, bias=bias, dtype=dtype)
                    self.register_module(f"{name}_l{layer}{end}", made)
        self.reset_parameters()

    @property
    def _ends(self):
        """The endings of the names of parameters, one for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def reset_parameters(self):
        """PyTorch's start: weights and biases uniform on +-1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)
        for norm in self.children():
            norm.reset_parameters()

    def forward(self, input, hx=None, lengths=None):
        """The states of the last layer at every time, and those of all layers at the end.

        Parameters
        ----------
        input : Tensor
            (time, n, input_size); (n, time, input_size) with batch_first; (time, input_size) for a
            single sequence.
        hx : Tensor, or for LSTM a pair, optional
            The states before the first step, (layers * directions, n, hidden_size), (layers *
            directions, hidden_size) for a single sequence; zeros if left out.
        lengths : n integers, optional
            How many steps of each sequence count. What lies behind them has no influence, the
            output there is 0, and the states at the end are those after the last step that counts.

        Returns
        -------
        output (time, n, directions * hidden_size), laid out as the input; the states, shaped as hx.
        """
        single = input.ndim == 2
        if single:
            input = input.unsqueeze(1)
        elif self.batch_first and input.ndim == 3:
            input = input.transpose(0, 1)
        if input.ndim != 3 or input.shape[2] != self.input_size or not len(input):
            raise ShapeError(
                f"{type(self).__name__}(input_size={self.input_size}): expected x of three axes, "
                f"or two for one sequence, the last of {self.input_size}, got {input.shape}"
            )
        starts = self._starts(input, hx, single)
        counts = None if lengths is None else self._counts(input, lengths)
        if counts is not None:  # what lies behind a sequence may be NaN
            input = F.where(counts.unsqueeze(2), input, 0.0)
        ends = []
        for layer in range(self.num_layers):
            outs = []
            for k, end in enumerate(self._ends):
                at = layer * len(self._ends) + k
                state = tuple(s[at] for s in starts)
                out, state = self._run(input, state, f"_l{layer}{end}", bool(end), counts)
                outs.append(out)
                ends.append(state)
            input = outs[0] if len(outs) == 1 else F.cat(outs, 2)
            if counts is not None:
                input = F.where(counts.unsqueeze(2), input, 0.0)
            if layer + 1 < self.num_layers and self.dropout:
                input = F.dropout(input, self.dropout, self.training)
        states = [F.stack(parts) for parts in zip(*ends, strict=True)]
        if single:
            input, states = input.squeeze(1), [s.squeeze(1) for s in states]
        elif self.batch_first:
            input = input.transpose(0, 1)
        return input, (states[0] if self.states == 1 else tuple(states))

    def _starts(self, input, hx, single):
        """The states before the first step."""
        shape = self.num_layers * len(self._ends), input.shape[1], self.hidden_size
        if hx is None:
            return [Tensor(np.zeros(shape, input.dtype))] * self.states
        given = hx if self.states > 1 else (hx,)
        wanted = (shape[0], shape[2]) if single else shape
        if len(given) != self.states or any(s.shape != wanted for s in given):
            raise ShapeError(
                f"{type(self).__name__}: hx: expected {self.states} of shape {wanted}, got "
                f"{[s.shape for s in given]}"
            )
        return [s.unsqueeze(1) if single else s for s in given]

    def _counts(self, input, lengths):
        """Which steps of which sequences count, (time, n)."""
        lengths, (time, n, _) = as_array(lengths), input.shape
        if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
            raise ShapeError(
                f"{type(self).__name__}: lengths: expected {n} integers, got {lengths.dtype} of "
                f"shape {lengths.shape}"
            )
        if lengths.__class__ is np.ndarray and not ((lengths >= 1) & (lengths <= time)).all():
            raise ValueError(
                f"{type(self).__name__}: lengths: expected numbers from 1 to {time}, got "
                f"{lengths.min()} to {lengths.max()}"
            )
        steps = Tensor(np.arange(time)[:, None])
        return steps < Tensor.made(lengths, None).unsqueeze(0)

    def _run(self, input, state, name, backwards, counts):
        """One layer in one direction: its output at every time, its state at the end."""
        given = F.unbind(self._given(input, name))
        masks = None if counts is None else F.unbind(counts.unsqueeze(2))
        outs = [None] * len(given)
        for t in reversed(range(len(given))) if backwards else range(len(given)):
            new = self.step(given[t], state, name)
            if masks is not None:
                new = tuple(F.where(masks[t], a, b) for a, b in zip(new, state, strict=True))
            outs[t], state = new[0], new
        return F.stack(outs), state

    def _given(self, input, name):
        """What the input gives to the gates, at all times at once."""
        bias = getattr(self, "bias_ih" + name) if self.bias and not self.normed else None
        return F.linear(input, getattr(self, "weight_ih" + name), bias)

    def _back(self, h, name):
        """What the state before gives to the gates."""
        bias = getattr(self, "bias_hh" + name) if self.bias and not self.normed else None
        return F.linear(h, getattr(self, "weight_hh" + name), bias)

    def step(self, given, state, name):
        """The state after a step, from what the input gives and the state before."""
        raise NotImplementedError

    def extra_repr(self):
        options = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        options["bidirectional"] = False
        changed = [
            f", {name}={getattr(self, name)}"
            for name, default in options.items()
            if getattr(self, name) != default
        ]
        return f"{self.input_size}, {self.hidden_size}" + "".join(changed)


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu instead of tanh.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int, default 1
        Each layer's input is the output of the one before.
    nonlinearity : "tanh" or "relu"
    bias : bool, default True
    batch_first : bool, default False
        Whether input and output are (n, time, ...) instead of (time, n, ...).
    dropout : float, default 0
        Of the output of every layer but the last, in training.
    bidirectional : bool, default False
        A second recurrence runs back in time; their outputs lie side by side.

    Shapes
    ------
    See `forward`; weight_ih_l0 (hidden_size, input_size), weight_hh_l0 (hidden_size, hidden_size),
    bias_ih_l0 and bias_hh_l0 (hidden_size,), and so for each layer and, with _reverse, direction.

    References
    ----------
    Elman, "Finding Structure in Time", Cognitive Science 14 (1990).
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", *args, **options
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"{type(self).__name__}(nonlinearity={nonlinearity!r}): expected 'tanh' or 'relu'"
            )
        super().__init__(input_size, hidden_size, num_layers, *args, **options)
        self.nonlinearity = nonlinearity

    def step(self, given, state, name):
        return (self._activate(given + self._back(state[0], name)),)

    def _activate(self, x):
        return F.tanh(x) if self.nonlinearity == "tanh" else F.relu(x)


class LSTM(_Recurrent):
    """c_t = s(f) c_(t-1) + s(i) tanh(g),  h_t = s(o) tanh(c_t),  s the sigmoid, with the gates

        (i, f, g, o) = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh.

    Parameters and shapes are those of `RNN`, without nonlinearity; weights have 4 * hidden_size
    rows. hx and the second result are pairs (h, c).

    References
    ----------
    Hochreiter, Schmidhuber, "Long Short-Term Memory", Neural Computation 9 (1997).
    """

    gates, states = 4, 2

    def step(self, given, state, name):
        h, c = state
        return Tensor.record(ops.lstm_cell, (given + self._back(h, name), c), {})


class GRU(_Recurrent):
    """h_t = (1 - s(z)) n + s(z) h_(t-1) with the gates, a from the input and b from the state,

        n = tanh(a_n + s(a_r + b_r) b_n),  z = a_z + b_z,  (a_r, a_z, a_n) = W_ih x_t + b_ih,
        (b_r, b_z, b_n) = W_hh h_(t-1) + b_hh.

    Parameters and shapes are those of `RNN`, without nonlinearity; weights have 3 * hidden_size
    rows.

    References
    ----------
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, in the form
    with the reset gate behind the product.
    """

    gates = 3

    def step(self, given, state, name):
        inputs = given, self._back(state[0], name), state[0]
        return (Tensor.record(ops.gru_cell, inputs, {}),)


class LayerNormRNN(RNN):
    """h_t = tanh(LN(W_ih x_t + W_hh h_(t-1))): an RNN with layer norm in place of the biases.

    Parameters and shapes are those of `RNN`; `bias` is that of the norm, norm_l0 and so on.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450, equation 4.
    """

    normed = (("norm", 1),)

    def step(self, given, state, name):
        norm = getattr(self, "norm" + name)
        return (self._activate(norm(given + self._back(state[0], name))),)


class LayerNormLSTM(LSTM):
    """An LSTM with layer norm of what input and state give to the gates, and of the memory.

        (i, f, g, o) = LN(W_ih x_t) + LN(W_hh h_(t-1)),  h_t = s(o) tanh(LN(c_t))

    Parameters and shapes are those of `LSTM`; `bias` is that of the norms norm_ih_l0, norm_hh_l0,
    norm_c_l0 and so on.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450, equations 20 to 22.
    """

    normed = (("norm_ih", 4), ("norm_hh", 4), ("norm_c", 1))

    def _given(self, input, name):
        return getattr(self, "norm_ih" + name)(super()._given(input, name))

    def step(self, given, state, name):
        h, c = state
        gates = given + getattr(self, "norm_hh" + name)(self._back(h, name))
        _, c = Tensor.record(ops.lstm_cell, (gates, c), {})
        shown = F.tanh(getattr(self, "norm_c" + name)(c))
        return F.sigmoid(gates[:, 3 * self.hidden_size :]) * shown, c


class LayerNormGRU(GRU):
    """A GRU with layer norm of what input and state give to the gates.

    Of (a_r, a_z) together, of a_n, and so of b: norms norm_ih_l0, norm_ih_n_l0, norm_hh_l0,
    norm_hh_n_l0 and so on. Parameters and shapes are those of `GRU`; `bias` is that of the norms.

    References
    ----------
    Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450, section 6 of the supplement.
    """

    normed = (("norm_ih", 2), ("norm_ih_n", 1), ("norm_hh", 2), ("norm_hh_n", 1))

    def _given(self, input, name):
        return self._normalize(super()._given(input, name), "norm_ih", name)

    def _back(self, h, name):
        return self._normalize(super()._back(h, name), "norm_hh", name)

    def _normalize(self, x, norm, name):
        cut = 2 * self.hidden_size
        first = getattr(self, norm + name)(x[..., :cut])
        return F.cat([first, getattr(self, f"{norm}_n{name}")(x[..., cut:])], -1)
