"""Say what a remedy gives up for what it gains: one score of the held-out rows may fall while another rises.

In: outcomes without and with a remedy. Out: one line with both scores, or nothing where no score is worse.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.trials.evaluate import Outcome, with_held_out
from chainrule.doctor.vocabulary.catalogue import Remedy
from chainrule.doctor.vocabulary.targets import are_continuous, class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.train.problem import TrainingProblem


def trade_in_words(problem: TrainingProblem, remedy: Remedy, old: Outcome | None, new: Outcome | None) -> str:
    """Return how each score of the held-out rows changes, if one of them is clearly worse with the remedy.

    Scores are accuracy, balanced accuracy and loss; of continuous targets squared error and loss, as shares of a constant
    prediction's. Losses are left out where the remedy changes their units. With class weights both accuracies are always
    said, since exchanging one for the other is their purpose.
    """
    held = with_held_out(problem).validation
    if old is None or new is None or held is None or old.diverged or new.diverged:
        return ""
    if len(held) != len(old.held_out.mistakes) or len(held) != len(new.held_out.mistakes):
        return ""
    y = None if are_continuous(problem.rows) else class_indices(held)
    scores = _error_scores(old, new) if y is None else _class_scores(y, old, new)
    if not remedy.changes_units:
        scores["loss"] = (-old.held_out.loss, -new.held_out.loss)
    worse = [name for name, pair in scores.items() if _is_worse(name, *pair)]
    better = [name for name, (before, after) in scores.items() if after > before]
    if not (remedy.reweights_classes and y is not None) and not (worse and better):
        return ""
    told = scores if remedy.reweights_classes else [*better, *worse]
    changes = [f"{name} {abs(scores[name][0]):.3g} -> {abs(scores[name][1]):.3g}" for name in told]
    return f"on held-out rows: {'; '.join(changes)}"


def _class_scores(y: Array, old: Outcome, new: Outcome) -> dict[str, tuple[float, float]]:
    """Return accuracy and balanced accuracy before and after."""
    right = [outcome.held_out.mistakes == 0 for outcome in (old, new)]
    accuracy = [float(each.mean()) for each in right]
    balanced = [float(np.mean([each[y == k].mean() for k in np.unique(y)])) for each in right]
    return {"balanced accuracy": (balanced[0], balanced[1]), "accuracy": (accuracy[0], accuracy[1])}


def _error_scores(old: Outcome, new: Outcome) -> dict[str, tuple[float, float]]:
    """Return the squared error before and after, with the sign that makes more better."""
    return {"squared error": (-old.held_out.mistake, -new.held_out.mistake)}


def _is_worse(name: str, before: float, after: float) -> bool:
    """Check whether a score falls by more than half a point, or a loss rises by more than a twentieth."""
    least = USUAL.traded_loss * abs(before) if before < 0 or name == "loss" else USUAL.traded_score
    return before - after > least
