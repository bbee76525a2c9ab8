"""A table on disk as numbers: X, y and what the columns are called."""

import difflib
from pathlib import Path
from typing import NamedTuple

import numpy as np

FEW = 20  # distinct whole numbers at most in a target that means classes
SHOWN = 3  # values or columns named in an error


class Data(NamedTuple):
    """Columns as numbers; `classes` of the target, or None where it is a number itself."""

    X: np.ndarray
    y: np.ndarray
    columns: list[str]
    classes: list[str] | None


def read(path, target, drop=(), task=None):
    """Read CSV or Parquet with polars or pandas, whichever is there.

    Parameters
    ----------
    path : str or Path
    target : str
        The column to predict. Text, bools and at most 20 distinct whole numbers are classes.
    drop : sequence of str
        Columns to leave out.
    task : "classification", "regression" or None

    Raises
    ------
    ValueError
        For missing values, text among the inputs, a target that is not there or does not vary.
    """
    path = Path(path)
    columns = _columns(path)
    for name in (target, *drop):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {list(columns)}"
            raise ValueError(f"{path.name}: expected a column {name!r}{hint}")
    predicted = columns.pop(target)
    for name in drop:
        columns.pop(name)
    if not columns:
        raise ValueError(f"{path.name}: expected columns beside the target {target!r}, got none")
    X = [_numbers(path.name, name, values) for name, values in columns.items()]
    y, classes = _target(path.name, target, predicted, task)
    return Data(np.stack(X, 1).astype(np.float32), y, list(columns), classes)


def _columns(path):
    """Name to values; missing ones are None or NaN."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a CSV or Parquet file, there is none")
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise ValueError(f"{path.name}: expected a name that ends in .csv or .parquet")
    try:
        import polars as library
    except ImportError:
        try:
            import pandas as library
        except ImportError:
            raise ImportError(
                "compare: reading tables needs polars or pandas; pip install 'microreg[table]'"
            ) from None
    try:
        table = library.read_csv(path) if kind == ".csv" else library.read_parquet(path)
    except Exception as error:  # each library has its own
        raise ValueError(f"{path.name}: cannot be read as a table: {error}") from None
    if not len(table):
        raise ValueError(f"{path.name}: expected rows, got none")
    return {str(name): np.asarray(table[name]) for name in table.columns}


def _refuse_missing(file, name, values):
    if values.dtype.kind == "O":
        missing = np.array([v is None or v != v for v in values])
    else:
        missing = values != values  # NaN and the date that is none
    rows = np.flatnonzero(missing)
    if len(rows):
        raise ValueError(
            f"{file}: column {name!r} has {len(rows)} missing values, the first in row {rows[0]}; "
            "fill them or leave the column or the rows out"
        )


def _numbers(file, name, values):
    """A column of inputs as floats."""
    _refuse_missing(file, name, values)
    if values.dtype.kind not in "fiub":
        kinds = sorted({str(v) for v in values})
        shown = ", ".join(map(repr, kinds[:SHOWN])) + (", ..." if len(kinds) > SHOWN else "")
        what = "dates" if values.dtype.kind == "M" else "text"
        raise ValueError(
            f"{file}: column {name!r} holds {what}, {len(kinds)} kinds of it ({shown}), where a "
            "number is expected; make a column of 0 and 1 for each kind, or drop it"
        )
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{file}: column {name!r} holds infinity; expected finite numbers")
    return numbers


def _target(file, name, values, task):
    """(y, classes): class numbers and what they stand for, or floats and None."""
    _refuse_missing(file, name, values)
    kinds = np.unique(values.astype(str) if values.dtype.kind == "O" else values)
    if len(kinds) < 2:
        raise ValueError(f"{file}: target {name!r} is {kinds[0]} in every row; expected two values")
    text = values.dtype.kind not in "fiu"
    whole = not text and bool((values == np.floor(values)).all())
    if task == "regression" and values.dtype.kind not in "fiub":
        raise ValueError(f"{file}: target {name!r} holds text; expected numbers for regression")
    if task == "classification" or (task is None and (text or (whole and len(kinds) <= FEW))):
        if len(kinds) > len(values) // 2:
            raise ValueError(
                f"{file}: target {name!r} has {len(kinds)} classes in {len(values)} rows; expected "
                "rows that share classes"
            )
        found, y = np.unique(
            values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True
        )
        return y.astype(np.int64), [str(kind) for kind in found]
    y = values.astype(np.float32)
    if not np.isfinite(y).all():
        raise ValueError(f"{file}: target {name!r} holds infinity; expected finite numbers")
    return y, None
