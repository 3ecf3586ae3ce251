"""Apply remedies and keep those that help: better on held-out rows, from several seeds, by more than chance.

In: a training problem and its report. Out: the repaired problem and a record of every attempt.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.doctor.remedies.apply import JOINED, apply_remedies
from chainrule.doctor.trials.evaluate import (
    Outcome,
    class_balanced,
    epoch_seconds,
    train_and_score,
    unseen_rows,
    with_held_out,
)
from chainrule.doctor.trials.proposals import proposals
from chainrule.doctor.trials.trade import trade_in_words
from chainrule.doctor.vocabulary.catalogue import find_remedy
from chainrule.doctor.vocabulary.records import Report
from chainrule.doctor.vocabulary.targets import are_continuous, class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.nn.layers import Dense
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True)
class RepairAttempt:
    """One remedy: held-out errors without and with it, by seed; whether it was kept, why, and what it trades.

    Errors are shares of wrong rows for classes; if the targets are `continuous`, squared errors as shares of a constant
    prediction's.
    """

    symptom: str
    remedy: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    kept: bool
    why: str
    continuous: bool = False
    trade: str = ""

    @property
    def gain(self) -> float:
        """Error that the remedy removes, averaged over seeds."""
        return float(np.mean(self.before) - np.mean(self.after))

    def __str__(self) -> str:
        before, after = _mean_error(self.before), _mean_error(self.after)
        verb = "kept" if self.kept else "undone"
        what, unit = ("squared error", " of a constant prediction's") if self.continuous else ("error", "")
        trade = f" ({self.trade})" if self.trade else ""
        return f"{self.remedy} against {self.symptom}: {what} {before} -> {after}{unit}, {verb}: {self.why}{trade}"


def _mean_error(errors: tuple[float, ...]) -> str:
    return f"{100 * float(np.mean(errors)):.1f} %" if errors else "-"


@dataclass(frozen=True, eq=False)
class RepairResult:
    """The problem with the remedies that were kept, and all attempts in order."""

    problem: TrainingProblem
    attempts: tuple[RepairAttempt, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the remedies in force."""
        return tuple(remedy for each in self.attempts if each.kept for remedy in each.remedy.split(JOINED))

    @property
    def log(self) -> tuple[str, ...]:
        """One line for each attempt."""
        return tuple(map(str, self.attempts))


def repair(problem: TrainingProblem, report: Report, *, most: int = 6, seconds: float | None = None) -> RepairResult:
    """Apply what a report proposes, one remedy on top of another, and keep what helps.

    A remedy is kept if the held-out error falls by more than one point (of accuracy, or of the targets' variance) and by
    more than two standard errors of the paired differences between seeds, or if every seed does better with it than any
    without; otherwise the problem stays as it was. Three seeds decide, and three more if the gain is large but the seeds
    disagree. Safe fixes are kept unless the error rises by as much. Of classes, a remedy is kept too if the loss falls by a
    twentieth of a constant prediction's and no more rows are wrong. Where early stopping ended the training, a network of
    another depth may have all planned epochs. A symptom is done, and so are those that it explains, when a remedy helped
    against it and the error is below a tenth.

    Parameters
    ----------
    problem : TrainingProblem
        The problem that was examined.
    report : Report
        What the doctor says about it.
    most : int, default=6
        Number of attempts at most.
    seconds : float, default=None
        Seconds after which no further attempt begins; None sets no limit.

    Returns
    -------
    RepairResult
        The problem with the remedies that were kept, and all attempts.
    """
    deadline = time.perf_counter() + (math.inf if seconds is None else seconds)
    attempts: list[RepairAttempt] = []
    done: set[str] = set()
    explained = {finding.symptom: finding.explains for finding in report.findings}
    comparison = PairedComparison()
    for symptom, remedy, safe in proposals(report):
        if len(attempts) >= most or time.perf_counter() > deadline:
            break
        if symptom in done or any(each.remedy == remedy for each in attempts):
            continue
        changed = apply_remedies(problem, remedy)
        if changed is None:
            continue
        attempt = comparison.attempt(problem, changed, symptom, remedy, safe)
        if not attempt.kept and (longer := _with_planned_epochs(problem, changed, report)) is not None:
            later = comparison.attempt(problem, longer, symptom, remedy, safe)
            attempt, changed = (later, longer) if later.kept else (attempt, changed)
        attempts.append(attempt)
        problem = changed if attempt.kept else problem
        if attempt.kept and attempt.gain > USUAL.repair_gain and np.mean(attempt.after) < USUAL.solved_error:
            done |= {symptom, *explained.get(symptom, ())}
    return RepairResult(problem, tuple(attempts))


