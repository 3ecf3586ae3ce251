"""Why: beside a training there is time for few questions; those are asked whose answer can matter.

In: a case and its trace, on the way or at the end; seconds. Out: what is wrong now; a report.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.examine import concluded, suspicions
from chainrule.doctor.observe.blas import one_thread, per_row
from chainrule.doctor.rules import configuration, training
from chainrule.doctor.rules.training.readings import hurting, left, looks
from chainrule.doctor.trials.scoring import codes
from chainrule.doctor.vocabulary.catalogue import NAN_LOSS, OVERFITTING, SUSPICIOUS_VALIDATION, SYMPTOMS, Cost
from chainrule.doctor.vocabulary.records import Finding, Report, Rule, Trace
from chainrule.engines import Rows
from chainrule.nn.step import State
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch

AT_LEAST = 0.03
"""Seconds that the slow rules may take however short the training was."""

STALLED = 0.9
"""Share of the loss left at half the epochs that is left now; a training that gets on faster than that is left alone."""

EARLY, LONGEST = 1 / 3, 50
"""Share of a course's epochs, and number of epochs at most, in which a training may be as bad as it likes."""

ROWS = 1000
"""Rows of each part that the slow rules, and the baseline, look at."""

_NOTE = "Watched only: nothing was tried out, and the rows were not looked at. `chainrule doctor` does both."


