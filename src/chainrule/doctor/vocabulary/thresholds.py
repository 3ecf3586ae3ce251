"""Provide every number that is a judgment, in one place, with its source.

In: nothing. Out: `USUAL`, the thresholds in use.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of rules, trials and monitoring.

    Shares of loss and mistakes are relative to the best constant prediction: 1 is useless, 0 perfect.

    Sources: (A) AutoTrainer (Zhang et al., ICSE 2021), (S) the defaults of SageMaker Debugger's built-in rules, (T)
    TheDeepChecker (Ben Braiek and Khomh, TOSEM 2022), (C) the course notes of cs231n, (P) the Deep Learning Tuning Playbook;
    the rest were chosen on the tuning half of `bench/doctor`.
    """

    failed_share: float = 0.5
    """A share of the loss above which training has not worked."""

    trivial: float = 0.9
    """A share of the mistakes above which predictions are no better than a constant."""

    worst_share: float = 5.0
    """Largest share of one row, so that a few rows do not decide."""

    gain: float = 0.03
    """Mistakes that a remedy must remove, as a share of a constant's."""

    relative_gain: float = 0.2
    """Mistakes that a remedy must remove, as a share of those without it."""

    suspected_gain: float = 0.02
    """The same if a rule suspected the cause before the experiment."""

    suspected_relative: float = 0.1
    """Mistakes to remove, as a share of those without the remedy, if a rule suspected something peculiar to the problem."""

    consistent_gain: float = 0.06
    """The same if three seeds of three agree; half of it if training rows gain for each, too."""

    learned: float = 0.0075
    """Mistakes on training rows, as a share of a constant's, above which a network has not learned its own rows."""

    learned_loss: float = 0.6
    """Share of the training loss that a remedy must remove for every seed if the network learns only with it."""

    learned_gain: float = 0.25
    """Mistakes on held-out rows that it must remove then, over three seeds, as a share of those without it."""

    wide_gap: float = 0.25
    """Mistakes on held-out rows beyond those on training rows, as a share of a constant's, that mean too few rows."""

    more_data_gain: float = 0.06
    """Mistakes that twice the rows must remove, as a share of a constant's, for rows to be too few."""

    more_data_share: float = 0.5
    """The same as a share of those that are left."""

    fewest_rows: int = 3
    """Rows that must become right if mistakes are counted: two may be chance whatever the standard error is."""

    errors: float = 2.0
    """Standard errors that a gain must exceed."""

    suspected_errors: float = 1.3
    """The same if the cause was suspected before: one chance in ten, on top of what the rule saw."""

    constant_columns: float = 0.25
    """Share of constant columns that alone is worth a warning."""

    loss_gain: float = 0.2
    """Loss that counts if mistakes do not differ, as a share of a constant's."""

    relative_loss_gain: float = 0.4
    """The same as a share of the loss without the remedy."""

    good_enough: float = 0.02
    """A share of the mistakes below which no trial screens the training."""

    probed_rows: int = 256
    """Rows that a probe reads."""

    window_steps: int = 24
    """Single steps recorded at the start and at the end."""

    quick_probe_rows: int = 64
    """The same while monitoring."""

    thorough: float = 0.3
    """Share of the training's time that probes may take in an examination with trials."""

    overhead: float = 0.02
    """Share of the training's time that probes may take while monitoring."""

    vanishing_ratio: float = 1e-3
    """Gradient of the first layer over that of the last (A)."""

    exploding_ratio: float = 70.0
    """The same the other way round (A)."""

    norm_spike: float = 10.0
    """A step's gradient norm over the running median."""

    dead_info: float = 0.1
    dead_warning: float = 0.25
    dead_critical: float = 0.5
    """Shares of a layer's units that no probed row turns on (S, T: 0.5)."""

    saturated_slope: float = 0.05
    """A unit's mean slope over the largest slope."""

    saturated_share: float = 0.5
    """Share of a layer's units (S, T)."""

    drift: float = 10.0
    """Factor between a layer's output now and at the start."""

    update_high: float = 0.05
    """‖Δw‖ / ‖w‖ per step; 1e-3 is usual (C); 10^-1.3."""

    first_update: float = 0.1
    """The same for the very first step."""

    update_low: float = 1e-5
    """The same below which nothing moves."""

    penalty_ratio: float = 2.0
    """Gradient of the penalty over that of the data's loss (T)."""

    clipped: float = 0.5
    """Share of steps that are clipped (P)."""

    turning: float = 0.5
    """Share of epochs at which the loss turns."""

    swing: float = 0.05
    """Median swing between turns, as a share of the level."""

    still_improving: float = 0.05
    """Share by which the last tenth of the epochs lowers the loss."""

    few_steps: int = 500
    """Steps below which a training was short, whatever its loss did."""

    patience: int = 5
    """Epochs without a better validation loss after which it is right to stop."""

    no_progress: float = 0.01
    """Share of the loss that a whole run must remove (S, T)."""

    overfitting_rise: float = 0.1
    """Rise of the validation loss over its best (S)."""

    mode_gap: float = 0.5
    """Relative difference of the loss between training and inference mode on the same rows (T)."""

    few_rows: int = 50
    """Held-out rows (of rare classes) below which training rows are left out in turn, to score them too."""

    recall_gap: float = 0.1
    """By how much less often rare classes are found than frequent ones."""

    reached: float = 0.5
    """Share of what a quick model explains that a network must explain to be about as good."""

    unreached: float = 0.05
    """Share of a constant's error by which it may miss that in any case."""

    unreached_most: float = 0.15
    """The same at most, where few rows judge."""

    separable: float = 0.9
    """Share of pairs (a row of the rarest class, another row) that a quick model ranks rightly if it knows the class."""

    noise: float = 0.25
    """Share of a constant's mistakes from which what a quick model leaves counts as noise."""

    least_gain: float = 0.05
    """Share of a constant's mistakes that a remedy must remove to be more than information beside so much noise."""

    few_rows_to_compare: int = 30
    """Rows of each part below which a network is not compared with quick models."""

    most_boosted_classes: int = 20
    """Classes (or columns of targets) up to which boosted trees are quick."""

    worst_row: float = 25.0
    """Largest share of one row in that comparison."""

    gap: float = 0.2
    """Mistakes on held-out rows, as a share of a constant's, from which a gap alone is worth a warning."""

    gap_ratio: float = 4.0
    """How many times those on training rows they must be."""

    few_updates: int = 10
    """Updates per epoch below which a batch is large."""

    correlation: float = 0.5
    """Between loss and metric (T)."""

    trial_seconds: float = 0.6
    """Seconds that one training of a trial may cost before it is shortened."""

    repair_seconds: float = 10.0
    """Seconds that one training of a repair may cost before both of a pair are shortened."""

    solved_error: float = 0.1
    """Held-out error below which a symptom that was treated successfully is not treated again."""

    repair_gain: float = 0.01
    """Held-out error that a repair must remove: one point."""

    hopeless: float = 0.5
    """Share by which the error of the first seed must rise for a repair to end an attempt there."""

    comparable: float = 0.5
    """Share of the largest gain from which a cause counts as its equal, and the earlier root cause wins."""

    traded_score: float = 0.005
    """Accuracy by which a remedy must be worse for its card to say what it trades."""

    traded_loss: float = 0.05
    """The same of losses and squared errors, as a share of those without it."""

    trial_budget: float = 6.0
    """Seconds, by a count of operations, after which no more trials run."""

    clip_norm: float = 1.0
    """Gradient norm to which the remedy `clip` limits a step."""

    # Held-out rows, and the cost of a trial.

    held_out_part: int = 5
    """One row in this number is held out if there are no validation rows."""

    held_out_most: int = 2000
    """Rows that are held out at most."""

    folds: int = 4
    """Parts that are left out in turn."""

    fewest_to_judge: int = 20
    """Rows from which some are held out and trials are possible."""

    fewest_held_out: int = 2
    """Validation rows below which they cannot judge."""

    curve_points: int = 20
    """Points of a held-out curve, beside the first."""

    layer_seconds: float = 2e-6
    """Cost of one layer in one step of the native engine, for the count of operations that stands for time."""

    slow_layer_seconds: float = 100e-6
    """The same for other engines."""

    operations_per_second: float = 4e9
    """Operations per second in the same count."""

    epoch_overhead: float = 1e-4
    """Seconds of an epoch in the same count, whatever is in it."""

    # Trials.

    seeds: int = 3
    """Seeds that must agree where a gain is small."""

    second_seed_margin: float = 0.5
    """Share of the usual gain that a second seed must show if it does not show all of it."""

    rare_class: float = 3.0
    """How many times smaller than the largest class a rare class is."""

    tiny_norm_batch: int = 8
    """Rows per batch below which batch norm has too few."""

    rows_per_column: float = 10.0
    """Training rows for each column from which noise, and not their number, is what a network cannot learn from them."""

    fewest_to_halve: int = 40
    """Rows below which training on half of them says nothing."""

    longer_limit: int = 3
    """How many times as long as another trial a longer training may run."""

    memorizing: float = 3.0
    """How many times fewer the mistakes on training rows must be than on others for more data to help."""

    clear_errors: float = 2.0
    """Standard errors that a difference must exceed where nothing suggested it."""

    # Diagnosis.

    surely_failed: float = 0.6
    """Share of `failed_share` above which mistakes count as failure if the loss agrees."""

    reserve: float = 2.0
    """Seconds of the trial budget that screening and second causes get in any case."""

    # Remedies.

    usual_batch: int = 32
    """Rows per batch that suit most trainings."""

    larger_batch: int = 4
    """Factor between batch sizes of a remedy."""

    default_penalty: float = 1e-2
    """L2 penalty where there is none yet."""

    usual_rate_low: float = 0.3
    usual_rate_high: float = 3.0
    """A learning rate between these multiples of the usual one is as good."""

    normalized_inputs: float = 0.05
    """Deviation from mean 0 and scale 1 up to which inputs count as standardized."""

    normalized_targets: float = 0.1
    """The same for targets."""

    balanced_classes: float = 1.5
    """Ratio of the largest to the smallest class below which weights change nothing."""

    longer_factor: float = 3.0
    """Factor on the epochs of a training that may have been too short."""

    longer_steps: float = 1500.0
    """Steps that such a training takes at least."""

    neighbors: int = 10
    """Nearest rows that a row is compared with."""

    neighbor_rows: int = 5000
    """Rows that are compared at most."""

    neighbor_agreement: float = 0.3
    """Share of its neighbors that must have a row's class."""

    neighbor_deviations: float = 2.0
    """Deviations from the mean of its neighbors above which a continuous target contradicts them."""

    related_classes: int = 10
    """Classes whose relation to the columns is compared between parts."""

    fewest_after_dropping: int = 10
    """Rows that must remain."""

    norm_rows: int = 16
    """Training rows below which batch norm is not tried."""

    label_smoothing: float = 0.1
    """Label smoothing that is tried."""
    widened: int = 32
    """Units that a widened layer has at least."""

    narrowed: int = 2
    """Units that a narrowed layer has at least."""

    # Monitoring.

    fewest_probe_rows: int = 32
    """Rows that a probe reads at least; more, up to `quick_probe_rows`, where that costs no second thread."""

    replay_seconds: float = 0.5
    """Seconds of training that may be repeated to find the step at which a run broke."""

    slow_seconds: float = 0.03
    """Seconds that slow rules may take, however short the training was."""

    stalled: float = 0.9
    """Share of the loss remaining at half the epochs that remains now; faster trainings are not reported."""

    early_share: float = 1 / 3
    """Share of the epochs at the start during which nothing is reported."""

    early_epochs: float = 50.0
    """Epochs that this lasts at most."""

    monitored_rows: int = 1000
    """Rows of each part that slow rules and the baseline read."""

    excluded_overfitting: float = 0.04
    """Validation mistakes below which overfitting is impossible, a fifth below the rule's own limit."""

    excluded_suspicion: float = 0.08
    """Gap between training and validation mistakes below which the latter are not suspicious, with the same margin."""

    # Probes.

    interval_growth: float = 2.0
    """Factor by which the interval between probes grows when they cost too much."""

    even_probes: int = 5
    """Probes after which the intervals are even."""

    longest_interval: int = 16
    """Epochs between two of the first probes at most."""

    last_window: int = 3
    """Readings that rules judge by."""


USUAL = Thresholds()
"""The thresholds in use."""
