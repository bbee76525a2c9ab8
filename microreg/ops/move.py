"""Between devices."""

from ..runtime import cuda
from ._op import Op


def _move_forward(x, *, device):
    return cuda.get_device().upload(x) if device == "cuda" else x


def _move_lower(x, *, device):
    return x.home.fetch(x, "a copy to the CPU") if device == "cpu" else x


def _move_vjp(g, node):
    return move(g, device=cuda.name_of(getattr(node.inputs[0], "data", node.inputs[0])))


move: Op = Op("move", _move_forward, (_move_vjp,), lower=_move_lower)
