"""Why: a remedy is taken only when the mended training is better on held-out rows, from several seeds, by more than chance.

In: a case and its report. Out: the mended case and a record of everything that was tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from chainrule.doctor.changes import CHANGES
from chainrule.doctor.diagnosis import REMEDIES
from chainrule.doctor.judging import codes
from chainrule.doctor.records import Case, Report
from chainrule.doctor.thresholds import USUAL
from chainrule.doctor.trials import Outcome, cost, held_out, train_and_judge
from chainrule.errors import InvalidValueError


@dataclass(frozen=True)
class Try:
    """One remedy: held-out errors without and with it, by seed; whether it was kept, and why.

    Errors are shares of wrong rows for classes, else shares of the targets' variance.
    """

    symptom: str
    change: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    kept: bool
    why: str

    def __str__(self) -> str:
        def mean(errors: tuple[float, ...]) -> str:
            return f"{100 * float(np.mean(errors)):.1f} %" if errors else "-"

        verb = "kept" if self.kept else "undone"
        return (
            f"{self.change} against {self.symptom}: error {mean(self.before)} -> {mean(self.after)}, {verb}: {self.why}"
        )


@dataclass(frozen=True, eq=False)
class Mended:
    """The case with what was kept, and all tries in order."""

    case: Case
    tries: tuple[Try, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the changes in force."""
        return tuple(each.change for each in self.tries if each.kept)

    @property
    def log(self) -> tuple[str, ...]:
        """One line for each try."""
        return tuple(map(str, self.tries))


def repair(case: Case, report: Report, *, seeds: int = 3, most: int = 6) -> Mended:
    """Try what the report proposes, one remedy on top of another, and keep what proves itself.

    A remedy is kept when the held-out error falls by more than one point (of accuracy, or of the targets' variance) and
    by more than two standard errors of the paired differences between seeds; else the case stays as it was. Fixes that
    are marked safe are kept unless the error rises by as much. `seeds` is at least 3, `most` the number of tries.
    """
    tries: list[Try] = []
    before: list[float] = []
    for symptom, change, safe in proposals(report):
        if len(tries) >= most or any(each.change == change for each in tries):
            continue
        new = _changed(case, change)
        if new is None:
            continue
        before = before or [error(case, i) for i in range(max(seeds, 3))]
        after = [error(new, i) for i in range(max(seeds, 3))]
        kept, why = judged(before, after, safe)
        tries.append(Try(symptom, change, tuple(before), tuple(after), kept, why))
        case, before = (new, after) if kept else (case, before)
    return Mended(case, tuple(tries))


def proposals(report: Report) -> Iterator[tuple[str, str, bool]]:
    """Symptom, change, whether it is safe: what a trial bore out first, then other remedies of findings that matter."""
    ill = [finding for finding in report.findings if finding.severity != "info"]
    for finding in report.findings:
        if finding.fix.safe and finding.fix.change:
            yield finding.symptom, finding.fix.change, True
    for finding in ill:
        for trial in sorted(finding.trials, key=lambda trial: -trial.gain):
            if trial.helped:
                yield finding.symptom, trial.change, False
    for finding in ill:
        for symptom in (finding.symptom, *finding.explains):
            for change in (finding.fix.change, *REMEDIES.get(symptom, ())):
                if change:
                    yield symptom, change, False


def judged(before: list[float], after: list[float], safe: bool) -> tuple[bool, str]:
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


def error(case: Case, again: int) -> float:
    """Held-out error of the training from the seed `again` later: wrong rows, or squared error over the variance."""
    seeded = replace(
        case, recipe=replace(case.recipe, seed=case.recipe.seed + again), start=None if again else case.start
    )
    epochs = max(1, min(case.course.epochs, int(USUAL.trial_seconds / cost(case))))
    outcome = train_and_judge(replace(held_out(seeded), course=replace(case.course, epochs=epochs)))
    return _error(case, outcome)


def _error(case: Case, outcome: Outcome) -> float:
    mistakes = outcome.held_out.mistakes
    return float((mistakes > 0).mean()) if codes(case.rows) is not None else float(mistakes.mean())


def _changed(case: Case, change: str) -> Case | None:
    try:
        return CHANGES[change](case) if change in CHANGES else None
    except InvalidValueError:
        return None
