"""Run rules on a training problem.

In: rules, a problem, its trace or none. Out: their findings; why a rule was skipped goes into a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from chainrule.doctor.observe.readings import last_readings
from chainrule.doctor.vocabulary.own_code import fault_in_words
from chainrule.doctor.vocabulary.records import Finding, NotApplicable, Rule, Trace
from chainrule.train.problem import TrainingProblem


def run_rules(
    rules: Iterable[Rule], problem: TrainingProblem, trace: Trace | None, skipped: list[str]
) -> Iterator[Finding]:
    """Yield what the rules find, one after the other; append to `skipped` why a rule does not apply."""
    for rule in rules:
        try:
            with np.errstate(all="ignore"):
                finding = rule.check(problem, trace)
        except NotApplicable as reason:
            skipped.append(f"{rule.symptom}: {reason}")
            continue
        except Exception as fault:
            skipped.append(f"{rule.symptom}: {fault_in_words(problem, fault)}")
            continue
        if finding is not None:
            if trace is not None and rule.needs == "trace" and not finding.seen:
                finding = replace(finding, seen=_epochs(trace))
            yield finding


def _epochs(trace: Trace) -> tuple[int, ...]:
    """Return the epochs of the readings that rules on a trace judge by."""
    return (len(trace.epochs),) if trace.stopped else tuple(reading.epoch for reading in last_readings(trace))
