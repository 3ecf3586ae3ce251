"""Rules on the rows: columns, labels, and the split.

In: a training problem. Out: `RULES`, each a pure function that returns a finding or None; `suspicious_rows`. They look at
rows whose weight is not 0: the others take no part in the training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import numpy as np

from chainrule.doctor.rules.data.columns import (
    constant_feature,
    duplicate_feature,
    nan_input,
    target_scale,
    tiny_inputs,
    unnormalized_inputs,
)
from chainrule.doctor.rules.data.conflicts import label_conflict
from chainrule.doctor.rules.data.labels import (
    class_imbalance,
    label_noise,
    misaligned_labels,
    noisy_inputs,
    too_little_data,
)
from chainrule.doctor.rules.data.labels import suspicious_rows as suspicious_rows
from chainrule.doctor.rules.data.parts import single_class, validation_differs
from chainrule.doctor.rules.data.splits import duplicate_rows_across_split, statistics_leakage
from chainrule.doctor.rules.data.untidy import row_counter, strange_cells, target_copy, wild_targets
from chainrule.doctor.vocabulary.records import Finding, Rule, Trace
from chainrule.engines import Rows
from chainrule.train.problem import TrainingProblem

Check = Callable[[TrainingProblem, Trace | None], Finding | None]
"""What a rule calls."""


def _of_counted_rows(check: Check) -> Check:
    """Return the check, which sees only rows whose weight is not 0."""

    @wraps(check)
    def checked(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
        held = problem.validation
        return check(replace(problem, rows=_counted(problem.rows), validation=held and _counted(held)), trace)

    return checked


def _counted(rows: Rows) -> Rows:
    """Return the rows whose weight is not 0; all if none has one."""
    counts = rows.c > 0
    return rows if counts.all() or not counts.any() else rows[np.flatnonzero(counts)]


RULES: tuple[Rule, ...] = tuple(
    Rule(symptom, _of_counted_rows(check), "rows")
    for symptom, check in (
        ("nan-input", nan_input),
        ("strange-cells", strange_cells),
        ("wild-targets", wild_targets),
        ("target-copy", target_copy),
        ("row-counter", row_counter),
        ("validation-differs", validation_differs),
        ("single-class-validation", single_class),
        ("constant-feature", constant_feature),
        ("duplicate-feature", duplicate_feature),
        ("unnormalized-inputs", unnormalized_inputs),
        ("tiny-inputs", tiny_inputs),
        ("target-scale", target_scale),
        ("class-imbalance", class_imbalance),
        ("label-conflict", label_conflict),
        ("duplicate-rows-across-split", duplicate_rows_across_split),
        ("statistics-leakage", statistics_leakage),
        ("label-noise", label_noise),
        ("misaligned-labels", misaligned_labels),
        ("noisy-inputs", noisy_inputs),
        ("too-little-data", too_little_data),
    )
)
"""Rules on the rows, in the order of root causes."""
