"""Tell the user's own layers, losses, optimizers and schedules, which may refuse what no training asks of them.

In: a training problem. Out: the names of its own pieces; what they raised, in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.layers import Activation, all_layers
from chainrule.nn.losses import LOSSES
from chainrule.nn.schedules import SCHEDULES
from chainrule.nn.spec import REGISTRY
from chainrule.train.problem import DelayedSchedule, TrainingProblem

_FUNCTIONS = frozenset(type(function) for function in ACTIVATIONS.values())


def is_own_function(function: Any) -> bool:
    """Check whether an activation function is the user's."""
    return not isinstance(function, str) and type(function) not in _FUNCTIONS


def is_own_loss(loss: Any) -> bool:
    """Check whether a loss is the user's."""
    return type(loss) not in LOSSES.values()


def own_pieces(problem: TrainingProblem) -> list[str]:
    """Return the class names of the user's own pieces."""
    return list(dict.fromkeys(type(piece).__name__ for piece in _own(problem)))


def _own(problem: TrainingProblem) -> Iterator[Any]:
    recipe = problem.recipe
    known = set(REGISTRY.values())
    for layer in all_layers(recipe.net.layers):
        if type(layer) not in known:
            yield layer
        elif isinstance(layer, Activation) and is_own_function(layer.function):
            yield layer.function
    if is_own_loss(recipe.loss):
        yield recipe.loss
    if type(recipe.optimizer) not in known:
        yield recipe.optimizer
    schedule = problem.config.schedule
    if type(schedule) not in {*SCHEDULES.values(), DelayedSchedule}:
        yield schedule


def fault_in_words(problem: TrainingProblem, fault: Exception) -> str:
    """Return what own code raised where a check called it otherwise than the training does; raise what is not its fault."""
    own = own_pieces(problem)
    if not own:
        raise fault
    text = str(fault).strip().splitlines()
    said = f"{type(fault).__name__}: {text[0]}" if text else type(fault).__name__
    return f"{', '.join(own)} did not take what this check passes ({said})"
