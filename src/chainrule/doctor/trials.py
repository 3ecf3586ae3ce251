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

LEARNING = frozenset({"rate/10", "usual-settings", "no-clip", "smaller-batch", "constant-schedule", "relu"})
"""Changes of how a network learns, which leave alone how much it can."""


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

        One that seems to help is tried from a second seed as well, and must help there too. `suspected` says that a
        rule pointed at its cause before: then a smaller gain counts, if three seeds show it, or if the network only now
        learns its own rows. None where the change cannot be made.
        """
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
        own = suspected and (change in REMOVES or change.startswith("rate/") or self._tiny(change))
        helped, gain = self._better(change, old, new, own)
        if helped and self.whole and old is not self.actual:
            helped = self._better(change, self.actual, new, own)[0]
        if helped:
            helped, gain = self._repeated(change, own, gain)
        if not helped:
            small = self._steady(change) if own and change != "class-weights" else 0.0
            small = small or (self._learns(change) if suspected or change in LEARNING else 0.0)
            helped, gain = small > 0.0, small or gain
        return Trial(change, new.steps, old.curve, new.curve, helped, gain, old.steps)

    def _repeated(self, change: str, suspected: bool, gain: float) -> tuple[bool, float]:
        """Whether a second seed agrees, and the gain of the two: clearly, or in its direction with half of the margin."""
        new, old = self.outcome(change, 1), self.outcome("", 1)
        if new is None or old is None:
            return True, gain
        again, other = self._better(change, old, new, suspected)
        if again:
            return True, 0.5 * (gain + other)
        before, after = self._compared(change, old, new)
        fewer = before.mistake - after.mistake
        return fewer >= 0.5 * max(USUAL.suspected_gain, USUAL.relative_gain * before.mistake), min(gain, other)

    def _tiny(self, change: str) -> bool:
        """Whether the change gives batch norm more than a handful of rows, or takes its place where it has only that."""
        recipe = self.case.recipe
        normed = any(isinstance(layer, BatchNorm) for layer in recipe.net.layers)
        return change in ("larger-batch", "layer-norm") and normed and recipe.batch_size < 8

    def _steady(self, change: str) -> float:
        """The share of mistakes that the change takes away from each of three seeds, a little at least; else 0.

        For causes that were suspected before: a small harm that shows every time is a harm. The gain must exceed
        `Thresholds.steady` as a share of the mistakes, and one standard error over the rows.
        """
        pairs = self._pairs(change)
        fewer = [old.held_out.mistakes - new.held_out.mistakes for old, new in pairs]
        if not pairs or any(each.mean() <= 0 for each in fewer):
            return 0.0
        mean, first = np.mean(fewer, axis=0), max(pairs[0][0].held_out.mistake, USUAL.good_enough)
        gain = float(mean.mean())
        return gain / first if gain > max(USUAL.steady * first, error_of_mean(mean)) else 0.0

    def _learns(self, change: str) -> float:
        """The share of mistakes that the change takes away from three seeds together, if it makes the network learn; else 0.

        A network that has not learnt its own rows shows that on all of them, where few held-out rows leave much to chance:
        from each seed most of the training loss must go. For causes that were suspected before, and for `LEARNING`. Where
        mistakes are counted, three seeds together must bring twice `Thresholds.fewest_rows` right.
        """
        known = self.actual.trained
        if change in OTHER_UNITS or known.mistake < USUAL.learnt or (known.mistakes > 0).sum() < 2 * USUAL.fewest_rows:
            return 0.0
        new, old = self.outcome(change), self.outcome()
        if new is None or old is None or not _learnt(old, new):
            return 0.0
        pairs = self._pairs(change)
        fewer = np.array([old.held_out.mistakes - new.held_out.mistakes for old, new in pairs])
        before, gain = float(np.mean([old.held_out.mistake for old, _ in pairs])), float(fewer.mean())
        enough = gain >= max(USUAL.learnt_gain * before, USUAL.learnt, error_of_mean(fewer.mean(axis=0)))
        rows = np.sign(fewer).sum() >= 2 * USUAL.fewest_rows
        return gain / max(before, 1e-12) if enough and rows and all(_learnt(*pair) for pair in pairs) else 0.0

    def _pairs(self, change: str) -> list[tuple[Outcome, Outcome]]:
        """The training without and with a change from three seeds; none where the change cannot be made."""
        pairs = [(self.outcome("", again), self.outcome(change, again)) for again in range(3)]
        return [(old, new) for old, new in pairs if old is not None and new is not None]

    def more_rows(self) -> Trial | None:
        """All rows beside half of them, in as many steps: whether twice the rows take many mistakes away, from three seeds,
        by more than chance.

        None where there are too few to halve, or where the network is worth no more on its own rows than on others: then it
        is not rows that it lacks.
        """
        held, trained = self.actual.held_out.mistake, self.actual.trained.mistake
        if len(self.case.rows) < 40 or held < USUAL.hungry_gain / 2 or trained > held / 3:
            return None
        halves = [self._half(again) for again in range(3)]
        wholes = [whole for again in range(3) if (whole := self.outcome("", again)) is not None]
        pairs = list(zip(halves, wholes, strict=True))
        fewer = np.array([half.held_out.mistakes - whole.held_out.mistakes for half, whole in pairs])
        mistake, gain = float(np.mean([whole.held_out.mistake for whole in wholes])), float(fewer.mean())
        chance = 2.0 * error_of_mean(fewer.mean(axis=0))
        helped = fewer.mean(axis=1).min() > 0 and gain >= max(USUAL.hungry_gain, USUAL.hungry * mistake, chance)
        share = gain / max(mistake + gain, 1e-12)
        old, new = halves[0], wholes[0]
        return Trial(
            "all rows", new.steps, old.curve, new.curve, bool(helped), share, old.steps, "with half of the rows"
        )

    def _half(self, again: int) -> Outcome:
        """The training on half of the rows, drawn at random, for twice the epochs."""
        recipe, rows = replace(self.case.recipe, seed=self.case.recipe.seed + again), self.case.rows
        take = Stream.from_seed(recipe.seed).fold(Purpose.SPLIT, *b"half").permutation(np, len(rows))[: len(rows) // 2]
        course = replace(self.case.course, epochs=2 * min(self.limit, self.case.course.epochs))
        return train_and_judge(
            replace(
                self.case, recipe=recipe, rows=Rows(rows.X[take], rows.Y[take], rows.c[take]), course=course, start=None
            )
        )

    def _better(self, change: str, old: Outcome, new: Outcome, suspected: bool) -> tuple[bool, float]:
        pair = self._compared(change, old, new)
        return better(*pair, change not in OTHER_UNITS, suspected, weighted=change == "class-weights")

    def _compared(self, change: str, old: Outcome, new: Outcome) -> tuple[Verdict, Verdict]:
        """What is compared: held-out rows; with class weights all rows, each class counting the same."""
        if change == "class-weights":
            return balanced(self.case, old), balanced(self.case, new)
        return old.held_out, new.held_out


def balanced(case: Case, outcome: Outcome) -> Verdict:
    """Training and held-out rows together, each class counting the same: rare classes have too few held-out rows."""
    parts = [(case.validation, outcome.held_out), (case.rows, outcome.trained)]
    y = np.concatenate([classes for rows, _ in parts if rows is not None and (classes := codes(rows)) is not None])
    count = np.bincount(y)
    weights = len(y) / (np.count_nonzero(count) * count[y])
    wrong = np.concatenate([verdict.mistakes > 0 for _, verdict in parts]) * 2.0
    return Verdict(wrong * weights, wrong * weights)


def _learnt(old: Outcome, new: Outcome) -> bool:
    """Whether most of the loss on the training rows is gone."""
    return new.trained.loss <= (1.0 - USUAL.learnt_loss) * old.trained.loss


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
