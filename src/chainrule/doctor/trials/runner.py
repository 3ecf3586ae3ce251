"""Why: a threshold suspects, an experiment shows: the same training from the same seed with one thing changed.

In: a case, its trace, the name of a change. Out: a `Trial`: held-out losses without and with it, and whether it helped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.remedies.apply import JOINED, apply_remedies, split_names
from chainrule.doctor.trials.evaluate import (
    Outcome,
    balanced,
    cost,
    held_out,
    left_out,
    ruined,
    thinned,
    train_and_judge,
    unseen,
)
from chainrule.doctor.trials.replication import Pair, fits, learned, learns, steady
from chainrule.doctor.trials.scoring import Verdict, better, codes, error_of_mean, judge_state
from chainrule.doctor.vocabulary.catalogue import USUAL_RATE, remedy
from chainrule.doctor.vocabulary.records import Trace, Trial
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import BatchNorm
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem


@dataclass
class TrialRunner:
    """Runs changed trainings of one case and remembers them."""

    problem: TrainingProblem
    trace: Trace
    outcomes: dict[tuple[str, int, int], Outcome | None] = field(default_factory=dict)
    trials: dict[tuple[str, bool], Trial | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fresh = unseen(self.problem)
        self.whole = fresh is not None
        self.problem = (
            replace(self.problem, validation=fresh)
            if fresh is not None
            else held_out(replace(self.problem, validation=None))
        )
        each = cost(self.problem)
        self.limit = max(1, int(USUAL.trial_seconds / each))
        self.cost = each * min(self.limit, self.problem.config.epochs)

    def outcome(self, change: str = "", again: int = 0, epochs: int | None = None) -> Outcome | None:
        """The training under a change ("" for none) from the seed `again` later; None where the change cannot be made."""
        epochs = self.limit if epochs is None else epochs
        key = (change, again, epochs)
        if key not in self.outcomes:
            self.outcomes[key] = self._run(change, again, epochs)
        return self.outcomes[key]

    def _run(self, change: str, again: int, limit: int) -> Outcome | None:
        problem = replace(self.problem, recipe=replace(self.problem.recipe, seed=self.problem.recipe.seed + again))
        if again:
            problem = replace(problem, start=None) if self.problem.start is not None else problem
        if not change and not again and self.whole and limit >= problem.config.epochs:
            return self.actual
        new = apply_remedies(problem, change)
        if new is None:
            return None
        own = max(1, min(new.config.epochs, _scaled(limit, change)))
        try:
            return train_and_judge(replace(new, config=replace(new.config, epochs=own)))
        except InvalidValueError:
            return None

    @property
    def actual(self) -> Outcome:
        """What the training that was watched came to."""
        key = ("actual", 0, 0)
        found = self.outcomes.get(key)
        if found is None:
            problem, trace = self.problem, self.trace
            assert problem.validation is not None
            verdicts = [
                judge_state(problem.recipe, trace.final, problem.rows, part)
                for part in (problem.validation, problem.rows)
            ]
            diverged = trace.stopped.startswith("diverged")
            steps = sum(epoch.steps for epoch in trace.epochs)
            curve = thinned(tuple(epoch.validation_loss for epoch in trace.epochs))
            held, trained = (ruined(verdict) if diverged else verdict for verdict in verdicts)
            found = Outcome(held, trained, curve, steps, diverged)
            self.outcomes[key] = found
        return found

    def recalls(self) -> tuple[Array, Array]:
        """Which rows were found by a network that had not seen them, of rare classes (below a third of the largest) and of
        frequent ones: held-out rows, and training rows left out in turn where few of the held-out ones are rare.
        """
        assert self.problem.validation is not None
        known, y = codes(self.problem.rows), codes(self.problem.validation)
        if known is None or y is None:
            return np.zeros(0), np.zeros(0)
        count = np.bincount(known, minlength=int(y.max()) + 1)
        scarce, found = count < count.max() / 3, self.actual.held_out.mistakes == 0
        if scarce[y].sum() < USUAL.few_rows:
            y, found = np.concatenate([y, known]), np.concatenate([found, self.left_out == 0])
        return found[scarce[y]] * 1.0, found[~scarce[y]] * 1.0

    @property
    def not_seen(self) -> Array:
        """Mistakes on rows that the network had not seen: held-out rows, and, where those are few, `left_out`."""
        held = self.actual.held_out.mistakes
        return held if len(held) >= USUAL.few_rows else np.concatenate([held, self.left_out])

    @cached_property
    def left_out(self) -> Array:
        """Mistakes on each training row of a network that is trained without it."""
        config = self.problem.config
        return left_out(replace(self.problem, config=replace(config, epochs=min(self.limit, config.epochs))))

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
        return all(self.improves(first, f"{first}{JOINED}{second}", again) for again in (0, 1))

    def improves(self, old: str, new: str, again: int) -> bool:
        """Whether the training under some changes is better than under others, by as much as counts without suspicion."""
        before, after = self.outcome(old, again), self.outcome(new, again)
        if before is None or after is None:
            return False
        differing = [remedy(name) for name in set(split_names(old)) ^ set(split_names(new))]
        units = any(each.changes_units for each in differing)
        weighted = any(each.reweights_classes for each in differing)
        one, other = (balanced(self.problem, each) if weighted else each.held_out for each in (before, after))
        return better(one, other, not units, weighted=weighted)[0]

    def made(self, change: str) -> bool:
        """Whether the change was tried before."""
        return any(name == change for name, _ in self.trials)

    def _trial(self, change: str, suspected: bool) -> Trial | None:
        new, old = self.outcome(change), self.outcome()
        if new is None or old is None:
            return None
        own = suspected and (remedy(change).case_specific or remedy(change).lowers_rate or self._tiny(change))
        helped, gain = self._better(change, old, new, own)
        if helped and self.whole and old is not self.actual:
            helped = self._better(change, self.actual, new, own)[0]
        if helped:
            helped, gain = self._repeated(change, own, gain)
        if not helped:
            small = self._slight(change, suspected, own)
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
        recipe = self.problem.recipe
        normed = any(isinstance(layer, BatchNorm) for layer in recipe.net.layers)
        return remedy(change).fixes_tiny_norm_batch and normed and recipe.batch_size < 8

    def _slight(self, change: str, suspected: bool, own: bool) -> float:
        """The share of mistakes that a change takes away where it is slight, from three seeds; 0 where it does not count.

        It does where something peculiar was suspected; where a course had few steps or a rate far from its optimizer's usual
        one, if training rows gain as well; and where the network only now learns its own rows.
        """
        hasty = remedy(change).lengthens and self.actual.steps < USUAL.few_steps
        small = 0.0
        if own and not remedy(change).reweights_classes:
            small = steady(self._pairs(change), self._fits(change))
        elif suspected and (hasty or change == USUAL_RATE) and self._fits(change):
            small = steady(self._pairs(change), False)
        return small or (self._learns(change) if suspected or remedy(change).learning_only else 0.0)

    def _fits(self, change: str) -> bool:
        return not remedy(change).changes_units and fits(self._pairs(change))

    def _learns(self, change: str) -> float:
        """The share of mistakes that go because the network only now learns its own rows, if enough of them were wrong."""
        by_loss, known = not remedy(change).changes_units, self.actual.trained
        few = known.mistake < USUAL.learned or (known.mistakes > 0).sum() < 2 * USUAL.fewest_rows
        new, old = self.outcome(change), self.outcome()
        if few or remedy(change).reweights_classes or new is None or old is None or not learned((old, new), by_loss):
            return 0.0
        return learns(self._pairs(change), by_loss, remedy(change).corrects_error)

    def _pairs(self, change: str) -> list[Pair]:
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
        if len(self.problem.rows) < 40 or held < USUAL.hungry_gain / 2 or trained > held / 3:
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
        recipe, rows = replace(self.problem.recipe, seed=self.problem.recipe.seed + again), self.problem.rows
        take = Stream.from_seed(recipe.seed).fold(Purpose.SPLIT, *b"half").permutation(np, len(rows))[: len(rows) // 2]
        config = replace(self.problem.config, epochs=2 * min(self.limit, self.problem.config.epochs))
        return train_and_judge(replace(self.problem, recipe=recipe, rows=rows[take], config=config, start=None))

    def _better(self, change: str, old: Outcome, new: Outcome, suspected: bool) -> tuple[bool, float]:
        pair = self._compared(change, old, new)
        entry = remedy(change)
        return better(*pair, not entry.changes_units, suspected, weighted=entry.reweights_classes)

    def _compared(self, change: str, old: Outcome, new: Outcome) -> tuple[Verdict, Verdict]:
        """What is compared: held-out rows; with class weights all rows, each class counting the same."""
        if remedy(change).reweights_classes:
            return balanced(self.problem, old), balanced(self.problem, new)
        return old.held_out, new.held_out


def _scaled(limit: int, change: str) -> int:
    """A longer course may cost as many times more."""
    return limit * 3 if any(remedy(name).lengthens for name in split_names(change)) else limit
