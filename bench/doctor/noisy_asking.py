"""Provide the ways to ask about one training: each gives its findings, or what became of the network, as plain data.

In: a `Training`. Out: a line for JSON: verdict and findings (`examine`, `watch`, `doctor`, `rules`), or errors and scores
before and after (`fix`), always beside the error and the score of the training itself.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor import DoctorMonitor, examine_problem
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.records import Report
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError
from chainrule.estimators.arguments import checked_settings
from chainrule.estimators.call import SplitBy
from chainrule.pipeline import as_kept, stopped_run, stopping_monitors
from chainrule.train import Monitor, Run, train
from chainrule.train.problem import TrainingProblem
from doctor import noisy_commands as commands
from doctor.fault import Impossible, Prevented
from doctor.hosts import Subject, trained
from doctor.noisy_faults import broken
from doctor.noisy_hosts import Training, constant_losses, estimator, judged, judged_subject, make, subject_of

Task = tuple[str, str, int, str, str, str]
"""Host, settings, seed, fault, level, mode; no fault for a sound training."""

KEYS = ("host", "settings", "seed", "fault", "level", "mode")


def asked(
    task: Task, ways: Mapping[str, Callable[[Training, Training], dict[str, Any]]] | None = None
) -> dict[str, Any]:
    """One line, whatever happens: what cannot be, what is refused and what fails are results too."""
    line: dict[str, Any] = dict(zip(KEYS, task, strict=True))
    sound = make(*task[:3])
    if sound is None:
        return line | {"absent": True}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            training = broken(sound, task[3], task[4])
            if isinstance(training, Impossible):
                return line | {"impossible": training.reason}
            if isinstance(training, Prevented):
                return line | {"prevented": training.message}
            return line | itself(training) | (ways or MODES)[task[5]](training, sound)
        except commands.NoOption as missing:
            return line | {"impossible": f"no option: {missing}"}
        except (InvalidValueError, commands.Refused) as error:
            return line | {"prevented": str(error)[:300]}
        except Exception:
            return line | {"failed": traceback.format_exc(limit=-3)}


# The training itself


def problem_of(training: Training, fraction: float | None = None) -> TrainingProblem:
    """The problem that `fit` would train, with what no setting can change; `fraction` of the rows held out, if not by it."""
    user = (training.X_val, training.y_val, None)
    net = estimator(training)
    problem: TrainingProblem = net._fit_call(
        training.X, training.y, None, user, SplitBy(None, None), fraction
    ).problems[0]
    if training.beyond is None:
        return problem
    subject = training.beyond(subject_of(training, problem))
    if not isinstance(subject, Subject):
        raise InvalidValueError(getattr(subject, "reason", getattr(subject, "message", "")))
    parts = {name: getattr(subject, name) for name in ("recipe", "rows", "config", "validation", "engine")}
    return replace(problem, **parts, test=subject.test)


def stopping(training: Training) -> list[Monitor]:
    """The monitors that `fit` would use."""
    settings = checked_settings("benchmark", estimator(training).get_params())
    return stopping_monitors(settings, validated=bool(settings.early_stopping) or training.X_val is not None)


def itself(training: Training) -> dict[str, Any]:
    """Error, its noise (one standard error) and score of the training, its lead over a constant, and its seconds."""
    began = time.perf_counter()
    if training.beyond is None:
        figures = judged(training, estimator(training).fit(**training.rows))
    else:
        problem = problem_of(training)
        figures = judged_subject(subject_of(training, problem), train(problem, stopping(training)).state)
    seconds = round(time.perf_counter() - began, 3)
    return of_errors(*figures) | {"lead": lead(training, figures[0]), "trained": seconds}


def lead(training: Training, loss: Array) -> float:
    """By how many standard errors of the paired differences the errors by row are less than a constant prediction's."""
    constant = constant_losses(training)
    gain = constant / constant.mean() - np.minimum(np.nan_to_num(loss, nan=1e6), 1e6)
    return float(gain.mean() / max(gain.std() / np.sqrt(len(gain)), 1e-12))


def of_errors(loss: Array, score: float) -> dict[str, Any]:
    """Mean error, its standard error, score, as plain numbers that are finite."""
    loss = np.minimum(np.nan_to_num(loss, nan=1e6), 1e6)
    return {"error": float(loss.mean()), "noise": float(loss.std() / np.sqrt(len(loss))), "score": score}


# Ways to ask


def examine(training: Training, sound: Training) -> dict[str, Any]:
    """The estimator's `examine`; the doctor's own call for a network that no setting makes."""
    if training.beyond is None:
        return of_report(estimator(training).examine(**training.rows))
    return of_report(examined(training))


