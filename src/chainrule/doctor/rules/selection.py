"""Select the rules that monitoring can afford: those whose answer can matter, slow ones last, while time remains.

In: rules, a training problem, its trace. Out: rules in order, each on a form of the problem that is cheap to judge.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from chainrule.doctor.observe.readings import has_layer_readings, layer_readings, training_failed
from chainrule.doctor.rules import configuration, training
from chainrule.doctor.vocabulary.catalogue import NAN_LOSS, OVERFITTING, SUSPICIOUS_VALIDATION, SYMPTOMS, Cost
from chainrule.doctor.vocabulary.records import Finding, Rule, Trace
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch


def subsample(rows: Rows) -> Rows:
    """Return at most `Thresholds.monitored_rows` rows, evenly spread, without copying them."""
    step = -(-len(rows) // USUAL.monitored_rows)
    return rows[::step]


def with_fewer_rows(problem: TrainingProblem) -> TrainingProblem:
    """Return the problem with some of its rows."""
    validation = None if problem.validation is None else subsample(problem.validation)
    return replace(problem, rows=subsample(problem.rows), validation=validation, test=None)


def rules_during_training(suppressed: Collection[str]) -> list[Rule]:
    """Return the rules that read no rows and can judge an unfinished training."""
    rules = [rule for rule in configuration.RULES if rule.needs == "recipe" and not SYMPTOMS[rule.symptom].is_slow]
    rules += [rule for rule in training.RULES if SYMPTOMS[rule.symptom].during_training]
    return [rule for rule in rules if rule.symptom not in suppressed]


def rules_after_training(suppressed: Collection[str]) -> list[Rule]:
    """Return the rules for a monitored training; the data are not checked."""
    return [rule for rule in (*configuration.RULES, *training.RULES) if rule.symptom not in suppressed]


def rules_for_nan() -> list[Rule]:
    """Return the rules for a training that ended in numbers that are not finite."""
    return [rule for rule in training.RULES if rule.symptom == NAN_LOSS]


@dataclass(frozen=True)
class RuleSelection:
    """Which rules run after a monitored training, in which order, and on which form of the problem.

    `few` is the problem with some of its rows, `drawn` the problem with its initial weights, so that rules need not draw
    them again; `limit` is the time at which slow rules end.
    """

    problem: TrainingProblem
    few: TrainingProblem
    drawn: TrainingProblem
    trace: Trace
    limit: float

    def cheap(self, rules: list[Rule]) -> Iterator[Rule]:
        """Yield all rules but the slow ones."""
        for rule in rules:
            entry = SYMPTOMS[rule.symptom]
            if not entry.is_slow:
                as_it_is = rule.needs == "trace" or entry.draws_weights
                yield rule if as_it_is else _on_problem(rule, self.drawn)

    def slow(self, rules: list[Rule]) -> Iterator[Rule]:
        """Yield the slow rules whose answer can matter, in their order."""
        failed = training_failed(self.few, self.trace)
        shares = _mistake_shares(self.few, self.trace)
        chosen = [rule for rule in rules if SYMPTOMS[rule.symptom].is_slow]
        for rule in sorted(chosen, key=lambda rule: SYMPTOMS[rule.symptom].slow_order):
            entry = SYMPTOMS[rule.symptom]
            pointless = entry.cost is Cost.SLOW_IF_FAILED and not failed
            if not pointless and not _is_excluded(rule.symptom, shares):
                started = not entry.draws_weights and rule.needs != "trace"
                yield _on_problem(rule, replace(self.few, start=self.drawn.start) if started else self.few)

    def in_time(self, rules: list[Rule], skipped: list[str]) -> Iterator[Rule]:
        """Yield rules until the time is up; append the names of the others to `skipped`."""
        for place, rule in enumerate(rules):
            if time.perf_counter() > self.limit:
                late = ", ".join(dict.fromkeys(rule.symptom for rule in rules[place:]))
                skipped.append(f"{late}: would have taken too long to check while monitoring")
                return
            yield rule


def _on_problem(rule: Rule, problem: TrainingProblem) -> Rule:
    """Return the rule, bound to another form of the problem."""
    check: Callable[[TrainingProblem, Trace | None], Finding | None] = lambda _, trace: rule.check(problem, trace)  # noqa: E731
    return replace(rule, check=check)


def _is_excluded(symptom: str, shares: tuple[float, float] | None) -> bool:
    """Check whether the epochs' own figures already say that a rule finds nothing, with a fifth to spare.

    Training figures are taken while the weights still change and with dropout on: in inference mistakes are fewer.
    """
    if shares is None or math.isnan(sum(shares)):
        return False
    train, validation = shares
    if symptom == OVERFITTING:
        return validation < USUAL.excluded_overfitting
    return symptom == SUSPICIOUS_VALIDATION and train - validation < USUAL.excluded_suspicion


def _mistake_shares(problem: TrainingProblem, trace: Trace) -> tuple[float, float] | None:
    """Return mistakes in training and validation at the kept epoch as shares of a constant's; None if unknown."""
    epoch = _kept_epoch(trace)
    y = class_indices(problem.rows)
    metric = problem.recipe.loss.metric
    if epoch is None or (y is None) == (metric == "accuracy"):
        return None
    if y is not None:
        usual = 1.0 - float(np.bincount(y).max()) / len(y)
        return (1.0 - epoch.train_score) / max(usual, 1e-9), (1.0 - epoch.validation_score) / max(usual, 1e-9)
    usual = float(problem.rows.Y.astype(np.float64).var(axis=0).mean())
    return epoch.train_score**2 / max(usual, 1e-300), epoch.validation_score**2 / max(usual, 1e-300)


def _kept_epoch(trace: Trace) -> Epoch | None:
    """Return the epoch after which the last reading was taken."""
    number = layer_readings(trace)[-1].epoch if has_layer_readings(trace) else trace.epochs[-1].number
    return next((epoch for epoch in trace.epochs if epoch.number == number), None)
