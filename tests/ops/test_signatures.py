"""Names of arguments, their order and their defaults are PyTorch's."""

import ast
import inspect
import re

import pytest

import microreg as mr
import microreg.functional as F
from microreg import nn

FREE = inspect.Parameter.empty  # an argument that must be given
# what torch has and microreg leaves out, wherever it stands
LEFT_OUT = {"out", "device", "layout", "pin_memory", "memory_format", "generator", "_stacklevel"}
LEFT_OUT |= {"size_average", "reduce"}  # of losses: given up in favour of reduction
LEFT_OUT |= {"min_value", "max_value"}  # of Hardtanh: given up in favour of min_val and max_val
LEFT_OUT |= {"return_indices"}  # of MaxPool2d, before ceil_mode, which is given by name
LEFT_OUT |= {"max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze"}
OTHERWISE = {  # see docs/differences.md
    "einsum",  # its operands are *args in torch
    "backward",  # no `inputs`: mr.grad has them
    "softmax",  # dim must be given: torch guesses one and warns
    "log_softmax",
    "softmin",
    *["Softmax", "LogSoftmax", "Softmin"],
    *["std", "var"],  # one signature for two overloads, by unbiased and by correction
    *["topk", "sort", "argsort"],  # torch's documentation leaves defaults or overloads out
}
CLASSES = [
    name
    for name in nn.__all__
    if getattr(getattr(nn, name), "__module__", "").split(".")[-1]
    in ("activation", "conv", "linear", "loss", "pooling")
    and name not in OTHERWISE
]
METHODS = [
    name
    for name, function in inspect.getmembers(mr.Tensor, inspect.isfunction)
    if not name.startswith("_") and name not in ("made", "record", "several", *OTHERWISE)
]
FUNCTIONS = [name for name in F.__all__ if name not in OTHERWISE and callable(getattr(F, name))]


def ours_of(function):
    """[(name, default)] without the first, which is the tensor itself."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in parameters][1:]


def documented(doc):
    """The signatures at the head of a docstring, one for each overload."""
    for found in re.finditer(
        r"^\s*(?:\.\. \w+:: )?[\w.]+\(((?:[^()]|\([^()]*\))*)\)\s*->", doc, re.M
    ):
        text = re.sub(r"\\?\*(\w+)(\.\.\.)?", r"*\1", found[1])
        text = re.sub(r"(\w+): *[\w\[\], .]+?(?==|,|$)", r"\1", text)
        try:
            args = ast.parse(f"def f({text}): pass").body[0].args
        except SyntaxError:
            continue
        places = [*args.posonlyargs, *args.args]
        defaults = [None] * (len(places) - len(args.defaults)) + args.defaults
        named = zip(args.kwonlyargs, args.kw_defaults, strict=True)
        both = [*zip(places, defaults, strict=True), *named]
        yield [(a.arg, FREE if d is None else ast.unparse(d)) for a, d in both]


def theirs_of(function):
    """Every signature of a function of torch; none if unknown."""
    try:
        found = [[(p.name, p.default) for p in inspect.signature(function).parameters.values()]]
    except ValueError:
        found = list(documented(function.__doc__ or ""))
    if found and [name for name, _ in found[0]] == ["args", "kwargs"]:
        return []
    return found


def plain(default):
    return str(default).strip("'").removeprefix("torch.").removesuffix(".0")


def agrees(ours, theirs):
    """Whether what may be left out has torch's name, default and place.

    None may stand for an overload without the argument.
    """
    theirs = iter([(n, d) for n, d in theirs if n not in LEFT_OUT])
    for name, default in ours:
        if name in LEFT_OUT:
            continue
        other = next(theirs, None)
        if other is None or (default is FREE and other[1] is not FREE):
            return False
        if default is not FREE and name != other[0]:
            return False
        if default not in (FREE, None) and plain(default) != plain(other[1]):
            return False
    return True


def check(ours, theirs, first):
    """`first` is whether torch's signature counts the tensor itself."""
    found = [[p for p in one[first:] if p[0] != "self"] for one in theirs_of(theirs)]
    wide = [p.kind for p in inspect.signature(ours).parameters.values()]
    if not found or inspect.Parameter.VAR_POSITIONAL in wide:
        pytest.skip("torch does not say")
    assert any(agrees(ours_of(ours), one) for one in found), (ours_of(ours), found)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_called_as_in_torch(name, torch):
    place = torch.nn.functional if hasattr(torch.nn.functional, name) else torch
    if not hasattr(place, name):
        pytest.skip("microreg's own")
    check(getattr(F, name), getattr(place, name), 1)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_called_as_in_torch(name, torch):
    check(getattr(mr.Tensor, name), getattr(torch.Tensor, name), 0)


@pytest.mark.parametrize("name", CLASSES)
def test_a_layer_is_made_as_in_torch(name, torch):
    check(getattr(nn, name).__init__, getattr(torch.nn, name).__init__, 0)
