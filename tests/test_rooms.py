"""The rooms hold: imports point to rooms above, one room knows the compiler, files stay short."""

import ast
from pathlib import Path

import pytest

import microreg

ROOT = Path(microreg.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ROOMS = [  # from the top; a room may import from its own line and from those before it
    {"errors"},
    {"dtypes", "grad_mode"},
    {"kernels"},
    {"runtime"},
    {"ops"},
    {"penalties"},
    {"graph"},
    {"methods", "tensor"},
    {"anomaly", "creation", "files", "random", "terminal"},
    {"functional"},
    {"capture"},
    {"nn"},
    {"optim"},
    {"gradcheck"},
    {"training"},
    {"analysis"},
    {"onnx", "parallel", "sklearn"},
    {"__init__", "__main__", "bench", "speed", "warmup"},
]
COMPILERS = ("numba", "llvmlite", "numba_cuda")
LINES = 400


def room(parts):
    """The number of the room that a path inside the package, as a tuple of names, belongs to."""
    name = parts[0] if parts else "__init__"
    found = [i for i, names in enumerate(ROOMS) if name in names]
    assert found, f"{name} is in no room: add it to ROOMS, here and in DESIGN.md"
    return found[0]


def place(path):
    """A file as a tuple of names: kernels/norm.py is ("kernels", "norm")."""
    return path.relative_to(ROOT).with_suffix("").parts


def imports(text, here):
    """Every import in a file, also inside functions: (what, a tuple of names; its source)."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split(".")), ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            base = ("microreg", *here[: len(here) - node.level]) if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield (*base, alias.name), ast.unparse(node)


def inside(names):
    """The part of an imported path below the package; a name that is no module counts for it."""
    is_module = any((ROOT / f"{names[-1]}{end}").exists() for end in ("", ".py"))
    return () if len(names) == 2 and not is_module else names[1:]


def upward(text, here):
    """The imports in a file that point to a room below its own."""
    return [
        source
        for names, source in imports(text, here)
        if names[0] == "microreg" and room(inside(names)) > room(here)
    ]


def compilers(text, here):
    return [source for names, source in imports(text, here) if names[0] in COMPILERS]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(place(path)))
def test_a_room_imports_from_rooms_above_it(path):
    assert upward(path.read_text(encoding="utf-8"), place(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(place(path)))
def test_one_room_knows_the_compiler(path):
    """The driver looks whether there is one for GPUs."""
    assert (
        place(path)[0] == "kernels"
        or place(path) == ("runtime", "cuda_driver")
        or compilers(path.read_text(encoding="utf-8"), place(path)) == []
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(place(path)))
def test_a_file_can_be_held_in_the_head(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("from ..tensor import Tensor", ("ops", "linear")),
        ("from .. import tensor", ("ops", "linear")),
        ("from . import nn", ("functional",)),
        ("def f():\n    from .nn import Linear", ("tensor",)),
        ("import microreg.optim.adam", ("nn", "linear")),
        ("from microreg.training import fit", ("gradcheck",)),
        ("from .. import Tensor", ("nn", "linear")),
        ("import microreg", ("errors",)),
    ],
)
def test_an_upward_import_would_be_seen(text, here):
    assert upward(text, here) == [text.split("\n    ")[-1]]


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("from ..errors import ShapeError", ("nn", "linear")),
        ("from .. import functional as F", ("nn", "linear")),
        ("from . import Tensor", ("__main__",)),
        ("from .module import Module", ("nn", "linear")),
        ("import numpy as np", ("errors",)),
    ],
)
def test_other_imports_are_left_alone(text, here):
    assert upward(text, here) == []


@pytest.mark.parametrize(
    "text", ["import numba", "from llvmlite import ir", "def f():\n    import numba.core.types"]
)
def test_a_compiler_elsewhere_would_be_seen(text):
    assert len(compilers(text, ("runtime", "cpu"))) == 1
