"""Why: a network that cannot learn sixteen rows by heart will not learn sixteen thousand.

In: a case. Out: findings from short trainings on a few rows, and from a hundred steps at rising learning rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.configuration.start import without_dropout
from chainrule.doctor.rules.data.labels import codes_of
from chainrule.doctor.rules.data.ridge_baseline import standardized
from chainrule.doctor.rules.finding import make_finding
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
from chainrule.train.range_test import range_test

_BATCH, _STEPS = 16, 500
_RATES = (1e-2, 1e-3)


@dataclass(frozen=True, eq=False)
class Memorized:
    """What a network made of a few rows: mean loss, share of wrong rows or relative error, answers (n, k), steps.

    `blind` is the loss of the best constant answer for the same rows.
    """

    loss: float
    blind: float
    error: float
    outputs: Array
    steps: int


def memorize(problem: TrainingProblem, rates: tuple[float, ...] = _RATES, steps: int = _STEPS) -> Memorized:
    """Train on 16 rows with Adam, without dropout, penalty, clipping and groups, until they are known by heart.

    Inputs and amounts are standardized, so that the network is asked and not its data. At 1e-2, then again from the start
    at 1e-3, 500 steps each with the rate falling by a cosine. By heart means all classes right, or amounts to a tenth
    of their spread.
    """
    X, Y = _few_rows(problem)
    recipe = replace(
        problem.recipe, net=without_dropout(problem.recipe.net), optimizer=Adam(), penalty=Penalty(), clip=None,
        learning_rate_multipliers={}, batch_size=_BATCH, dtype="float64", cache_every=1,
    )  # fmt: skip
    blind = float(recipe.loss.rows(np, _best_constant(recipe, Y), Y).mean())
    best: Memorized | None = None
    for k, rate in enumerate(rates):
        tried = _learn(recipe, problem.start, X, Y, rate, steps, blind, k * steps)
        if best is None or tried.error < best.error or (tried.error == best.error and tried.loss < best.loss):
            best = tried
        if best.error <= (0.0 if recipe.loss.classes else 0.1):
            break
    assert best is not None
    return best


def cannot_overfit_batch(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Sixteen rows that 1000 steps do not suffice to learn by heart (see `memorize`); one wrong row is let pass.

    Reference  [karpathy2019]
    """
    memory = memorize(problem)
    if memory.error <= 0.1:
        return None
    kind = "of the rows wrong" if problem.recipe.loss.classes else "of the targets' spread left as error"
    return make_finding(
        "cannot-overfit-batch",
        "critical" if not memory.loss < 0.9 * memory.blind else "warning",
        "The network cannot learn sixteen rows by heart",
        meaning="What fails on a few rows has too little capacity, a wrong gradient, or a start it cannot leave.",
        measured=f"{percent(memory.error)} {kind} after {memory.steps} steps; "
        f"loss {memory.loss:.3g}, {memory.blind:.3g} blind",
        usual="all rows right",
        fix=Fix(
            "Check activations, initializer and backward passes; then make the network wider.", remedy="larger-network"
        ),
        error=memory.error,
        loss=memory.loss,
        blind=memory.blind,
    )


