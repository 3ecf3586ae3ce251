"""Run trials: the same training from the same seed with one thing changed.

A threshold only raises a suspicion; an experiment confirms it.

In: a training problem, its trace, the name of a remedy. Out: a `RemedyTrial`: held-out losses without and with it, whether
it helped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.remedies.apply import JOINED, apply_remedies, split_names
from chainrule.doctor.trials.evaluate import (
    Outcome,
    as_failed,
    class_balanced,
    epoch_seconds,
    leave_out_scores,
    thin_curve,
    train_and_score,
    unseen_rows,
    with_held_out,
)
from chainrule.doctor.trials.more_data import more_data_trial
from chainrule.doctor.trials.proof import (
    costs_nothing,
    is_proven,
    is_proven_on_all_rows,
    least_gain,
    measure_of,
    recognizes_more,
    seems_to_help,
    share_removed,
)
from chainrule.doctor.trials.reachable import Comparison, compare
from chainrule.doctor.trials.replication import (
    Pair,
    consistent_gain,
    has_learned,
    starts_learning,
    training_loss_improves,
)
from chainrule.doctor.trials.scoring import Floor, RowScores, is_better, score_state
from chainrule.doctor.trials.trade import trade_in_words
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS, USUAL_RATE, find_remedy
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.own_code import fault_in_words
from chainrule.doctor.vocabulary.records import RemedyTrial, Trace
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import BatchNorm
from chainrule.train.problem import TrainingProblem

ALWAYS_REPORTED = frozenset(name for entry in SYMPTOMS.values() if entry.always_reported for name in entry.remedies)
"""Remedies of symptoms that are reported whatever a trial says."""
Watch = Callable[[str, int, int, float], None]
"""What follows trials while they run: remedy, offset of the seed, epoch, held-out loss."""


@dataclass
class TrialRunner:
    """Runs changed trainings of one problem and remembers their outcomes; none begins after `deadline`, a time of the clock.

    `problem` keeps only validation rows that are no training rows; if there are too few, a fifth of the training rows is
    held out and `user_validation` is False. `limit` is the number of epochs that a trial may take, `cost` its seconds by
    a count of operations, `spent` those of all trainings so far, `late` the remedies that the deadline left untested.
    `watch` is given each point of each curve when it is measured: remedy, offset of the seed, epoch, held-out loss.
    """

    problem: TrainingProblem
    trace: Trace
    deadline: float = math.inf
    spent: float = 0.0
    late: set[str] = field(default_factory=set)
    watch: Watch | None = None
    outcomes: dict[tuple[str, int, int], Outcome | None] = field(default_factory=dict)
    trials: dict[tuple[str, bool], RemedyTrial | None] = field(default_factory=dict)
    left_out_scores: dict[str, RowScores | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unseen = unseen_rows(self.problem)
        self.user_validation = unseen is not None
        if unseen is not None:
            self.problem = replace(self.problem, validation=unseen)
        else:
            self.problem = with_held_out(replace(self.problem, validation=None))
        seconds = epoch_seconds(self.problem)
        self.limit = max(1, int(USUAL.trial_seconds / seconds))
        self.cost = seconds * min(self.limit, self.problem.config.epochs)

    def outcome(self, remedy: str = "", seed_offset: int = 0, epochs: int | None = None) -> Outcome | None:
        """Return the outcome under a remedy ("" for none) from a later seed; None if the remedy cannot be applied."""
        epochs = self.limit if epochs is None else epochs
        key = (remedy, seed_offset, epochs)
        if key not in self.outcomes:
            self.outcomes[key] = self._run(remedy, seed_offset, epochs)
        return self.outcomes[key]

    def _run(self, remedy: str, seed_offset: int, limit: int) -> Outcome | None:
        recipe = self.problem.recipe
        problem = replace(self.problem, recipe=replace(recipe, seed=recipe.seed + seed_offset))
        if seed_offset and self.problem.start is not None:
            problem = replace(problem, start=None)
        if not remedy and not seed_offset and self.user_validation and limit >= problem.config.epochs:
            return self.actual
        changed = apply_remedies(problem, remedy)
        if changed is None:
            return None
        if time.perf_counter() > self.deadline:
            self.late.add(remedy)
            return None
        epochs = max(1, min(changed.config.epochs, _epoch_limit(limit, remedy)))
        self.spent += epochs * epoch_seconds(changed)
        try:
            watch = None if self.watch is None else partial(self.watch, remedy, seed_offset)
            return train_and_score(replace(changed, config=replace(changed.config, epochs=epochs)), watch)
        except InvalidValueError:
            return None
        except Exception as fault:
            fault_in_words(problem, fault)
            return None

    @property
    def actual(self) -> Outcome:
        """The outcome of the training that was recorded."""
        key = ("actual", 0, 0)
        found = self.outcomes.get(key)
        if found is None:
            found = self._actual_outcome()
            self.outcomes[key] = found
        return found

    def _actual_outcome(self) -> Outcome:
        problem = self.problem
        trace = self.trace
        assert problem.validation is not None
        held, trained = (
            score_state(problem.recipe, trace.final, problem.rows, part) for part in (problem.validation, problem.rows)
        )
        diverged = trace.diverged
        if diverged:
            held, trained = as_failed(held), as_failed(trained)
        curve = thin_curve(tuple(epoch.validation_loss for epoch in trace.kept_epochs))
        return Outcome(held, trained, curve, sum(epoch.steps for epoch in trace.kept_epochs), diverged)

    @cached_property
    def comparison(self) -> Comparison | None:
        """The recorded training compared with quick models."""
        return compare(self.problem, self.trace.final)

    @cached_property
    def floor(self) -> Floor:
        """What quick models leave on the held-out rows, if that is mostly noise."""
        found = self.comparison
        if found is None or found.remaining < USUAL.noise:
            return Floor()
        classes = self.problem.recipe.loss.targets.are_classes
        mistakes = np.minimum(found.quick.mistakes, USUAL.worst_share)
        squares = found.quick.squares if classes else np.minimum(found.quick.squares, USUAL.worst_share)
        return Floor(*(min(1.0, float(each.mean())) for each in (mistakes, squares)))

    def recalls(self) -> tuple[Array, Array]:
        """Return for rows of rare and of frequent classes whether a network that had not seen them was right.

        A class is rare below a third of the largest. If few held-out rows are rare, training rows left out in turn count.
        """
        assert self.problem.validation is not None
        y_train = class_indices(self.problem.rows)
        y = class_indices(self.problem.validation)
        if y_train is None or y is None:
            return np.zeros(0), np.zeros(0)
        count = np.bincount(y_train, minlength=int(y.max()) + 1)
        rare = count < count.max() / USUAL.rare_class
        right = self.actual.held_out.mistakes == 0
        if rare[y].sum() < USUAL.few_rows:
            y = np.concatenate([y, y_train])
            right = np.concatenate([right, self.left_out == 0])
        return right[rare[y]] * 1.0, right[~rare[y]] * 1.0

    @property
    def unseen_mistakes(self) -> Array:
        """Mistakes on rows that the network had not seen: held-out rows and, if those are few, `left_out`."""
        held = self.actual.held_out.mistakes
        return held if len(held) >= USUAL.few_rows else np.concatenate([held, self.left_out])

    @cached_property
    def left_out(self) -> Array:
        """Mistakes on each training row of a network that is trained without it."""
        scores = self.left_out_under("")
        return np.zeros(0) if scores is None else scores.mistakes

    def left_out_under(self, remedy: str) -> RowScores | None:
        """Return the scores of each training row by a network trained without it, under a remedy ("" for none).

        A part of the rows in which there is nothing to change stays as it is; None if the remedy keeps other rows.
        """
        if remedy not in self.left_out_scores:
            self.left_out_scores[remedy] = self._left_out(remedy)
        return self.left_out_scores[remedy]

    def _left_out(self, remedy: str) -> RowScores | None:
        def changed(fold: TrainingProblem) -> TrainingProblem:
            found = (apply_remedies(fold, remedy) or fold) if remedy else fold
            epochs = max(1, min(found.config.epochs, _epoch_limit(self.limit, remedy)))
            epochs = round(epochs * len(self.problem.rows) / len(found.rows))  # as many steps as on all rows
            self.spent += epochs * epoch_seconds(found)
            return replace(found, config=replace(found.config, epochs=epochs))

        try:
            return leave_out_scores(self.problem, changed)
        except InvalidValueError:
            return None
        except Exception as fault:
            fault_in_words(self.problem, fault)
            return None

    def trial(self, remedy: str, suspected: bool = False, beyond: bool = False) -> RemedyTrial | None:
        """Test a remedy against the same training without it and against the recorded training.

        One that seems to help is tested from a second seed as well and must help there too. `suspected` says that a rule
        pointed at its cause before: then a smaller gain counts, if three seeds show it or if the network learns only with
        the remedy; beside noise one that is peculiar to this problem, or whose setting is `beyond` any usual bound, is put
        to proof even if few held-out rows show nothing. Return None if the remedy cannot be applied.
        """
        if (remedy, suspected) not in self.trials:
            self.trials[remedy, suspected] = self._trial(remedy, suspected, beyond)
        return self.trials[remedy, suspected]

    def helps_on_top(self, first: str, second: str) -> bool:
        """Check whether a second remedy helps after the first one, from both seeds."""
        return all(self.improves(first, f"{first}{JOINED}{second}", seed_offset) for seed_offset in (0, 1))

    def improves(self, old: str, new: str, seed_offset: int) -> bool:
        """Check whether training with some remedies is better than with others, by as much as counts without suspicion."""
        before, after = self.outcome(old, seed_offset), self.outcome(new, seed_offset)
        if before is None or after is None:
            return False
        differing = [find_remedy(name) for name in set(split_names(old)) ^ set(split_names(new))]
        same_units = not any(each.changes_units for each in differing)
        weighted = any(each.reweights_classes for each in differing)
        one, other = (class_balanced(self.problem, each) if weighted else each.held_out for each in (before, after))
        return is_better(one, other, same_units, weighted=weighted, floor=Floor() if weighted else self.floor)[0]

    def proves(self, remedy: str, by_loss: bool = True, least: float | None = None) -> bool:
        """Check whether the gain of a remedy is beyond doubt (see `proof`), on all training rows, each left out once.

        Where rows cannot be left out under it, held-out rows decide, for the recorded training and a second seed. Without
        `by_loss` only mistakes count. `least` is the share of a constant's error that must go, by default `least_gain`.
        """
        measure = measure_of(remedy) if by_loss else "mistakes"
        least = least_gain(remedy) if least is None else least
        if find_remedy(remedy).reweights_classes:
            return recognizes_more(self.problem, self._pairs(remedy, seeds=2))
        if time.perf_counter() <= self.deadline:
            old, new = self.left_out_under(""), self.left_out_under(remedy)
            if old is not None and new is not None:
                return is_proven_on_all_rows(old, new, measure, least)
        return is_proven(self._pairs(remedy, seeds=2), measure, least)

    def saves(self, remedy: str) -> float:
        """Return the share of a constant's mistakes that a remedy removes on held-out rows, over two seeds."""
        pairs = self._pairs(remedy, seeds=2)
        removed = [float((old.held_out.mistakes - new.held_out.mistakes).mean()) for old, new in pairs]
        return float(np.mean(removed)) if removed else 0.0

    def _needs_proof(self, remedy: str) -> bool:
        """Check whether its gain must be proven: beside noise, but not where a finding is reported in any case."""
        found = self.comparison
        return remedy not in ALWAYS_REPORTED and found is not None and found.matches and found.remaining >= USUAL.noise

    def _is_promising(self, remedy: str, new: Outcome, certain: bool) -> bool:
        """Check whether held-out rows gain by a remedy, against the same training without it and the recorded one.

        If its cause is `certain` enough, they need not gain, as long as they do not speak against it.
        """
        olds = [old for old in (self.outcome(), self.actual if self.user_validation else None) if old is not None]
        if certain:
            return all(costs_nothing(old.held_out.mistakes - new.held_out.mistakes) for old in olds)
        return all(seems_to_help(old.held_out, new.held_out, measure_of(remedy), least_gain(remedy)) for old in olds)

    def was_tested(self, remedy: str) -> bool:
        """Check whether the remedy was tested before."""
        return any(name == remedy for name, _ in self.trials)

    def _trial(self, remedy: str, suspected: bool, beyond: bool) -> RemedyTrial | None:
        new, old = self.outcome(remedy), self.outcome()
        if new is None or old is None:
            return None
        helped, gain = self._judged(remedy, old, new, suspected, beyond)
        trade = trade_in_words(self.problem, find_remedy(remedy), old, new) if helped else ""
        removed = self._removed(remedy, old, new, gain)
        return RemedyTrial(
            remedy, new.steps, old.curve, new.curve, helped, gain, old.steps, trade=trade, removed=removed
        )

    def _judged(self, remedy: str, old: Outcome, new: Outcome, suspected: bool, beyond: bool) -> tuple[bool, float]:
        """Return whether a remedy helps, and its gain."""
        specific = suspected and self._is_specific(remedy)
        helped, gain = self._helps(remedy, old, new, specific)
        if self._needs_proof(remedy):
            certain = beyond or (suspected and find_remedy(remedy).problem_specific)
            return self._proven(remedy, new, certain, gain)
        if helped and self.user_validation and old is not self.actual:
            helped = self._helps(remedy, self.actual, new, specific)[0]
        if helped:
            helped, gain = self._repeated(remedy, specific, gain)
        if not helped:
            small = self._small_gain(remedy, suspected, specific)
            helped, gain = small > 0.0, small or gain
        if not helped and suspected and self._may_be_proven(remedy, gain):
            helped, gain = self._proven(remedy, new, True, gain)
        return helped, gain

    def _removed(self, remedy: str, old: Outcome, new: Outcome, gain: float) -> float:
        """Return the share of all held-out mistakes, or of the loss, that is gone, whichever shows the gain."""
        before, after = self._compared(remedy, old, new)
        pairs = [(before.mistake, after.mistake)]
        pairs += [] if find_remedy(remedy).changes_units else [(before.loss, after.loss)]
        shares = [1.0 - b / max(a, 1e-12) for a, b in pairs]
        share = max(shares) if gain > 0.0 else min(shares)
        return share if share * gain > 0.0 else min(gain, 1.0)

    def _proven(self, remedy: str, new: Outcome, certain: bool, gain: float) -> tuple[bool, float]:
        """Return whether a gain is beyond doubt; its share, of all rows if few held-out rows show none."""
        if not (self._is_promising(remedy, new, certain) and self.proves(remedy)):
            return False, gain
        before, after = (self.left_out_scores.get(name) for name in ("", remedy))
        if gain > 0.0 or before is None or after is None:
            return True, gain
        return True, share_removed(before, after, measure_of(remedy))

    def _may_be_proven(self, remedy: str, gain: float) -> bool:
        """Check whether it is peculiar to this problem, and few held-out rows may have been too unsure to show its gain.

        Where quick models leave little, only what corrects an error: near perfection all else gains a little by chance.
        """
        entry = find_remedy(remedy)
        found = self.comparison
        some = found is not None and found.matches and found.remaining >= LIMITS.some_noise
        possible = some or (gain > 0.0 and entry.corrects_error)
        return possible and entry.problem_specific and remedy not in ALWAYS_REPORTED

    def _repeated(self, remedy: str, specific: bool, gain: float) -> tuple[bool, float]:
        """Return whether a second seed agrees, fully or in direction with half of the margin, and the gain of the two."""
        new, old = self.outcome(remedy, 1), self.outcome("", 1)
        if new is None or old is None:
            return True, gain
        agrees, other = self._helps(remedy, old, new, specific)
        if agrees:
            return True, 0.5 * (gain + other)
        before, after = self._compared(remedy, old, new)
        removed = before.mistake - after.mistake
        margin = max(USUAL.suspected_gain, USUAL.relative_gain * before.mistake)
        return removed >= USUAL.second_seed_margin * margin, min(gain, other)

    def _is_specific(self, remedy: str) -> bool:
        """Check whether the remedy removes something peculiar to this problem, so that a smaller gain counts."""
        recipe = self.problem.recipe
        entry = find_remedy(remedy)
        normed = any(isinstance(layer, BatchNorm) for layer in recipe.net.layers)
        tiny = entry.fixes_tiny_norm_batch and normed and recipe.batch_size < USUAL.tiny_norm_batch
        return entry.problem_specific or entry.lowers_rate or tiny

    def _small_gain(self, remedy: str, suspected: bool, specific: bool) -> float:
        """Return the share of the mistakes that a remedy removes if that is little but consistent; 0 if it does not count.

        It counts if something peculiar was suspected; if the training had few steps or a rate far from its optimizer's
        usual one, and training rows gain as well; and if the network learns its training rows only with the remedy.
        """
        entry = find_remedy(remedy)
        short = entry.lengthens and self.actual.steps < USUAL.few_steps
        small = 0.0
        if specific and not entry.reweights_classes:
            pairs = self._pairs(remedy, agree=True)
            small = consistent_gain(pairs, bool(pairs) and self._training_improves(remedy))
        elif suspected and (short or remedy == USUAL_RATE):
            pairs = self._pairs(remedy, agree=True)
            small = consistent_gain(pairs, False) if pairs and self._training_improves(remedy) else 0.0
        return small or (self._learning_gain(remedy) if suspected or entry.learning_only else 0.0)

    def _training_improves(self, remedy: str) -> bool:
        return not find_remedy(remedy).changes_units and training_loss_improves(self._pairs(remedy))

    def _learning_gain(self, remedy: str) -> float:
        """Return the share of mistakes removed because the network learns only now, if enough training rows were wrong."""
        entry = find_remedy(remedy)
        trained = self.actual.trained
        by_loss = not entry.changes_units
        few_wrong = trained.mistake < USUAL.learned or (trained.mistakes > 0).sum() < 2 * USUAL.fewest_rows
        new, old = self.outcome(remedy), self.outcome()
        if few_wrong or entry.reweights_classes or new is None or old is None or not has_learned((old, new), by_loss):
            return 0.0
        return starts_learning(self._pairs(remedy), by_loss, entry.corrects_error)

    def _pairs(self, remedy: str, agree: bool = False, seeds: int = USUAL.seeds) -> list[Pair]:
        """Return the training without and with a remedy from some seeds; none if the remedy cannot be applied.

        If they must `agree`, the first seed without a gain settles it: none are returned, and no further seed is trained.
        """
        pairs: list[Pair] = []
        for offset in range(seeds):
            old, new = self.outcome("", offset), self.outcome(remedy, offset)
            if old is None or new is None:
                continue
            if agree and not (old.held_out.mistakes - new.held_out.mistakes).mean() > 0:
                return []
            pairs.append((old, new))
        return pairs

    def more_rows(self) -> RemedyTrial | None:
        """Test whether more data would help (see `more_data_trial`)."""
        if not self._may_need_data():
            return None
        wholes = [whole for offset in range(USUAL.seeds) if (whole := self.outcome("", offset)) is not None]
        if len(wholes) < USUAL.seeds or time.perf_counter() > self.deadline:
            return None
        epochs = 2 * min(self.limit, self.problem.config.epochs)
        return more_data_trial(self.problem, wholes, epochs)

    def _may_need_data(self) -> bool:
        """Check whether there are enough rows to halve and the network does far better on its own rows than on others."""
        held, trained = self.actual.held_out.mistake, self.actual.trained.mistake
        enough = len(self.problem.rows) >= USUAL.fewest_to_halve and held >= USUAL.more_data_gain / 2
        return enough and trained <= held / USUAL.memorizing

    def _helps(self, remedy: str, old: Outcome, new: Outcome, suspected: bool) -> tuple[bool, float]:
        """Return whether the outcome with a remedy is better than without it, and by which share."""
        entry = find_remedy(remedy)
        pair = self._compared(remedy, old, new)
        weighted = entry.reweights_classes
        floor = Floor() if weighted else self.floor
        return is_better(*pair, not entry.changes_units, suspected, weighted=weighted, floor=floor)

    def _compared(self, remedy: str, old: Outcome, new: Outcome) -> tuple[RowScores, RowScores]:
        """Return what is compared: held-out rows; with class weights all rows, every class counting the same."""
        if find_remedy(remedy).reweights_classes:
            return class_balanced(self.problem, old), class_balanced(self.problem, new)
        return old.held_out, new.held_out


def _epoch_limit(limit: int, remedy: str) -> int:
    """Return the epochs that a trial may take: three times as many if the remedy makes the training longer."""
    return limit * USUAL.longer_limit if any(find_remedy(name).lengthens for name in split_names(remedy)) else limit
