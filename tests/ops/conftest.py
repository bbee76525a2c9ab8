"""Each line of the table with each of its shapes, as the fixture `case`."""

import zlib

import numpy as np
import pytest

import microreg as mr

from . import table, table_elementwise, table_layers, table_tensors, table_windows

ACTIVATIONS = [*table.ACTIVATIONS, *table_elementwise.ACTIVATIONS]
TABLE = [
    *table.TABLE,
    *table_elementwise.ELEMENTARY,
    *table_elementwise.ACTIVATIONS,
    *table_elementwise.LOSSES,
    *table_tensors.REDUCTIONS,
    *table_tensors.PRODUCTS,
    *table_windows.WINDOWS,
    *table_tensors.SHAPES,
    *table_layers.MORE,
]


class Library:
    """microreg or torch: the functions of nn.functional beside the others."""

    def __init__(self, top):
        self.places = (top.nn.functional, top)

    def __getattr__(self, name):
        return next(getattr(place, name) for place in self.places if hasattr(place, name))


OURS = Library(mr)


class Case:
    """A line of the table with shapes for its inputs."""

    def __init__(self, line, shapes):
        self.line, self.shapes = line, shapes
        self.name = f"{line.name}, {' '.join(map(str, shapes))}"

    def arrays(self, dtype=np.float64):
        """The inputs, the same at every call."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [x.astype(dtype) for x in self.line.domain(rng, self.shapes)]

    def tensors(self, dtype=np.float64):
        return [mr.tensor(x, requires_grad=True) for x in self.arrays(dtype)]

    def __call__(self, *tensors):
        return self.line.call(OURS, *tensors)

    def cotangent(self, out):
        return np.random.default_rng(len(self.name)).normal(size=out.shape).astype(out.dtype)


CASES = [Case(line, shapes) for line in TABLE for shapes in line.shapes]


def over(cases):
    @pytest.fixture(params=cases, ids=lambda case: case.name)
    def chosen(request):
        return request.param

    return chosen


case = over(CASES)


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param
