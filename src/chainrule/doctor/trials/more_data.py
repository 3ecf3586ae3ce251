"""Test whether more data would help: train on half of the rows and see how much worse that is.

In: a training problem and its outcomes on all rows, from three seeds. Out: a `RemedyTrial` of all rows against half of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chainrule.doctor.trials.evaluate import Outcome, train_and_score
from chainrule.doctor.trials.scoring import standard_error
from chainrule.doctor.vocabulary.records import RemedyTrial
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem


def more_data_trial(problem: TrainingProblem, wholes: Sequence[Outcome], epochs: int) -> RemedyTrial:
    """Compare all rows with half of them, in as many steps; `epochs` are those on the half.

    It helps if every seed gains and the gain is large: then twice the rows may remove as many mistakes once more.
    """
    halves = [_train_on_half(problem, offset, epochs) for offset in range(USUAL.seeds)]
    pairs = list(zip(halves, wholes, strict=True))
    removed = np.array([half.held_out.mistakes - whole.held_out.mistakes for half, whole in pairs])
    mistake = float(np.mean([whole.held_out.mistake for whole in wholes]))
    gain = float(removed.mean())
    chance = USUAL.clear_errors * standard_error(removed.mean(axis=0))
    helped = removed.mean(axis=1).min() > 0 and gain >= max(
        USUAL.more_data_gain, USUAL.more_data_share * mistake, chance
    )
    share = gain / max(mistake + gain, 1e-12)
    old = halves[0]
    new = wholes[0]
    before = "with half of the rows"
    return RemedyTrial("all rows", new.steps, old.curve, new.curve, bool(helped), share, old.steps, before)


def _train_on_half(problem: TrainingProblem, seed_offset: int, epochs: int) -> Outcome:
    """Train on half of the rows, drawn at random."""
    recipe = replace(problem.recipe, seed=problem.recipe.seed + seed_offset)
    order = Stream.from_seed(recipe.seed).fold(Purpose.SPLIT, *b"half").permutation(np, len(problem.rows))
    rows = problem.rows[order[: len(problem.rows) // 2]]
    config = replace(problem.config, epochs=epochs)
    return train_and_score(replace(problem, recipe=recipe, rows=rows, config=config, start=None))
