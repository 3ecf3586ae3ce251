"""Provide the limits of the single rules, each a judgment, in one place.

In: nothing. Out: `LIMITS`, the limits in use. `data_limits` has those of the rules on rows, `thresholds` those that rules,
trials and diagnosis share.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the single rules and of proofs, chosen on the tuning half of `bench/doctor`."""

    # Proof beside noise.

    proof_errors: float = 2.5
    """Standard errors that a gain must exceed to be beyond doubt, and by which a quick model must be better."""
    general_gain: float = 0.1
    """Share of a constant's mistakes that must go, beside noise, by a remedy from which most networks gain a little."""
    error_gain: float = 0.035
    """The same by a remedy that corrects what cannot have been intended."""
    surest: float = 0.98
    """The largest probability that a network is believed to mean."""
    some_noise: float = 0.15
    """Share of a constant's mistakes that quick models leave from which `general_gain` is asked for; else a twentieth."""
    reducible_least: float = 0.25
    """Share of its mistakes or loss that a network may lose at least, however much of them quick models leave."""
    rate_past: float = 0.1
    """Share by which a learning rate may do worse than the best so far before rates beyond it are no longer tried."""

    # Output and loss.

    targets_outside: float = 0.01
    """Share of the targets outside the range of the outputs that is tolerated."""
    targets_outside_critical: float = 0.1
    """The same from which it is critical."""
    range_tolerance: float = 1e-3
    """Distance outside the range that is tolerated, relative to the spread of the targets."""
    many_values: int = 10
    """Number of different values above which targets are continuous."""
    values_seen: int = 5000
    """Rows whose target values are counted."""
    most_classes: int = 50
    """Number of classes from which targets with few rows each are continuous values."""
    rows_per_class: int = 2
    """Median rows per class up to which they are few."""
    two_valued_rows: int = 10
    """Rows from which two target values are two classes."""

    # Layers.

    sigmoids: int = 2
    """Hidden sigmoid layers from which they are suspicious."""
    dropout_before_norm: float = 0.3
    """Dropout rate before batch norm from which it is a warning."""
    dropout_inputs: float = 0.2
    """Usual dropout rate of inputs at most."""
    dropout_hidden: float = 0.5
    """Usual dropout rate of hidden units at most; a warning for inputs above it."""
    initial_statistics: float = 0.1
    """Share of the initial running statistics that may remain at the end."""
    initial_statistics_critical: float = 0.5
    """The same above which it is critical."""
    norm_batch: int = 8
    """Rows below which the statistics of a batch are noise."""

    # Initial weights.

    equal_weights: float = 1e-8
    """Range of incoming weights below which they count as equal."""
    twins: float = 0.02
    """Share of units with a twin from which it is a warning."""
    twins_pretrained: float = 0.9
    """The same for pretrained weights."""
    twins_lasting: float = 0.5
    """The same above which it is critical."""
    weight_scale: float = 30.0
    """Factor between the spread of the logits and the suitable one."""
    initial_rows: int = 256
    """Rows on which the initial weights are judged."""
    initial_loss_classes: float = 2.0
    """Factor of the uninformed loss of classes that is tolerated."""
    initial_loss_offset: float = 0.5
    """Loss on top of it."""
    initial_loss_values: float = 10.0
    """Factor of the uninformed loss of continuous targets that is tolerated."""
    initial_loss_errors: float = 3.0
    """Standard errors by which the excess must exceed it."""

    # Training settings.

    rate_adaptive: float = 0.1
    """Learning rate that no network tolerates with an adaptive optimizer."""
    rate_plain: float = 10.0
    """The same with other optimizers, as an effective rate."""
    rate_low_adaptive: float = 1e-4
    """Learning rate of adaptive optimizers below which its reach is checked."""
    rate_reach: float = 0.05
    """Share of a weight that the whole run must be able to change."""
    rate_low_plain: float = 1e-7
    """Effective rate of other optimizers that is too low."""
    epsilon: float = 1e-3
    """ε above which it dominates the divisor."""
    momentum: float = 0.95
    """Momentum above which its average is compared with the length of the run."""
    momentum_share: float = 3.0
    """The average may span at most 1 / momentum_share of the run."""
    clip_share: float = 1e-2
    """Clipping limit relative to the first gradient."""
    clip_share_adaptive: float = 1e-6
    """The same for adaptive optimizers."""
    frozen_multiplier: float = 1e-3
    """Learning-rate multiplier below which a layer is frozen."""
    schedule_floor: float = 1e-3
    """Factor of a schedule below which the rate is almost zero."""
    schedule_share: float = 0.5
    """Share of the run before which it may not stay there."""
    first_gradient_rows: int = 256
    """Rows of the first gradient that a clipping limit is compared with."""
    schedule_moments: int = 400
    """Moments of the run at which the factor of a schedule is read."""

    # Checks before a training.

    gradient_error: float = 1e-4
    """Relative error of a gradient from which it is a warning."""
    gradient_error_critical: float = 1e-2
    """The same above which it is critical."""
    climb: float = 0.01
    """Cosine of step and gradient above which a step goes uphill."""
    mixing: float = 1e-9
    """Change of other rows that rounding explains."""
    gradient_entries: int = 6
    """Entries of each parameter that are compared with finite differences."""
    gradient_seeds: int = 3
    """Draws of weights and rows of which the smallest error counts."""
    descent_rows: int = 64
    """Rows on which a step against the gradient must lower the loss."""
    overfit_rows: int = 16
    """Rows that a network must be able to overfit."""
    overfit_steps: int = 500
    """Steps that it gets at each of two learning rates."""
    overfit_target: float = 0.1
    """Error on continuous targets, as a share of their spread, at which it has overfitted."""
    overfit_interval: int = 25
    """Steps after which the error is measured again."""
    ignored_steps: int = 100
    """Steps after which the outputs must depend on the inputs."""
    ignored_spread: float = 1e-12
    """Relative spread of the outputs that rounding explains."""
    overfit_error: float = 0.1
    """Error on sixteen rows that is tolerated."""
    overfit_loss: float = 0.9
    """Share of the constant loss from which failing to overfit is critical."""
    ignored_loss: float = 0.95
    """Share of the constant loss from which the inputs may be ignored."""
    range_change: float = 0.95
    """Share of the initial loss below which a range test has found something."""
    range_lowest: float = 10.0
    """Factor from the rate that a range test suggests to the one with the lowest loss."""
    range_high: float = 3.0
    """Factor above the rate with the lowest loss that is tolerated."""
    range_low: float = 1e-4
    """Factor below it that is tolerated."""

    # Training: shares of the loss are relative to a constant prediction.

    loss_low: float = 0.05
    """Share of the loss below which rates and penalties are not suspected."""
    loss_left: float = 0.1
    """Share of the loss from which a suspicion matters."""
    loss_turning: float = 0.2
    """Share of the loss from which oscillation matters."""
    loss_rise: float = 1.2
    """Factor by which the loss must have risen over its lowest value."""
    usual_update: float = 1e-3
    """Usual relative size of a step."""
    oscillating_window: int = 20
    """Last epochs among which oscillation is sought."""
    swing_window: int = 40
    """Last epochs over which swings and changes of direction are counted."""
    turning_epochs: int = 8
    """Epochs from which changes of direction are counted."""
    suitable_clip: float = 0.9
    """Quantile of the gradient norms that is a suitable clipping limit."""
    oscillating_epochs: int = 8
    """Epochs from which oscillation is checked."""
    trend: float = 4.0
    """Multiple of the oscillation that a trend must reach to count."""
    batch_small: int = 8
    """Rows per batch below which it is small."""
    batch_small_rows: int = 32
    """Rows from which a small batch is reported."""
    batch_large: int = 32
    """Rows per batch above which it may be large."""
    batch_large_updates: int = 2000
    """Updates in all from which a large batch does not matter."""
    penalty_share: float = 0.3
    """Gradient of the penalty over that of the loss from which it is suspected."""
    decayed: float = 0.01
    """Factor of a schedule in the middle of the run that is too low."""
    decayed_factor: float = 0.1
    """Factor of a schedule that is low."""
    decayed_share: float = 0.8
    """Share of the run with a low factor that is too large."""
    sigmoid_slope: float = 0.25
    """Largest derivative of an activation from which it shrinks gradients."""
    deep: int = 6
    """Hidden layers from which a network is deep."""
    deep_factor: float = 3.0
    """Factor by which the gradient may shrink per layer of a deep network."""
    huge_output: float = 1e4
    """Root mean square of the outputs that is huge."""
    spikes: int = 3
    """Steps with a spike of the gradient from which they are reported."""
    update_range: float = 100.0
    """Ratio of the relative step sizes of two layers."""
    mode_difference: float = 0.1
    """Difference of the loss between the two modes that matters."""
    mode_ratio: float = 2.0
    """Ratio of the loss in inference to that in training mode that matters."""
    mode_rows: int = 64
    """Rows on which the two modes are compared."""
    mode_rows_low: int = 4
    """Rows that this takes."""
    mode_output: float = 1e-3
    """Relative change of outputs with the other rows that matters."""
    still_falling: float = 0.02
    """Share by which the last tenth of the epochs lowers the loss of an unfinished training."""
    learned: float = 0.02
    """Share of the loss, or of the mistakes, below which a training is finished."""
    scored_rows: int = 2000
    """Training rows that are scored, to compare them with validation rows."""
    stop_fall: float = 0.005
    """Share by which the training loss falls per epoch in a healthy training."""
    stop_rise: float = 1.05
    """Factor of the best validation loss within which early stopping was wrong."""
    stop_share: float = 20.0
    """Early stopping may wait for 1 / stop_share of the epochs."""
    trend_epochs: int = 10
    """Last epochs, or half of all if that is more, through which a trend is drawn."""
    fewest_trend_epochs: int = 4
    """Epochs below which there is none."""
    trend_errors: float = 2.0
    """Standard errors by which a loss must fall."""
    noise_patience: float = 2.0
    """Deviations of the noise that a trend must outweigh within the patience."""
    clear_fall: float = 0.05
    """Share of the training loss that it must lose over the trend's epochs if nothing else shows a premature stop."""
    few_to_choose: int = 15
    """Validation rows below which their choice of an epoch is chance."""
    many_to_choose: int = 100
    """Validation rows from which it is none."""
    score_error: float = 0.02
    """Standard error of a validation score that suffices to choose by."""
    most_held_out: float = 0.3
    """Share of all rows that is held out at most."""
    nonlinear: float = 0.2
    """Share of the targets by which a model that is not linear must explain more for a hidden layer to be missing."""
    nonlinear_few: float = 0.5
    """The same on the rows of a network that has too few to hold any out."""
    underfitting: float = 0.3
    """Share of the loss from which a network underfits."""
    metric_epochs: int = 20
    """Epochs from which loss and metric are compared."""
    metric_loss_change: float = 0.02
    """Standard deviation of the loss, relative to its mean, below which it says nothing about the metric."""
    metric_change: float = 1e-3
    """Standard deviation of the metric below which it says nothing about the loss."""
    patience_low: int = 20
    """Epochs of patience that are advised at least."""
    rise_window: int = 3
    """Epochs over which the validation loss is averaged."""
    rise_epochs: int = 5
    """Epochs from which a rise of the validation loss is measured."""
    mistake_gap: float = 0.1
    """Difference of the mistakes on training and validation rows that matters."""
    mistake_gap_errors: float = 3.0
    """Standard errors of it."""
    mistake_ratio: float = 2.0
    """Ratio of the same mistakes."""
    few_mistakes: float = 0.05
    """Mistakes on validation rows below which a network does not overfit."""
    better_errors: float = 4.0
    """Standard errors by which validation rows are suspiciously better."""


LIMITS = Limits()
"""The limits in use."""