def examined(training: Training) -> Any:
    """Examine the training that `fit` would run, to its stop, with rows to judge by."""
    problem, run = _stopped(training)
    return examine_problem(problem, run=run)


def kept(training: Training) -> TrainingProblem:
    """The problem with as many epochs as `fit` would keep, and rows to judge by."""
    problem, run = _stopped(training)
    return problem if run is None else as_kept(problem, run)


def _stopped(training: Training) -> tuple[TrainingProblem, Run | None]:
    chooses = bool(training.settings.get("early_stopping")) or training.X_val is not None
    problem = problem_of(training, None if chooses else 1 / USUAL.held_out_part)
    return problem, stopped_run(problem, stopping(training), validated=chooses)


def watch(training: Training, sound: Training) -> dict[str, Any]:
    """What is said after a training that is only monitored."""
    reports: list[Report] = []
    monitor = DoctorMonitor(on_report=reports.append)
    if training.beyond is None:
        estimator(training).set_params(callbacks=[monitor]).fit(**training.rows)
    else:
        train(problem_of(training), [*stopping(training), monitor])
    return of_report(reports[0])


def doctor(training: Training, sound: Training) -> dict[str, Any]:
    """`chainrule doctor` on the rows as a file."""
    with commands.source_of(training) as source:
        commands.refuse_if_prevented(source, training, sound)
        report = commands.examined(source)
    findings = [
        [f["symptom"], f["severity"], f["confirmed"], f["measured"][:160], list(f["explains"])]
        for f in report["findings"]
    ]
    return {"verdict": report["verdict"], "findings": findings, "seconds": round(report["seconds"], 3)}


def fix(training: Training, sound: Training) -> dict[str, Any]:
    """`chainrule train --doctor fix` on the rows as a file, or `repair`: the twin, before, after."""
    if training.beyond is not None:
        return _repaired(training, sound)
    began = time.perf_counter()
    with commands.source_of(sound) as source:
        twin = commands.judged(commands.trained(source), sound)
    with commands.source_of(training) as source:
        before = commands.judged(commands.trained(source), training)
        summary = commands.trained(source, level="fix")
    after = commands.judged(summary, training)
    return _changed(twin, before, after) | {"seconds": round(time.perf_counter() - began, 3)}


def _repaired(training: Training, sound: Training) -> dict[str, Any]:
    began = time.perf_counter()
    problem = kept(training)
    twin = of_errors(*judged(sound, estimator(sound).fit(**sound.rows)))
    result = repair(problem, examine_problem(replace(problem, test=None)))
    subjects = [subject_of(training, each) for each in (problem, result.problem)]
    pairs = [of_errors(*judged_subject(subject, trained(subject)[0])) for subject in subjects]
    said = _changed(*[(each["error"], each["score"]) for each in (twin, *pairs)])
    return said | {"kept": list(result.kept), "seconds": round(time.perf_counter() - began, 3)}


def _changed(*pairs: tuple[float, float]) -> dict[str, Any]:
    names = ("twin", "before", "after")
    return {name: [float(np.clip(pair[0], 0.0, 1e6)), pair[1]] for name, pair in zip(names, pairs, strict=True)}


def rules(training: Training, sound: Training) -> dict[str, Any]:
    """What the six published rule sets say of the same training."""
    from doctor.detectors import DETECTORS
    from doctor.trace import record

    problem = problem_of(training)
    run = train(problem, stopping(training))
    course = replace(problem.config, epochs=max(1, len(run.epochs)))
    subject = subject_of(training, problem)
    trace = record(replace(subject, config=course))
    tools = {
        tool: [[d.message, sorted(d.slugs)] for d in detector.detect(trace)]
        for tool, detector in DETECTORS.items()
        if detector.supports(subject)
    }
    return {"tools": tools}


def nothing(training: Training, sound: Training) -> dict[str, Any]:
    """Nothing is asked: the training itself, which the others are compared with."""
    return {}


def of_report(report: Report) -> dict[str, Any]:
    """Verdict and findings as plain data."""
    findings = [[f.symptom, f.severity, f.confirmed, f.measured[:160], list(f.explains)] for f in report.findings]
    return {"verdict": report.verdict, "findings": findings, "seconds": round(report.seconds, 3)}


MODES: Mapping[str, Callable[[Training, Training], dict[str, Any]]] = {
    "train": nothing,
    "examine": examine,
    "watch": watch,
    "doctor": doctor,
    "fix": fix,
    "rules": rules,
}
"""The ways by name."""
