"""Modules made of other modules."""

from .module import Module


class Sequential(Module):
    """Layers applied one after the other; their names are their positions.

    An OrderedDict of modules gives them names of its own.
    """

    def __init__(self, *layers):
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], dict):
            named = layers[0].items()
        else:
            named = ((str(i), layer) for i, layer in enumerate(layers))
        for name, layer in named:
            if not isinstance(layer, Module):
                raise TypeError(
                    f"Sequential: {name}: expected a Module, got {type(layer).__name__}"
                )
            setattr(self, name, layer)

    def forward(self, input):
        for layer in self._modules.values():
            input = layer(input)
        return input

    def append(self, layer):
        setattr(self, str(len(self)), layer)
        return self

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))  # under the same names
        return list(self._modules.values())[index]


class ModuleList(Sequential):
    """Modules in a list, registered with their positions as names; has no forward."""

    def __init__(self, modules=()):
        super().__init__(*modules)

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return ModuleList(found) if isinstance(index, slice) else found

    def forward(self, input):
        raise TypeError("ModuleList: call its modules; it has no forward of its own")
