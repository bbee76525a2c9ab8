"""python -m microreg info | warmup | gradcheck FILE.py:FUNCTION"""

import argparse
import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

from . import Tensor, __version__, get_num_threads, gradcheck, nn
from .kernels import _cache
from .warmup import warmup


def info():
    """Versions, the machine, and where compiled kernels are kept."""
    print(f"microreg {__version__}, Python {sys.version.split()[0]}")
    for name in ("numpy", "numba", "llvmlite"):
        print(f"{name} {metadata.version(name)}")
    print(f"CPU {_cache.cpu()}, {get_num_threads()} threads")
    folder = _cache.folder()
    kept = len(list(folder.glob("*.o"))) if folder.is_dir() else 0
    print(f"{kept} compiled kernels in {folder}")


def check(target):
    """Check the gradients of what a function in a user's file returns; True if they are right."""
    made = _load(target)()
    model, *data = made if isinstance(made, tuple) else (made,)
    loss = data.pop() if data and callable(data[-1]) and not isinstance(data[-1], Tensor) else None
    if not data:
        data = [_random_input(target, model)]
    if loss is None and len(data) == 2:
        labels = data[1].dtype.kind in "iu"
        loss = nn.functional.cross_entropy if labels else nn.functional.mse_loss
    report = gradcheck(model, *data, loss=loss, raise_exception=False)
    print(report)
    return report.ok


def _load(target):
    """The function that FILE.py:FUNCTION names."""
    path, _, name = target.rpartition(":")
    if not path or not Path(path).is_file():
        raise SystemExit(
            f"gradcheck {target}: expected FILE.py:FUNCTION, there is no file {path!r}"
        )
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise SystemExit(f"gradcheck {target}: {path} does not define {name}")
    return getattr(module, name)


def _random_input(target, model):
    """Rows for a model that came without data, if its first layer says how long they are."""

    first = next((m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))), None)
    rng = np.random.default_rng(0)
    if isinstance(first, nn.Linear):
        return rng.normal(size=(5, first.in_features))
    raise SystemExit(
        f"gradcheck {target}: expected the function to return (model, X), (model, X, y) or "
        "(model, X, y, loss); a model alone is enough only if its first layer is Linear"
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m microreg", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="versions, the machine, the kernel cache")
    warmer = commands.add_parser("warmup", help="compile every kernel now")
    warmer.add_argument("--jobs", type=int, help="processes that compile; one for each core")
    checker = commands.add_parser("gradcheck", help="check the gradients of your own model")
    checker.add_argument("target", help="FILE.py:FUNCTION; it returns a model, or (model, X, y)")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        info()
    elif chosen.command == "warmup":
        warmup(chosen.jobs)
    else:
        return 0 if check(chosen.target) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
