"""Why: a remedy is taken only when the mended training is better on held-out rows, from several seeds, by more than chance.

In: a case and its report. Out: the mended case and a record of everything that was tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.doctor.remedies.apply import JOINED, apply_remedies
from chainrule.doctor.trials.evaluate import balanced, cost, held_out, train_and_judge
from chainrule.doctor.trials.scoring import codes
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS, remedy
from chainrule.doctor.vocabulary.records import Report
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.train.problem import TrainingProblem

SEEDS = 3
"""Trainings from as many seeds decide whether a remedy is kept."""


@dataclass(frozen=True)
class RepairAttempt:
    """One remedy: held-out errors without and with it, by seed; whether it was kept, and why.

    Errors are shares of wrong rows for classes, else shares of the targets' variance.
    """

    symptom: str
    change: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    kept: bool
    why: str

    @property
    def gain(self) -> float:
        """Error that the remedy takes away, the mean over seeds."""
        return float(np.mean(self.before) - np.mean(self.after))

    def __str__(self) -> str:
        def mean(errors: tuple[float, ...]) -> str:
            return f"{100 * float(np.mean(errors)):.1f} %" if errors else "-"

        verb = "kept" if self.kept else "undone"
        return (
            f"{self.change} against {self.symptom}: error {mean(self.before)} -> {mean(self.after)}, {verb}: {self.why}"
        )


@dataclass(frozen=True, eq=False)
class RepairResult:
    """The case with what was kept, and all tries in order."""

    problem: TrainingProblem
    tries: tuple[RepairAttempt, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the changes in force."""
        return tuple(change for each in self.tries if each.kept for change in each.change.split(JOINED))

    @property
    def log(self) -> tuple[str, ...]:
        """One line for each try."""
        return tuple(map(str, self.tries))


def repair(problem: TrainingProblem, report: Report, *, most: int = 6) -> RepairResult:
    """Try what the report proposes, at most `most` remedies, one on top of another, and keep what proves itself.

    A remedy is kept when the held-out error falls by more than one point (of accuracy, or of the targets' variance) and
    by more than two standard errors of the paired differences between seeds; else the case stays as it was. Three seeds
    decide, and three more where the gain is large but the seeds disagree. Fixes that are safe are kept unless the error
    rises by as much. A symptom is done with, and so are those that it explains, when something helped against it and less
    than a tenth is still wrong.
    """
    tries: list[RepairAttempt] = []
    done: set[str] = set()
    explained = {finding.symptom: finding.explains for finding in report.findings}
    proof = PairedComparison()
    for symptom, change, safe in proposals(report):
        if len(tries) >= most or symptom in done or any(each.change == change for each in tries):
            continue
        new = apply_remedies(problem, change)
        if new is None:
            continue
        tries.append(proof.try_out(problem, new, symptom, change, safe))
        problem = new if tries[-1].kept else problem
        if tries[-1].kept and tries[-1].gain > USUAL.repair_gain and np.mean(tries[-1].after) < USUAL.cured:
            done |= {symptom, *explained.get(symptom, ())}
    return RepairResult(problem, tuple(tries))


def proposals(report: Report) -> Iterator[tuple[str, str, bool]]:
    """Symptom, change, whether it is safe: what trials bore out, together or alone, then other remedies of what matters."""
    ill = [finding for finding in report.findings if finding.severity != "info"]
    for finding in report.findings:
        if finding.fix.safe and finding.fix.remedy:
            yield finding.symptom, finding.fix.remedy, True
    joint = {trial.change: finding for finding in ill for trial in finding.trials if trial.joint}
    if len(joint) > 1:
        yield ill[0].symptom, JOINED.join(joint), all(remedy(name).safe for name in joint)
    for finding in ill:
        for trial in sorted(finding.trials, key=lambda trial: -trial.gain):
            if trial.helped:
                yield finding.symptom, trial.change, remedy(trial.change).safe
    for finding in ill:
        for symptom in (finding.symptom, *finding.explains):
            for change in (finding.fix.remedy, *SYMPTOMS[symptom].remedies, *SYMPTOMS[symptom].untested):
                if change:
                    yield symptom, change, remedy(change).safe


def judged(before: Sequence[float], after: Sequence[float], safe: bool) -> tuple[bool, str]:
    """Whether to keep a remedy, from paired errors by seed, and the reason in words.

    >>> judged([0.30, 0.31, 0.29], [0.10, 0.12, 0.11], safe=False)[0]
    True
    >>> judged([0.30, 0.31, 0.29], [0.29, 0.31, 0.29], safe=False)
    (False, 'better by 0.3 points; more than 1.0 is asked')
    """
    fewer = np.array(before) - np.array(after)
    gain, noise = float(fewer.mean()), 2.0 * float(fewer.std(ddof=1)) / math.sqrt(len(fewer))
    asked = max(USUAL.repair_gain, noise)
    if safe:
        return gain > -asked, "safe, and no worse" if gain > -asked else "made it worse"
    return gain > asked, f"better by {100 * gain:.1f} points; more than {100 * asked:.1f} is asked"


@dataclass(frozen=True)
class PairedComparison:
    """Compares two cases by their trainings from the same seeds; each training is made once."""

    known: dict[tuple[TrainingProblem, int, int, bool], float] = field(default_factory=dict)

    def try_out(
        self, old: TrainingProblem, new: TrainingProblem, symptom: str, change: str, safe: bool = False
    ) -> RepairAttempt:
        """One change on trial, from `SEEDS` seeds; from as many again where only their disagreement stands against it."""
        epochs = [self.epochs(old, new, problem) for problem in (old, new)]
        weighted = remedy(change).reweights_classes
        for count in (SEEDS, 2 * SEEDS):
            before, after = (
                tuple(self.error(problem, again, length, weighted) for again in range(count))
                for problem, length in zip((old, new), epochs, strict=True)
            )
            kept, why = judged(before, after, safe)
            if kept or np.mean(before) - np.mean(after) <= USUAL.repair_gain:
                break
        return RepairAttempt(symptom, change, before, after, kept, why)

    def epochs(self, old: TrainingProblem, new: TrainingProblem, problem: TrainingProblem) -> int:
        """Epochs of one of two cases: all, or of both the same share where one costs more than `Thresholds.repair_seconds`.

        A large network that is stopped sooner than a small one looks better than it is where it overfits in the end.
        """
        dearest = max(cost(each) * each.config.epochs for each in (old, new))
        return max(1, round(problem.config.epochs * min(1.0, USUAL.repair_seconds / dearest)))

    def error(self, problem: TrainingProblem, again: int, epochs: int, weighted: bool = False) -> float:
        """Held-out error of the training from the seed `again` later: wrong rows, or squared error over the variance.

        `weighted` counts every class the same, over held-out and training rows.
        """
        key = (problem, again, epochs, weighted)
        if key not in self.known:
            recipe = replace(problem.recipe, seed=problem.recipe.seed + again)
            seeded = held_out(replace(problem, recipe=recipe, start=None if again else problem.start))
            outcome = train_and_judge(replace(seeded, config=replace(problem.config, epochs=epochs)))
            verdict = balanced(seeded, outcome) if weighted else outcome.held_out
            counted = codes(problem.rows) is not None and not weighted
            self.known[key] = float((verdict.mistakes > 0).mean() if counted else verdict.mistakes.mean())
        return self.known[key]
