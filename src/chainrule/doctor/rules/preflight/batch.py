"""Check whether the network can overfit sixteen rows, and how its loss reacts to the learning rate.

A network that cannot overfit sixteen rows will not learn sixteen thousand.

In: a training problem. Out: findings from short trainings on a few rows, and from a learning-rate range test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import standardized
from chainrule.doctor.rules.configuration.start import without_dropout
from chainrule.doctor.rules.data.labels import class_codes
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.doctor.vocabulary.wording import percent
from chainrule.engines import choose
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import LAYERS, Context
from chainrule.nn.optimizers import Adam
from chainrule.nn.penalties import Penalty
from chainrule.nn.schedules import ConstantSchedule
from chainrule.nn.step import Recipe, State, train_step
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem
from chainrule.train.range_test import RangeResult, range_test

_RATES = (1e-2, 1e-3)
"""Learning rates at which the network may overfit a few rows, one after the other."""


@dataclass(frozen=True, eq=False)
class Memorized:
    """Result of a training on a few rows: mean loss, share of wrong rows or relative error, outputs (n, k), steps.

    `constant_loss` is the loss of the best constant prediction for the same rows.
    """

    loss: float
    constant_loss: float
    error: float
    outputs: Array
    steps: int


def memorize(
    problem: TrainingProblem, rates: tuple[float, ...] = _RATES, steps: int = LIMITS.overfit_steps
) -> Memorized:
    """Train on 16 rows with Adam, without dropout, penalty, clipping and multipliers, until the network overfits them.

    Inputs and continuous targets are standardized, so that the network is tested and not its data. Trains at 1e-2, then
    from the start at 1e-3, for 500 steps each with a cosine schedule. Overfitting means that all classes are right,
    or that the error is at most a tenth of the targets' spread.
    """
    X, Y = _few_rows(problem)
    recipe = replace(
        problem.recipe, net=without_dropout(problem.recipe.net), optimizer=Adam(), penalty=Penalty(), clip=None,
        learning_rate_multipliers={}, batch_size=LIMITS.overfit_rows, dtype="float64", cache_every=1, ema_decay=None,
    )  # fmt: skip
    constant_loss = float(recipe.loss.rows(np, _best_constant(recipe, Y), Y).mean())
    best: Memorized | None = None
    for k, rate in enumerate(rates):
        result = _learn(recipe, problem.start, X, Y, rate, steps, constant_loss, k * steps)
        if best is None or result.error < best.error or (result.error == best.error and result.loss < best.loss):
            best = result
        if _has_overfitted(recipe, best):
            break
    assert best is not None
    return best


def cannot_overfit_batch(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether the network can overfit sixteen rows in 1000 steps (see `memorize`); one wrong row is tolerated.

    Reference  [karpathy2019]
    """
    memory = memorize(problem)
    if memory.error <= LIMITS.overfit_error:
        return None
    kind = (
        "of the rows still wrong" if problem.recipe.loss.targets.are_classes else "of the targets' spread left as error"
    )
    return make_finding(
        "cannot-overfit-batch",
        "critical" if not memory.loss < LIMITS.overfit_loss * memory.constant_loss else "warning",
        "The network cannot overfit a batch of 16 rows",
        meaning="A network that fails on a few rows has too little capacity, a wrong gradient, or bad initial weights.",
        measured=f"{percent(memory.error)} {kind} after {memory.steps} steps "
        f"(loss {memory.loss:.3g}; {memory.constant_loss:.3g} for a constant prediction)",
        usual="all rows right",
        fix=Fix(
            "Check activations, initializer and backward passes; then make the network wider.", remedy="larger-network"
        ),
        error=memory.error,
        loss=memory.loss,
        constant_loss=memory.constant_loss,
    )


