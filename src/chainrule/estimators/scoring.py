"""Why: what counts in the end is often not the loss; any score of scikit-learn can choose the epoch that is kept.

In: an estimator, a scorer, validation rows. Out: a monitor that scores each epoch, keeps the best and stops.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sklearn.metrics import check_scoring

from chainrule.io import write_atomically
from chainrule.model import Model
from chainrule.nn.step import State
from chainrule.train import BestWeights, Decision, EarlyStopping, Epoch

Score = Callable[[Model], float]


def scorer(estimator: Any, validation: tuple[Any, ...], weighted: bool) -> Score:
    """A function that scores a model as this estimator would be scored with it; greater is better.

    Weights of the validation rows count where there are some and the scorer takes `sample_weight`.
    """
    X, y, weights = validation
    score = check_scoring(estimator, estimator.scoring)
    takes = "sample_weight" in inspect.signature(score).parameters
    options = {"sample_weight": weights} if weighted and takes else {}
    view = copy.copy(estimator)

    def scored(model: Model) -> float:
        twin = copy.copy(view)
        twin.model_ = model
        return float(score(twin, X, y, **options))

    return scored


@dataclass(frozen=True, eq=False)
class Scoring:
    """Scores each epoch's weights; otherwise it decides as `rule` does, with the score in place of the validation loss.

    `scores` fills with the score of each epoch, by its number; with a `file` they are kept there too, so that a run that
    goes on from a checkpoint knows those of the epochs before. Used for one run.
    """

    model: Callable[[State], Model]
    score: Score
    rule: EarlyStopping | BestWeights
    scores: dict[int, float] = field(default_factory=dict)
    file: Path | None = None

    def start(self, epochs: int) -> Any:
        """The rule's memory, and what an earlier process scored."""
        if self.file is not None and self.file.is_file():
            self.scores.update((int(k), v) for k, v in json.loads(self.file.read_bytes()).items())
        return self.rule.start(epochs)

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Score, then keep and stop by the score."""
        if epoch.number not in self.scores:
            usable = epoch.finite and epoch.complete
            self.scores[epoch.number] = self.score(self.model(epoch.state())) if usable else math.nan
            self._keep()
        memory, decision = self.rule.observe(memory, replace(epoch, validation_loss=-self.scores[epoch.number]))
        return memory, replace(decision, stop=decision.stop.replace("validation loss", "validation score"))

    def _keep(self) -> None:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.file, json.dumps(self.scores).encode())

    def end(self, memory: Any) -> None:
        """Nothing to close."""
