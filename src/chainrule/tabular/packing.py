"""Train a pack within a time: members side by side, one core each, then their weights and the calibration.

In: a feature matrix and the target of its rows. Out: a `PackRun`: the `Pack`, its members' records, a held-out score.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import temperature
from chainrule.data.folds import folds
from chainrule.data.transforms import FeatureTransform
from chainrule.engines import Rows
from chainrule.errors import must_be, raise_all
from chainrule.nn.layers import Dense
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe
from chainrule.pack import Member, Pack
from chainrule.tabular.members import Deadline, Fold, Task, TrainedMember
from chainrule.tabular.preset import Preset
from chainrule.tabular.selection import held_out_mean, select
from chainrule.tabular.spreading import PackWork, train_here, train_on_cluster
from chainrule.target import Target

_MARGIN = 0.05
"""Share of the time that is kept for the selection at the end."""


@dataclass(frozen=True, eq=False)
class PackRun:
    """A trained pack with what is known about it.

    Parameters
    ----------
    pack : Pack
        What predicts.
    members : tuple of TrainedMember
        Every trained member, also those of weight 0.
    weights : array of shape (K,)
        The weight of each.
    held_out : array of shape (n, k)
        For each training row, the mean prediction of members that did not train on it, calibrated.
    loss : float
        Mean loss of that, an honest figure for new rows.
    seconds : float
        What all of it took.
    stopped : str
        Why it ended.
    """

    pack: Pack
    members: tuple[TrainedMember, ...] = field(repr=False)
    weights: Array = field(repr=False)
    held_out: Array = field(repr=False)
    loss: float
    seconds: float
    stopped: str


def train_pack(
    E: Array,
    sizes: Sequence[int],
    y: Array,
    target: Target,
    *,
    preset: Preset = Preset(),  # noqa: B008  (frozen)
    seconds: float | None = 20.0,
    seed: int = 0,
    sample_weight: Array | None = None,
    groups: Array | None = None,
    times: Array | None = None,
    held_out: Array | None = None,
    feature_names: Sequence[str] = (),
    target_name: str = "target",
    workers: int | None = None,
    on_cluster: bool = False,
    on_member: Callable[[TrainedMember], None] | None = None,
) -> PackRun:
    """Train members until the preset's number or the time is reached; weigh, calibrate and average them.

    Every stop is a good one: members train one after the other on each core, and those that are done count. The result
    follows from the seed and the number of members that were done.

    Parameters
    ----------
    E : array of shape (n, p)
        Feature matrix; NaN is a gap, categories are codes.
    sizes : sequence of int
        Number of codes of each column; 0 for a number.
    y : array of shape (n,)
        Targets as the user has them.
    target : Target
        Their classes or scaling, and the loss.
    preset : Preset, default=Preset()
        What members are drawn from.
    seconds : float or None, default=20.0
        The time for everything; None trains all members of the preset.
    seed : int, default=0
        Seed of folds, settings, first weights and shuffles.
    sample_weight : array of shape (n,), default=None
        Weights >= 0 of the rows.
    groups, times : array of shape (n,), default=None
        Rows of one group, or one block of time, are held out together.
    held_out : array of int, default=None
        Numbers of the rows that every member holds out; None makes folds.
    feature_names : sequence of str, default=()
        Names of the columns; none numbers them.
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
    PackRun
    """
    began = time.monotonic()
    deadline = Deadline(began + (np.inf if seconds is None else seconds * (1.0 - _MARGIN)))
    task = _task(target, y, sample_weight)
    parts = _folds(y, target, preset, seed, groups, times, held_out)
    raise_all(_weight_faults(parts, task.c))
    methods = list(dict.fromkeys(preset.transforms))
    transforms = tuple(FeatureTransform.fit(E, sizes, method) for method in methods)
    order, held = Fold.of(parts)
    rows = tuple(_rows(transform.apply(E, rows=order), task, order) for transform in transforms)
    work = PackWork(preset, seed, transforms, rows, task, held)
    spread = train_on_cluster if on_cluster else train_here
    trained = spread(work, deadline, workers, on_member or _ignore)
    members = _whole_ones(trained)
    weights, T, held_out, score = _weighed(members, task, calibrate=target.classes is not None)
    pack = Pack(
        _chosen(members, weights, methods),
        transforms,
        target.loss,
        target.scaling,
        target.classes,
        tuple(feature_names) or tuple(f"x{j}" for j in range(E.shape[1])),
        target_name,
        T,
        None if target.classes is not None else (float(np.min(y)), float(np.max(y))),
    )
    stopped = f"all {preset.members} networks were trained" if len(trained) == preset.members else "the time was up"
    return PackRun(pack, members, weights, held_out, score, time.monotonic() - began, stopped)


def _task(target: Target, y: Array, sample_weight: Array | None) -> Task:
    c = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    return Task(target.loss, target.outputs, target.encode(y), c)


def _rows(X: Array, task: Task, order: Array) -> Rows:
    """Check network rows once for all members, with targets and weights in the same order."""
    recipe = Recipe(Net(X.shape[1], [Dense(task.outputs)]), task.loss)
    return Rows.of(recipe, X, task.Y[order], task.c[order])


def _weight_faults(parts: Sequence[tuple[Array, Array]], c: Array) -> Iterator[str]:
    """Yield a sentence if a fold has no row that counts, to train on or to be judged by."""
    if any(not c[rows].any() for part in parts for rows in part):
        yield must_be("fit", "sample_weight", "above 0 for some row of each fold", "0 for all rows of a fold")


def _folds(
    y: Array,
    target: Target,
    preset: Preset,
    seed: int,
    groups: Array | None,
    times: Array | None,
    held_out: Array | None,
) -> tuple[tuple[Array, Array], ...]:
    """Return the folds: by class unless groups or times say otherwise; fewer where rows are few; one of given rows."""
    if held_out is not None:
        return ((np.setdiff1d(np.arange(len(y)), held_out), held_out),)
    stratify = target.classes is not None and groups is None and times is None
    most = len(y) // 2 if groups is None else len(np.unique(groups))
    return folds(y if stratify else len(y), max(2, min(preset.folds, 10, most)), seed, stratify, groups, times)


def _whole_ones(trained: Sequence[TrainedMember]) -> tuple[TrainedMember, ...]:
    """Return the members that the time did not cut short, unless these are fewer than two."""
    whole = tuple(member for member in trained if member.complete)
    return whole if len(whole) > 1 else tuple(trained)


def _chosen(members: Sequence[TrainedMember], weights: Array, methods: Sequence[str]) -> tuple[Member, ...]:
    """Return the members that count, as a pack keeps them."""
    return tuple(
        Member(m.net, m.w, m.buffers, methods.index(m.settings.transform), float(weight))
        for m, weight in zip(members, weights, strict=True)
        if weight > 0
    )


def _weighed(members: Sequence[TrainedMember], task: Task, calibrate: bool) -> tuple[Array, float, Array, float]:
    """Return the members' weights, the temperature, the calibrated held-out predictions (n, k) and their mean loss."""
    loss = task.loss
    predictions = [(m.held_out, loss.predict(np, m.Z.astype(np.float64))) for m in members]
    weights = select(loss, predictions, task.Y, task.c)
    mean, covered = held_out_mean(predictions, weights, len(task.Y))
    known = np.flatnonzero(covered)
    Z = loss.inverse(np, mean[known])
    T = temperature(loss, Z, task.Y[known], task.c[known]) if calibrate else 1.0
    held_out = np.full(mean.shape, np.nan)
    held_out[known] = loss.predict(np, Z / T)
    score = np.average(loss.rows(np, Z / T, task.Y[known]), weights=task.c[known])
    return weights, T, held_out, float(score)


def _ignore(member: TrainedMember) -> None:
    """Do nothing with a member that is done."""
