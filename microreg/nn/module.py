"""Module and Parameter: a tree of layers whose leaves are tensors with names."""

from collections import OrderedDict

import numpy as np

from ..dtypes import FLOAT32, FLOAT64, as_array
from ..errors import DTypeError
from ..grad_mode import no_grad
from ..runtime.remote import homes, recorder
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that is trained. `penalty` is what `microreg.attach` put on it, or None."""

    __slots__ = ("penalty",)

    def __init__(self, data, requires_grad=True):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)
        self.penalty = None

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


class Module:
    """A layer, or a network of layers.

    Subclasses call `super().__init__()`, assign parameters and submodules as attributes, and define
    `forward`. Names are paths of attribute names joined by dots, as in PyTorch.
    """

    def __init__(self):
        self.__dict__.update(
            _parameters=OrderedDict(), _buffers=OrderedDict(), _modules=OrderedDict(), training=True
        )

    def __setattr__(self, name, value):
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}.{name}: call super().__init__() before assigning"
            )
        if name in self._parameters and value is not None and not isinstance(value, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name}: expected a Parameter or None, got "
                f"{type(value).__name__}; wrap it in nn.Parameter, or change {name}.data"
            )
        rooms = {Parameter: self._parameters, Module: self._modules}
        home = next((rooms[kind] for kind in rooms if isinstance(value, kind)), None)
        for room in (self._parameters, self._buffers, self._modules):
            if name in room and (room is not home):
                if value is None or (room is self._buffers and isinstance(value, Tensor)):
                    room[name] = value
                    return
                del room[name]
        if home is None:
            object.__setattr__(self, name, value)
        else:
            self.__dict__.pop(name, None)
            home[name] = value

    def __getattr__(self, name):
        for room in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(room, ()):
                return self.__dict__[room][name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name):
        for room in (self._parameters, self._buffers, self._modules):
            if name in room:
                del room[name]
                return
        object.__delattr__(self, name)

    def __call__(self, *args, **kwargs):
        if homes and (recording := recorder()) is not None:
            recording.modules[id(self)] = self, self.training
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def register_buffer(self, name, tensor):
        """A tensor that is saved with the module but not trained."""
        self._buffers[name] = tensor

    def register_parameter(self, name, parameter):
        """A Parameter under `name`, or None for one that this module does without."""
        self._parameters[name] = parameter

    def named_modules(self, prefix="", remove_duplicate=True):
        """This module and all below it, with their names: each once, or under all its names."""
        seen = set()
        stack = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            children = [(k, m) for k, m in module._modules.items() if m is not None]
            stack.extend((f"{name}.{k}" if name else k, m) for k, m in reversed(children))

    def modules(self):
        return (module for _, module in self.named_modules())

    def children(self):
        return (m for m in self._modules.values() if m is not None)

    def named_children(self):
        return ((k, m) for k, m in self._modules.items() if m is not None)

    def _named(self, room):
        seen = set()
        for prefix, module in self.named_modules():
            for name, value in getattr(module, room).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self):
        """Each parameter once, with its name."""
        return self._named("_parameters")

    def parameters(self):
        return (value for _, value in self.named_parameters())

    def named_buffers(self):
        return self._named("_buffers")

    def buffers(self):
        return (value for _, value in self.named_buffers())

    def train(self, mode=True):
        """Set training mode: dropout drops, batch norm uses the batch's statistics."""
        for module in self.modules():
            object.__setattr__(module, "training", bool(mode))
        return self

    def eval(self):
        """Set evaluation mode."""
        return self.train(False)

    def apply(self, function):
        """Call `function` on every submodule, then on this one."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def zero_grad(self):
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad=True):
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, target):
        """Convert floating parameters and buffers to a dtype, in place."""
        if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda"):
            for value in (*self.parameters(), *self.buffers()):
                value.to(target)
            return self
        dtype = np.dtype(target)
        if dtype not in (FLOAT32, FLOAT64):
            raise DTypeError(f"{type(self).__name__}.to: expected float32 or float64, got {dtype}")
        for value in (*self.parameters(), *self.buffers()):
            if value.data.dtype.kind == "f":
                value.data = value.data.astype(dtype)
                value.grad = None
        return self

    def float(self):
        return self.to(np.float32)

    def double(self):
        return self.to(np.float64)

    def state_dict(self):
        """Names to tensors sharing memory with parameters and buffers: PyTorch's keys, layouts."""
        out = OrderedDict()
        for prefix, module in self.named_modules(remove_duplicate=False):
            for room in (module._parameters, module._buffers):
                for name, value in room.items():
                    if value is not None:
                        out[f"{prefix}.{name}" if prefix else name] = value.detach()
        return out

    def load_state_dict(self, state_dict, strict=True):
        """Copy a state_dict into this module; all names and shapes are checked before any copy.

        Raises
        ------
        KeyError
            If names are missing or unexpected and strict is True.
        ValueError
            If a shape differs.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        if strict and (missing or unexpected):
            raise KeyError(
                f"load_state_dict: missing {missing}, unexpected {unexpected}; strict=False loads "
                "what fits"
            )
        found = {k: as_array(_array(state_dict[k])) for k in own if k in state_dict}
        wrong = [
            f"{k}: expected {own[k].shape}, got {v.shape}"
            for k, v in found.items()
            if v.shape != own[k].shape
        ]
        if wrong:
            raise ValueError("load_state_dict: " + "; ".join(wrong))
        with no_grad():
            for name, value in found.items():
                own[name].copy_(value)
        return missing, unexpected

    def extra_repr(self):
        return ""

    def __repr__(self):
        inner = [f"({k}): " + repr(m).replace("\n", "\n  ") for k, m in self._modules.items()]
        if not inner:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(inner) + "\n)"


def _array(value):
    """An array from a tensor of ours or of another library."""
    if isinstance(value, Tensor):
        return value.data
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
