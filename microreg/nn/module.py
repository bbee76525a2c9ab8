"""Module and Parameter: a tree of layers whose leaves are tensors with names."""

import itertools
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from ..dtypes import FLOAT32, FLOAT64, as_array
from ..errors import CheckpointError, DTypeError
from ..functional import where
from ..grad_mode import no_grad
from ..methods.conversion import targets
from ..runtime.remote import homes, recorder
from ..tensor import Tensor


def forget(parameters, set_to_none):
    """Set the gradients to None, or fill them with zeros."""
    for p in parameters:
        if set_to_none or p.grad is None:
            p.grad = None
        else:
            replace_gradient(p, where(np.array(False), p.grad, 0.0))


def replace_gradient(parameter, gradient):
    """Set a gradient, and let a step that is being recorded know."""
    if (recording := recorder()) is not None:
        recording.leaves.setdefault(id(parameter), (parameter, parameter.grad))
    parameter.grad = gradient


class Parameter(Tensor):
    """A tensor that is trained. `penalty` is what `microreg.attach` put on it, or None."""

    __slots__ = ("penalty",)

    def __init__(self, data, requires_grad=True):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)
        self.penalty = None

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


class Loaded(NamedTuple):
    """The names that `load_state_dict` did not find, and those it had no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Handle:
    """What registering a hook returns; `remove()` takes the hook away again."""

    numbers = itertools.count()

    def __init__(self, hooks):
        self.hooks, self.number = hooks, next(Handle.numbers)

    def remove(self):
        self.hooks.pop(self.number, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


class Module:
    """A layer, or a network of layers.

    Subclasses call `super().__init__()`, assign parameters and submodules as attributes, and define
    `forward`. Names are paths of attribute names joined by dots, as in PyTorch.
    """

    def __init__(self):
        rooms = "_parameters", "_buffers", "_modules", "_forward_pre_hooks", "_forward_hooks"
        self.__dict__.update({room: OrderedDict() for room in rooms})
        self.__dict__.update(training=True, _transient=set())  # names of buffers not to be saved

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
        made = self._modules.get("parametrizations")
        if made is not None and name in made:
            made[name].assign(value)
            return
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
        made = self.__dict__.get("_modules", {}).get("parametrizations")
        if made is not None and name in made:
            return made[name]()
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
        if not self._forward_pre_hooks and not self._forward_hooks:
            return self.forward(*args, **kwargs)
        for hook in tuple(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        out = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, out)
            out = out if changed is None else changed
        return out

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def register_forward_pre_hook(self, hook):
        """Call hook(module, args) before forward; what it returns takes the place of args."""
        return _hooked(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook):
        """Call hook(module, args, output) after forward; what it returns replaces the output."""
        return _hooked(self._forward_hooks, hook)

    def register_buffer(self, name, tensor, persistent=True):
        """A tensor that is saved with the module (if it is persistent) but not trained."""
        self._take_name(name, self._buffers)
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def register_parameter(self, name, param):
        """A Parameter under `name`, or None for one that this module does without."""
        self._take_name(name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter({name!r}): expected a Parameter or None, got "
                f"{type(param).__name__}; wrap it in nn.Parameter"
            )
        self._parameters[name] = param

    def register_module(self, name, module):
        """A submodule under `name`, or None."""
        self._take_name(name, self._modules)
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"register_module({name!r}): expected a Module or None, got {type(module).__name__}"
            )
        self._modules[name] = module

    add_module = register_module

    def _take_name(self, name, room):
        """Raise unless something may be registered in a room under this name."""
        who = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(f"{who}: expected a name without dots, got {name!r}")
        if name not in room and hasattr(self, name):
            raise KeyError(f"{who}: there is an attribute {name!r} already; choose another name")

    def get_submodule(self, target):
        """The module under a path of names joined by dots; this one for an empty path."""
        found = self
        for name in target.split(".") if target else ():
            found = getattr(found, name)
        if not isinstance(found, Module):
            raise AttributeError(f"get_submodule({target!r}): expected a Module there")
        return found

    def get_parameter(self, target):
        """The parameter under a path of names joined by dots."""
        return self._at(target, "_parameters")

    def get_buffer(self, target):
        """The buffer under a path of names joined by dots."""
        return self._at(target, "_buffers")

    def _at(self, target, room):
        path, _, name = target.rpartition(".")
        inside = getattr(self.get_submodule(path), room)
        if name not in inside:
            raise AttributeError(f"{type(self).__name__} has no {room[1:-1]} {target!r}")
        return inside[name]

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

    def _named(self, room, prefix, recurse, remove_duplicate):
        seen = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in getattr(module, room).items():
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Each parameter with its name: once, or under all its names."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        return (value for _, value in self.named_buffers(recurse=recurse))

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

    def zero_grad(self, set_to_none=True):
        """Forget the gradients; with set_to_none=False fill them with zeros."""
        forget(self.parameters(), set_to_none)

    def requires_grad_(self, requires_grad=True):
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, *args, device=None, dtype=None):
        """Convert floating parameters and buffers to a dtype, and move all to a device, in place.

        `args` are dtypes, devices ("cpu", "cuda"), or a tensor to be like.
        """
        device, dtype = targets(f"{type(self).__name__}.to", args, device, dtype)
        if dtype not in (None, FLOAT32, FLOAT64):
            raise DTypeError(f"{type(self).__name__}.to: expected float32 or float64, got {dtype}")
        with no_grad():
            for value in (*self.parameters(), *self.buffers()):
                floats = value.data.dtype.kind == "f"
                moved = value.to(device=device, dtype=dtype if floats else None)
                if moved is not value:
                    value.data, value.grad = moved.data, None
        return self

    def cpu(self):
        return self.to("cpu")

    def cuda(self):
        return self.to("cuda")

    def float(self):
        return self.to(np.float32)

    def double(self):
        return self.to(np.float64)

    def state_dict(self, prefix=""):
        """Names to tensors sharing memory with parameters and buffers: PyTorch's keys, layouts."""
        out = OrderedDict()
        for path, module in self.named_modules(remove_duplicate=False):
            for room in (module._parameters, module._buffers):
                for name, value in room.items():
                    if value is not None and not (
                        room is module._buffers and name in module._transient
                    ):
                        out[prefix + (f"{path}.{name}" if path else name)] = value.detach()
        return out

    def load_state_dict(self, state_dict, strict=True):
        """Copy a state_dict into this module; all names and shapes are checked before any copy.

        Returns
        -------
        (missing_keys, unexpected_keys)

        Raises
        ------
        CheckpointError, a RuntimeError
            If a shape differs, or if names are missing or unexpected and strict is True.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        found = {k: as_array(_array(state_dict[k])) for k in own if k in state_dict}
        wrong = [
            f"{k}: expected {own[k].shape}, got {v.shape}"
            for k, v in found.items()
            if v.shape != own[k].shape
        ]
        if strict and (missing or unexpected):
            wrong.insert(
                0, f"missing {missing}, unexpected {unexpected}; strict=False loads the rest"
            )
        if wrong:
            raise CheckpointError(f"load_state_dict({type(self).__name__}): " + "; ".join(wrong))
        with no_grad():
            for name, value in found.items():
                own[name].copy_(value)
        return Loaded(missing, unexpected)

    def extra_repr(self):
        return ""

    def __repr__(self):
        inner = [f"({k}): " + repr(m).replace("\n", "\n  ") for k, m in self._modules.items()]
        if not inner:
            return f"{type(self).__name__}({self.extra_repr()})"
        inner = [self.extra_repr(), *inner] if self.extra_repr() else inner
        return f"{type(self).__name__}(\n  " + "\n  ".join(inner) + "\n)"


def _hooked(hooks, hook):
    handle = Handle(hooks)
    hooks[handle.number] = hook
    return handle


def _array(value):
    """An array from a tensor of ours or of another library."""
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, np.ndarray):
        return value
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
