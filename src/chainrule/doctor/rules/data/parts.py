"""Check that validation rows are of the same kind as the training rows: their scale, their columns, their classes.

In: training and validation rows. Out: findings.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data.outliers import far_targets, wild_cells
from chainrule.doctor.remedies.alignment import (
    Alignment,
    alignment,
    differs_in_scale,
    is_shifted,
    raw_inputs,
    relations,
    shifted_columns,
)
from chainrule.doctor.rules.data.dropping import can_be_dropped, drop_settings
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.wording import column_name, percent
from chainrule.engines import Rows
from chainrule.pipeline.option_names import COMMAND_LINE, Setting
from chainrule.train.problem import TrainingProblem

_WITHOUT = "or leave them out, and a share of the training rows is held out in their place."
_SPLIT = (
    "from chainrule.data import split; X, y = np.concatenate([X, X_val]), np.concatenate([y, y_val]); "
    "rest, held = split(y, 0.2, 0, stratify=True); X_val, y_val, X, y = X[held], y[held], X[rest], y[rest]"
)


def validation_differs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for validation rows on another scale, or that do not follow what the training rows show.

    Another scale: in half of the columns the means differ by 1.5 standard deviations, the standard deviations by a factor
    of four, or most values of a column of few values are others. Another relation: a fast model explains 30 % of the
    targets on training rows it has not seen, and less than a third of that on validation rows, by three standard errors, as
    if their columns stood in another order. Rows with a cell or a target far from all others are set aside first: they are
    a fault of their own, and change scales and relations.
    """
    held = problem.validation
    if held is None or min(len(held), len(problem.rows)) < DATA_LIMITS.shifted_rows:
        raise NotApplicable("needs 30 rows in each part")
    if not (np.isfinite(held.X).all() and np.isfinite(problem.rows.X).all()):
        raise NotApplicable("some numbers are not finite")
    usual = replace(problem, rows=_without_wild(problem.rows), validation=_without_wild(held))
    assert usual.validation is not None
    shifted = shifted_columns(usual.rows.X, usual.validation.X)
    if shifted is not None and is_shifted(usual.rows.X, usual.validation.X):
        return _on_another_scale(usual, usual.validation, shifted)
    return _another_relation(usual, usual.validation)


def _without_wild(rows: Rows) -> Rows:
    """Return the rows without those that have a cell or a target far from all others."""
    kept = np.ones(len(rows), bool)
    continuous = class_indices(rows) is None and rows.Y.ndim > 1
    for found in (*map(wild_cells, rows.X.T), *(map(far_targets, rows.Y.T) if continuous else ())):
        if found is not None:
            kept[found.rows] = False
    return rows[kept] if kept.sum() >= DATA_LIMITS.shifted_rows else rows


def _on_another_scale(problem: TrainingProblem, held: Rows, shifted: Array) -> Finding:
    X, X_held = (raw_inputs(problem, part.X) for part in (problem.rows, held))
    differ = shifted[0][shifted[1] > 0].astype(int)
    distance = np.abs(X_held.mean(axis=0) - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    j = int(differ[np.argmax(distance[differ])])
    name, others = column_name(problem.feature_names, j), f"{percent(shifted[1].mean())} of the columns differ as much"
    scaled = differs_in_scale(X[:, [j]], X_held[:, [j]])[0]
    return make_finding(
        "validation-differs",
        "warning",
        "The validation rows are on another scale than the training rows"
        if scaled
        else "The validation rows have other values than the training rows",
        meaning="A network that has learned one scale cannot read another, so these rows do not show what it has learned.",
        measured=f"{name} has mean {X[:, j].mean():.3g} and standard deviation {X[:, j].std():.3g} in the training rows, "
        f"{X_held[:, j].mean():.3g} and {X_held[:, j].std():.3g} in the validation rows; {others}"
        if scaled
        else f"{name} has few values in the training rows, and most of its validation values are others, such as "
        f"{X_held[0, j]:.3g}; {others}",
        usual="the same values, means and standard deviations, up to chance",
        fix=_fix(problem, differ.tolist()),
        column=j,
        distance=float(distance[j]),
        columns=float(shifted[1].mean()),
    )


def _another_relation(problem: TrainingProblem, held: Rows) -> Finding | None:
    seen = next(iter(relations(problem.rows, held, [held.X])), None)
    if seen is None or not seen.breaks:
        return None
    return make_finding(
        "validation-differs",
        "warning",
        "The validation rows do not follow what the training rows show",
        meaning="Their columns may stand in another order, or their rows and targets may not belong together.",
        measured=f"a fast model explains {percent(seen.explained)} of the targets on training rows that it has not seen, "
        f"and {percent(seen.elsewhere)} on validation rows",
        usual="about as much on both",
        fix=_fix(problem, []),
        explained=seen.explained,
        elsewhere=seen.elsewhere,
    )


def _fix(problem: TrainingProblem, shifted: list[int]) -> Fix:
    """Return the change that makes the rows alike; on the command line shifted columns to leave out, if none is needed."""
    found = alignment(problem)
    text = _in_words(problem, found)
    settings: tuple[Setting, ...] = ()
    reordered = found is not None and bool(found.order)
    if problem.interface == COMMAND_LINE and not reordered and can_be_dropped(problem, shifted):
        settings = drop_settings(problem, shifted)
        text += " Until then, train without the columns that differ: the others tell as much."
    return Fix(text, settings, "" if found is None else found.code, "align-validation")


def _in_words(problem: TrainingProblem, found: Alignment | None) -> str:
    if found is None:
        return f"Check that the validation rows belong to their targets and come from the same source; {_WITHOUT}"
    if found.order:
        moved = [j for j, k in enumerate(found.order) if j != k]
        named = [column_name(problem.feature_names, j) for j in moved[: DATA_LIMITS.named_columns]]
        more = ", ..." if len(moved) > len(named) else ""
        text = "Put the validation columns in the order of the training columns: others stand in place of"
        return f"{text} {', '.join(named)}{more}; {_WITHOUT}"
    return f"Give the validation rows the units of the training rows, and scale both alike, once; {_WITHOUT}"


def single_class(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for validation rows of one class although the training rows have several, as in a sorted file cut in two."""
    held = problem.validation
    classes = class_indices(problem.rows)
    held_classes = None if held is None else class_indices(held)
    if classes is None or held_classes is None or len(held_classes) < LIMITS.two_valued_rows:
        return None
    k, seen = int(held_classes[0]), len(np.unique(classes))
    if np.ptp(held_classes) or seen < 2:
        return None
    name = str(problem.classes[k]) if problem.classes is not None and k < len(problem.classes) else str(k)
    return make_finding(
        "single-class-validation",
        "warning",
        "All validation rows are of one class",
        meaning="Such rows cannot show whether the network tells the classes apart.",
        measured=f"{len(held_classes)} validation rows of class {name}; the training rows have {seen} classes",
        usual="all classes, in the same shares",
        fix=Fix(
            "Put all rows together and split them again, so that both parts have every class in the same share. Where "
            "both are files, append one to the other and name no file of validation rows: rows are then split in this way. "
            "No option joins two files.",
            code=_SPLIT,
        ),
        rows=len(held_classes),
        label=k,
    )
