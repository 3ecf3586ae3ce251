"""Why: a threshold suspects, an experiment shows: the same training from the same seed with one thing changed.

In: a case, its trace, the name of a change. Out: a `Trial`: held-out losses without and with it, and whether it helped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.changes import CHANGES, REMOVES, Change
from chainrule.doctor.judging import Verdict, better, codes, error_of_mean, judge, judge_state, row_losses
from chainrule.doctor.records import Case, Trace, Trial
from chainrule.doctor.thresholds import USUAL
from chainrule.engines import Rows, Session, choose
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import BatchNorm
from chainrule.nn.step import Recipe
from chainrule.random import Purpose, Stream
from chainrule.train.loop import iterate

__all__ = ["CHANGES", "Change", "Laboratory", "Outcome", "cost", "held_out"]

OTHER_UNITS = frozenset({"matching-loss", "no-output-activation", "class-weights", "standardise-targets"})
"""Changes after which losses mean something else: only mistakes are compared."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one training came to: verdicts on held-out and on training rows, its held-out losses, its steps."""

    held_out: Verdict
    trained: Verdict
    curve: tuple[float, ...]
    steps: int
    diverged: bool = False


def held_out(case: Case) -> Case:
    """The case with rows that judge: its validation rows, or a fifth of the training rows where it has none."""
    if case.validation is not None and len(case.validation) >= 2:
        return case
    order = Stream.from_seed(case.recipe.seed).fold(Purpose.SPLIT).permutation(np, len(case.rows))
    count = max(1, min(len(order) // 5, 2000))
    parts = [Rows(case.rows.X[i], case.rows.Y[i], case.rows.c[i]) for i in (order[count:], order[:count])]
    return replace(case, rows=parts[0], validation=parts[1])


def unseen(case: Case) -> Rows | None:
    """The validation rows that are no training rows; None where fewer than half of them, or fewer than 2, are left."""
    held = case.validation
    if held is None:
        return None
    known = {row.tobytes() for row in case.rows.X}
    new = np.array([row.tobytes() not in known for row in held.X])
    if new.all() and len(new) >= 2:
        return held
    if new.sum() < max(2, len(new) / 2):
        return None
    return Rows(held.X[new], held.Y[new], held.c[new])


def cost(case: Case) -> float:
    """Seconds that an epoch of the case takes, by a rough count of operations: the same on every machine."""
    n, layers, P = len(case.rows), len(case.recipe.net.layers), case.recipe.net.size
    try:
        slow = choose(case.engine, case.recipe)[0].name != "native"
    except InvalidValueError:
        slow = True
    return len(case.recipe.batches(n)) * layers * (100e-6 if slow else 2e-6) + 6.0 * P * n / 4e9 + 1e-4


@dataclass
class Laboratory:
    """Runs changed trainings of one case and remembers them."""

    case: Case
    trace: Trace
    outcomes: dict[tuple[str, int, int], Outcome | None] = field(default_factory=dict)
    trials: dict[tuple[str, bool], Trial | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fresh = unseen(self.case)
        self.whole = fresh is not None
        self.case = (
            replace(self.case, validation=fresh) if fresh is not None else held_out(replace(self.case, validation=None))
        )
        each = cost(self.case)
        self.limit = max(1, int(USUAL.trial_seconds / each))
        self.cost = each * min(self.limit, self.case.course.epochs)

    def outcome(self, change: str = "", again: int = 0, epochs: int | None = None) -> Outcome | None:
        """The training under a change ("" for none) from the seed `again` later; None where the change cannot be made."""
        epochs = self.limit if epochs is None else epochs
        key = (change, again, epochs)
        if key not in self.outcomes:
            self.outcomes[key] = self._run(change, again, epochs)
        return self.outcomes[key]

    def _run(self, change: str, again: int, limit: int) -> Outcome | None:
        case = replace(self.case, recipe=replace(self.case.recipe, seed=self.case.recipe.seed + again))
        if again:
            case = replace(case, start=None) if self.case.start is not None else case
        if not change and not again and self.whole and limit >= case.course.epochs:
            return self.actual
        try:
            changed: Case | None = case
            for name in change.split(" + ") if change else ():
                changed = None if changed is None else CHANGES[name](changed)
            if changed is None:
                return None
            own = max(1, min(changed.course.epochs, _scaled(limit, change)))
            return train_and_judge(replace(changed, course=replace(changed.course, epochs=own)))
        except InvalidValueError:
            return None

    @property
    def actual(self) -> Outcome:
        """What the training that was watched came to."""
        key = ("actual", 0, 0)
        found = self.outcomes.get(key)
        if found is None:
            case, trace = self.case, self.trace
            assert case.validation is not None
            verdicts = [judge_state(case.recipe, trace.final, case.rows, part) for part in (case.validation, case.rows)]
            diverged = trace.stopped.startswith("diverged")
            steps = sum(epoch.steps for epoch in trace.epochs)
            curve = _curve(tuple(epoch.validation_loss for epoch in trace.epochs))
            held, trained = (ruined(verdict) if diverged else verdict for verdict in verdicts)
            found = Outcome(held, trained, curve, steps, diverged)
            self.outcomes[key] = found
        return found

    def recalls(self) -> tuple[Array, Array]:
        """Which held-out rows were found, of rare classes (below a third of the largest) and of frequent ones."""
        assert self.case.validation is not None
        known, y = codes(self.case.rows), codes(self.case.validation)
        if known is None or y is None:
            return np.zeros(0), np.zeros(0)
        count = np.bincount(known, minlength=int(y.max()) + 1)
        rare, found = (count < count.max() / 3)[y], self.actual.held_out.mistakes == 0
        return found[rare] * 1.0, found[~rare] * 1.0

    def trial(self, change: str, suspected: bool = False) -> Trial | None:
        """Try a change: against the same training without it, and against what the watched training came to.

        One that seems to help is tried from a second seed as well, and must help there too. `suspected` says that a rule
        pointed at its cause before, which counts for changes that take away something peculiar to the case. None where the
        change cannot be made.
        """
        suspected = suspected and (change in REMOVES or change.startswith("rate/") or self._tiny(change))
        if (change, suspected) not in self.trials:
            self.trials[change, suspected] = self._trial(change, suspected)
        return self.trials[change, suspected]

    def adds(self, first: str, second: str) -> bool:
        """Whether a second change helps where the first is already made, from both seeds."""
        for again in (0, 1):
            old, new = self.outcome(first, again), self.outcome(f"{first} + {second}", again)
            if old is None or new is None or not self._better(second, old, new, False)[0]:
                return False
        return True

    def made(self, change: str) -> bool:
        """Whether the change was tried before."""
        return any(name == change for name, _ in self.trials)

    def _trial(self, change: str, suspected: bool) -> Trial | None:
        new, old = self.outcome(change), self.outcome()
        if new is None or old is None:
            return None
        helped, gain = self._better(change, old, new, suspected)
        if helped and self.whole and old is not self.actual:
            helped = self._better(change, self.actual, new, suspected)[0]
        if helped:
            again, twin = self.outcome(change, 1), self.outcome("", 1)
            if again is not None and twin is not None:
                repeated, other = self._better(change, twin, again, suspected)
                helped, gain = (
                    self._holds(twin, again, repeated),
                    min(gain, other) if not repeated else 0.5 * (gain + other),
                )
        if not helped and suspected:
            helped = self._steady(change)
        return Trial(change, new.steps, old.curve, new.curve, helped, gain)

    def _tiny(self, change: str) -> bool:
        """Whether the change gives batch norm more than a handful of rows."""
        recipe = self.case.recipe
        normed = any(isinstance(layer, BatchNorm) for layer in recipe.net.layers)
        return change == "larger-batch" and normed and recipe.batch_size < 8

    def _steady(self, change: str) -> bool:
        """Whether the change takes mistakes away from each of three seeds, a little at least.

        For causes that were suspected before: a small harm that shows every time is a harm. The gain must exceed
        `Thresholds.steady` as a share of the mistakes, and one standard error over the rows.
        """
        fewer = []
        for again in range(3):
            new, old = self.outcome(change, again), self.outcome("", again)
            if new is None or old is None or change == "class-weights":
                return False
            fewer.append(old.held_out.mistakes - new.held_out.mistakes)
            if fewer[-1].mean() <= 0:
                return False
        mean, old = np.mean(fewer, axis=0), self.outcome()
        enough = USUAL.steady * max(old.held_out.mistake if old else 1.0, USUAL.good_enough)
        return float(mean.mean()) > max(enough, error_of_mean(mean))

    def _holds(self, old: Outcome, new: Outcome, repeated: bool) -> bool:
        """A second seed agrees: clearly, or at least in its direction with half of the margin."""
        fewer = old.held_out.mistake - new.held_out.mistake
        return repeated or fewer >= 0.5 * max(USUAL.suspected_gain, USUAL.relative_gain * old.held_out.mistake)

    def _better(self, change: str, old: Outcome, new: Outcome, suspected: bool) -> tuple[bool, float]:
        if change == "class-weights":
            return better(self._balanced(old), self._balanced(new), False, suspected)
        return better(old.held_out, new.held_out, change not in OTHER_UNITS, suspected)

    def _balanced(self, outcome: Outcome) -> Verdict:
        """Training and held-out rows together, each class counting the same: rare classes have too few held-out rows."""
        parts = [(self.case.validation, outcome.held_out), (self.case.rows, outcome.trained)]
        y = np.concatenate([classes for rows, _ in parts if rows is not None and (classes := codes(rows)) is not None])
        count = np.bincount(y)
        weights = len(y) / (np.count_nonzero(count) * count[y])
        wrong = np.concatenate([verdict.mistakes > 0 for _, verdict in parts]) * 2.0
        return Verdict(wrong * weights, wrong * weights)


def _scaled(limit: int, change: str) -> int:
    """A longer course may cost as many times more."""
    return limit * 3 if "longer" in change else limit


def train_and_judge(case: Case) -> Outcome:
    """Train a case without looking on, and judge the end on its validation and on its training rows."""
    assert case.validation is not None
    recipe, session = case.recipe, choose(case.engine, case.recipe)[0].compile(case.recipe, case.rows)
    if case.start is not None:
        session.load(case.start)
    curve, steps, diverged = [], 0, False
    every = max(1, case.course.epochs // 20)
    for epoch in iterate(session, recipe, case.rows, case.course):
        steps += epoch.steps
        diverged = not epoch.finite
        if diverged:
            break
        if epoch.number % every == 0 or epoch.number == case.course.epochs:
            curve.append(_loss(recipe, session, case.validation))
    diverged = diverged or not np.isfinite(session.state.w).all()
    with np.errstate(all="ignore"):
        verdicts = [judge(recipe, session.logits(part.X), case.rows, part) for part in (case.validation, case.rows)]
    held, trained = (ruined(verdict) if diverged else verdict for verdict in verdicts)
    return Outcome(held, trained, _curve(tuple(curve)), steps, diverged)


def _loss(recipe: Recipe, session: Session, rows: Rows) -> float:
    with np.errstate(all="ignore"):
        return float(np.average(row_losses(recipe, session.logits(rows.X), rows.Y), weights=rows.c))


def ruined(verdict: Verdict) -> Verdict:
    """No better than a constant: what a training that ended in NaN leaves."""
    return Verdict(np.maximum(verdict.losses, 1.0), np.maximum(verdict.mistakes, 1.0))


def _curve(losses: tuple[float, ...]) -> tuple[float, ...]:
    """At most 21 points of a curve, the last one among them."""
    if len(losses) <= 21:
        return losses
    take = np.linspace(0, len(losses) - 1, 21).astype(int)
    return tuple(losses[i] for i in take)
