"""Compiling every kernel ahead, so that no later run waits for the compiler."""

import functools
import importlib
import multiprocessing
import pkgutil

from tqdm import tqdm

from . import kernels as kernel_room
from . import penalties
from .kernels import lift, update
from .kernels._jit import FLOATS, KERNELS, Kernel
from .kernels.update_rows import update_rows
from .penalties.combine import plan

PENALTIES = (None, penalties.L1(0.1), penalties.L2(0.1), penalties.ElasticNet(0.1))
OF_ROWS = (
    penalties.GroupLasso(0.1),
    penalties.MaxNorm(1.0),
    [penalties.L1(0.1), penalties.MaxNorm(1.0)],
)


@functools.cache
def everything():
    """The kernels of this package: those by name, those of formulas, and the optimizers' updates.

    Left out are those that come with a penalty of your own, or with shapes broadcast oddly.
    """
    for module in pkgutil.iter_modules(kernel_room.__path__, kernel_room.__name__ + "."):
        if not module.name.rpartition(".")[2].startswith("_"):
            importlib.import_module(module.name)
    for kernel in list(KERNELS):
        if kernel.name.endswith("_pair"):
            kind = kernel.signature.arrays[-1].dtype
            for flipped in (False, True):
                lift.numbers(kernel.formula, flipped, "" if kind == "T" else f":{kind}")
    for rule in update.RULES:
        for planned in map(plan, PENALTIES):
            update.update_kernel(rule, planned.prox, len(planned.params), False)
        for planned in map(plan, OF_ROWS):
            line, room, wide, _ = planned.joint.rows((1, 1))
            update_rows(rule, planned.prox, len(planned.params), line, room, wide)
    return sorted({k for k in KERNELS if isinstance(k, Kernel)}, key=lambda k: (k.name, k.key))


def _compile(index):
    """Compile one kernel in every dtype that it comes in; every process counts them alike."""
    kernel = everything()[index]
    for dtype in FLOATS[kernel.typed is None :]:
        kernel.entry(dtype)
    return kernel.name


def warmup(jobs=None):
    """Compile everything in `jobs` processes, one for each core if not given; shows a bar."""
    context = multiprocessing.get_context("spawn")
    kernels = range(len(everything()))
    with context.Pool(jobs) as pool, tqdm(total=len(kernels), unit="kernel") as bar:
        for name in pool.imap_unordered(_compile, kernels):
            bar.set_postfix_str(name, refresh=False)
            bar.update()
