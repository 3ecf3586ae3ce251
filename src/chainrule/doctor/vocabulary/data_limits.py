"""Provide the limits of the rules on rows, each a judgment, in one place.

In: nothing. Out: `DATA_LIMITS`, the limits in use.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataLimits:
    """Limits of the rules on rows, chosen on the tuning half of `bench/doctor`."""

    # Counters.

    counter_rows: int = 30
    """Rows from which a column may count them."""
    counter_room: float = 2.5
    """Steps of an even grid, for each row, up to which a column of distinct values counts rows."""
    counter_tolerance: float = 0.05
    """Distance from the grid that rounding may cause, in steps."""
    counter_explains: float = 0.5
    """Share of the targets' variance that the column alone must explain to be worth a warning."""
    counter_lead: float = 0.1
    """By how much more than all other columns together."""

    # Parts.

    shifted_rows: int = 30
    """Rows of each part from which they are compared."""
    shifted_mean: float = 1.5
    """Difference of a column's means, in standard deviations of the training rows."""
    shifted_scale: float = 4.0
    """Ratio of a column's standard deviations, either way."""
    shifted_columns: float = 0.5
    """Share of the columns that must differ for the parts to be on different scales."""
    few_values: int = 10
    """Different values up to which a column has few."""
    same_value: float = 1e-3
    """Standard deviations up to which two values are the same."""
    foreign_share: float = 0.5
    """Share of the validation rows whose value of such a column no training row has, from which the column differs."""
    broken_explained: float = 0.3
    """Share that a fast model must explain on training rows it has not seen."""
    broken_ratio: float = 3.0
    """How many times less it explains on validation rows if these follow another relation."""
    broken_errors: float = 3.0
    """Standard errors that the difference must exceed."""
    aligned: float = 0.02
    """Share of the targets by which a change may explain less than the best one and be taken for its simplicity."""
    scaled_by_user: float = 0.05
    """Distance from mean 0 and deviation 1, or from the range [0, 1], up to which the user has scaled a column."""
    named_columns: int = 5
    """Columns that a sentence names at most."""
    most_codes: int = 5
    """Values of a column that a command is advised to take for gaps at most."""
    most_dropped: int = 5
    """Columns that a command is advised to leave out at most."""
    dropped_loss: float = 0.01
    """Share of the targets' variance that a fast model may lose without the columns that are left out."""

    # Copies of the target.

    copy_told: float = 0.999
    """Share of the variance from which a column that alone tells the target is one made from it."""
    copy_exact: float = 2e-6
    """Distance of that share from 1 that rounding explains."""
    copy_apart: float = 6.0
    """Deviations within the classes by which the values of any two of them must differ."""

    # Columns.

    fast_rows: int = 2000
    """Rows that fast models and statistics of columns use at most."""
    held_out_change: float = 0.1
    """Distance from the constant value above which a held-out row differs."""
    held_out_share: float = 0.05
    """Share of the held-out rows that must differ."""
    large_column: float = 10.0
    """Size of a constant column, and its ratio to the typical size."""
    copies_columns: int = 2000
    """Columns up to which copies are sought."""
    copies_rows: int = 10
    """Rows from which copies are sought."""
    copy_correlation: float = 1e-6
    """Distance of a correlation from 1 below which columns are copies."""
    column_size: float = 10.0
    """Root mean square above which a column is not normalized."""
    column_offset: float = 3.0
    """Mean, absolute and in standard deviations, above which a column is not normalized."""
    column_deviation: float = 3.0
    """Standard deviation above which a column is compared with the median one."""
    column_deviation_ratio: float = 10.0
    """Ratio to the median standard deviation."""
    column_range: float = 100.0
    """Ratio of the largest standard deviation to the smallest."""
    tiny_inputs: float = 0.1
    """Root mean square of the largest column below which inputs are tiny."""
    target_low: float = 0.1
    """Standard deviation of targets below which they are not normalized."""
    target_high: float = 5.0
    """The same above which they are not, and standard deviations that their mean may have."""

    # Labels.

    imbalance_ratio: float = 10.0
    """Ratio of the largest class to the smallest."""
    evenness: float = 0.5
    """Evenness of the class shares below which they are imbalanced."""
    recall_warning: float = 0.5
    """Recall of a rare class below which imbalance is a warning."""
    recall_critical: float = 0.3
    """The same below which it is critical."""
    recall_missed: float = 0.2
    """The same below which it is more than information although the network is about as good as quick models."""
    noise_share: float = 0.15
    """Share of doubtful labels below which they are information among classes that overlap."""
    rare_share: float = 0.5
    """Share of an even share up to which a class is rare."""
    conflict_share: float = 0.01
    """Share of rows with conflicting labels that is tolerated, or that must be beyond noise."""
    conflict_unlikely: float = 1e-3
    """Probability below which equal rows disagree more than noise lets them."""
    weak_relation: float = 0.1
    """Share of the variance that a weak relation explains: it must be visible before targets are called unrelated."""
    weak_deviations: float = 4.0
    """Deviations of shuffled targets at which it is."""
    chance_rows: int = 100
    """Rows from which targets are compared with shuffled ones."""
    chance_rare_rows: int = 60
    """Rows outside the largest class that this takes."""
    chance_deviations: float = 3.0
    """Standard deviations above chance from which inputs predict targets."""
    unrelated_deviations: float = 2.0
    """Standard deviations above chance below which inputs and targets may be called unrelated."""
    noise_columns_low: int = 8
    """Columns from which noisy rows are sought."""
    noise_columns_high: int = 512
    """The same, at most."""
    noise_variance: float = 0.1
    """Share of the variance outside the leading directions."""
    noise_distance: float = 4.0
    """Multiple of the median distance from which a row is an outlier."""
    noise_share_low: float = 0.05
    """Share of outliers from which they are reported."""
    noise_share_high: float = 0.6
    """The same, at most."""
    noise_error_ratio: float = 3.0
    """Ratio of the error on outliers to that on other rows."""
    noise_error_gap: float = 0.15
    """Difference of the same errors."""
    few_rows: int = 30
    """Rows below which there are too few."""
    few_rows_per_class: int = 5
    """Rows of the median class below which there are too few."""
    few_rows_error: float = 0.25
    """Error of a fast model, as a share of the variance, from which more rows may help."""
    few_rows_drop: float = 0.2
    """Share by which twice the rows must lower it."""
    few_rows_errors: float = 3.0
    """Standard errors by which they must."""
    label_rows: int = 60
    """Rows from which labels can be judged."""
    label_rows_per_class: int = 10
    """The same per class."""
    shuffles: int = 30
    """Shuffled copies of the targets that show what chance can do."""
    recall_rows: int = 3
    """Rows of a rare class from which its recall says something."""
    nominal_values_low: int = 3
    """Different target values from which they may be the numbers of classes."""
    nominal_values_high: int = 20
    """The same, at most."""
    nominal_rows: int = 8
    """Rows per value that this takes."""
    nominal_accuracy: float = 0.6
    """Accuracy that a classifier must reach on them."""
    nominal_lead: float = 0.2
    """Accuracy by which it must beat a rounded regression."""

    # Wrong labels.

    doubt_quarter: float = 0.03
    """Share of the most confident predictions that disagree."""
    doubt_small: float = 0.15
    """Overall disagreement up to which it is small."""
    doubt_part_small: float = 0.5
    """Part of a small disagreement that the most confident predictions must reach."""
    doubt_large: float = 0.6
    """Overall disagreement, relative to the most common class, up to which labels can be judged."""
    doubt_part_large: float = 0.7
    """Part of it that the most confident predictions must reach."""
    doubt_class: float = 0.06
    """Share of the most confident predictions of one class that disagree."""
    doubt_refuted: float = 0.5
    """Share of what a fast model doubts that the network must err on among held-out rows."""
    doubt_most: float = 0.5
    """The same above which the model does not know the class."""
    doubt_rows: int = 4
    """Rows that must disagree."""
    doubt_rate: float = 0.01
    """Rate of wrong labels that is usual."""
    doubt_chance: float = 1e-4
    """Probability below which more is no accident."""

    # Splits.

    repeats_by_chance: float = 3.0
    """Ratio of the repeats in held-out rows to those in training rows that is tolerated."""
    repeats_excess: float = 0.2
    """Share of the held-out rows by which they may repeat more often than training rows, whatever the ratio."""
    repeats_errors: float = 6.0
    """Standard errors that this excess must exceed."""
    repeats_unlikely: float = 1e-3
    """Probability of the number of repeats by chance below which they are reported."""
    repeats_few: float = 0.01
    """Share of repeats below which they are information."""
    repeats_critical: float = 0.1
    """The same above which they are critical."""
    leak_together: float = 2e-5
    """Distance from an exact scaling of all rows together."""
    leak_alone: float = 1e-3
    """Distance from it of the training rows alone."""
    leak_ratio: float = 50.0
    """Ratio of the two."""


DATA_LIMITS = DataLimits()
"""The limits in use."""
