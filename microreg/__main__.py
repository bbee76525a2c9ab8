"""python -m microreg info | warmup | gradcheck FILE.py:FUNCTION | compare TABLE | bench"""

import argparse
import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

from . import Tensor, __version__, get_num_threads, gradcheck, nn
from .analysis import RECIPES, compare, frame
from .kernels import _cache
from .speed import speed
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


def compare_table(chosen):
    """Compare regularizers on a table; print the result and write it as a page."""
    page = Path(chosen.html or f"{Path(chosen.table).stem}-comparison.html")
    try:
        data = frame.read(chosen.table, chosen.target, chosen.drop, chosen.task)
        print(
            f"{chosen.table}: {len(data.X)} rows, {len(data.columns)} inputs, "
            + (f"classes {data.classes}" if data.classes else f"numbers in {chosen.target!r}")
        )
        found = compare(
            data.X, data.y, hidden=chosen.hidden, recipes=chosen.only, folds=chosen.folds,
            epochs=chosen.epochs, seed=chosen.seed, n_jobs=chosen.jobs,
        )  # fmt: skip
        print(found)
        found.save(page)
    except (ImportError, ValueError) as error:
        raise SystemExit(f"compare: {str(error).removeprefix('compare: ')}") from None
    print(f"{page} written")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m microreg", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="versions, the machine, the kernel cache")
    warmer = commands.add_parser("warmup", help="compile every kernel now")
    warmer.add_argument("--jobs", type=int, help="processes that compile; one for each core")
    checker = commands.add_parser("gradcheck", help="check the gradients of your own model")
    checker.add_argument("target", help="FILE.py:FUNCTION; it returns a model, or (model, X, y)")
    comparer = commands.add_parser("compare", help="compare regularizers on a table of yours")
    comparer.add_argument("table", help="a CSV or Parquet file")
    comparer.add_argument("--target", required=True, help="the column to predict")
    comparer.add_argument("--drop", nargs="+", default=(), help="columns to leave out")
    comparer.add_argument("--task", choices=["classification", "regression"])
    comparer.add_argument("--only", nargs="+", metavar="NAME", help=f"some of {list(RECIPES)}")
    comparer.add_argument("--hidden", nargs="*", type=int, default=[32], help="widths of layers")
    comparer.add_argument("--folds", type=int, default=5)
    comparer.add_argument("--epochs", type=int, default=100)
    comparer.add_argument("--seed", type=int, default=0)
    comparer.add_argument("--jobs", type=int, help="processes; the numbers are the same")
    comparer.add_argument("--html", help="the page to write; TABLE-comparison.html")
    commands.add_parser("bench", help="microseconds of training steps on this machine")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        info()
    elif chosen.command == "warmup":
        warmup(chosen.jobs)
    elif chosen.command == "compare":
        compare_table(chosen)
    elif chosen.command == "bench":
        speed()
    else:
        return 0 if check(chosen.target) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
