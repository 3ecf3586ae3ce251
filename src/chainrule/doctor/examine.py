"""Why: one call trains a network under the doctor's eyes and says whether it is well, and if not, why and what to do.

In: arguments like `fit`'s, or a `TrainingProblem`. Out: a `Report`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.rules import configuration, data, preflight, training
from chainrule.doctor.rules.training.readings import window
from chainrule.doctor.trials.evaluate import held_out
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.catalogue import STATISTICS_LEAKAGE, SYMPTOMS
from chainrule.doctor.vocabulary.records import Finding, NotApplicable, Report, Rule, Trace
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import ConstantSchedule, Schedule
from chainrule.nn.spec import REGISTRY
from chainrule.nn.step import Recipe, State
from chainrule.train.problem import TrainConfig, TrainingProblem


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
    schedule: Schedule = ConstantSchedule(),  # noqa: B008  (frozen)
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    clip: Clip | None = None,
    learning_rate_multipliers: Mapping[str, float] | None = None,
    sample_weight: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    dtype: str = "float32",
    engine: str = "auto",
    seed: int = 0,
    fix: bool = False,
    suppress: Mapping[str, str] | None = None,
    trials: bool = True,
    before: bool = False,
    initial: State | None = None,
) -> Report:
    """Train a network as `fit` would, look on, try remedies, and report.

    X (n, d), y as in `fit`. `validation` is (X, y) or (X, y, weights); None holds a fifth of the rows out and says so.
    `trials=False` watches only. `before=True` also makes the checks that come before a training (gradients against
    differences, sixteen rows learned by heart, ...); pieces of your own are checked in any case. `fix=True` applies what
    is found and proven, and examines the mended case. `suppress` maps symptoms not to be told to the reason why.

    Raises `InvalidValueError` as `fit` does, and for a symptom to silence that does not exist.

    >>> import numpy as np
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import BinaryCrossEntropy
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> report = examine(mlp(2, [8], 1), X, (X.sum(axis=1) > 0) * 1.0, loss=BinaryCrossEntropy(), learning_rate=1e-6)
    >>> report.verdict, report.primary.symptom
    ('ill', 'learning-rate-too-low')
    """
    size = max(len(X), 1) if batch_size is None else batch_size
    recipe = Recipe(net, loss, optimizer, penalty, clip, dict(learning_rate_multipliers or {}), size, seed, dtype)
    rows = Rows.of(recipe, X, y, sample_weight)
    given = None if validation is None else Rows.of(recipe, *validation)
    problem = TrainingProblem(recipe, rows, TrainConfig(epochs, learning_rate, schedule), given, engine, initial)
    notes: tuple[str, ...] = ()
    if given is None and len(rows) >= 10:
        problem = held_out(problem)
        notes = (f"{len(problem.validation or ())} of {len(rows)} rows were held out to judge by.",)
        suppress = {STATISTICS_LEAKAGE: "the doctor held rows out itself, after the scaling", **(suppress or {})}
    return examine_and_repair(problem, fix=fix, suppress=suppress, trials=trials, before=before, notes=notes)


def examine_and_repair(
    problem: TrainingProblem,
    *,
    fix: bool = True,
    suppress: Mapping[str, str] | None = None,
    trials: bool = True,
    before: bool = False,
    notes: Sequence[str] = (),
) -> Report:
    """The report on a case; with `fix`, on the case with the remedies that proved themselves, where it was ill.

    `notes` come first among the report's, then a line for each remedy that was tried.
    """
    report = examine_case(problem, suppress=suppress, trials=trials, before=before)
    if fix and report.primary is not None:
        mended = repair(problem, report)
        report = examine_case(mended.problem, suppress=suppress, trials=trials, before=before)
        notes = (*notes, *mended.log)
    return replace(report, notes=(*notes, *report.notes))


def examine_case(
    problem: TrainingProblem, *, suppress: Mapping[str, str] | None = None, trials: bool = True, before: bool = False
) -> Report:
    """Examine a case: rules on recipe and rows, the training itself, rules on its trace, trials, diagnosis."""
    began = time.perf_counter()
    trace = record_training(problem, thorough=trials)
    report = report_on(problem, trace, suppress=suppress, trials=trials, before=before)
    return replace(report, seconds=time.perf_counter() - began)


def report_on(
    problem: TrainingProblem,
    trace: Trace,
    *,
    suppress: Mapping[str, str] | None = None,
    trials: bool = False,
    before: bool = False,
) -> Report:
    """The report on a training that was watched: rules, trials where wanted, diagnosis."""
    began = time.perf_counter()
    suppressed = told_not(suppress)
    skipped: list[str] = []
    rules = [*configuration.RULES, *data.RULES, *training.RULES, *_checks(problem, before)]
    suspected = list(suspicions((rule for rule in rules if rule.symptom not in suppressed), problem, trace, skipped))
    lab = TrialRunner(problem, trace) if trials and _can_judge(problem) else None
    findings = diagnose(problem, trace, suspected, lab)
    return concluded(problem, trace, findings, skipped, suppressed, seconds=time.perf_counter() - began)


def concluded(
    problem: TrainingProblem,
    trace: Trace,
    findings: Iterable[Finding],
    skipped: Sequence[str],
    suppressed: Mapping[str, str],
    notes: Sequence[str] = (),
    seconds: float = 0.0,
) -> Report:
    """The report that findings come to: ill where one of them, not silenced, is a warning or critical."""
    told = tuple(finding for finding in findings if finding.symptom not in suppressed)
    return Report(
        "ill" if any(finding.severity != "info" for finding in told) else "healthy",
        told,
        problem,
        trace,
        tuple(skipped),
        suppressed,
        tuple(notes),
        seconds,
        trace.probe_seconds / max(trace.seconds - trace.probe_seconds, 1e-9),
    )


def _can_judge(problem: TrainingProblem) -> bool:
    """Whether there are rows enough to tell better from worse."""
    return len(problem.rows) >= 20


def told_not(suppress: Mapping[str, str] | None) -> dict[str, str]:
    """Symptoms to be silent about, with reasons; raises `InvalidValueError` for one that does not exist."""
    for symptom in suppress or {}:
        if symptom not in SYMPTOMS:
            hint = did_you_mean(symptom, SYMPTOMS)
            raise InvalidValueError(must_be("examine", "suppress", "symptoms with reasons", symptom, hint))
    return dict(suppress or {})


def _checks(problem: TrainingProblem, wanted: bool) -> tuple[Rule, ...]:
    """The checks before a training that are due: all where asked, a few for pieces of the user's own."""
    if wanted:
        return preflight.CHECKS
    pieces = [*problem.recipe.net.layers, problem.recipe.loss, problem.recipe.optimizer]
    library = all(type(piece) in REGISTRY.values() for piece in pieces)
    return () if library else tuple(rule for rule in preflight.CHECKS if SYMPTOMS[rule.symptom].checks_custom_code)


def suspicions(
    rules: Iterable[Rule], problem: TrainingProblem, trace: Trace | None, skipped: list[str]
) -> Iterator[Finding]:
    """What rules find, one after the other; why one cannot look goes into `skipped`."""
    for rule in rules:
        try:
            with np.errstate(all="ignore"):
                finding = rule.call(problem, trace)
        except NotApplicable as reason:
            skipped.append(f"{rule.symptom}: {reason}")
            continue
        if finding is not None:
            if trace is not None and rule.needs == "trace" and not finding.seen:
                finding = replace(finding, seen=_epochs(trace))
            yield finding


def _epochs(trace: Trace) -> tuple[int, ...]:
    """The epochs of the readings that rules on a trace look at."""
    return (len(trace.epochs),) if trace.stopped else tuple(reading.epoch for reading in window(trace))
