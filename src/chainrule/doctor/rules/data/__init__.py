"""Rules on the rows: columns, labels, and the split.

In: a training problem. Out: `RULES`, each a pure function that returns a finding or None; `suspicious_rows`.
"""

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
from chainrule.doctor.vocabulary.records import Rule

RULES: tuple[Rule, ...] = (
    Rule("nan-input", nan_input, "rows"),
    Rule("strange-cells", strange_cells, "rows"),
    Rule("wild-targets", wild_targets, "rows"),
    Rule("target-copy", target_copy, "rows"),
    Rule("row-counter", row_counter, "rows"),
    Rule("validation-differs", validation_differs, "rows"),
    Rule("single-class-validation", single_class, "rows"),
    Rule("constant-feature", constant_feature, "rows"),
    Rule("duplicate-feature", duplicate_feature, "rows"),
    Rule("unnormalized-inputs", unnormalized_inputs, "rows"),
    Rule("tiny-inputs", tiny_inputs, "rows"),
    Rule("target-scale", target_scale, "rows"),
    Rule("class-imbalance", class_imbalance, "rows"),
    Rule("label-conflict", label_conflict, "rows"),
    Rule("duplicate-rows-across-split", duplicate_rows_across_split, "rows"),
    Rule("statistics-leakage", statistics_leakage, "rows"),
    Rule("label-noise", label_noise, "rows"),
    Rule("misaligned-labels", misaligned_labels, "rows"),
    Rule("noisy-inputs", noisy_inputs, "rows"),
    Rule("too-little-data", too_little_data, "rows"),
)
"""Rules on the rows, in the order of root causes."""
