"""Why: a remedy is a function from a case to a case, so that it can be tried before anyone is told to take it.

In: a case. Out: the case with one thing changed, or None where there is nothing to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.judging import codes
from chainrule.doctor.records import Case
from chainrule.doctor.redesign import (
    activations,
    add_bias,
    add_nonlinearity,
    batch_norm,
    fewer_layers,
    fresh_statistics,
    he_init,
    layer_norm,
    library_layers,
    linked,
    no_dropout,
    no_head,
    no_hidden_sigmoid,
    no_hidden_softmax,
    one_activation,
    width,
    with_recipe,
)
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquared, SoftmaxCrossEntropy
from chainrule.nn.optimizers import AdaGrad, Adam, AdamW, ClassicalMomentum, Nesterov, RMSProp
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import Flat

Change = Callable[[Case], Case | None]

_USUAL_BATCH = 32
_CLIP = 1.0
_WEIGHT_DECAY = 1e-2


def with_rows(case: Case, change: Callable[[Rows], Rows]) -> Case:
    """The case with every part's rows changed alike."""
    held, test = case.validation, case.test
    return replace(
        case,
        rows=change(case.rows),
        validation=None if held is None else change(held),
        test=None if test is None else change(test),
    )


def rate(factor: float, case: Case) -> Case | None:
    """Another learning rate."""
    return replace(case, course=replace(case.course, learning_rate=case.course.learning_rate * factor))


def usual_rate(case: Case) -> Case | None:
    """The rate that suits the optimiser: 1e-3 for Adam and its kin, 0.01 for sums of gradients, 0.1 for plain descent."""
    usual = {Adam: 1e-3, AdamW: 1e-3, RMSProp: 1e-3, AdaGrad: 1e-2, ClassicalMomentum: 1e-2, Nesterov: 1e-2}
    wanted = usual.get(type(case.recipe.optimizer), 0.1)
    if 0.3 < case.course.learning_rate / wanted < 3.0:
        return None
    return replace(case, course=replace(case.course, learning_rate=wanted))


def clip(case: Case) -> Case | None:
    """Gradients cut at a length of 1."""
    return None if case.recipe.clip is not None else with_recipe(case, clip=ClipNorm(_CLIP))


def no_clip(case: Case) -> Case | None:
    """Gradients as they are."""
    return None if case.recipe.clip is None else with_recipe(case, clip=None)


def standardise_inputs(case: Case) -> Case | None:
    """Each column to mean 0 and deviation 1 over the training rows; constant columns to 0."""
    X = case.rows.X.astype(np.float64)
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    flat = deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
    scale = np.where(flat, 1.0, np.maximum(deviation, 1e-300))
    if np.allclose(mean[~flat], 0.0, atol=0.05) and np.allclose(scale[~flat], 1.0, atol=0.05) and not flat.any():
        return None
    return with_rows(case, lambda rows: replace(rows, X=((rows.X - mean) / scale).astype(rows.X.dtype)))


def standardise_targets(case: Case) -> Case | None:
    """Each column of a regression's targets to mean 0 and deviation 1; a link that cannot reach both signs goes."""
    if case.recipe.loss.classes or codes(case.rows) is not None:
        return None
    Y = case.rows.Y.astype(np.float64)
    mean, scale = Y.mean(axis=0), np.maximum(Y.std(axis=0), 1e-300)
    if np.allclose(mean, 0.0, atol=0.1) and np.allclose(scale, 1.0, atol=0.1):
        return None
    changed = with_rows(case, lambda rows: replace(rows, Y=((rows.Y - mean) / scale).astype(rows.Y.dtype)))
    return with_recipe(changed, loss=linked(case.recipe.loss))


