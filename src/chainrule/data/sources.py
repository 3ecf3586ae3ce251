"""Data by one word or path, for the command line, the estimators and the tests alike.

In: a built-in name, a file or a folder. Out: a `Dataset`, or rows to predict.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chainrule.arrays import Array
from chainrule.data import idx, npz, toys
from chainrule.data.dataset import Dataset
from chainrule.data.table.files import ALLOWED, save_as, table_ending
from chainrule.data.table.schema import ReadOptions, TableSchema
from chainrule.data.targets import check_task, settle_target
from chainrule.errors import FormatError, InvalidValueError, MissingError, did_you_mean, must_be

BUILTIN: Mapping[str, Callable[[int], Dataset]] = {
    "digits": toys.digits,
    "circles": toys.circles,
    "moons": toys.moons,
    "blobs": toys.blobs,
    "spirals": toys.spirals,
    "iris": toys.labeled("iris", "species"),
    "wine": toys.labeled("wine", "cultivar"),
    "breast_cancer": toys.labeled("breast_cancer", "diagnosis"),
    "diabetes": toys.diabetes,
    "mnist": lambda seed: idx.mnist(),
}
"""The data sets known by name; each takes a seed."""

_FILES = f"{ALLOWED}, a .npz file, or a folder of IDX files"


def load(
    source: str | Path,
    target: str | None = None,
    *,
    task: str | None = None,
    seed: int = 0,
    features: Sequence[str] | TableSchema | None = None,
    read: ReadOptions | None = None,
) -> Dataset:
    """Load a data set: a built-in name, a table, an .npz file, or a folder of IDX files.

    Tables are .csv, .tsv, .txt, .dat, .data, .parquet and .xlsx files, each also .gz. A built-in name comes before a file
    of that name: write ./mnist for a folder called mnist.

    Parameters
    ----------
    source : str or Path
        "digits", "circles", "moons", "blobs", "spirals", "iris", "wine", "breast_cancer", "diabetes", "mnist", or a
        path.
    target : str, default=None
        Column to learn, which tables need; other sources have one target.
    task : {"classification", "regression"}, default=None
        Task, where the target's values would suggest the other; None decides by the values.
    seed : int, default=0
        Seed of the sets that are drawn: circles, moons, blobs, spirals.
    features : sequence of str or TableSchema, default=None
        For tables: the columns that a model takes, to measure it on; a single class is enough then. Columns given by name
        must be numbers without gaps; a schema takes what it took in training.
    read : ReadOptions, default=None
        For tables: what the rules of reading would decide otherwise.

    Returns
    -------
    Dataset

    Raises
    ------
    MissingError
        For a path that does not exist.
    InvalidValueError
        For an unknown name, and for data that cannot be learned from.
    FormatError
        For a damaged file or one of another kind.

    Examples
    --------
    >>> data = load("circles")
    >>> data.X.shape, data.task
    ((300, 2), 'classification')
    """
    check_task("load", task)
    if str(source) in BUILTIN:
        _refuse_target(str(source), target)
        return _with_task(BUILTIN[str(source)](seed), task)
    path = _existing(source)
    if path.is_file() and table_ending(path):
        from chainrule.data.table.loading import load_table

        return load_table(path, target, task, features, read)
    if path.is_dir() and (table_ending(path) or path.suffix.lower() == ".npz"):
        raise FormatError(must_be("load", "source", _FILES, str(path), "It is a folder with the name of a file."))
    if path.is_file() and path.suffix.lower() != ".npz":
        raise FormatError(must_be("load", "source", _FILES, str(path), save_as(path)))
    _refuse_target(path.name, target)
    return npz.load_npz(path, task) if path.suffix.lower() == ".npz" else _with_task(_folder(path), task)


def features_of(
    source: str | Path, feature_names: Sequence[str] | TableSchema, read: ReadOptions | None = None
) -> Array:
    """Load the rows of a source as a model with these features takes them; no target is needed.

    Columns of tables are found by name, in any order and among others; the columns of other sources are taken in their
    order.

    Parameters
    ----------
    source : str or Path
        As for `load`.
    feature_names : sequence of str or TableSchema
        The d columns of the model: names of numbers without gaps, or its schema.
    read : ReadOptions, default=None
        For tables: what the rules of reading would decide otherwise.

    Returns
    -------
    array of shape (n, d)

    Raises
    ------
    InvalidValueError
        For missing columns or another number of them.

    Examples
    --------
    >>> features_of("circles", ("x1", "x2")).shape
    (300, 2)
    """
    if str(source) not in BUILTIN and (path := _existing(source)).is_file() and table_ending(path):
        from chainrule.data.table import loading

        return loading.features_of(path, feature_names, read)
    feature_names = feature_names.design_names if isinstance(feature_names, TableSchema) else feature_names
    X = npz.features_of(Path(source)) if _is_npz(Path(source)) else load(source).X
    if X.shape[1] != len(feature_names):
        allowed = f"of shape (n, {len(feature_names)}), one column per feature of the model"
        raise InvalidValueError(must_be(str(source), "X", allowed, X.shape))
    return X


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and not path.is_dir()


def _existing(source: str | Path) -> Path:
    path, text = Path(source), str(source)
    if path.exists():
        return path
    if path.suffix or "/" in text or os.sep in text:
        hint = "This path does not exist."
        raise MissingError(must_be("load", "source", "an existing file or folder", text, hint))
    allowed = f"a built-in name, or the path of {_FILES}"
    raise InvalidValueError(must_be("load", "source", allowed, text, did_you_mean(text, BUILTIN)))


def _folder(path: Path) -> Dataset:
    if not path.is_dir():
        raise FormatError(must_be("load", "source", _FILES, str(path)))
    return idx.load_idx(path)


def _refuse_target(owner: str, target: str | None) -> None:
    if target is not None:
        hint = "Only tables have target columns to choose from."
        raise InvalidValueError(must_be(owner, "target", "left out", target, hint))


def _with_task(dataset: Dataset, task: str | None) -> Dataset:
    """Return the data set with its target, and that of its test rows, read for another task."""
    if task in (None, dataset.task):
        return dataset
    y, settled = settle_target(dataset.name, dataset.y, task)
    test = _with_task(dataset.test, task) if dataset.test is not None else None
    return replace(dataset, y=y, task=settled, test=test)
