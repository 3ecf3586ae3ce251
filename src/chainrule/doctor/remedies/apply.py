"""Bind every remedy of the catalogue to the function that applies it, so that a remedy can be tested before it is advised.

In: a training problem and names of remedies. Out: the changed problem, or None if a remedy changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from chainrule.doctor.remedies import architecture, rows, settings
from chainrule.errors import InvalidValueError
from chainrule.train.problem import TrainingProblem

APPLY: Mapping[str, Callable[[TrainingProblem], TrainingProblem | None]] = {
    "drop-bad-rows": settings.drop_bad_rows,
    "fill-strange-cells": rows.fill_strange_cells,
    "drop-wild-targets": rows.drop_wild_targets,
    "align-validation": rows.align_validation,
    "standardize-inputs": settings.standardize_inputs,
    "standardize-targets": settings.standardize_targets,
    "class-weights": settings.class_weights,
    "label-smoothing": settings.label_smoothing,
    "matching-loss": settings.matching_loss,
    "no-output-activation": architecture.no_head,
    "no-hidden-softmax": architecture.no_hidden_softmax,
    "no-hidden-sigmoid": architecture.no_hidden_sigmoid,
    "one-activation": architecture.one_activation,
    "add-nonlinearity": architecture.add_nonlinearity,
    "add-hidden-layer": architecture.add_hidden_layer,
    "add-bias": architecture.add_bias,
    "he-init": architecture.he_init,
    "library-layers": architecture.library_layers,
    "unfreeze": settings.unfreeze,
    "rate/1000": partial(settings.rate, 1e-3),
    "rate/100": partial(settings.rate, 1e-2),
    "rate/10": partial(settings.rate, 0.1),
    "rate*10": partial(settings.rate, 10.0),
    "rate*100": partial(settings.rate, 100.0),
    "rate*1000": partial(settings.rate, 1000.0),
    "usual-rate": settings.usual_rate,
    "clip": settings.clip,
    "no-clip": settings.no_clip,
    "usual-settings": settings.usual_settings,
    "adam": settings.adam,
    "larger-batch": settings.larger_batch,
    "smaller-batch": settings.smaller_batch,
    "no-penalty": partial(settings.penalty, 0.0),
    "penalty/10": partial(settings.penalty, 0.1),
    "constant-schedule": settings.constant_schedule,
    "relu": partial(architecture.activations, "relu"),
    "tanh": partial(architecture.activations, "tanh"),
    "leaky-relu": partial(architecture.activations, "leaky_relu"),
    "batch-norm": architecture.batch_norm,
    "layer-norm": architecture.layer_norm,
    "fresh-statistics": architecture.fresh_statistics,
    "no-dropout": architecture.no_dropout,
    "longer": settings.longer,
    "shorter": partial(settings.epochs, 0.5),
    "stronger-penalty": settings.stronger_penalty,
    "larger-network": partial(architecture.width, 4.0),
    "smaller-network": partial(architecture.width, 0.25),
    "fewer-layers": architecture.fewer_layers,
}
"""The function of every remedy; it returns None if there is nothing to change."""

JOINED = " + "
"""What stands between the names of remedies that are applied one after the other."""


def apply_remedies(problem: TrainingProblem, names: str) -> TrainingProblem | None:
    """Apply a remedy, or several joined ones in turn; return None if one of them changes nothing or cannot be applied."""
    changed: TrainingProblem | None = problem
    try:
        for name in split_names(names):
            changed = APPLY[name](changed) if changed is not None and name in APPLY else None
    except InvalidValueError:
        return None
    return changed


def split_names(names: str) -> tuple[str, ...]:
    """Return the single remedies of a joined name.

    >>> split_names("clip + longer"), split_names("")
    (('clip', 'longer'), ())
    """
    return tuple(names.split(JOINED)) if names else ()


def effective_remedies(problem: TrainingProblem, names: Sequence[str]) -> list[str]:
    """Return those remedies that still change something after the ones before them."""
    kept: list[str] = []
    for name in names:
        if apply_remedies(problem, JOINED.join([*kept, name])) is not None:
            kept.append(name)
    return kept