def some(rows: Rows) -> Rows:
    """At most `ROWS` rows, evenly spread, without copying them."""
    step = -(-len(rows) // ROWS)
    return rows[::step]


def few(problem: TrainingProblem) -> TrainingProblem:
    """The case with some of its rows."""
    return replace(
        problem,
        rows=some(problem.rows),
        validation=None if problem.validation is None else some(problem.validation),
        test=None,
    )


def standing(
    problem: TrainingProblem, trace: Trace, suppressed: Collection[str] = ()
) -> tuple[Finding, frozenset[str]] | None:
    """What is wrong with a training that goes on, with all symptoms that it explains and its own; None where nothing is.

    Asked are rules that look at no rows, and only after a first part of the course, where more than half of a constant's
    loss is left, and as much (nearly) as at half of the epochs so far: most trainings begin badly and get on.
    """
    early = looks(trace)[-1].epoch < min(EARLY * problem.config.epochs, LONGEST)
    if early or not hurting(few(problem), trace) or not _stalled(few(problem), trace):
        return None
    rules = [rule for rule in configuration.RULES if rule.needs == "recipe" and not SYMPTOMS[rule.symptom].is_slow]
    rules += [rule for rule in training.RULES if SYMPTOMS[rule.symptom].during_training]
    rules = [rule for rule in rules if rule.symptom not in suppressed]
    known = {name for name, symptom in SYMPTOMS.items() if symptom.during_training} | {rule.symptom for rule in rules}
    findings = diagnose(problem, trace, list(suspicions(rules, problem, trace, [])), None)
    ill = [finding for finding in findings if finding.severity != "info" and finding.symptom in known]
    return (ill[0], frozenset({ill[0].symptom, *ill[0].explains})) if ill else None


def _stalled(problem: TrainingProblem, trace: Trace) -> bool:
    now = looks(trace)[-1].epoch
    earlier = tuple(reading for reading in looks(trace) if 2 * reading.epoch <= now)
    return bool(now and earlier) and not left(problem, trace) < STALLED * left(
        problem, replace(trace, readings=earlier)
    )


def broken(problem: TrainingProblem, trace: Trace) -> Finding | None:
    """The finding of a training that ended in numbers that are not finite."""
    rules = [rule for rule in training.RULES if rule.symptom == NAN_LOSS]
    return next(suspicions(rules, problem, trace, []), None)


def report_of(
    problem: TrainingProblem, trace: Trace, first: State, suppressed: Mapping[str, str], seconds: float
) -> Report:
    """What the rules say of a training that was watched from its `first` numbers on, the slow ones within the seconds.

    Nothing is tried, and the rows are not examined; only what hurts the training counts.
    """
    began = time.perf_counter()
    skipped: list[str] = []
    rules = [rule for rule in (*configuration.RULES, *training.RULES) if rule.symptom not in suppressed]
    asked = _Asked(problem, few(problem), replace(problem, start=first), trace, began + max(seconds, AT_LEAST))
    found = list(suspicions(asked.cheap(rules), problem, trace, skipped))
    slow = list(asked.slow(rules))
    with one_thread(min(len(problem.rows), ROWS) * per_row(problem.recipe.net) if slow else 0):
        found += suspicions(asked.in_time(slow, skipped), problem, trace, skipped)
    findings = diagnose(asked.few, trace, found, None)
    return concluded(problem, trace, findings, skipped, suppressed, (_NOTE,), time.perf_counter() - began)


@dataclass(frozen=True)
class _Asked:
    """Which rules are asked, in which order, and about which form of the case."""

    problem: TrainingProblem
    few: TrainingProblem
    drawn: TrainingProblem
    trace: Trace
    limit: float

    def cheap(self, rules: list[Rule]) -> Iterator[Rule]:
        """All but the slow ones; those on the recipe need not draw the first weights again."""
        for rule in rules:
            if not SYMPTOMS[rule.symptom].is_slow:
                again = rule.needs == "trace" or SYMPTOMS[rule.symptom].draws_weights
                yield rule if again else _about(rule, self.drawn)

    def slow(self, rules: list[Rule]) -> Iterator[Rule]:
        """The slow ones whose answer can matter, in their order."""
        harmed, shares = hurting(self.few, self.trace), _shares(self.few, self.trace)
        chosen = (rule for rule in rules if SYMPTOMS[rule.symptom].is_slow)
        for rule in sorted(chosen, key=lambda rule: SYMPTOMS[rule.symptom].slow_order):
            if not (SYMPTOMS[rule.symptom].cost is Cost.SLOW_IF_FAILED and not harmed) and not _excluded(
                rule.symptom, shares
            ):
                started = not SYMPTOMS[rule.symptom].draws_weights and rule.needs != "trace"
                yield _about(rule, replace(self.few, start=self.drawn.start) if started else self.few)

    def in_time(self, rules: list[Rule], skipped: list[str]) -> Iterator[Rule]:
        """Rules until the time is up; the names of the others."""
        for place, rule in enumerate(rules):
            if time.perf_counter() > self.limit:
                late = ", ".join(dict.fromkeys(rule.symptom for rule in rules[place:]))
                skipped.append(f"{late}: it would have taken too long beside this training")
                return
            yield rule


def _about(rule: Rule, problem: TrainingProblem) -> Rule:
    """The rule, asked about another form of the case."""
    call: Callable[[TrainingProblem, Trace | None], Finding | None] = lambda _, trace: rule.call(problem, trace)  # noqa: E731
    return replace(rule, call=call)


def _excluded(symptom: str, shares: tuple[float, float] | None) -> bool:
    """Whether the epochs' own figures already say that the rule on two parts finds nothing, with a fifth to spare.

    Training figures are taken while the weights still move and with dropout on: in inference mistakes are fewer.
    """
    if shares is None or math.isnan(sum(shares)):
        return False
    train, validation = shares
    if symptom == OVERFITTING:
        return validation < 0.04
    return symptom == SUSPICIOUS_VALIDATION and train - validation < 0.08


def _shares(problem: TrainingProblem, trace: Trace) -> tuple[float, float] | None:
    """Mistakes in training and validation at the kept epoch as shares of a constant's; None where they are not known so."""
    epoch, y, metric = _kept(trace), codes(problem.rows), problem.recipe.loss.metric
    if epoch is None or (y is None) == (metric == "accuracy"):
        return None
    if y is not None:
        usual = 1.0 - float(np.bincount(y).max()) / len(y)
        return (1.0 - epoch.train_score) / max(usual, 1e-9), (1.0 - epoch.validation_score) / max(usual, 1e-9)
    usual = float(problem.rows.Y.astype(np.float64).var(axis=0).mean())
    return epoch.train_score**2 / max(usual, 1e-300), epoch.validation_score**2 / max(usual, 1e-300)


def _kept(trace: Trace) -> Epoch | None:
    """The epoch that the trace's last look was taken behind."""
    number = looks(trace)[-1].epoch
    return next((epoch for epoch in trace.epochs if epoch.number == number), None)
