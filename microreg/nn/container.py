"""Modules and parameters in lists and dicts."""

import operator

from ..tensor import Tensor
from .module import Module, Parameter


class _List(Module):
    """Values of one kind, registered with their positions as names."""

    kind: type = Module

    def __init__(self, values=()):
        super().__init__()
        self.extend(values)

    @property
    def _held(self):
        return self._modules

    def _checked(self, value, name):
        if not isinstance(value, self.kind):
            raise TypeError(
                f"{type(self).__name__}: {name}: expected a {self.kind.__name__}, got "
                f"{type(value).__name__}"
            )
        return value

    def _name(self, index):
        names = list(self._held)
        if not -len(names) <= operator.index(index) < len(names):
            raise IndexError(f"{type(self).__name__}: index {index} of {len(names)}")
        return names[index]

    def append(self, value):
        self._held[str(len(self))] = self._checked(value, len(self))
        return self

    def extend(self, values):
        for value in values:
            self.append(value)
        return self

    def insert(self, index, value):
        values = list(self)
        values.insert(index, self._checked(value, index))
        self._renumber(values)
        return self

    def pop(self, index=-1):
        value = self[index]
        del self[index]
        return value

    def _renumber(self, values):
        self._held.clear()
        self._held.update((str(i), value) for i, value in enumerate(values))

    def __len__(self):
        return len(self._held)

    def __iter__(self):
        return iter(self._held.values())

    def __contains__(self, value):
        return any(value is held for held in self)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._held[self._name(index)]

    def __setitem__(self, index, value):
        self._held[self._name(index)] = self._checked(value, index)

    def __delitem__(self, index):
        gone = list(self._held)[index] if isinstance(index, slice) else [self._name(index)]
        self._renumber([value for name, value in self._held.items() if name not in gone])

    def __add__(self, other):
        return type(self)([*self, *other])

    def __iadd__(self, other):
        return self.extend(other)

    def forward(self, *args):
        raise TypeError(f"{type(self).__name__}: use what it holds; it has no forward of its own")


class Sequential(_List):
    """Layers applied one after the other; their names are their positions.

    An OrderedDict of modules gives them names of its own.
    """

    def __init__(self, *layers):
        named = layers[0] if len(layers) == 1 and isinstance(layers[0], dict) else None
        super().__init__(() if named is not None else layers)
        for name, layer in (named or {}).items():
            self.register_module(name, self._checked(layer, name))

    def forward(self, input):
        for layer in self._modules.values():
            input = layer(input)
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))  # under the same names
        return super().__getitem__(index)

    def __add__(self, other):
        return Sequential(*self, *other)


class ModuleList(_List):
    """Modules in a list."""


class ParameterList(_List):
    """Parameters in a list; tensors become parameters."""

    kind = Parameter

    @property
    def _held(self):
        return self._parameters

    def _checked(self, value, name):
        is_plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
        return super()._checked(Parameter(value) if is_plain else value, name)


class _Dict(Module):
    """Values under names of their own."""

    def __init__(self, values=None):
        super().__init__()
        self.update(values or {})

    @property
    def _held(self):
        return self._modules

    def update(self, values):
        for name, value in values.items() if hasattr(values, "items") else values:
            self[name] = value

    def __setitem__(self, name, value):
        self.register_module(name, value)

    def __getitem__(self, name):
        return self._held[name]

    def __delitem__(self, name):
        del self._held[name]

    def __len__(self):
        return len(self._held)

    def __iter__(self):
        return iter(self._held)

    def __contains__(self, name):
        return name in self._held

    def keys(self):
        return self._held.keys()

    def values(self):
        return self._held.values()

    def items(self):
        return self._held.items()

    def get(self, name, default=None):
        return self._held.get(name, default)

    def pop(self, name):
        return self._held.pop(name)

    def clear(self):
        self._held.clear()

    def forward(self, *args):
        raise TypeError(f"{type(self).__name__}: use what it holds; it has no forward of its own")


class ModuleDict(_Dict):
    """Modules in a dict."""


class ParameterDict(_Dict):
    """Parameters in a dict; tensors become parameters."""

    @property
    def _held(self):
        return self._parameters

    def __setitem__(self, name, value):
        is_plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
        self.register_parameter(name, Parameter(value) if is_plain else value)