def input_ignored(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a network that gives the same output for every input after a hundred steps on sixteen rows.

    Its loss stays within 5 % of that of the best constant prediction, as it would with zeroed inputs, and its outputs
    differ by rounding errors only. A signal that merely fades through the layers does not count.

    Reference  [karpathy2019]
    """
    memory = memorize(problem, _RATES[:1], LIMITS.ignored_steps)
    if not math.isfinite(memory.loss):
        raise NotApplicable("the loss is not finite")
    varies = float(memory.outputs.std(axis=0).max())
    size = max(1.0, float(np.abs(memory.outputs).max()))
    if memory.loss < LIMITS.ignored_loss * memory.constant_loss or varies > LIMITS.ignored_spread * size:
        return None
    return make_finding(
        "input-ignored",
        "critical",
        "The network's predictions do not depend on its inputs",
        meaning="It learns what a network without inputs would: the best constant prediction.",
        measured=f"the outputs vary by {varies:.2g} between rows; loss {memory.loss:.3g}, "
        f"{memory.constant_loss:.3g} for a constant prediction",
        usual="outputs that differ from row to row, and a lower loss",
        fix=Fix("Look for zero weights, dead units, or a constant in the forward pass.", remedy="he-init"),
        varies=varies,
        loss=memory.loss,
        constant_loss=memory.constant_loss,
    )


def learning_rate_range(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Compare the learning rate with the one at which the loss was lowest in a range test of a hundred steps.

    Above three times that rate, steps overshoot; below a ten-thousandth of it (of 1 at most, since easy data tolerates
    absurd rates), the weights barely change. Both are suspicions for a trial. Custom layers run on the reference engine,
    which calls their methods.

    Reference  [smith2017]
    """
    result = _range_result(problem)
    rate = problem.config.learning_rate
    best = LIMITS.range_lowest * result.suggestion
    if LIMITS.range_low * min(best, 1.0) <= rate <= LIMITS.range_high * best:
        return None
    high = rate > best
    return make_finding(
        "learning-rate-too-high" if high else "learning-rate-too-low",
        "warning",
        f"The learning rate {rate:g} is far {'above' if high else 'below'} the result of a range test",
        meaning="At this rate steps overshoot the minimum." if high else "At this rate the weights barely change.",
        measured=f"rate {rate:g}; the loss was lowest at {best:.2g}",
        usual=f"about {result.suggestion:.1g}",
        fix=Fix(
            "Use the rate that the range test suggests.",
            (Setting("learning_rate_init", float(f"{result.suggestion:.1g}")),),
            remedy="rate/10" if high else "rate*10",
        ),
        learning_rate=rate,
        lowest_loss_at=best,
        suggestion=result.suggestion,
    )  # fmt: skip


def _range_result(problem: TrainingProblem) -> RangeResult:
    """Return the result of a range test; raise `NotApplicable` if it says nothing."""
    if not isinstance(problem.config.schedule, ConstantSchedule):
        raise NotApplicable("the schedule changes the learning rate")
    own = any(type(layer) not in LAYERS.values() for layer in problem.recipe.net.layers)
    session = choose("reference" if own else problem.engine, problem.recipe)[0].compile(problem.recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    try:
        result = range_test(session, problem.recipe, problem.rows)
    except InvalidValueError:
        raise NotApplicable("the loss diverged at every rate tested") from None
    if not result.smoothed.min() < LIMITS.range_change * result.smoothed[0]:
        raise NotApplicable("the loss did not change at any rate tested")
    return result


def _few_rows(problem: TrainingProblem) -> tuple[Array, Array]:
    """Return sixteen different rows, one class after the other; inputs and continuous targets standardized."""
    take = subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)
    X, Y = problem.rows.X[take], problem.rows.Y[take]
    if not (np.isfinite(X).all() and np.isfinite(Y).all()):
        raise NotApplicable("some numbers are not finite")
    X = standardized(X)
    _, first = np.unique(np.round(X, 6), axis=0, return_index=True)
    first = np.sort(first)
    if len(first) < 2:
        raise NotApplicable("all rows are equal")
    codes = class_codes(problem, problem.rows)
    if codes is not None:
        kind = codes[take][first]
        place = np.argsort(np.argsort(kind, kind="stable")) - np.searchsorted(np.sort(kind), kind)
        first = first[np.argsort(place, kind="stable")]
    else:
        first = first[subsample_indices(first, LIMITS.overfit_rows)]
    if problem.recipe.loss.links and problem.recipe.loss.link == "identity":
        spread = Y.std(axis=0, dtype=np.float64)
        Y = (Y - Y.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
    return X[first[: LIMITS.overfit_rows]], Y[first[: LIMITS.overfit_rows]]


def _learn(
    recipe: Recipe, start: State | None, X: Array, Y: Array, rate: float, steps: int, constant_loss: float, before: int
) -> Memorized:
    """Train at one base rate, and evaluate every few steps."""
    state = start or recipe.start()
    c = np.ones(len(X))
    w, buffers = state.w.astype(np.float64), state.buffers.astype(np.float64)
    state = State(w, buffers, {letter: np.zeros_like(w) for letter in recipe.optimizer.state_names}, 0)
    with np.errstate(all="ignore"):
        memory = _evaluate(recipe, state, X, Y, constant_loss, before)
        for step in range(steps):
            factor = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            state, _ = train_step(recipe, np, state, X, Y, c, rate * factor)
            if (step + 1) % LIMITS.overfit_interval == 0:
                memory = _evaluate(recipe, state, X, Y, constant_loss, before + step + 1)
                if _has_overfitted(recipe, memory) or not math.isfinite(memory.loss):
                    break
    return memory


def _has_overfitted(recipe: Recipe, memory: Memorized) -> bool:
    """Check whether all classes are right, or the error is a small part of the targets' spread."""
    return memory.error <= (0.0 if recipe.loss.targets.are_classes else LIMITS.overfit_target)


def _evaluate(recipe: Recipe, state: State, X: Array, Y: Array, constant_loss: float, steps: int) -> Memorized:
    """Return the network's loss and error on the rows, in training mode."""
    Z = recipe.net.forward(state.w, state.buffers, X, Context(np, training=True))[0]
    score = np.asarray(recipe.loss.score(np, Z, Y), np.float64)
    if recipe.loss.targets.are_classes:
        error = 1.0 - float(score.mean())
    else:
        error = math.sqrt(max(float(score.mean()), 0.0)) / max(float(Y.std()), 1e-6)
    error = error if math.isfinite(error) else math.inf
    return Memorized(float(recipe.loss.rows(np, Z, Y).mean()), constant_loss, error, Z, steps)


def _best_constant(recipe: Recipe, Y: Array) -> Array:
    """Return the logits (n, k) of the best constant prediction, from 200 steps of gradient descent with momentum."""
    k = recipe.net.outputs
    z = np.zeros(k)
    v = np.zeros(k)
    for _ in range(200):
        Z = np.broadcast_to(z, (len(Y), k))
        v = 0.8 * v + np.asarray(recipe.loss.gradient(np, Z, Y)).mean(axis=0)
        z = z - 0.2 * v
    return np.broadcast_to(z, (len(Y), k))
