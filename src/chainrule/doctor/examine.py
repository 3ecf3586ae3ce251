"""Why: one call trains a network under the doctor's eyes and says whether it is well, and if not, why and what to do.

In: arguments like `fit`'s, or a `Case`. Out: a `Report`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor import before as before_training
from chainrule.doctor import data, static, training
from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.dynamics.looks import window
from chainrule.doctor.outcomes import held_out
from chainrule.doctor.records import SYMPTOMS, CannotLook, Case, Finding, Report, Rule, Trace
from chainrule.doctor.repair import repair
from chainrule.doctor.trials import Laboratory
from chainrule.doctor.watch import follow
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import Flat, Schedule
from chainrule.nn.spec import PIECES
from chainrule.nn.step import Recipe, State
from chainrule.train.loop import Course

_OWN = ("wrong-gradient", "sample-mixing", "not-a-descent-direction")
"""Checks before the training that pieces written by the user always get; the library's own have tests for that."""


def examine(
    net: Net,
    X: Array,
    y: Array,
    *,
    loss: Loss,
    optimizer: Optimizer = Adam(),  # noqa: B008  (frozen)
    learning_rate: float = 1e-3,
    epochs: int = 100,
    batch_size: int | None = 32,
    schedule: Schedule = Flat(),  # noqa: B008  (frozen)
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    clip: Clip | None = None,
    groups: Mapping[str, float] | None = None,
    sample_weight: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    dtype: str = "float32",
    engine: str = "auto",
    seed: int = 0,
    fix: bool = False,
    silence: Mapping[str, str] | None = None,
    trials: bool = True,
    before: bool = False,
    initial: State | None = None,
) -> Report:
    """Train a network as `fit` would, look on, try remedies, and report.

    X (n, d), y as in `fit`. `validation` is (X, y) or (X, y, weights); None holds a fifth of the rows out and says so.
    `trials=False` watches only. `before=True` also makes the checks that come before a training (gradients against
    differences, sixteen rows learnt by heart, ...); pieces of your own are checked in any case. `fix=True` applies what
    is found and proven, and examines the mended case. `silence` maps symptoms not to be told to the reason why.

    Raises `InvalidValueError` as `fit` does, and for a symptom to silence that does not exist.

    >>> import numpy as np
    >>> from chainrule import stack
    >>> from chainrule.nn.losses import BinaryCrossEntropy
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> report = examine(stack(2, [8], 1), X, (X.sum(axis=1) > 0) * 1.0, loss=BinaryCrossEntropy(), learning_rate=1e-6)
    >>> report.verdict, report.primary.symptom
    ('ill', 'learning-rate-too-low')
    """
    size = max(len(X), 1) if batch_size is None else batch_size
    recipe = Recipe(net, loss, optimizer, penalty, clip, dict(groups or {}), size, seed, dtype)
    rows = Rows.of(recipe, X, y, sample_weight)
    given = None if validation is None else Rows.of(recipe, *validation)
    case = Case(recipe, rows, Course(epochs, learning_rate, schedule), given, engine, initial)
    notes: tuple[str, ...] = ()
    if given is None and len(rows) >= 10:
        case = held_out(case)
        notes = (f"{len(case.validation or ())} of {len(rows)} rows were held out to judge by.",)
        silence = {"statistics-leakage": "the doctor held rows out itself, after the scaling", **(silence or {})}
    return examine_and_repair(case, fix=fix, silence=silence, trials=trials, before=before, notes=notes)


def examine_and_repair(
    case: Case,
    *,
    fix: bool = True,
    silence: Mapping[str, str] | None = None,
    trials: bool = True,
    before: bool = False,
    notes: Sequence[str] = (),
) -> Report:
    """The report on a case; with `fix`, on the case with the remedies that proved themselves, where it was ill.

    `notes` come first among the report's, then a line for each remedy that was tried.
    """
    report = examine_case(case, silence=silence, trials=trials, before=before)
    if fix and report.primary is not None:
        mended = repair(case, report)
        report = examine_case(mended.case, silence=silence, trials=trials, before=before)
        notes = (*notes, *mended.log)
    return replace(report, notes=(*notes, *report.notes))


