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
from chainrule.doctor.rules.data.labels import (
    class_imbalance,
    label_conflict,
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


RULES: tuple[Rule, ...] = (
    Rule("nan-input", _of_counted_rows(nan_input), "rows"),
    Rule("strange-cells", _of_counted_rows(strange_cells), "rows"),
    Rule("wild-targets", _of_counted_rows(wild_targets), "rows"),
    Rule("target-copy", _of_counted_rows(target_copy), "rows"),
    Rule("row-counter", _of_counted_rows(row_counter), "rows"),
    Rule("validation-differs", _of_counted_rows(validation_differs), "rows"),
    Rule("single-class-validation", _of_counted_rows(single_class), "rows"),
    Rule("constant-feature", _of_counted_rows(constant_feature), "rows"),
    Rule("duplicate-feature", _of_counted_rows(duplicate_feature), "rows"),
    Rule("unnormalized-inputs", _of_counted_rows(unnormalized_inputs), "rows"),
    Rule("tiny-inputs", _of_counted_rows(tiny_inputs), "rows"),
    Rule("target-scale", _of_counted_rows(target_scale), "rows"),
    Rule("class-imbalance", _of_counted_rows(class_imbalance), "rows"),
    Rule("label-conflict", _of_counted_rows(label_conflict), "rows"),
    Rule("duplicate-rows-across-split", _of_counted_rows(duplicate_rows_across_split), "rows"),
    Rule("statistics-leakage", _of_counted_rows(statistics_leakage), "rows"),
    Rule("label-noise", _of_counted_rows(label_noise), "rows"),
    Rule("misaligned-labels", _of_counted_rows(misaligned_labels), "rows"),
    Rule("noisy-inputs", _of_counted_rows(noisy_inputs), "rows"),
    Rule("too-little-data", _of_counted_rows(too_little_data), "rows"),
)
"""Rules on the rows, in the order of root causes."""
