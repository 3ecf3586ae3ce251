"""Train a problem and score the result: one way for trials, repairs and rows left out.

In: a training problem. Out: an `Outcome`: scores on held-out and training rows, and the curve of the held-out loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.trials.scoring import RowScores, score_logits
from chainrule.doctor.vocabulary.targets import class_indices, row_losses
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows, Session, choose
from chainrule.errors import InvalidValueError
from chainrule.nn.step import Recipe
from chainrule.random import Purpose, Stream
from chainrule.train.loop import iterate
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of one training: scores on held-out and training rows, held-out losses, number of steps."""

    held_out: RowScores
    trained: RowScores
    curve: tuple[float, ...]
    steps: int
    diverged: bool = False


def with_held_out(problem: TrainingProblem) -> TrainingProblem:
    """Return the problem with rows to judge by: its validation rows, or a fifth of the training rows if it has none."""
    if problem.validation is not None and len(problem.validation) >= USUAL.fewest_held_out:
        return problem
    order = Stream.from_seed(problem.recipe.seed).fold(Purpose.SPLIT).permutation(np, len(problem.rows))
    count = max(1, min(len(order) // USUAL.held_out_part, USUAL.held_out_most))
    return replace(problem, rows=problem.rows[order[count:]], validation=problem.rows[order[:count]])


def unseen_rows(problem: TrainingProblem) -> Rows | None:
    """Return the validation rows that are no training rows; None if fewer than half of them, or fewer than 2, remain.

    None too if they are all of one class and the training rows are not: predicting nothing else is right on them.
    """
    held = problem.validation
    if held is None or (_of_one_class(held) and not _of_one_class(problem.rows)):
        return None
    training = {row.tobytes() for row in problem.rows.X}
    new = np.array([row.tobytes() not in training for row in held.X])
    if new.all() and len(new) >= USUAL.fewest_held_out:
        return held
    if new.sum() < max(USUAL.fewest_held_out, len(new) / 2):
        return None
    return held[new]


def _of_one_class(rows: Rows) -> bool:
    classes = class_indices(rows)
    return classes is not None and len(np.unique(classes)) == 1


def epoch_seconds(problem: TrainingProblem) -> float:
    """Estimate the seconds of an epoch from a rough count of operations, so that it is the same on every machine."""
    n = len(problem.rows)
    layers = len(problem.recipe.net.layers)
    P = problem.recipe.net.size
    try:
        slow = choose(problem.engine, problem.recipe)[0].name != "native"
    except InvalidValueError:
        slow = True
    per_layer = USUAL.slow_layer_seconds if slow else USUAL.layer_seconds
    steps = len(problem.recipe.batches(n))
    return steps * layers * per_layer + 6.0 * P * n / USUAL.operations_per_second + USUAL.epoch_overhead


def train_and_score(problem: TrainingProblem, watch: Callable[[int, float], None] | None = None) -> Outcome:
    """Train a problem without probes, and score the final network on its validation and training rows.

    `watch` is given each point of the curve when it is measured: the epoch and the held-out loss.
    """
    assert problem.validation is not None
    recipe = problem.recipe
    session = choose(problem.engine, recipe)[0].compile(recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    curve, steps, diverged = _train(problem, session, watch)
    diverged = diverged or not np.isfinite(session.state.w).all()
    with np.errstate(all="ignore"):
        held, trained = (
            score_logits(recipe, session.logits(part.X), problem.rows, part)
            for part in (problem.validation, problem.rows)
        )
    if diverged:
        held, trained = as_failed(held), as_failed(trained)
    return Outcome(held, trained, thin_curve(tuple(curve)), steps, diverged)


def _train(
    problem: TrainingProblem, session: Session, watch: Callable[[int, float], None] | None
) -> tuple[list[float], int, bool]:
    """Run all epochs; return held-out losses, the number of steps, and whether the loss stopped being finite."""
    assert problem.validation is not None
    curve: list[float] = []
    steps = 0
    every = max(1, problem.config.epochs // USUAL.curve_points)
    for epoch in iterate(session, problem.recipe, problem.rows, problem.config):
        steps += epoch.steps
        if not epoch.finite:
            return curve, steps, True
        if epoch.number % every == 0 or epoch.number == problem.config.epochs:
            curve.append(_mean_loss(problem.recipe, session, problem.validation))
            if watch is not None:
                watch(epoch.number, curve[-1])
    return curve, steps, False


def leave_out_scores(
    problem: TrainingProblem, change: Callable[[TrainingProblem], TrainingProblem] = lambda problem: problem
) -> RowScores | None:
    """Score each training row by a network trained without it: a quarter of each class is left out in turn.

    Every part is changed before it is trained; None if a change keeps other rows.
    """
    number = _folds(problem)
    scored: list[tuple[Array, RowScores]] = []
    for i in range(USUAL.folds):
        part, rest = np.flatnonzero(number == i), np.flatnonzero(number != i)
        fold = replace(problem, rows=problem.rows[rest], validation=problem.rows[part], test=None, start=None)
        changed = change(fold)
        if changed.validation is None or len(changed.validation) != len(part):
            return None
        outcome = train_and_score(changed)
        scored.append((part, as_failed(outcome.held_out) if outcome.diverged else outcome.held_out))
    order = np.argsort(np.concatenate([part for part, _ in scored]))
    return RowScores.joined([scores for _, scores in scored], order)


def _folds(problem: TrainingProblem) -> Array:
    """Return the part of each training row (n): rows of a class are spread evenly, and rows that are alike stay together.

    Where so many rows are alike that parts would differ in size by more than a factor of two, they are spread too.
    """
    y = class_indices(problem.rows)
    n = len(problem.rows)
    order = Stream.from_seed(problem.recipe.seed).fold(Purpose.SPLIT, *b"fold").permutation(np, n)
    order = order if y is None else order[np.argsort(y[order], kind="stable")]
    number = np.empty(n, np.int64)
    number[order] = np.arange(n) % USUAL.folds
    _, first, group = np.unique(problem.rows.X, axis=0, return_index=True, return_inverse=True)
    together = number[first[group.ravel()]]
    sizes = np.bincount(together, minlength=USUAL.folds)
    return together if sizes.max() <= 2 * sizes.min() else number


def _mean_loss(recipe: Recipe, session: Session, rows: Rows) -> float:
    with np.errstate(all="ignore"):
        return float(np.average(row_losses(recipe, session.logits(rows.X), rows.Y), weights=rows.c))


def as_failed(scores: RowScores) -> RowScores:
    """Return the scores of a training that diverged: on no row better than a constant prediction."""
    surprises = None if scores.surprises is None else np.maximum(scores.surprises, 1.0)
    return RowScores(np.maximum(scores.losses, 1.0), np.maximum(scores.mistakes, 1.0), surprises)


def thin_curve(losses: tuple[float, ...]) -> tuple[float, ...]:
    """Return at most 21 points of a curve, the last one among them."""
    points = USUAL.curve_points + 1
    if len(losses) <= points:
        return losses
    take = np.linspace(0, len(losses) - 1, points).astype(int)
    return tuple(losses[i] for i in take)


def class_balanced(problem: TrainingProblem, outcome: Outcome) -> RowScores:
    """Score training and held-out rows together, every class counting the same: rare classes have few held-out rows."""
    parts = [(problem.validation, outcome.held_out), (problem.rows, outcome.trained)]
    y = np.concatenate(
        [classes for rows, _ in parts if rows is not None and (classes := class_indices(rows)) is not None]
    )
    count = np.bincount(y)
    weights = len(y) / (np.count_nonzero(count) * count[y])
    wrong = np.concatenate([scores.mistakes > 0 for _, scores in parts]) * 2.0
    return RowScores(wrong * weights, wrong * weights)
