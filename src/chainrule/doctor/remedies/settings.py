"""Why: a remedy is a function from a case to a case, so that it can be tried before anyone is told to take it.

In: a case. Out: the case with one thing changed, or None where there is nothing to change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.remedies.architecture import linked, no_head, with_recipe
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import AdaGrad, Adam, AdamW, Nesterov, RMSProp, SGDMomentum
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import ConstantSchedule
from chainrule.train.problem import TrainingProblem

_USUAL_BATCH = 32
_WEIGHT_DECAY = 1e-2


def with_rows(problem: TrainingProblem, change: Callable[[Rows], Rows]) -> TrainingProblem:
    """The case with every part's rows changed alike."""
    held, test = problem.validation, problem.test
    return replace(
        problem,
        rows=change(problem.rows),
        validation=None if held is None else change(held),
        test=None if test is None else change(test),
    )


def rate(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """Another learning rate."""
    return replace(problem, config=replace(problem.config, learning_rate=problem.config.learning_rate * factor))


def usual_rate(problem: TrainingProblem) -> TrainingProblem | None:
    """The rate that suits the optimizer: 1e-3 for Adam and its kin, 0.01 for sums of gradients, 0.1 for plain descent."""
    usual = {Adam: 1e-3, AdamW: 1e-3, RMSProp: 1e-3, AdaGrad: 1e-2, SGDMomentum: 1e-2, Nesterov: 1e-2}
    wanted = usual.get(type(problem.recipe.optimizer), 0.1)
    if 0.3 < problem.config.learning_rate / wanted < 3.0:
        return None
    return replace(problem, config=replace(problem.config, learning_rate=wanted))


def clip(problem: TrainingProblem) -> TrainingProblem | None:
    """Gradients cut at a length of 1."""
    return None if problem.recipe.clip is not None else with_recipe(problem, clip=ClipNorm(USUAL.clip_norm))


def no_clip(problem: TrainingProblem) -> TrainingProblem | None:
    """Gradients as they are."""
    return None if problem.recipe.clip is None else with_recipe(problem, clip=None)


def standardise_inputs(problem: TrainingProblem) -> TrainingProblem | None:
    """Each column to mean 0 and deviation 1 over the training rows; constant columns to 0."""
    X = problem.rows.X.astype(np.float64)
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    flat = deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
    scale = np.where(flat, 1.0, np.maximum(deviation, 1e-300))
    if np.allclose(mean[~flat], 0.0, atol=0.05) and np.allclose(scale[~flat], 1.0, atol=0.05) and not flat.any():
        return None
    return with_rows(problem, lambda rows: replace(rows, X=((rows.X - mean) / scale).astype(rows.X.dtype)))


def standardise_targets(problem: TrainingProblem) -> TrainingProblem | None:
    """Each column of a regression's targets to mean 0 and deviation 1; a link that cannot reach both signs goes."""
    if problem.recipe.loss.targets.are_classes or class_indices(problem.rows) is not None:
        return None
    Y = problem.rows.Y.astype(np.float64)
    mean, scale = Y.mean(axis=0), np.maximum(Y.std(axis=0), 1e-300)
    if np.allclose(mean, 0.0, atol=0.1) and np.allclose(scale, 1.0, atol=0.1):
        return None
    changed = with_rows(problem, lambda rows: replace(rows, Y=((rows.Y - mean) / scale).astype(rows.Y.dtype)))
    return with_recipe(changed, loss=linked(problem.recipe.loss))


def penalty(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """A penalty so many times as strong, weight decay as well."""
    old, optimizer = problem.recipe.penalty, problem.recipe.optimizer
    decayed = isinstance(optimizer, AdamW) and optimizer.weight_decay > 0
    if not old.active and not decayed:
        return None
    if isinstance(optimizer, AdamW):
        optimizer = replace(optimizer, weight_decay=optimizer.weight_decay * factor)
    return with_recipe(problem, penalty=Penalty(l1=old.l1 * factor, l2=old.l2 * factor), optimizer=optimizer)


def stronger_penalty(problem: TrainingProblem) -> TrainingProblem | None:
    """Ten times the penalty, or an L2 penalty of 0.01 where there is none."""
    return penalty(10.0, problem) or with_recipe(problem, penalty=Penalty(l2=_WEIGHT_DECAY))


def larger_batch(problem: TrainingProblem) -> TrainingProblem | None:
    """At least 32 rows, at least four times as many as now."""
    size = min(len(problem.rows), max(_USUAL_BATCH, 4 * problem.recipe.batch_size))
    return None if size <= problem.recipe.batch_size else with_recipe(problem, batch_size=size)


def smaller_batch(problem: TrainingProblem) -> TrainingProblem | None:
    """32 rows, or a quarter of what it is now."""
    size = min(_USUAL_BATCH, max(1, problem.recipe.batch_size // 4))
    return None if problem.recipe.batch_size <= _USUAL_BATCH else with_recipe(problem, batch_size=size)


def adam(problem: TrainingProblem) -> TrainingProblem | None:
    """Adam with its usual settings; at 1e-3 where another rule ran."""
    if isinstance(problem.recipe.optimizer, Adam):
        return None if problem.recipe.optimizer == Adam() else with_recipe(problem, optimizer=Adam())
    changed = with_recipe(problem, optimizer=Adam())
    return replace(changed, config=replace(problem.config, learning_rate=1e-3))


def usual_settings(problem: TrainingProblem) -> TrainingProblem | None:
    """The same optimizer as the library sets it."""
    kind: Any = type(problem.recipe.optimizer)
    try:
        usual = kind()
    except TypeError:
        return None
    return None if usual == problem.recipe.optimizer else with_recipe(problem, optimizer=usual)


def class_weights(problem: TrainingProblem) -> TrainingProblem | None:
    """Weights that make every class count the same."""
    y = class_indices(problem.rows)
    if y is None:
        return None
    count = np.bincount(y)
    weight = len(y) / (np.count_nonzero(count) * np.maximum(count, 1))
    if count[count > 0].max() < 1.5 * count[count > 0].min():
        return None
    return replace(problem, rows=replace(problem.rows, c=(problem.rows.c * weight[y]).astype(problem.rows.c.dtype)))


def matching_loss(problem: TrainingProblem) -> TrainingProblem | None:
    """The loss that the targets ask for, and nothing between the last affine map and it."""
    y, bare = class_indices(problem.rows), no_head(problem) or problem
    net, loss = bare.recipe.net, problem.recipe.loss
    if y is None:
        wanted: Any = MeanSquaredError()
    else:
        wanted = BinaryCrossEntropy() if net.outputs == 1 else SoftmaxCrossEntropy()
    if net.outputs > 1 and y is not None:
        bare = with_rows(bare, lambda rows: replace(rows, Y=_whole(rows)))
    if type(loss) is type(wanted) and bare.recipe.net == problem.recipe.net and bare.rows.Y is problem.rows.Y:
        return None
    return with_recipe(bare, loss=wanted)


def _whole(rows: Rows) -> Array:
    y = class_indices(rows)
    return rows.Y if y is None else y.astype(np.int64)


def unfreeze(problem: TrainingProblem) -> TrainingProblem | None:
    """Every parameter learns at the full rate."""
    return with_recipe(problem, learning_rate_multipliers={}) if problem.recipe.learning_rate_multipliers else None


def epochs(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """A course so many times as long."""
    number = max(1, round(problem.config.epochs * factor))
    return None if number == problem.config.epochs else replace(problem, config=replace(problem.config, epochs=number))


def longer_by(problem: TrainingProblem) -> float:
    """How many times the epochs are worth a try where a training may have been too short."""
    return max(3.0, 1500.0 / problem.steps)


def longer(problem: TrainingProblem) -> TrainingProblem | None:
    """Three times the epochs; at least 1,500 steps."""
    return epochs(longer_by(problem), problem)


def constant_schedule(problem: TrainingProblem) -> TrainingProblem | None:
    """The base rate throughout."""
    flat = isinstance(problem.config.schedule, ConstantSchedule)
    return None if flat else replace(problem, config=replace(problem.config, schedule=ConstantSchedule()))


def drop_bad_rows(problem: TrainingProblem) -> TrainingProblem | None:
    """Training rows only whose target agrees with those of their neighbors (the majority of ten; 2 deviations)."""
    from chainrule.doctor.remedies.nearest_neighbors import contradicts_neighbors

    keep = ~contradicts_neighbors(problem.rows)
    if keep.all() or keep.sum() < 10:
        return None
    return replace(problem, rows=problem.rows[keep])
