"""Why: whether a change would help is found out by a few steps from the same numbers, with it and without it.

In: a recipe, rows, a course, a state. Out: the loss of each batch, and the state after the last.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows, choose
from chainrule.nn.schedules import Plateau
from chainrule.nn.step import Recipe, State
from chainrule.train.problem import TrainConfig


def steps(
    recipe: Recipe, rows: Rows, config: TrainConfig, state: State, count: int, engine: str = "auto"
) -> tuple[Array, State]:
    """Losses (count) of so many single steps from a state, each measured on its batch before the update; the state then.

    Rows, masks and rates are those that a run from that state would meet, so two trials from one state are paired: they
    differ by what their recipes or courses differ by. A schedule that follows losses keeps its factor of 1. The numbers of
    the state go in as they are, and what the recipe remembers besides starts at zero where the state does not have it.
    Losses that are not finite are given as they are; the steps go on.

    >>> from chainrule import Dense, Net
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> recipe = Recipe(Net(1, [Dense(1)]), MeanSquaredError())
    >>> rows = Rows.of(recipe, np.ones((4, 1)), np.ones((4, 1)))
    >>> losses, after = steps(recipe, rows, TrainConfig(), recipe.start(), 3)
    >>> losses.shape, after.step
    ((3,), 3)
    """
    chosen, _ = choose(engine, recipe)
    session = chosen.compile(recipe, rows)
    session.load(recipe.adopt(state))
    per_epoch, first = len(recipe.batches(len(rows))), int(state.step)
    losses = np.empty(count)
    for i in range(count):
        epoch, position = divmod(first + i, per_epoch)
        rate = config.rates(first + i, 1, per_epoch, Plateau())
        losses[i] = session.run(epoch, position, rate).mean_loss
    return losses, session.state