def penalty(factor: float, case: Case) -> Case | None:
    """A penalty so many times as strong, weight decay as well."""
    old, optimizer = case.recipe.penalty, case.recipe.optimizer
    decayed = isinstance(optimizer, AdamW) and optimizer.weight_decay > 0
    if not old.active and not decayed:
        return None
    if isinstance(optimizer, AdamW):
        optimizer = replace(optimizer, weight_decay=optimizer.weight_decay * factor)
    return with_recipe(case, penalty=Penalty(l1=old.l1 * factor, l2=old.l2 * factor), optimizer=optimizer)


def stronger_penalty(case: Case) -> Case | None:
    """Ten times the penalty, or an L2 penalty of 0.01 where there is none."""
    return penalty(10.0, case) or with_recipe(case, penalty=Penalty(l2=_WEIGHT_DECAY))


def larger_batch(case: Case) -> Case | None:
    """At least 32 rows, at least four times as many as now."""
    size = min(len(case.rows), max(_USUAL_BATCH, 4 * case.recipe.batch_size))
    return None if size <= case.recipe.batch_size else with_recipe(case, batch_size=size)


def smaller_batch(case: Case) -> Case | None:
    """32 rows, or a quarter of what it is now."""
    size = min(_USUAL_BATCH, max(1, case.recipe.batch_size // 4))
    return None if case.recipe.batch_size <= _USUAL_BATCH else with_recipe(case, batch_size=size)


def adam(case: Case) -> Case | None:
    """Adam with its usual settings; at 1e-3 where another rule ran."""
    if isinstance(case.recipe.optimizer, Adam):
        return None if case.recipe.optimizer == Adam() else with_recipe(case, optimizer=Adam())
    changed = with_recipe(case, optimizer=Adam())
    return replace(changed, course=replace(case.course, learning_rate=1e-3))


def usual_settings(case: Case) -> Case | None:
    """The same optimiser as the library sets it."""
    kind: Any = type(case.recipe.optimizer)
    try:
        usual = kind()
    except TypeError:
        return None
    return None if usual == case.recipe.optimizer else with_recipe(case, optimizer=usual)


def class_weights(case: Case) -> Case | None:
    """Weights that make every class count the same."""
    y = codes(case.rows)
    if y is None:
        return None
    count = np.bincount(y)
    weight = len(y) / (np.count_nonzero(count) * np.maximum(count, 1))
    if count[count > 0].max() < 1.5 * count[count > 0].min():
        return None
    return replace(case, rows=replace(case.rows, c=(case.rows.c * weight[y]).astype(case.rows.c.dtype)))


def matching_loss(case: Case) -> Case | None:
    """The loss that the targets ask for, and nothing between the last affine map and it."""
    y, bare = codes(case.rows), no_head(case) or case
    net, loss = bare.recipe.net, case.recipe.loss
    if y is None:
        wanted: Any = MeanSquared()
    else:
        wanted = BinaryCrossEntropy() if net.outputs == 1 else SoftmaxCrossEntropy()
    if net.outputs > 1 and y is not None:
        bare = with_rows(bare, lambda rows: replace(rows, Y=_whole(rows)))
    if type(loss) is type(wanted) and bare.recipe.net == case.recipe.net and bare.rows.Y is case.rows.Y:
        return None
    return with_recipe(bare, loss=wanted)


def _whole(rows: Rows) -> Array:
    y = codes(rows)
    return rows.Y if y is None else y.astype(np.int64)


def unfreeze(case: Case) -> Case | None:
    """Every parameter learns at the full rate."""
    return with_recipe(case, groups={}) if case.recipe.groups else None


def epochs(factor: float, case: Case) -> Case | None:
    """A course so many times as long."""
    number = max(1, round(case.course.epochs * factor))
    return None if number == case.course.epochs else replace(case, course=replace(case.course, epochs=number))


def longer_by(case: Case) -> float:
    """How many times the epochs are worth a try where a training may have been too short."""
    return max(3.0, 1500.0 / case.steps)


def longer(case: Case) -> Case | None:
    """Three times the epochs; at least 1,500 steps."""
    return epochs(longer_by(case), case)


def constant_schedule(case: Case) -> Case | None:
    """The base rate throughout."""
    flat = isinstance(case.course.schedule, Flat)
    return None if flat else replace(case, course=replace(case.course, schedule=Flat()))


def drop_bad_rows(case: Case) -> Case | None:
    """Training rows only whose target agrees with those of their neighbours (the majority of ten; 2 deviations)."""
    from chainrule.doctor.neighbours import suspicious

    keep = ~suspicious(case.rows)
    if keep.all() or keep.sum() < 10:
        return None
    return replace(case, rows=case.rows[keep])


CHANGES: Mapping[str, Change] = {
    "drop-bad-rows": drop_bad_rows,
    "standardise-inputs": standardise_inputs,
    "standardise-targets": standardise_targets,
    "class-weights": class_weights,
    "matching-loss": matching_loss,
    "no-output-activation": no_head,
    "no-hidden-softmax": no_hidden_softmax,
    "no-hidden-sigmoid": no_hidden_sigmoid,
    "one-activation": one_activation,
    "add-nonlinearity": add_nonlinearity,
    "add-bias": add_bias,
    "he-init": he_init,
    "library-layers": library_layers,
    "unfreeze": unfreeze,
    "rate/1000": partial(rate, 1e-3),
    "rate/100": partial(rate, 1e-2),
    "rate/10": partial(rate, 0.1),
    "rate*10": partial(rate, 10.0),
    "rate*100": partial(rate, 100.0),
    "rate*1000": partial(rate, 1000.0),
    "usual-rate": usual_rate,
    "clip": clip,
    "no-clip": no_clip,
    "usual-settings": usual_settings,
    "adam": adam,
    "larger-batch": larger_batch,
    "smaller-batch": smaller_batch,
    "no-penalty": partial(penalty, 0.0),
    "penalty/10": partial(penalty, 0.1),
    "constant-schedule": constant_schedule,
    "relu": partial(activations, "relu"),
    "tanh": partial(activations, "tanh"),
    "leaky-relu": partial(activations, "leaky_relu"),
    "batch-norm": batch_norm,
    "layer-norm": layer_norm,
    "fresh-statistics": fresh_statistics,
    "no-dropout": no_dropout,
    "longer": longer,
    "shorter": partial(epochs, 0.5),
    "stronger-penalty": stronger_penalty,
    "larger-network": partial(width, 4.0),
    "smaller-network": partial(width, 0.25),
    "fewer-layers": fewer_layers,
}
"""Every change by name, in the order of the causes that they take away."""

JOINED = " + "
"""What stands between the names of changes that are made one after the other."""


def changed(case: Case, change: str) -> Case | None:
    """The case after a change, or after several; None where one of them is none, changes nothing or cannot be made."""
    new: Case | None = case
    try:
        for name in change.split(JOINED) if change else ():
            new = CHANGES[name](new) if new is not None and name in CHANGES else None
    except InvalidValueError:
        return None
    return new


def chain(case: Case, names: Sequence[str]) -> list[str]:
    """Those of several changes that change something after the others before them."""
    kept: list[str] = []
    for name in names:
        if changed(case, JOINED.join([*kept, name])) is not None:
            kept.append(name)
    return kept


REMOVES = frozenset({
    "standardise-inputs", "standardise-targets", "class-weights", "matching-loss", "no-output-activation",
    "no-hidden-softmax", "no-hidden-sigmoid", "one-activation", "add-nonlinearity", "add-bias", "he-init", "library-layers",
    "unfreeze", "no-clip", "usual-settings", "no-penalty", "constant-schedule", "fresh-statistics", "no-dropout",
    "smaller-batch", "relu",
})  # fmt: skip
"""Changes that take away something peculiar to the case; the others lend a hand to many a training, sound ones too.

Where both help as much, the peculiarity is the cause.
"""
