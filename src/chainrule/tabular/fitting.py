"""From rows as people have them to a trained model of the table: the one path of the estimators and the command line.

In: a frame and its target. Out: a `TableFit`: the `TableModel`, and the pack's run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Task
from chainrule.data.table import ReadOptions, TableSchema
from chainrule.errors import InvalidValueError, must_be
from chainrule.pipeline import Settings
from chainrule.pipeline.targets import classification, regression, usual_weights
from chainrule.table_model import TableModel
from chainrule.tabular.members import TrainedMember
from chainrule.tabular.packing import PackRun, train_pack
from chainrule.tabular.preset import Preset

_FEWEST_ROWS = 4

SECONDS = 20.0
"""Time of a pack, where none is given."""

_LARGE = 100_000
"""Rows above which a pack has twice the time."""


_LEAST_SHARE = 0.2
"""Share of the time that the training has, however long reading the rows took."""


def time_for(n: int) -> float:
    """Return the seconds that a pack takes for n training rows, where no time is given.

    Parameters
    ----------
    n : int
        Number of training rows.

    Returns
    -------
    float
    """
    return 2 * SECONDS if n > _LARGE else SECONDS


@dataclass(frozen=True, eq=False)
class TableFit:
    """A model of a table, and how it was trained.

    Parameters
    ----------
    model : TableModel
        What predicts.
    run : PackRun
        The members and their records.
    E : array of shape (n, p)
        The features of the training rows.
    """

    model: TableModel
    run: PackRun
    E: Array

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each feature, 0 for a number."""
        return tuple(feature.size for feature in self.model.schema.features)


def fit_table(
    owner: str,
    rows: Any,
    y: Array,
    task: Task,
    *,
    preset: Preset,
    seconds: float | str | None,
    seed: int,
    schema: TableSchema | None = None,
    read: ReadOptions = ReadOptions(),  # noqa: B008  (frozen)
    sample_weight: Array | None = None,
    groups: Array | None = None,
    times: Array | None = None,
    validation: tuple[Any, Array] | None = None,
    target_name: str = "target",
    workers: int | None = None,
    on_cluster: bool = False,
    on_member: Callable[[TrainedMember], None] | None = None,
) -> TableFit:
    """Describe the table, encode its rows, and train a pack on them.

    Parameters
    ----------
    owner : str
        The object that messages name.
    rows : frame, dict of columns, list of dicts, list of rows or array
        The training rows, without the target.
    y : array of shape (n,)
        Labels, or values of a regression.
    task : {"classification", "regression"}
        What is learned.
    preset : Preset
        What members are drawn from.
    seconds : float, "auto" or None
        The time for the training; "auto" is that of `time_for`; None trains all members of the preset.
    seed : int
        Seed of everything that is drawn.
    schema : TableSchema, default=None
        The description of the table, where it is known; None describes the rows.
    read : ReadOptions, default=ReadOptions()
        Kinds of columns that overrule what is found, and columns to leave out.
    sample_weight, groups, times : array of shape (n,), default=None
        Weights of the rows; rows that are held out together.
    validation : tuple of (frame, array of shape (m,)), default=None
        Rows with their targets that every member holds out, in place of a fold of the training rows.
    target_name : str, default="target"
        Name of the target.
    workers : int, default=None
        Members that train at the same time; None is one for each core.
    on_cluster : bool, default=False
        Whether the cluster that this process has joined (`chainrule.cluster.attach`) trains the members.
    on_member : callable, default=None
        Called with each member when it is done.

    Returns
    -------
    TableFit

    Raises
    ------
    InvalidValueError
        For too few rows, no usable column, and whatever is wrong with rows or target.
    """
    began = time.monotonic()
    from chainrule.data.table import as_frame, describe

    frame = as_frame(owner, rows)
    if len(frame) != len(y):
        raise InvalidValueError(must_be(owner, "y", f"of shape ({len(frame)},), one value per row of X", y.shape))
    if len(frame) < _FEWEST_ROWS:
        raise InvalidValueError(must_be(owner, "X", f"of at least {_FEWEST_ROWS} rows", len(frame)))
    if schema is None:
        schema = describe(owner, frame, None, read, as_frame(owner, {target_name: y})[target_name])
    if not schema.features:
        reasons = "; ".join(f"{name}: {kind} ({reason})" for name, kind, reason in schema.summary()[:5])
        raise InvalidValueError(must_be(owner, "X", "a table with a usable column", f"none: {reasons}"))
    E = schema.encode(owner, frame)
    n = len(E)
    if validation is not None:
        E = np.vstack([E, schema.encode(owner, as_frame(owner, validation[0]))])
        y = np.concatenate([y, validation[1]])
        sample_weight = None if sample_weight is None else np.append(sample_weight, np.ones(len(E) - n))
    return fit_encoded(
        schema,
        E,
        y,
        task,
        preset=preset,
        seconds=time_left(seconds, len(frame), time.monotonic() - began),
        seed=seed,
        sample_weight=sample_weight,
        groups=groups,
        times=times,
        held_out=None if validation is None else np.arange(n, len(E)),
        target_name=target_name,
        workers=workers,
        on_cluster=on_cluster,
        on_member=on_member,
        owner=owner,
    )


