"""Examine a training: one call trains a network, tests remedies, and reports what is wrong, if anything.

In: arguments like those of `fit`, or a `TrainingProblem`. Out: a `Report`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chainrule.arrays import Array
from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.rules import configuration, data, preflight, training
from chainrule.doctor.rules.data.untidy import left_out_targets
from chainrule.doctor.rules.run import run_rules
from chainrule.doctor.trials.evaluate import with_held_out
from chainrule.doctor.trials.proposals import needs_repair
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.trials.runner import TrialRunner, Watch
from chainrule.doctor.vocabulary.catalogue import NO_VALIDATION, STATISTICS_LEAKAGE, SYMPTOMS
from chainrule.doctor.vocabulary.records import Finding, Report, Rule, Trace
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import ConstantSchedule, Schedule
from chainrule.nn.spec import REGISTRY
from chainrule.nn.step import Recipe, State
from chainrule.pipeline import as_kept
from chainrule.train.problem import TrainConfig, TrainingProblem, rows_per_batch
from chainrule.train.records import Run, StopReason


def examine(
    net: Net,
    X: Array,
    y: Array,
    *,
    loss: Loss,
    optimizer: Optimizer = Adam(),  # noqa: B008  (frozen)
    learning_rate: float = 1e-3,
    epochs: int = 100,
    batch_size: int | str = 32,
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
    seconds: float | None = None,
) -> Report:
    """Train a network as `fit` would, test remedies, and report what is wrong.

    Parameters
    ----------
    net : Net
        The network.
    X : array of shape (n, d)
        Inputs, scaled as they should reach the network.
    y : array of shape (n,) or (n, k)
        Targets, as `fit` takes them.
    loss : Loss
        The loss to minimize.
    optimizer : Optimizer, default=Adam()
        The update rule.
    learning_rate : float, default=1e-3
        The base learning rate.
    epochs : int, default=100
        Number of passes over the rows.
    batch_size : int or "full", default=32
        Rows per step; "full" uses all rows in every step.
    schedule : Schedule, default=ConstantSchedule()
        The factor of the learning rate over time.
    penalty : Penalty, default=Penalty()
        L1 and L2 penalties; none by default.
    clip : Clip or None, default=None
        Limit on the gradient.
    learning_rate_multipliers : mapping of str to float, default=None
        Factors of the learning rate by pattern of parameter names; 0 freezes.
    sample_weight : array of shape (n,), default=None
        Weights of the rows; None counts every row once.
    validation : tuple, default=None
        Rows to judge by: (X, y) or (X, y, weights). None holds out a fifth of the rows and says so in a note.
    dtype : str, default="float32"
        Precision of the training: "float32" or "float64".
    engine : str, default="auto"
        Name of the engine; "auto" takes the fastest that supports the recipe.
    seed : int, default=0
        Fixes initial weights, the order of rows and dropout masks.
    fix : bool, default=False
        Apply the remedies that help, and examine the repaired training.
    suppress : mapping of str to str, default=None
        Symptoms to leave out of the verdict, with the reasons.
    trials : bool, default=True
        Test remedies. False only observes the training.
    before : bool, default=False
        Also run the checks that come before a training, such as gradients against finite differences; custom layers,
        losses and optimizers are checked in any case.
    initial : State, default=None
        State to start from instead of newly drawn weights.
    seconds : float, default=None
        Seconds after which no further training of a trial or of a repair begins; None sets no limit by the clock. About ten
        trainings are usual.

    Returns
    -------
    Report
        The verdict and the findings, the primary one first.

    Raises
    ------
    InvalidValueError
        As `fit` does, and for a symptom in `suppress` that does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import BinaryCrossEntropy
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> report = examine(mlp(2, [8], 1), X, (X.sum(axis=1) > 0) * 1.0, loss=BinaryCrossEntropy(), learning_rate=1e-6)
    >>> report.verdict, report.primary.symptom
    ('ill', 'learning-rate-too-low')
    """
    size = rows_per_batch(batch_size, len(X))
    recipe = Recipe(net, loss, optimizer, penalty, clip, dict(learning_rate_multipliers or {}), size, seed, dtype)
    rows = Rows.of(recipe, X, y, sample_weight)
    user_validation = None if validation is None else Rows.of(recipe, *validation)
    config = TrainConfig(epochs, learning_rate, schedule)
    problem = TrainingProblem(recipe, rows, config, user_validation, engine, initial)
    notes: tuple[str, ...] = ()
    if user_validation is None and len(rows) < USUAL.fewest_to_judge:
        return examine_few(problem, fix=fix, suppress=suppress, trials=trials, before=before, seconds=seconds)
    if user_validation is None:
        problem = with_held_out(problem)
        notes = (f"{len(problem.validation or ())} of {len(rows)} rows were held out for validation.",)
        suppress = {STATISTICS_LEAKAGE: "the doctor held rows out itself, after the scaling", **(suppress or {})}
    options: dict[str, Any] = {"fix": fix, "trials": trials, "before": before}
    return examine_and_repair(problem, suppress=suppress, notes=notes, seconds=seconds, **options)


def examine_few(problem: TrainingProblem, *, suppress: Mapping[str, str] | None = None, **options: Any) -> Report:
    """Examine a problem with too few rows to hold any out: its own loss and what is certain decide.

    Parameters
    ----------
    problem : TrainingProblem
        What is trained.
    suppress : mapping of str to str, default=None
        Symptoms to leave out of the verdict, with the reasons.
    **options : object
        As `examine_and_repair` takes them.

    Returns
    -------
    Report
        The verdict and the findings, the primary one first.
    """
    fewest = USUAL.fewest_to_judge
    suppress = {NO_VALIDATION: f"with fewer than {fewest} rows none are held out", **(suppress or {})}
    notes = (f"{len(problem.rows)} rows are too few to hold some out: the loss on the training rows decides.",)
    return examine_and_repair(problem, suppress=suppress, notes=notes, **options)


def examine_and_repair(
    problem: TrainingProblem,
    *,
    fix: bool = True,
    suppress: Mapping[str, str] | None = None,
    trials: bool = True,
    before: bool = False,
    notes: Sequence[str] = (),
    run: Run | None = None,
    seconds: float | None = None,
) -> Report:
    """Examine a problem, repair it if it is ill or contradicts its targets, and examine the repaired problem.

    Parameters
    ----------
    problem : TrainingProblem
        What is trained.
    fix : bool, default=True
        Apply the remedies that help; False only examines.
    suppress : mapping of str to str, default=None
        Symptoms to leave out of the verdict, with the reasons.
    trials : bool, default=True
        Test remedies. False only observes the training.
    before : bool, default=False
        Also run the checks that come before a training.
    notes : sequence of str, default=()
        Notes that come first in the report, before a line for each remedy that was applied.
    run : Run, default=None
        A run of the problem that early stopping ended; None trains all epochs.
    seconds : float, default=None
        Seconds after which no further training of a trial or of a repair begins; None sets no limit by the clock.

    Returns
    -------
    Report
        The report on the problem, or on the repaired one.
    """
    began = time.perf_counter()

    def left() -> float | None:
        return None if seconds is None else seconds - (time.perf_counter() - began)

    report = examine_problem(problem, suppress=suppress, trials=trials, before=before, run=run, seconds=seconds)
    if fix and needs_repair(report):
        result = repair(report.problem, report, seconds=left())
        report = examine_problem(result.problem, suppress=suppress, trials=trials, before=before, seconds=left())
        notes = (*notes, *result.log)
    return replace(report, notes=(*notes, *report.notes))


def examine_problem(
    problem: TrainingProblem,
    *,
    suppress: Mapping[str, str] | None = None,
    trials: bool = True,
    before: bool = False,
    run: Run | None = None,
    seconds: float | None = None,
    watch: Watch | None = None,
) -> Report:
    """Train a problem, run all rules, test remedies, and report.

    Parameters
    ----------
    problem : TrainingProblem
        What is trained.
    suppress : mapping of str to str, default=None
        Symptoms to leave out of the verdict, with the reasons.
    trials : bool, default=True
        Test remedies. False only observes the training.
    before : bool, default=False
        Also run the checks that come before a training.
    run : Run, default=None
        A run of the problem that early stopping ended: it is repeated to where it stopped, and the epoch that it kept is
        judged. None trains all epochs.
    seconds : float, default=None
        Seconds after which no further training of a trial begins; None sets no limit by the clock.
    watch : callable, default=None
        Called while trials run, with each point of their curves: the remedy ("" for none), the offset of the seed, the
        epoch and the held-out loss. What it raises besides `Exception` ends the examination.

    Returns
    -------
    Report
        The verdict and the findings, the primary one first; its problem has as many epochs as the run kept, and no rows of
        a regression that have weight 0, such as those whose target is far from all others.
    """
    began = time.perf_counter()
    left_out = left_out_targets(problem)
    problem = _counted(problem)
    kept, epochs, planned = problem, 0, 0
    if run is not None:
        kept, planned = as_kept(problem, run), planned_epochs(problem, run)
        epochs = 0 if kept is problem else len(run.epochs)
    trace = record_training(kept, trials, epochs, planned)
    deadline = began + (math.inf if seconds is None else seconds)
    report = report_on(kept, trace, suppress=suppress, trials=trials, before=before, deadline=deadline, watch=watch)
    if left_out is not None and left_out.symptom not in report.suppressed:
        report = replace(report, findings=(*report.findings, left_out))
    return replace(report, seconds=time.perf_counter() - began)


def _counted(problem: TrainingProblem) -> TrainingProblem:
    """Return a regression without the rows of weight 0: what is left out of the training is no measure of it either."""
    if class_indices(problem.rows) is not None:
        return problem
    held = problem.validation
    return replace(problem, rows=_weighed(problem.rows), validation=None if held is None else _weighed(held))


def _weighed(rows: Rows) -> Rows:
    counted = rows.c > 0
    return rows if rows.visited is not None or counted.all() or not counted.any() else rows[counted]


def planned_epochs(problem: TrainingProblem, run: Run) -> int:
    """Return the epochs that a run should have had if early stopping ended it; 0 if something else did."""
    return problem.config.epochs if run.stop.reason is StopReason.EARLY_STOPPING else 0


def report_on(
    problem: TrainingProblem,
    trace: Trace,
    *,
    suppress: Mapping[str, str] | None = None,
    trials: bool = False,
    before: bool = False,
    deadline: float = math.inf,
    watch: Watch | None = None,
) -> Report:
    """Return the report on a recorded training: rules, trials if wanted until the deadline, diagnosis."""
    began = time.perf_counter()
    suppressed = checked_suppressions(suppress)
    skipped: list[str] = []
    rules = [*configuration.RULES, *data.RULES, *training.RULES, *_preflight_checks(problem, before)]
    wanted = [rule for rule in rules if rule.symptom not in suppressed]
    suspicions = list(run_rules(wanted, problem, trace, skipped))
    runner = (
        TrialRunner(problem, trace, deadline=deadline, watch=watch)
        if trials and len(problem.rows) >= USUAL.fewest_to_judge
        else None
    )
    findings = diagnose(problem, trace, suspicions, runner)
    late = sorted(filter(None, runner.late)) if runner is not None else []
    notes = (f"The time was up before these remedies were tested: {', '.join(late)}.",) if late else ()
    return make_report(problem, trace, findings, skipped, suppressed, notes, time.perf_counter() - began)


def make_report(
    problem: TrainingProblem,
    trace: Trace,
    findings: Iterable[Finding],
    skipped: Sequence[str],
    suppressed: Mapping[str, str],
    notes: Sequence[str] = (),
    seconds: float = 0.0,
) -> Report:
    """Return the report of a diagnosis: ill if a finding that is not suppressed is a warning or critical."""
    reported = tuple(finding for finding in findings if finding.symptom not in suppressed)
    return Report(
        "ill" if any(finding.severity != "info" for finding in reported) else "healthy",
        reported,
        problem,
        trace,
        tuple(skipped),
        suppressed,
        tuple(notes),
        seconds,
        trace.probe_seconds / max(trace.seconds - trace.probe_seconds, 1e-9),
        problem.interface,
    )


def checked_suppressions(suppress: Mapping[str, str] | None) -> dict[str, str]:
    """Return the symptoms to suppress with their reasons; raise `InvalidValueError` for one that does not exist."""
    for symptom in suppress or {}:
        if symptom not in SYMPTOMS:
            hint = did_you_mean(symptom, SYMPTOMS)
            raise InvalidValueError(must_be("examine", "suppress", "symptoms with reasons", symptom, hint))
    return dict(suppress or {})


def _preflight_checks(problem: TrainingProblem, wanted: bool) -> tuple[Rule, ...]:
    """Return the checks before a training: all if wanted, a few for layers, losses and optimizers of the user.

    The library's own are tested elsewhere.
    """
    if wanted:
        return preflight.RULES
    pieces = [*problem.recipe.net.layers, problem.recipe.loss, problem.recipe.optimizer]
    library = all(type(piece) in REGISTRY.values() for piece in pieces)
    return () if library else tuple(rule for rule in preflight.RULES if SYMPTOMS[rule.symptom].checks_custom_code)