def input_ignored(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A network that, after a hundred steps on sixteen rows, answers the same whatever comes in.

    Its loss stays within 5 % of that of the best constant answer, which is what zeroed inputs would reach, and its
    outputs over the rows differ by rounding only. A signal that merely fades on its way is not meant.

    Reference  [karpathy2019]
    """
    memory = memorize(problem, _RATES[:1], 100)
    if not math.isfinite(memory.loss):
        raise NotApplicable("the loss is not finite")
    varies = float(memory.outputs.std(axis=0).max())
    if memory.loss < 0.95 * memory.blind or varies > 1e-12 * max(1.0, float(np.abs(memory.outputs).max())):
        return None
    return make_finding(
        "input-ignored",
        "critical",
        "The network's answers do not depend on its inputs",
        meaning="It has learned what a network without inputs would: the most common answer.",
        measured=f"outputs vary by {varies:.2g} over the rows; loss {memory.loss:.3g}, {memory.blind:.3g} blind",
        usual="outputs that differ from row to row, and a lower loss",
        fix=Fix("Look for zero weights, dead units, or a constant in the forward pass.", remedy="he-init"),
        varies=varies,
        loss=memory.loss,
        blind=memory.blind,
    )


def learning_rate_range(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A hundred steps at rising rates: the chosen rate against that at which the loss was lowest.

    Three times above it, steps jump about; below a ten-thousandth of it (of 1 at most, since easy data bears absurd
    rates) they hardly move. Both are suspicions for a trial.
    Layers of one's own run on the reference engine, which calls their methods.

    Reference  [smith2017]
    """
    if not isinstance(problem.config.schedule, ConstantSchedule):
        raise NotApplicable("a schedule changes the learning rate")
    own = any(type(layer) not in LAYERS.values() for layer in problem.recipe.net.layers)
    session = choose("reference" if own else problem.engine, problem.recipe)[0].compile(problem.recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    try:
        result = range_test(session, problem.recipe, problem.rows)
    except InvalidValueError:
        raise NotApplicable("the loss explodes at once at every rate") from None
    if not result.smoothed.min() < 0.95 * result.smoothed[0]:
        raise NotApplicable("the loss moves at no rate")
    rate, best = problem.config.learning_rate, 10.0 * result.suggestion
    if 1e-4 * min(best, 1.0) <= rate <= 3.0 * best:
        return None
    high = rate > best
    return make_finding(
        "learning-rate-too-high" if high else "learning-rate-too-low",
        "warning",
        f"The learning rate {rate:g} is {'above' if high else 'far below'} what a range test finds",
        meaning="At this rate steps jump over the valley." if high else "At this rate the network hardly moves.",
        measured=f"{rate:g}; the loss was lowest at {best:.2g}",
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


def _few_rows(problem: TrainingProblem) -> tuple[Array, Array]:
    """Sixteen different rows, the classes taken in turn; inputs and amounts standardized."""
    take = subsample_indices(problem.rows.X, 2000)
    X, Y = problem.rows.X[take], problem.rows.Y[take]
    if not (np.isfinite(X).all() and np.isfinite(Y).all()):
        raise NotApplicable("some numbers are not finite")
    X = standardized(X)
    _, first = np.unique(np.round(X, 6), axis=0, return_index=True)
    first = np.sort(first)
    if len(first) < 2:
        raise NotApplicable("all rows are equal")
    codes = codes_of(problem, problem.rows)
    if codes is not None:
        kind = codes[take][first]
        place = np.argsort(np.argsort(kind, kind="stable")) - np.searchsorted(np.sort(kind), kind)
        first = first[np.argsort(place, kind="stable")]
    else:
        first = first[subsample_indices(first, _BATCH)]
    if not problem.recipe.loss.classes and getattr(problem.recipe.loss, "link", "") == "identity":
        spread = Y.std(axis=0, dtype=np.float64)
        Y = (Y - Y.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
    return X[first[:_BATCH]], Y[first[:_BATCH]]


def _learn(
    recipe: Recipe, start: State | None, X: Array, Y: Array, rate: float, steps: int, blind: float, before: int
) -> Memorized:
    """Steps at one base rate, asked every 25."""
    state, c = start or recipe.start(), np.ones(len(X))
    w, buffers = state.w.astype(np.float64), state.buffers.astype(np.float64)
    state = State(w, buffers, {letter: np.zeros_like(w) for letter in recipe.optimizer.memory}, 0)
    with np.errstate(all="ignore"):
        memory = _asked(recipe, state, X, Y, blind, before)
        for step in range(steps):
            factor = 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            state, _ = train_step(recipe, np, state, X, Y, c, rate * factor)
            if step % 25 == 24:
                memory = _asked(recipe, state, X, Y, blind, before + step + 1)
                if memory.error <= (0.0 if recipe.loss.classes else 0.1) or not math.isfinite(memory.loss):
                    break
    return memory


def _asked(recipe: Recipe, state: State, X: Array, Y: Array, blind: float, steps: int) -> Memorized:
    """The network's loss and error on the rows, in training mode."""
    Z = recipe.net.forward(state.w, state.buffers, X, Context(np, training=True))[0]
    score = np.asarray(recipe.loss.score(np, Z, Y), np.float64)
    if recipe.loss.classes:
        error = 1.0 - float(score.mean())
    else:
        error = math.sqrt(max(float(score.mean()), 0.0)) / max(float(Y.std()), 1e-6)
    error = error if math.isfinite(error) else math.inf
    return Memorized(float(recipe.loss.rows(np, Z, Y).mean()), blind, error, Z, steps)


def _best_constant(recipe: Recipe, Y: Array) -> Array:
    """Logits (n, k) of the best answer that is the same for all rows, by 200 steps of gradient descent with momentum."""
    k = recipe.net.outputs
    z, v = np.zeros(k), np.zeros(k)
    for _ in range(200):
        Z = np.broadcast_to(z, (len(Y), k))
        v = 0.8 * v + np.asarray(recipe.loss.gradient(np, Z, Y)).mean(axis=0)
        z = z - 0.2 * v
    return np.broadcast_to(z, (len(Y), k))