def fit_encoded(
    schema: TableSchema,
    E: Array,
    y: Array,
    task: Task,
    *,
    preset: Preset,
    seconds: float | None,
    seed: int,
    sample_weight: Array | None = None,
    groups: Array | None = None,
    times: Array | None = None,
    held_out: Array | None = None,
    target_name: str = "target",
    workers: int | None = None,
    on_cluster: bool = False,
    on_member: Callable[[TrainedMember], None] | None = None,
    owner: str | None = None,
) -> TableFit:
    """Train a pack on rows that are encoded already.

    Parameters
    ----------
    schema : TableSchema
        The description of the table.
    E : array of shape (n, p)
        What its `encode` returned for the training rows.
    y : array of shape (n,)
        Labels, or values of a regression.
    task : {"classification", "regression"}
        What is learned.
    preset : Preset
        What members are drawn from.
    seconds : float or None
        The time for the training; None trains all members of the preset.
    seed : int
        Seed of everything that is drawn.
    sample_weight, groups, times : array of shape (n,), default=None
        Weights of the rows; rows that are held out together.
    held_out : array of int, default=None
        Numbers of the rows that every member holds out; None makes folds.
    target_name : str, default="target"
        Name of the target.
    workers : int, default=None
        Members that train at the same time; None is one for each core.
    on_cluster : bool, default=False
        Whether the cluster that this process has joined (`chainrule.cluster.attach`) trains the members.
    on_member : callable, default=None
        Called with each member when it is done.
    owner : str, default=None
        The object that a warning names with the row's number; None if the rows are not in the user's order.

    Returns
    -------
    TableFit
    """
    settings = Settings()
    if task == "regression":
        sample_weight = usual_weights(owner or "train", y, sample_weight, settings.regression_loss(), owner is not None)
    values = np.asarray(y, np.float64) if task == "regression" else y
    target = classification(y, settings) if task == "classification" else regression(values, settings, sample_weight)
    run = train_pack(
        E,
        [feature.size for feature in schema.features],
        y,
        target,
        preset=preset,
        seconds=seconds,
        seed=seed,
        sample_weight=sample_weight,
        groups=groups,
        times=times,
        held_out=held_out,
        feature_names=[feature.name for feature in schema.features],
        target_name=target_name,
        workers=workers,
        on_cluster=on_cluster,
        on_member=on_member,
    )
    return TableFit(TableModel(schema, run.pack), run, E)


def time_left(seconds: float | str | None, n: int, spent: float) -> float | None:
    """Return the time for the training after the rows were described and encoded, at least a part of what was given.

    Parameters
    ----------
    seconds : float, "auto" or None
        The time that was given.
    n : int
        Number of training rows.
    spent : float
        Seconds that describing and encoding took.

    Returns
    -------
    float or None
    """
    if seconds is None:
        return None
    given = time_for(n) if isinstance(seconds, str) else seconds
    return max(_LEAST_SHARE * given, given - spent)
