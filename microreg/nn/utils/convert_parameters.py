"""All parameters as one vector, and back."""

from ...errors import ShapeError
from ...functional import cat
from ...grad_mode import no_grad


def parameters_to_vector(parameters):
    """The entries of all parameters, one after the other; gradients flow through it."""
    return cat([p.reshape(-1) for p in parameters])


@no_grad()
def vector_to_parameters(vec, parameters):
    """Overwrite the parameters with the entries of a vector, in the order of the inverse."""
    parameters = list(parameters)
    total = sum(p.numel() for p in parameters)
    if vec.shape != (total,):
        raise ShapeError(f"vector_to_parameters: expected {total} entries, got shape {vec.shape}")
    start = 0
    for p in parameters:
        p.copy_(vec[start : start + p.numel()].reshape(p.shape).to(p.dtype))
        start += p.numel()
