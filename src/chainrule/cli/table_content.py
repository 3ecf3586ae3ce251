"""What the report of a pack shows: its scores beside simple models, importances, curves, its networks.

In: a `TrainedTable`. Out: a `TableRunContent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.arrays import Array
from chainrule.cli.table import TrainedTable
from chainrule.inspection import permutation_importances
from chainrule.pack import Pack
from chainrule.pipeline import class_scores, confusion_matrix, value_scores
from chainrule.pipeline.references import Reference, references
from chainrule.report.table_run import NetworkLine, TableRunContent
from chainrule.tabular import TableFit, presets
from chainrule.target import Target, class_indices

_REFERENCE_LIMIT = 10.0
"""Seconds that the simple models may take."""

_IMPORTANCE_ROWS = 1000
_IMPORTANCE_REPEATS = 2


@dataclass(frozen=True, eq=False)
class _Judged:
    """Rows by which a pack is judged: features, target, and what the pack predicts for them."""

    E: Array
    y: Array
    P: Array
    notes: tuple[str, ...] = ()


def content_of(source: str, trained: TrainedTable, seed: int) -> TableRunContent:
    """Return what the report shows, with scores on test rows, or on held-out rows where there are none.

    Parameters
    ----------
    source : str
        What was learned from.
    trained : TrainedTable
        The result of the training.
    seed : int
        Seed of the simple models and of the shuffles.

    Returns
    -------
    TableRunContent
    """
    fit = trained.fit
    rows = trained.train
    core = fit.model.core
    assert isinstance(core, Pack)
    judged = _judged(trained, core)
    others = () if trained.test is None else _references(trained, judged, seed)
    codes = None if core.classes is None else class_indices(core.classes, judged.y)
    predicted = judged.P if codes is None else judged.P.argmax(axis=1)
    simple = [(each.name, each.scores, each.seconds) for each in others if each.scores]
    return TableRunContent(
        title=Path(source).stem,
        source=source,
        target=rows.target.name,
        task=rows.target.task,
        target_sentence=rows.target.sentence,
        facts=rows.facts,
        columns=tuple(fit.model.schema.summary()),
        warnings=fit.model.schema.warnings,
        rows={"training": len(rows.y)} | ({} if trained.test is None else {"test": len(judged.y)}),
        scores=(("chainrule", _scores(core, judged), fit.run.seconds), *simple),
        scored_on="held-out" if trained.test is None else "test",
        importances=_importances(fit, core, judged, seed),
        networks=_networks(fit),
        classes=None if core.classes is None else tuple(str(label) for label in np.asarray(core.classes).tolist()),
        confusion=None if codes is None else confusion_matrix(codes, predicted, np.arange(judged.P.shape[1])),
        y=judged.y if codes is None else codes,
        predicted=predicted,
        probabilities=None if codes is None else judged.P,
        seconds=fit.run.seconds,
        stopped=fit.run.stopped,
        seed=seed,
        preset=presets.to_plain(trained.preset),
        notes=(*judged.notes, *(f"{each.name}: {each.note}" for each in others if each.note)),
    )


def _judged(trained: TrainedTable, core: Pack) -> _Judged:
    if trained.test is None:
        held_out = trained.fit.run.held_out
        known = np.flatnonzero(~np.isnan(held_out).any(axis=1))
        E = trained.E if len(known) == len(held_out) else trained.E[known]
        return _Judged(E, trained.train.y[known], _in_units(core, held_out[known]))
    E = trained.E[len(trained.train.y) :]
    P = core.predict(E) if core.classes is None else np.asarray(core.probabilities(E), np.float64)
    return _Judged(E, trained.test.y, P, trained.notes)


def _in_units(core: Pack, A: Array) -> Array:
    """Return predictions after the link as values (n,) in units, or as probabilities of all classes (n, K)."""
    if core.classes is not None:
        return np.hstack([1.0 - A, A]) if A.shape[1] == 1 else A
    values = A if core.targets is None else core.targets.undo(A)
    return values[:, 0] if core.limits is None else np.clip(values[:, 0], *core.limits)


def _scores(core: Pack, judged: _Judged) -> Mapping[str, float]:
    if core.classes is None:
        return value_scores(judged.y, judged.P).summary()
    return class_scores(judged.y, judged.P, core.classes).summary()


def _references(trained: TrainedTable, judged: _Judged, seed: int) -> tuple[Reference, ...]:
    """Train the simple models on the same rows, and score them on the same rows."""
    fit = trained.fit
    n = len(fit.E)
    y = np.concatenate([trained.train.y, judged.y])
    categories = [j for j, size in enumerate(fit.sizes) if size]
    place = np.arange(len(trained.E))
    task = trained.train.target.task
    return references(task, trained.E, y, place[:n], place[n:], categories, seed, _REFERENCE_LIMIT)


def _importances(fit: TableFit, core: Pack, judged: _Judged, seed: int) -> tuple[tuple[str, float, float], ...]:
    """Return name, rise of the loss and its error for each column, the most important first."""
    if len(judged.E) < 2:
        return ()
    features = fit.model.schema.features
    columns = list(dict.fromkeys(feature.column for feature in features))
    groups = [[j for j, feature in enumerate(features) if feature.column == name] for name in columns]

    def loss(Y: Array, Z: Array) -> float:
        return float(core.loss.rows(np, Z, Y).mean())

    Y = Target.of(core).encode(judged.y)
    settings = {"repeats": _IMPORTANCE_REPEATS, "rows": _IMPORTANCE_ROWS, "seed": seed}
    mean, error = permutation_importances(core.scores, judged.E, Y, loss, groups, **settings)
    return tuple((columns[j], float(mean[j]), float(error[j])) for j in np.argsort(-mean))


def _networks(fit: TableFit) -> tuple[NetworkLine, ...]:
    """Return a line for each network that was trained."""
    return tuple(
        NetworkLine(m.number, str(m.settings), float(weight), m.loss, m.epochs, m.best_epoch, m.seconds)
        for m, weight in zip(fit.run.members, fit.run.weights, strict=True)
    )