def _with_planned_epochs(old: TrainingProblem, new: TrainingProblem, report: Report) -> TrainingProblem | None:
    """Return the new problem with all epochs that were planned, where early stopping ended a network of other layers.

    It chose the epochs of that network; one that learns need not stop as soon.
    """
    trace = report.trace
    if trace is None or not trace.stopped_early or trace.planned <= new.config.epochs:
        return None
    depths = [sum(isinstance(layer, Dense) for layer in each.recipe.net.layers) for each in (old, new)]
    if depths[0] == depths[1]:
        return None
    return replace(new, config=replace(new.config, epochs=trace.planned))


def decide(before: Sequence[float], after: Sequence[float], safe: bool) -> tuple[bool, str]:
    """Return whether to keep a remedy, from paired errors by seed, and the reason in words.

    >>> decide([0.30, 0.31, 0.29], [0.10, 0.12, 0.11], safe=False)[0]
    True
    >>> decide([0.30, 0.31, 0.29], [0.29, 0.31, 0.29], safe=False)
    (False, 'better by 0.3 points; more than 1.0 is required')

    Where trainings of some seeds fail, no mean is sure: then every seed must be better with the remedy than any without.

    >>> decide([5.00, 0.73, 0.74], [0.68, 0.70, 0.69], safe=False)
    (True, 'better by 146.7 points, and better from every seed than from any without it')
    """
    removed = np.array(before) - np.array(after)
    gain = float(removed.mean())
    noise = USUAL.clear_errors * float(removed.std(ddof=1)) / math.sqrt(len(removed))
    required = max(USUAL.repair_gain, noise)
    if safe:
        return gain > -required, "safe, and no worse" if gain > -required else "made it worse"
    if gain > USUAL.repair_gain and gain <= required and max(after) < min(before) - USUAL.repair_gain:
        return True, f"better by {100 * gain:.1f} points, and better from every seed than from any without it"
    return gain > required, f"better by {100 * gain:.1f} points; more than {100 * required:.1f} is required"


def decide_by_loss(
    loss_before: Sequence[float], loss_after: Sequence[float], before: Sequence[float], after: Sequence[float]
) -> tuple[bool, str] | None:
    """Return that a remedy is kept for the loss, and the reason; None if it is not.

    Losses are shares of a constant prediction's. They must fall by a twentieth of it and by more than chance, and rows that
    are wrong may not become more.

    >>> decide_by_loss([0.55, 0.56, 0.55], [0.47, 0.48, 0.48], [0.20, 0.21, 0.21], [0.20, 0.21, 0.21])
    (True, 'loss lower by 7.7 points, and no more rows are wrong')
    """
    removed = np.array(loss_before) - np.array(loss_after)
    gain = float(removed.mean())
    required = max(USUAL.least_gain, USUAL.clear_errors * float(removed.std(ddof=1)) / math.sqrt(len(removed)))
    if gain <= required or np.mean(after) - np.mean(before) > USUAL.repair_gain:
        return None
    return True, f"loss lower by {100 * gain:.1f} points, and no more rows are wrong"


def _continuous(problem: TrainingProblem) -> bool:
    """Check whether errors are squared errors, and not counts of wrong rows."""
    return class_indices(problem.rows) is None or are_continuous(problem.rows)


