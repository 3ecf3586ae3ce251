"""The rules of early stopping, and the length of a training that they give.

In: `Settings`, a problem, a run. Out: monitors; the problem with as many epochs as a run kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from chainrule.nn.schedules import ConstantSchedule
from chainrule.pipeline.settings import Settings
from chainrule.train import BestWeights, EarlyStopping, Monitor, Run, TrainingProblem, train

PATIENCE = 20
"""Epochs without an improvement after which "auto" ends a run, where they have `STEPS` steps."""
STEPS = 500
"""Steps without an improvement that "auto" waits for as well: of a few hundred rows, 20 epochs are few steps."""
SMOOTHING = 0.8
"""Share of the running mean that "auto" watches: about the last five epochs."""


def stopping_monitors(settings: Settings, validated: bool) -> list[Monitor]:
    """Return the monitors that keep the best epoch of a run and end it early.

    Parameters
    ----------
    settings : Settings
        Of these `early_stopping`, `n_iter_no_change` and `tol`.
    validated : bool
        Whether there are validation rows. The best epoch is kept by their loss.

    Returns
    -------
    list of Monitor
        With validation rows and `early_stopping` the validation loss ends the run, otherwise the training loss does. For
        `n_iter_no_change="auto"` it is smoothed over epochs, and the patience is 20 epochs and 500 steps; a number of
        epochs is taken as it is.

    Examples
    --------
    >>> stopping_monitors(Settings(early_stopping=True, n_iter_no_change=5), validated=True)[0].patience
    5
    >>> stopping_monitors(Settings(early_stopping=True), validated=True)[0].steps
    500
    >>> stopping_monitors(Settings(n_iter_no_change=None), validated=True)
    [BestWeights(watched='validation_loss', smoothing=0.0)]
    """
    patience = settings.n_iter_no_change
    smoothing = SMOOTHING if isinstance(patience, str) else 0.0
    best: list[Monitor] = [BestWeights(smoothing=smoothing)] if validated else []
    if patience is None:
        return best
    epochs, steps = (PATIENCE, STEPS) if isinstance(patience, str) else (patience, 0)
    if validated and settings.early_stopping:
        return [_early_stopping(epochs, settings.tol, "validation_loss", True, smoothing, steps)]
    return [*best, _early_stopping(epochs, settings.tol, "train_loss", False, smoothing, steps)]


_early_stopping = lru_cache(maxsize=64, typed=True)(EarlyStopping)
"""The same monitor for all fits with the same settings: it remembers nothing itself."""


def as_kept(problem: TrainingProblem, run: Run) -> TrainingProblem:
    """Return the problem with as many epochs as a run of it kept.

    A schedule that depends on the number of epochs keeps it, as does a problem whose run diverged.
    """
    if not isinstance(problem.config.schedule, ConstantSchedule) or run.diverged or not run.epochs:
        return problem
    return replace(problem, config=replace(problem.config, epochs=run.best_epoch or run.epochs[-1].number))


def stopped_run(problem: TrainingProblem, monitors: Sequence[Monitor], validated: bool = True) -> Run | None:
    """Train once to learn when these monitors stop and which epoch they keep; `validated=False` hides the validation rows.

    None where a schedule depends on the number of epochs, so that the length cannot change.
    """
    if not isinstance(problem.config.schedule, ConstantSchedule):
        return None
    return train(problem if validated else replace(problem, validation=None), monitors)
