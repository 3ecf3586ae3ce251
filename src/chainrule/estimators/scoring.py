"""Any score of scikit-learn in place of the loss to choose the epoch that is kept.

In: an estimator, a scorer, validation rows. Out: a monitor that scores each epoch, keeps the best and stops.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring

from chainrule.io import write_atomically
from chainrule.io.files import make_folder
from chainrule.model import Model
from chainrule.nn.step import State
from chainrule.train import Decision, Epoch, Monitor, Run, TrainingProblem

Score = Callable[[Model], float]


def scorer(estimator: BaseEstimator, validation: tuple[Any, ...], weighted: bool) -> Score:
    """Return a function that scores a model as this estimator would be scored with it; greater is better.

    Weights of the validation rows count where there are some and the scorer takes `sample_weight`; for another scorer, rows
    of weight 0 are left out. The rows are checked already and have no names any more, so the estimator that the scorer sees
    has none either: otherwise scikit-learn would warn of them at every epoch.
    """
    X, y, weights = validation
    counted = weights > 0
    score = check_scoring(estimator, estimator.scoring)
    takes = "sample_weight" in inspect.signature(score).parameters
    options = {"sample_weight": weights} if takes and (weighted or not counted.all()) else {}
    if not (takes or counted.all()):
        X, y = X[counted], y[counted]
    view = copy.copy(estimator)
    vars(view).pop("feature_names_in_", None)

    def scored(model: Model) -> float:
        fitted = copy.copy(view)
        fitted.model_ = model
        return float(score(fitted, X, y, **options))

    return scored


@dataclass(frozen=True)
class Scored:
    """What `Scoring` remembers: its rule's memory, and the score of each epoch by its number."""

    rule: Any
    scores: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class Scoring:
    """A monitor that scores each epoch's weights; otherwise it decides as `rule` does, by the score in place of the loss.

    With a `file` the scores are kept there too, so that a run that continues from a checkpoint knows those of the epochs
    before.
    """

    model: Callable[[State], Model]
    score: Score
    rule: Monitor
    file: Path | None = None

    def start(self, problem: TrainingProblem) -> Scored:
        """Return the rule's memory, and what an earlier process scored."""
        known: dict[int, float] = {}
        if self.file is not None and self.file.is_file():
            known = {int(k): v for k, v in json.loads(self.file.read_bytes()).items()}
        return Scored(self.rule.start(problem), known)

    def observe(self, memory: Scored, epoch: Epoch) -> tuple[Scored, Decision]:
        """Score, then keep and stop by the score."""
        scores = memory.scores
        if epoch.number not in scores:
            usable = epoch.finite and epoch.complete
            scores = {**scores, epoch.number: self.score(self.model(epoch.state())) if usable else math.nan}
            self._save(scores)
        rule, decision = self.rule.observe(memory.rule, replace(epoch, validation_loss=-scores[epoch.number]))
        if decision.stop is not None:
            detail = decision.stop.detail.replace("validation loss", "validation score")
            decision = replace(decision, stop=replace(decision.stop, detail=detail))
        return Scored(rule, scores), decision

    def end(self, memory: Scored, run: Run | None) -> None:
        """Do nothing: nothing is open."""

    def _save(self, scores: Mapping[int, float]) -> None:
        if self.file is not None:
            make_folder(self.file.parent, "Checkpoint")
            write_atomically(self.file, json.dumps(scores).encode(), "Checkpoint")
