"""Change the settings, data or loss of a training problem, so that a remedy can be tested before it is advised.

In: a training problem. Out: the problem with one thing changed, or None if there is nothing to change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.remedies.architecture import linked, no_head, with_recipe
from chainrule.doctor.remedies.nearest_neighbors import contradicts_neighbors
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import AdaGrad, Adam, AdamW, Nesterov, RMSProp, SGDMomentum
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import ConstantSchedule
from chainrule.train.problem import TrainingProblem


def with_rows(problem: TrainingProblem, transform: Callable[[Rows], Rows]) -> TrainingProblem:
    """Return the problem with the rows of every part transformed alike."""
    held = problem.validation
    test = problem.test
    return replace(
        problem,
        rows=transform(problem.rows),
        validation=None if held is None else transform(held),
        test=None if test is None else transform(test),
    )


def rate(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """Multiply the learning rate."""
    return replace(problem, config=replace(problem.config, learning_rate=problem.config.learning_rate * factor))


def usual_rate(problem: TrainingProblem) -> TrainingProblem | None:
    """Use the rate that suits the optimizer: 1e-3 for Adam and its relatives, 0.01 with momentum sums, 0.1 for SGD."""
    usual = {Adam: 1e-3, AdamW: 1e-3, RMSProp: 1e-3, AdaGrad: 1e-2, SGDMomentum: 1e-2, Nesterov: 1e-2}
    wanted = usual.get(type(problem.recipe.optimizer), 0.1)
    if USUAL.usual_rate_low < problem.config.learning_rate / wanted < USUAL.usual_rate_high:
        return None
    return replace(problem, config=replace(problem.config, learning_rate=wanted))


def clip(problem: TrainingProblem) -> TrainingProblem | None:
    """Limit the norm of the gradient to 1."""
    return None if problem.recipe.clip is not None else with_recipe(problem, clip=ClipNorm(USUAL.clip_norm))


def no_clip(problem: TrainingProblem) -> TrainingProblem | None:
    """Turn gradient clipping off."""
    return None if problem.recipe.clip is None else with_recipe(problem, clip=None)


def standardize_inputs(problem: TrainingProblem) -> TrainingProblem | None:
    """Scale every column to mean 0 and standard deviation 1 over the training rows; constant columns to 0."""
    X = problem.rows.X.astype(np.float64)
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    flat = deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
    scale = np.where(flat, 1.0, np.maximum(deviation, 1e-300))
    near = USUAL.normalized_inputs
    if np.allclose(mean[~flat], 0.0, atol=near) and np.allclose(scale[~flat], 1.0, atol=near) and not flat.any():
        return None
    return with_rows(problem, lambda rows: replace(rows, X=((rows.X - mean) / scale).astype(rows.X.dtype)))


def standardize_targets(problem: TrainingProblem) -> TrainingProblem | None:
    """Scale every target column of a regression; drop a link that cannot produce both signs."""
    if problem.recipe.loss.targets.are_classes or class_indices(problem.rows) is not None:
        return None
    Y = problem.rows.Y.astype(np.float64)
    mean, scale = Y.mean(axis=0), np.maximum(Y.std(axis=0), 1e-300)
    near = USUAL.normalized_targets
    if np.allclose(mean, 0.0, atol=near) and np.allclose(scale, 1.0, atol=near):
        return None
    changed = with_rows(problem, lambda rows: replace(rows, Y=((rows.Y - mean) / scale).astype(rows.Y.dtype)))
    return with_recipe(changed, loss=linked(problem.recipe.loss))


def penalty(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """Multiply the penalty and the weight decay."""
    old = problem.recipe.penalty
    optimizer = problem.recipe.optimizer
    decayed = isinstance(optimizer, AdamW) and optimizer.weight_decay > 0
    if not old.active and not decayed:
        return None
    if isinstance(optimizer, AdamW):
        optimizer = replace(optimizer, weight_decay=optimizer.weight_decay * factor)
    return with_recipe(problem, penalty=Penalty(l1=old.l1 * factor, l2=old.l2 * factor), optimizer=optimizer)


def stronger_penalty(problem: TrainingProblem) -> TrainingProblem | None:
    """Use ten times the penalty, or an L2 penalty of 0.01 if there is none."""
    return penalty(10.0, problem) or with_recipe(problem, penalty=Penalty(l2=USUAL.default_penalty))


def larger_batch(problem: TrainingProblem) -> TrainingProblem | None:
    """Use at least 32 rows per batch, and at least four times as many as now."""
    size = min(len(problem.rows), max(USUAL.usual_batch, USUAL.larger_batch * problem.recipe.batch_size))
    return None if size <= problem.recipe.batch_size else with_recipe(problem, batch_size=size)


def smaller_batch(problem: TrainingProblem) -> TrainingProblem | None:
    """Use 32 rows per batch, or a quarter of what it is now."""
    size = min(USUAL.usual_batch, max(1, problem.recipe.batch_size // USUAL.larger_batch))
    return None if problem.recipe.batch_size <= USUAL.usual_batch else with_recipe(problem, batch_size=size)


def adam(problem: TrainingProblem) -> TrainingProblem | None:
    """Use Adam with its default settings; at 1e-3 if another optimizer ran."""
    if isinstance(problem.recipe.optimizer, Adam):
        return None if problem.recipe.optimizer == Adam() else with_recipe(problem, optimizer=Adam())
    changed = with_recipe(problem, optimizer=Adam())
    return replace(changed, config=replace(problem.config, learning_rate=1e-3))


def usual_settings(problem: TrainingProblem) -> TrainingProblem | None:
    """Use the same optimizer with its default settings."""
    kind: Any = type(problem.recipe.optimizer)
    try:
        usual = kind()
    except TypeError:
        return None
    return None if usual == problem.recipe.optimizer else with_recipe(problem, optimizer=usual)


def class_weights(problem: TrainingProblem) -> TrainingProblem | None:
    """Weight the rows so that every class counts the same."""
    y = class_indices(problem.rows)
    if y is None:
        return None
    count = np.bincount(y)
    weight = len(y) / (np.count_nonzero(count) * np.maximum(count, 1))
    if count[count > 0].max() < USUAL.balanced_classes * count[count > 0].min():
        return None
    return replace(problem, rows=replace(problem.rows, c=(problem.rows.c * weight[y]).astype(problem.rows.c.dtype)))


def label_smoothing(problem: TrainingProblem) -> TrainingProblem | None:
    """Smooth the labels of a loss over classes that does not smooth them yet."""
    loss = problem.recipe.loss
    if not isinstance(loss, SoftmaxCrossEntropy) or loss.label_smoothing > 0:
        return None
    return with_recipe(problem, loss=replace(loss, label_smoothing=USUAL.label_smoothing))


def matching_loss(problem: TrainingProblem) -> TrainingProblem | None:
    """Use the loss that the targets require, directly on the last affine layer."""
    y = class_indices(problem.rows)
    bare = no_head(problem) or problem
    net = bare.recipe.net
    loss = problem.recipe.loss
    if y is None:
        wanted: Any = MeanSquaredError()
    else:
        wanted = BinaryCrossEntropy() if net.outputs == 1 else SoftmaxCrossEntropy()
    if net.outputs > 1 and y is not None:
        bare = with_rows(bare, lambda rows: replace(rows, Y=_class_rows(rows)))
    if type(loss) is type(wanted) and bare.recipe.net == problem.recipe.net and bare.rows.Y is problem.rows.Y:
        return None
    return with_recipe(bare, loss=wanted)


def _class_rows(rows: Rows) -> Array:
    y = class_indices(rows)
    return rows.Y if y is None else y.astype(np.int64)


def unfreeze(problem: TrainingProblem) -> TrainingProblem | None:
    """Train every parameter at the full rate."""
    return with_recipe(problem, learning_rate_multipliers={}) if problem.recipe.learning_rate_multipliers else None


def epochs(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """Multiply the number of epochs."""
    number = max(1, round(problem.config.epochs * factor))
    return None if number == problem.config.epochs else replace(problem, config=replace(problem.config, epochs=number))


def longer_by(problem: TrainingProblem) -> float:
    """Return the factor on the epochs of a training that may have been too short."""
    return max(USUAL.longer_factor, USUAL.longer_steps / problem.steps)


def longer(problem: TrainingProblem) -> TrainingProblem | None:
    """Train three times the epochs, and at least 1,500 steps."""
    return epochs(longer_by(problem), problem)


def constant_schedule(problem: TrainingProblem) -> TrainingProblem | None:
    """Keep the base learning rate throughout."""
    flat = isinstance(problem.config.schedule, ConstantSchedule)
    return None if flat else replace(problem, config=replace(problem.config, schedule=ConstantSchedule()))


def drop_bad_rows(problem: TrainingProblem) -> TrainingProblem | None:
    """Keep only training rows whose target agrees with those of their neighbors."""
    keep = ~contradicts_neighbors(problem.rows)
    if keep.all() or keep.sum() < USUAL.fewest_after_dropping:
        return None
    return replace(problem, rows=problem.rows[keep])
