"""Why: what a training comes to is judged the same way wherever it is made: in a trial, in a repair, on rows left out.

In: a case. Out: an `Outcome`: verdicts on held-out and on training rows, and the curve of the held-out loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.data.ridge_baseline import FOLDS
from chainrule.doctor.trials.scoring import Verdict, codes, judge, row_losses
from chainrule.engines import Rows, Session, choose
from chainrule.errors import InvalidValueError
from chainrule.nn.step import Recipe
from chainrule.random import Purpose, Stream
from chainrule.train.loop import iterate
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one training came to: verdicts on held-out and on training rows, its held-out losses, its steps."""

    held_out: Verdict
    trained: Verdict
    curve: tuple[float, ...]
    steps: int
    diverged: bool = False


def held_out(problem: TrainingProblem) -> TrainingProblem:
    """The case with rows that judge: its validation rows, or a fifth of the training rows where it has none."""
    if problem.validation is not None and len(problem.validation) >= 2:
        return problem
    order = Stream.from_seed(problem.recipe.seed).fold(Purpose.SPLIT).permutation(np, len(problem.rows))
    count = max(1, min(len(order) // 5, 2000))
    return replace(problem, rows=problem.rows[order[count:]], validation=problem.rows[order[:count]])


def unseen(problem: TrainingProblem) -> Rows | None:
    """The validation rows that are no training rows; None where fewer than half of them, or fewer than 2, are left."""
    held = problem.validation
    if held is None:
        return None
    known = {row.tobytes() for row in problem.rows.X}
    new = np.array([row.tobytes() not in known for row in held.X])
    if new.all() and len(new) >= 2:
        return held
    if new.sum() < max(2, len(new) / 2):
        return None
    return held[new]


def cost(problem: TrainingProblem) -> float:
    """Seconds that an epoch of the case takes, by a rough count of operations: the same on every machine."""
    n, layers, P = len(problem.rows), len(problem.recipe.net.layers), problem.recipe.net.size
    try:
        slow = choose(problem.engine, problem.recipe)[0].name != "native"
    except InvalidValueError:
        slow = True
    return len(problem.recipe.batches(n)) * layers * (100e-6 if slow else 2e-6) + 6.0 * P * n / 4e9 + 1e-4


def train_and_judge(problem: TrainingProblem) -> Outcome:
    """Train a case without looking on, and judge the end on its validation and on its training rows."""
    assert problem.validation is not None
    recipe, session = problem.recipe, choose(problem.engine, problem.recipe)[0].compile(problem.recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    curve, steps, diverged = [], 0, False
    every = max(1, problem.config.epochs // 20)
    for epoch in iterate(session, recipe, problem.rows, problem.config):
        steps += epoch.steps
        diverged = not epoch.finite
        if diverged:
            break
        if epoch.number % every == 0 or epoch.number == problem.config.epochs:
            curve.append(_loss(recipe, session, problem.validation))
    diverged = diverged or not np.isfinite(session.state.w).all()
    with np.errstate(all="ignore"):
        verdicts = [
            judge(recipe, session.logits(part.X), problem.rows, part) for part in (problem.validation, problem.rows)
        ]
    held, trained = (ruined(verdict) if diverged else verdict for verdict in verdicts)
    return Outcome(held, trained, thinned(tuple(curve)), steps, diverged)


def left_out(problem: TrainingProblem) -> Array:
    """Mistakes on each training row (n) of a network that is trained without it: a quarter of each class in turn."""
    y, mistakes = codes(problem.rows), np.zeros(len(problem.rows))
    order = Stream.from_seed(problem.recipe.seed).fold(Purpose.SPLIT, *b"fold").permutation(np, len(mistakes))
    order = order if y is None else order[np.argsort(y[order], kind="stable")]
    for i in range(FOLDS):
        part, rest = order[i::FOLDS], np.delete(order, slice(i, None, FOLDS))
        judged = train_and_judge(replace(problem, rows=problem.rows[rest], validation=problem.rows[part], start=None))
        mistakes[part] = judged.held_out.mistakes
    return mistakes


def _loss(recipe: Recipe, session: Session, rows: Rows) -> float:
    with np.errstate(all="ignore"):
        return float(np.average(row_losses(recipe, session.logits(rows.X), rows.Y), weights=rows.c))


def ruined(verdict: Verdict) -> Verdict:
    """No better than a constant: what a training that ended in NaN leaves."""
    return Verdict(np.maximum(verdict.losses, 1.0), np.maximum(verdict.mistakes, 1.0))


def thinned(losses: tuple[float, ...]) -> tuple[float, ...]:
    """At most 21 points of a curve, the last one among them."""
    if len(losses) <= 21:
        return losses
    take = np.linspace(0, len(losses) - 1, 21).astype(int)
    return tuple(losses[i] for i in take)


def balanced(problem: TrainingProblem, outcome: Outcome) -> Verdict:
    """Training and held-out rows together, each class counting the same: rare classes have too few held-out rows."""
    parts = [(problem.validation, outcome.held_out), (problem.rows, outcome.trained)]
    y = np.concatenate([classes for rows, _ in parts if rows is not None and (classes := codes(rows)) is not None])
    count = np.bincount(y)
    weights = len(y) / (np.count_nonzero(count) * count[y])
    wrong = np.concatenate([verdict.mistakes > 0 for _, verdict in parts]) * 2.0
    return Verdict(wrong * weights, wrong * weights)