def examine_case(
    case: Case, *, silence: Mapping[str, str] | None = None, trials: bool = True, before: bool = False
) -> Report:
    """Examine a case: rules on recipe and rows, the training itself, rules on its trace, trials, diagnosis."""
    began = time.perf_counter()
    trace = follow(case, thorough=trials)
    report = report_on(case, trace, silence=silence, trials=trials, before=before)
    return replace(report, seconds=time.perf_counter() - began)


def report_on(
    case: Case, trace: Trace, *, silence: Mapping[str, str] | None = None, trials: bool = False, before: bool = False
) -> Report:
    """The report on a training that was watched: rules, trials where wanted, diagnosis."""
    began = time.perf_counter()
    silenced = told_not(silence)
    unable: list[str] = []
    rules = [*static.RULES, *data.RULES, *training.RULES, *_checks(case, before)]
    suspected = list(suspicions((rule for rule in rules if rule.symptom not in silenced), case, trace, unable))
    lab = Laboratory(case, trace) if trials and _can_judge(case) else None
    findings = diagnose(case, trace, suspected, lab)
    return concluded(case, trace, findings, unable, silenced, seconds=time.perf_counter() - began)


def concluded(
    case: Case,
    trace: Trace,
    findings: Iterable[Finding],
    unable: Sequence[str],
    silenced: Mapping[str, str],
    notes: Sequence[str] = (),
    seconds: float = 0.0,
) -> Report:
    """The report that findings come to: ill where one of them, not silenced, is a warning or critical."""
    told = tuple(finding for finding in findings if finding.symptom not in silenced)
    return Report(
        "ill" if any(finding.severity != "info" for finding in told) else "healthy",
        told,
        case,
        trace,
        tuple(unable),
        silenced,
        tuple(notes),
        seconds,
        trace.probe_seconds / max(trace.seconds - trace.probe_seconds, 1e-9),
    )


def _can_judge(case: Case) -> bool:
    """Whether there are rows enough to tell better from worse."""
    return len(case.rows) >= 20


def told_not(silence: Mapping[str, str] | None) -> dict[str, str]:
    """Symptoms to be silent about, with reasons; raises `InvalidValueError` for one that does not exist."""
    for symptom in silence or {}:
        if symptom not in SYMPTOMS:
            hint = did_you_mean(symptom, SYMPTOMS)
            raise InvalidValueError(must_be("examine", "silence", "symptoms with reasons", symptom, hint))
    return dict(silence or {})


def _checks(case: Case, wanted: bool) -> tuple[Rule, ...]:
    """The checks before a training that are due: all where asked, a few for pieces of the user's own."""
    if wanted:
        return before_training.CHECKS
    pieces = [*case.recipe.net.layers, case.recipe.loss, case.recipe.optimizer]
    library = all(type(piece) in PIECES.values() for piece in pieces)
    return () if library else tuple(rule for rule in before_training.CHECKS if rule.symptom in _OWN)


def suspicions(rules: Iterable[Rule], case: Case, trace: Trace | None, unable: list[str]) -> Iterator[Finding]:
    """What rules find, one after the other; why one cannot look goes into `unable`."""
    for rule in rules:
        try:
            with np.errstate(all="ignore"):
                finding = rule.call(case, trace)
        except CannotLook as reason:
            unable.append(f"{rule.symptom}: {reason}")
            continue
        if finding is not None:
            if trace is not None and rule.needs == "trace" and not finding.seen:
                finding = replace(finding, seen=_epochs(trace))
            yield finding


def _epochs(trace: Trace) -> tuple[int, ...]:
    """The epochs of the readings that rules on a trace look at."""
    return (len(trace.epochs),) if trace.stopped else tuple(reading.epoch for reading in window(trace))
