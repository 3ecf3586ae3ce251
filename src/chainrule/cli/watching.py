"""Why: every training is watched, so cheaply that nobody turns it off: a few looks inside, rules at its end, no trials.

In: a job under training. Out: a trace, and the doctor's report on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.doctor import static, training
from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.judging import baseline
from chainrule.doctor.probe import Probe
from chainrule.doctor.records import CannotLook, Case, Finding, Report, Rule, Trace
from chainrule.doctor.thresholds import USUAL
from chainrule.doctor.watch import Notebook
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError
from chainrule.train import Epoch, Run
from chainrule.train.monitors import Decision


@dataclass(frozen=True, eq=False)
class Watch:
    """A monitor that reads the network's inside now and then, within the share of time that watching may take."""

    case: Case
    book: Notebook = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "book", Notebook(Probe(self.case, USUAL.glanced_rows), USUAL.overhead))

    def start(self, epochs: int) -> float:
        """The first look; when it was taken."""
        first = self.case.recipe.start() if self.case.start is None else self.case.start
        self.book.look(first, 0, self.case.course.learning_rate)
        return time.perf_counter()

    def observe(self, memory: float, epoch: Epoch) -> tuple[float, Decision]:
        """A look where one is due. Epochs of an earlier process, whose numbers are gone, are passed over."""
        if epoch.finite and epoch.complete and epoch.number >= self.book.due:
            try:
                state = epoch.state()
            except InvalidValueError:
                return memory, Decision()
            self.book.epoch_ends(state, epoch.number, epoch.learning_rate, time.perf_counter() - memory)
        return memory, Decision()

    def end(self, memory: float) -> None:
        """Nothing to close."""

    def trace(self, run: Run) -> Trace:
        """What was seen of a run, with a last look at the numbers that it kept."""
        kept = run.best_epoch or len(run.epochs)
        earlier = [reading for reading in self.book.readings if reading.epoch < kept]
        if run.epochs:
            self.book.look(run.state, kept, run.epochs[kept - 1].learning_rate)
        return Trace(
            run.epochs,
            (*earlier, self.book.readings[-1]),
            np.zeros(0),
            np.zeros(0),
            {},
            baseline(self.case.recipe, _some(self.case.rows)),
            run.state,
            run.stopped if run.diverged else "",
            run.seconds,
            self.book.seconds,
        )


AT_LEAST = 0.03
"""Seconds that the costly rules may take however short the training was."""

_COSTLY = (
    "train-eval-gap",
    "overfitting",
    "suspicious-validation",
    "wrong-initial-loss",
    "init-scale",
    "symmetric-weights",
)
"""Rules that take long for wide layers and many rows, in the order in which they come last."""

_ROWS = 1000
"""Rows of each part that the costly rules, and the baseline, look at."""


def watched(watch: Watch, run: Run, silence: Mapping[str, str]) -> Report:
    """What the rules say of a run that was watched; only what hurts it counts, as nothing was tried."""
    trace = watch.trace(run)
    began = time.perf_counter()
    case = replace(watch.case, course=replace(watch.case.course, epochs=max(len(run.epochs), 1)))
    unable: list[str] = []
    rules = [rule for rule in (*static.RULES, *training.RULES) if rule.symptom not in silence]
    rules.sort(key=lambda rule: _COSTLY.index(rule.symptom) if rule.symptom in _COSTLY else -1)
    limit = began + max(USUAL.overhead * run.seconds - watch.book.seconds, AT_LEAST)
    findings = diagnose(case, trace, list(_found(rules, case, trace, unable, limit)), None)
    ill = any(finding.severity != "info" for finding in findings)
    seconds = watch.book.seconds + time.perf_counter() - began
    note = "Watched only: nothing was tried out, and the rows were not looked at. `chainrule doctor` does both."
    overhead = seconds / max(run.seconds - watch.book.seconds, 1e-9)
    return Report(
        "ill" if ill else "healthy", findings, case, trace, tuple(unable), silence, (note,), seconds, overhead
    )


def _some(rows: Rows) -> Rows:
    """At most `_ROWS` rows, evenly spread."""
    take = np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(np.int64)
    return Rows(rows.X[take], rows.Y[take], rows.c[take])


def _found(rules: list[Rule], case: Case, trace: Trace, unable: list[str], limit: float) -> Iterator[Finding]:
    """What the rules find, the costly ones until the time is up; why one did not look goes into `unable`."""
    few = replace(case, rows=_some(case.rows), validation=None if case.validation is None else _some(case.validation))
    for place, rule in enumerate(rules):
        if rule.symptom in _COSTLY and time.perf_counter() > limit:
            left = ", ".join(dict.fromkeys(late.symptom for late in rules[place:]))
            unable.append(f"{left}: it would have taken too long beside this training")
            return
        try:
            with np.errstate(all="ignore"):
                finding = rule.call(few if rule.symptom in _COSTLY else case, trace)
        except CannotLook as reason:
            unable.append(f"{rule.symptom}: {reason}")
            continue
        if finding is not None:
            yield finding