def judged_by_unseen(problem: TrainingProblem) -> TrainingProblem:
    """Return the problem with rows to judge by, as trials have them: validation rows that can judge, else some held out.

    Validation rows of one class, or those that are training rows, would keep what makes the network worse.
    """
    return with_held_out(replace(problem, validation=unseen_rows(problem)))


@dataclass(eq=False)
class PairedComparison:
    """Compares two problems by trainings from the same seeds; every training runs once."""

    errors: dict[tuple[TrainingProblem, int, int, bool], float] = field(default_factory=dict)
    outcomes: dict[tuple[TrainingProblem, int, int], Outcome] = field(default_factory=dict)

    def attempt(
        self, old: TrainingProblem, new: TrainingProblem, symptom: str, remedy: str, safe: bool = False
    ) -> RepairAttempt:
        """Test one remedy from three seeds; from three more if only their disagreement speaks against it."""
        epochs = [self.epochs(old, new, problem) for problem in (old, new)]
        weighted = find_remedy(remedy).reweights_classes
        first = [self.error(each, 0, n, weighted) for each, n in zip((old, new), epochs, strict=True)]
        if not safe and first[1] - first[0] > USUAL.hopeless * max(first[0], USUAL.solved_error):
            why = f"worse by {100 * (first[1] - first[0]):.1f} points from the first seed"
            return RepairAttempt(symptom, remedy, (first[0],), (first[1],), False, why, _continuous(old))
        for count in (USUAL.seeds, 2 * USUAL.seeds):
            before, after = (
                tuple(self.error(problem, seed_offset, length, weighted) for seed_offset in range(count))
                for problem, length in zip((old, new), epochs, strict=True)
            )
            kept, why = decide(before, after, safe)
            if kept or np.mean(before) - np.mean(after) <= USUAL.repair_gain:
                break
        if not (kept or weighted or _continuous(old) or find_remedy(remedy).changes_units):
            losses = [
                [self.outcomes[each, i, n].held_out.loss for i in range(len(before))]
                for each, n in zip((old, new), epochs, strict=True)
            ]
            kept, why = decide_by_loss(losses[0], losses[1], before, after) or (kept, why)
        outcomes = [self.outcomes.get((each, 0, length)) for each, length in zip((old, new), epochs, strict=True)]
        trade = trade_in_words(old, find_remedy(remedy), *outcomes)
        return RepairAttempt(symptom, remedy, before, after, kept, why, _continuous(old), trade)

    def epochs(self, old: TrainingProblem, new: TrainingProblem, problem: TrainingProblem) -> int:
        """Return the epochs of one of two problems: all, or the same share of both if one costs too much.

        A large network that is stopped sooner than a small one looks better than it is if it would overfit in the end.
        """
        highest = max(epoch_seconds(each) * each.config.epochs for each in (old, new))
        return max(1, round(problem.config.epochs * min(1.0, USUAL.repair_seconds / highest)))

    def error(self, problem: TrainingProblem, seed_offset: int, epochs: int, weighted: bool = False) -> float:
        """Return the held-out error from a later seed: share of wrong rows, or squared error over the variance.

        `weighted` counts every class the same, over held-out and training rows.
        """
        key = (problem, seed_offset, epochs, weighted)
        if key not in self.errors:
            self.errors[key] = self._error(problem, seed_offset, epochs, weighted)
        return self.errors[key]

    def _error(self, problem: TrainingProblem, seed_offset: int, epochs: int, weighted: bool) -> float:
        recipe = replace(problem.recipe, seed=problem.recipe.seed + seed_offset)
        seeded = judged_by_unseen(replace(problem, recipe=recipe, start=None if seed_offset else problem.start))
        outcome = self.outcomes.get((problem, seed_offset, epochs))
        if outcome is None:
            outcome = train_and_score(replace(seeded, config=replace(problem.config, epochs=epochs)))
            self.outcomes[problem, seed_offset, epochs] = outcome
        scores = class_balanced(seeded, outcome) if weighted else outcome.held_out
        counted = class_indices(problem.rows) is not None and not (weighted or are_continuous(problem.rows))
        return float((scores.mistakes > 0).mean() if counted else scores.mistakes.mean())
