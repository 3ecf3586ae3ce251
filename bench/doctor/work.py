"""Why: each piece of the benchmark's work is one function of a key, so that it can run anywhere and need not run twice.

In: keys "fault|level|host|seed" ("twin||host|seed" for healthy ones, "F12+F29|x30+He x 5|H1|0" for pairs). Out: plain
data for JSON.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from doctor.fault import EVIDENCE, Impossible, Outcome, Prevented
from doctor.faults import operator
from doctor.hosts import Subject, make, score, trained

TWIN = "twin"


def key(fault: str, level: str, host: str, seed: int) -> str:
    """The name of one network."""
    return f"{fault}|{level}|{host}|{seed}"


def subject_of(name: str) -> Outcome:
    """The network of that name, or why there is none."""
    fault, level, host, seed = name.split("|")
    healthy = make(host, int(seed))
    return healthy if fault == TWIN else operator(fault).inject(healthy, level)


def scored(name: str) -> dict[str, Any]:
    """The test score once trained; or why there is no such network."""
    subject = subject_of(name)
    if isinstance(subject, Impossible):
        return {"impossible": subject.reason}
    if isinstance(subject, Prevented):
        return {"prevented": subject.message}
    if name.split("|")[0] != TWIN and operator(name.split("|")[0]).harm == EVIDENCE:
        return {"evidence": True}
    return {"score": score(subject, trained(subject)[0])}


def referenced(name: str) -> dict[str, Any]:
    """What the six detectors say of one training."""
    from doctor.detectors import DETECTORS
    from doctor.trace import record

    subject = subject_of(name)
    assert isinstance(subject, Subject)
    began = time.perf_counter()
    trace = record(subject)
    said: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 4), "epochs": len(trace.turns)}
    for tool, detector in DETECTORS.items():
        if detector.supports(subject):
            said[tool] = [[d.message, sorted(d.slugs), round(d.epoch, 2)] for d in detector.detect(trace)]
    return said


def problem_of(subject: Subject, test: bool = False) -> Any:
    """A subject as the doctor takes it; without test rows unless a repair has to map them too."""
    from chainrule.train.problem import TrainingProblem

    return TrainingProblem(
        subject.recipe,
        subject.rows,
        subject.config,
        subject.validation,
        engine=subject.engine,
        test=subject.test if test else None,
    )


def doctored(name: str) -> dict[str, Any]:
    """What our doctor says."""
    from chainrule.doctor import examine_problem

    subject = subject_of(name)
    assert isinstance(subject, Subject)
    began = time.perf_counter()
    report = examine_problem(problem_of(subject))
    findings = [
        {
            "symptom": f.symptom,
            "severity": f.severity,
            "confirmed": f.confirmed,
            "seen": [min(f.seen)] if f.seen else [],
            "change": f.fix.remedy,
            "measured": f.measured[:160],
            "explains": list(f.explains),
        }
        for f in report.findings
    ]
    return {
        "verdict": report.verdict,
        "findings": findings,
        "skipped": len(report.skipped),
        "seconds": round(time.perf_counter() - began, 4),
        "overhead": round(float(report.overhead), 4),
    }


def _scored_problem(subject: Subject, problem: Any) -> float:
    """Return the test score of a repaired problem, trained."""
    parts = {name: getattr(problem, name) for name in ("recipe", "rows", "config", "validation", "test", "engine")}
    again = replace(subject, **parts)
    return score(again, trained(again)[0])


def _changed(problem: Any, change: str) -> Any:
    """The problem after one change; None where it does not apply."""
    from chainrule.doctor.remedies.apply import APPLY
    from chainrule.errors import InvalidValueError

    try:
        return APPLY[change](problem) if change in APPLY else None
    except InvalidValueError:
        return None


def _repaired_by_chance(problem: Any, names: list[str], tries: int) -> Any:
    """As many changes as the doctor tried, drawn at random, each kept by the doctor's own comparison on held-out rows."""
    from chainrule.doctor.trials.repair import PairedComparison

    comparison = PairedComparison()
    for change in names:
        new = _changed(problem, change)
        if tries == 0:
            break
        if new is None:
            continue
        tries -= 1
        problem = new if comparison.attempt(problem, new, "", change).kept else problem
    return problem


def repaired(name: str, change: str) -> dict[str, Any]:
    """Test scores before and after: the doctor's repair and as many random tries; its first change and a random one."""
    from chainrule.doctor import examine_problem
    from chainrule.doctor.remedies.apply import APPLY
    from chainrule.doctor.trials.repair import repair

    subject = subject_of(name)
    assert isinstance(subject, Subject)
    problem = problem_of(subject, test=True)
    rng = np.random.default_rng([int(name.split("|")[3]), *name.encode()])
    names = [str(other) for other in rng.permutation(sorted(APPLY))]
    result = repair(problem, examine_problem(problem_of(subject)))
    by_chance = _repaired_by_chance(problem, names, max(1, len(result.attempts)))
    first = _changed(problem, change)
    other = next(new for other in names if (new := _changed(problem, other)) is not None)
    before = _scored_problem(subject, problem)
    return {
        "kept": list(result.kept),
        "tries": len(result.attempts),
        "before": before,
        "after": _scored_problem(subject, result.problem) if result.kept else before,
        "random": _scored_problem(subject, by_chance) if by_chance is not problem else before,
        "first": before if first is None else _scored_problem(subject, first),
        "random first": _scored_problem(subject, other),
    }


WORK: Mapping[str, Callable[..., dict[str, Any]]] = {
    "scores": scored,
    "references": referenced,
    "doctor": doctored,
    "repairs": repaired,
}


def do(task: tuple[str, tuple[Any, ...]]) -> tuple[str, dict[str, Any]]:
    """One task, whatever happens: an exception is a result too."""
    kind, arguments = task
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return arguments[0], WORK[kind](*arguments)
        except Exception:
            return arguments[0], {"error": traceback.format_exc(limit=-3)}
