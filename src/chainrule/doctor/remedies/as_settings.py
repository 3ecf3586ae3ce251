"""Give remedies as settings that a user can change, by the names in `option_names`.

In: names of remedies, the training problem before and after them. Out: settings with their new values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chainrule.doctor.vocabulary.catalogue import FROM_PROBLEM, find_remedy
from chainrule.nn.layers import Dense
from chainrule.nn.penalties import ClipNorm
from chainrule.pipeline.option_names import Setting
from chainrule.pipeline.settings import OPTIMIZERS
from chainrule.train.problem import TrainingProblem


def settings_of(remedies: Iterable[str], problem: TrainingProblem, planned: int = 0) -> tuple[Setting, ...]:
    """Return the settings that have the effect of remedies, with the values of the problem after them.

    Where early stopping ended a training of more `planned` epochs, a longer one takes that it no longer does.
    """
    chosen: dict[str, Any] = {}
    for each in remedies:
        for name, value in find_remedy(each).settings.items():
            chosen[name] = _READ[name](problem) if value is FROM_PROBLEM else value
        if find_remedy(each).lengthens and planned:
            chosen |= {"n_iter_no_change": None, "max_iter": max(planned, problem.config.epochs)}
    return tuple(Setting(name, value) for name, value in chosen.items() if value is not FROM_PROBLEM)


def _hidden(problem: TrainingProblem) -> tuple[int, ...]:
    """Return the units of every Dense layer but the last."""
    return tuple(layer.units for layer in problem.recipe.net.layers if isinstance(layer, Dense))[:-1]


def _max_grad_norm(problem: TrainingProblem) -> float | None:
    clip = problem.recipe.clip
    return float(clip.limit) if isinstance(clip, ClipNorm) else None


def _name_in(optimizers: Mapping[str, Any], value: object) -> Any:
    """Return the name of an optimizer with its default settings; `FROM_PROBLEM` where it has none."""
    return next((name for name, usual in optimizers.items() if usual == value), FROM_PROBLEM)


_READ: Mapping[str, Callable[[TrainingProblem], Any]] = {
    "learning_rate_init": lambda problem: float(problem.config.learning_rate),
    "max_iter": lambda problem: problem.config.epochs,
    "batch_size": lambda problem: problem.recipe.batch_size,
    "alpha": lambda problem: float(problem.recipe.penalty.l2),
    "max_grad_norm": _max_grad_norm,
    "hidden_layer_sizes": _hidden,
    "loss": lambda problem: type(problem.recipe.loss).__name__,
    "optimizer": lambda problem: _name_in(OPTIMIZERS, problem.recipe.optimizer),
}
