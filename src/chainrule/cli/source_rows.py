"""Rows of a source as a trained model takes them, for `chainrule predict` and `chainrule evaluate`.

In: a model, a source, how its file is read. Out: `SourceRows`: the matrix, the target if it is wanted, and what is unusual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from chainrule.arrays import Array
from chainrule.data import BUILTIN, features_of, load
from chainrule.data.table import ReadOptions
from chainrule.data.table.files import table_ending
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.io import load_model
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.table_model import TableModel

_SHOWN = 5
"""Columns that a message names one by one."""

ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="A model.safetensors file or a run folder.")]


@dataclass(frozen=True, eq=False)
class SourceRows:
    """Rows for a model.

    Parameters
    ----------
    name : str
        Name of the source.
    X : array of shape (n, d)
        What the network or the pack takes.
    y : array of shape (n,) or (n, k), default=None
        The targets, where they were asked for.
    kept : dict of str to list, default={}
        Cells of the columns that the user keeps, by name.
    left_out : int, default=0
        Rows without a target.
    notes : tuple of str, default=()
        What is unusual about the rows.
    """

    name: str
    X: Array = field(repr=False)
    y: Array | None = field(default=None, repr=False)
    kept: dict[str, list[Any]] = field(default_factory=dict, repr=False)
    left_out: int = 0
    notes: tuple[str, ...] = ()


def read_model(place: str) -> Model | Pack | TableModel:
    """Load the model from a file or a run folder."""
    path = Path(place)
    return load_model(path / "model.safetensors" if path.is_dir() else path)


def core_of(model: Model | Pack | TableModel) -> Model | Pack:
    """Return what predicts from the matrix of `SourceRows`."""
    return model.core if isinstance(model, TableModel) else model


def check_threshold(command: str, model: Model | Pack, threshold: float | None) -> None:
    """Refuse a threshold that is no probability, and one for anything but two classes."""
    if threshold is None:
        return
    classes = model.classes
    if not isinstance(classes, np.ndarray) or len(classes) != 2 or model.multilabel:
        what = "values" if classes is None else "several targets or labels"
        what = f"{len(classes)} classes" if isinstance(classes, np.ndarray) and not model.multilabel else what
        hint = f"The model predicts {what}."
        raise InvalidValueError(
            must_be(command, "--threshold", "left out unless there are two classes", threshold, hint)
        )
    if not 0.0 < threshold < 1.0:
        raise InvalidValueError(must_be(command, "--threshold", "between 0 and 1", threshold))


def rows_to_predict(
    command: str, model: Model | Pack | TableModel, source: str, read: ReadOptions, keep: Sequence[str]
) -> SourceRows:
    """Read the rows of a source; the target is not needed."""
    if _is_table(source):
        from chainrule.data.table.loading import cells_of

        frame = _read(model, Path(source), read, keep)
        kept = {name: cells_of(frame[name]) for name in known_columns(command, frame, keep)}
        X, notes = matrix_of(model, Path(source).name, frame)
        return SourceRows(Path(source).name, X, kept=kept, notes=notes)
    if keep:
        raise InvalidValueError(
            must_be(command, "--keep", "left out for this source", ",".join(keep), "It has no names.")
        )
    X = features_of(source, model.feature_names)
    return SourceRows(source, model.as_matrix(X))


def rows_to_evaluate(model: Model | Pack | TableModel, source: str, read: ReadOptions, seed: int) -> SourceRows:
    """Read the rows of a source that have a target, which is read as the model's."""
    if _is_table(source):
        from chainrule.data.table import read_target

        name = Path(source).name
        frame = _read(model, Path(source), read, ())
        found = read_target(name, frame, model.target_name, model.task, learned=False)
        X, notes = matrix_of(model, name, frame.filter(found.kept))
        return SourceRows(name, X, labels_for(model, name, found.y), {}, int((~found.kept).sum()), notes)
    dataset = load(source, task=model.task, seed=seed)
    dataset = dataset.test or dataset
    if dataset.X.shape[1] != len(model.feature_names):
        allowed = f"{len(model.feature_names)}, as in training"
        raise InvalidValueError(must_be(source, "columns", allowed, dataset.X.shape[1]))
    return SourceRows(source, model.as_matrix(dataset.X), labels_for(model, source, dataset.y))


def _is_table(source: str) -> bool:
    return source not in BUILTIN and Path(source).is_file() and table_ending(Path(source)) is not None


def _read(model: Model | Pack | TableModel, path: Path, read: ReadOptions, keep: Sequence[str]) -> Any:
    """Read a table; columns that are only kept stay as they are written."""
    from chainrule.data.table.loading import file_for

    kinds = {name: "text" for name in keep if name not in model.feature_names}
    features = model.schema if isinstance(model, TableModel) else model.feature_names
    return file_for(path, features, replace(read, kinds={**kinds, **read.kinds})).frame


def matrix_of(model: Model | Pack | TableModel, name: str, frame: Any) -> tuple[Array, tuple[str, ...]]:
    """Return the matrix that the model takes, and notes on the rows."""
    frame = frame.drop(model.target_name, strict=False)
    if isinstance(model, TableModel):
        notes: list[str] = []
        return model.read(name, frame, notes), tuple(f"{name}: {note}" for note in notes)
    from chainrule.data.table.loading import number_matrix

    extra = [column for column in frame.columns if column not in model.feature_names]
    shown = ", ".join(repr(column) for column in extra[:_SHOWN])
    more = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
    ignored = (f"{name}: ignored columns that the training did not have: {shown}{more}",) if extra else ()
    return model.as_matrix(number_matrix(name, frame, model.feature_names)), ignored


def known_columns(command: str, frame: Any, keep: Sequence[str]) -> Sequence[str]:
    """Return the names of columns to keep; raise `InvalidValueError` for others."""
    for name in keep:
        if name not in frame.columns:
            hint = did_you_mean(name, frame.columns)
            raise InvalidValueError(must_be(command, "--keep", "names of columns, separated by commas", name, hint))
    return keep


def labels_for(model: Model | Pack | TableModel, owner: str, y: Array) -> Array:
    """Return labels as the model has them, and any other target as it is."""
    classes = model.classes
    return labels_of(owner, classes, y) if isinstance(classes, np.ndarray) and y.ndim == 1 else y


def labels_of(owner: str, classes: Array, y: Array) -> Array:
    """Return labels as the classes are written: "1", 1, 1.0 and, for booleans, "true" are written differently in files.

    Parameters
    ----------
    owner : str
        The file or source that messages name.
    classes : array of shape (K,)
        The labels that are known.
    y : array of shape (n,)
        Labels.

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    InvalidValueError
        For labels that are not among the classes.
    """
    if y.dtype == classes.dtype and np.isin(y, classes).all():
        return y
    known: dict[Any, Any] = {}
    for label in classes.tolist():
        known.setdefault(_key(label), label)
    known |= {str(label): label for label in classes.tolist()}
    distinct, place = np.unique(y, return_inverse=True)
    cells = distinct.tolist()
    labels = [known.get(str(cell), known.get(_key(cell))) for cell in cells]
    unknown = [cell for cell, label in zip(cells, labels, strict=True) if label is None]
    if unknown:
        raise InvalidValueError(must_be(owner, "labels", f"among {classes.tolist()}", unknown[:_SHOWN]))
    return np.array(labels, dtype=None if classes.dtype.kind in "OTU" else classes.dtype)[place]


def _key(label: Any) -> Any:
    """Return what equal labels of different types share."""
    text = str(label).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        return float(text)
    except ValueError:
        return text
