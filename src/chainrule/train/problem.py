"""Define what a training is about: one value that the loop, the estimators, the search and the doctor all take.

In: a recipe, rows on the network's scale, how long and how fast. Out: `TrainConfig`, `TrainingProblem`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import COUNT, POSITIVE, Checked, constrained
from chainrule.engines import Rows
from chainrule.nn.schedules import ConstantSchedule, Plateau, Schedule
from chainrule.nn.step import Recipe, State


@dataclass(frozen=True)
class TrainConfig(Checked):
    """How long and how fast: epochs at most, the base learning rate, and its schedule."""

    epochs: int = constrained(COUNT, 100)
    learning_rate: float = constrained(POSITIVE, 1e-3)
    schedule: Schedule = ConstantSchedule()

    def rates(self, step: int, steps: int, per_epoch: int, plateau: Plateau) -> Array:
        """Learning rates (steps) of the steps from number `step` (from 0) on."""
        times = [(step + i) / per_epoch for i in range(steps)]
        if isinstance(self.schedule, ConstantSchedule):
            return np.full(steps, self.learning_rate * plateau.factor)
        return np.array([self.learning_rate * plateau.factor * self.schedule.factor(e, self.epochs) for e in times])


@dataclass(frozen=True, eq=False)
class TrainingProblem:
    """What is examined: a recipe, the rows as the network sees them (after scaling), how long and how fast.

    `validation` are held-out rows that judge, `test` rows that nobody trains or chooses by. `start` is a state to begin
    from in place of the recipe's own. `classes` are the user's labels in the order of the codes.
    """

    recipe: Recipe
    rows: Rows
    config: TrainConfig
    validation: Rows | None = None
    engine: str = "auto"
    start: State | None = None
    feature_names: tuple[str, ...] = ()
    classes: Array | None = None
    test: Rows | None = None

    @property
    def steps(self) -> int:
        """Steps of the whole course."""
        return self.config.epochs * len(self.recipe.batches(len(self.rows)))
