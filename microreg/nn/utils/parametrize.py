"""Tensors of a module that are computed from others at each use.

    register_parametrization(layer, "weight", Symmetric())

From then on `layer.weight` is Symmetric()(original), original being a parameter of
layer.parametrizations.weight, which is what the optimizer trains and a state_dict keeps, under
PyTorch's names.
"""

from ...errors import ShapeError
from ...grad_mode import no_grad
from ...tensor import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Parameter


class ParametrizationList(ModuleList):
    """Parametrizations applied one after the other to the originals; `self()` is the tensor.

    The first may have a right_inverse that finds several originals: original0, original1, ...
    """

    def __init__(self, first, value):
        super().__init__([first])
        start = self._originals(value)
        names = ["original"] if len(start) == 1 else [f"original{i}" for i in range(len(start))]
        self.names = names
        for name, x in zip(names, start, strict=True):
            x = x.detach().clone()
            if isinstance(value, Parameter):
                self.register_parameter(name, Parameter(x, value.requires_grad))
            else:
                self.register_buffer(name, x)

    def _originals(self, value):
        """The tensors from which the parametrizations make `value`."""
        with no_grad():
            for step in reversed(list(self)):
                value = step.right_inverse(value) if hasattr(step, "right_inverse") else value
        return value if isinstance(value, tuple) else (value,)

    def assign(self, value):
        """Change the originals so that the tensor becomes `value`."""
        if not isinstance(value, Tensor):
            raise TypeError(f"parametrizations: expected a Tensor, got {type(value).__name__}")
        for name, x in zip(self.names, self._originals(value), strict=True):
            getattr(self, name).copy_(x)

    def forward(self):
        first, *others = self
        out = first(*(getattr(self, name) for name in self.names))
        for step in others:
            out = step(out)
        return out


def register_parametrization(module, tensor_name, parametrization):
    """Let module.tensor_name be what a parametrization, a module, makes of the original.

    Its `right_inverse`, if there is one, finds originals for a given tensor; otherwise the tensor
    itself is the original. Several are applied in the order in which they were registered.

    Raises
    ------
    ShapeError
        If the parametrization changes the shape or dtype. The module is left as it was.
    """
    if is_parametrized(module, tensor_name):
        held = module.parametrizations[tensor_name]
        value = held().detach()
        held.append(parametrization)
        try:
            _same_kind(parametrization, value, tensor_name)
        except ShapeError:
            held.pop()
            raise
        held.assign(value)
        return module
    rooms = [room for room in (module._parameters, module._buffers) if tensor_name in room]
    if not rooms or rooms[0][tensor_name] is None:
        raise ValueError(
            f"register_parametrization: {type(module).__name__} has no parameter or buffer "
            f"{tensor_name!r}"
        )
    value = rooms[0][tensor_name]
    held = ParametrizationList(parametrization, value)
    _same_kind(held, value, tensor_name)
    del rooms[0][tensor_name]
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict()
    module.parametrizations._modules[tensor_name] = held
    return module


def _same_kind(make, value, name):
    out = make() if isinstance(make, ParametrizationList) else make(value)
    if out.shape != value.shape or out.dtype != value.dtype:
        raise ShapeError(
            f"register_parametrization({name!r}): expected {value.dtype} of shape {value.shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )


def is_parametrized(module, tensor_name=None):
    """Whether a tensor of the module, or any if no name is given, is computed from others."""
    held = module._modules.get("parametrizations")
    return held is not None and (tensor_name in held if tensor_name else len(held) > 0)


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make module.tensor_name a plain parameter again: with its value now, or its original's."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"remove_parametrizations: {type(module).__name__}.{tensor_name} is not parametrized"
        )
    held = module.parametrizations[tensor_name]
    if not leave_parametrized and len(held.names) > 1:
        raise ValueError("remove_parametrizations: several originals make no tensor by themselves")
    with no_grad():
        value = held() if leave_parametrized else held.original
    first = getattr(held, held.names[0])
    del module.parametrizations._modules[tensor_name]
    if not len(module.parametrizations):
        del module._modules["parametrizations"]
    if isinstance(first, Parameter):
        module.register_parameter(tensor_name, Parameter(value.detach(), first.requires_grad))
    else:
        module.register_buffer(tensor_name, value.detach())
    return module
