"""Why: one training, examined, is one page: what is wrong, how it learned, what flowed, where it errs.

In: the doctor's report or the epochs of a run, a model with rows to judge it by. Out: the page's text.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

import chainrule
from chainrule.arrays import Array
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.model import Model
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe, State
from chainrule.report.page import sections as parts
from chainrule.report.page.cards import cards
from chainrule.report.page.html import Section, facts, page
from chainrule.report.page.markup import Html, joined, tag
from chainrule.report.page.pixels import picture_shape
from chainrule.report.page.predictions import Judged
from chainrule.report.page.predictions import sections as judgment
from chainrule.train import Epoch
from chainrule.train.problem import TrainingProblem

_PACKAGES = ("numpy", "jax")
_FOOT = f"Made by chainrule {chainrule.__version__}. This file is complete: it loads nothing and runs nothing."


@dataclass(frozen=True, eq=False)
class Shown:
    """What a page shows beside a report: figures for its head, judged rows, the settings, the epoch that was kept.

    `shape` (height, width) is that of inputs which are images. `net` and `w` are those whose weights are shown.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    judged: Judged | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    best_epoch: int | None = None
    shape: tuple[int, int] | None = None
    net: Net | None = None
    w: Array | None = None


def doctor_page(report: Report, title: str = "A training, examined", shown: Shown | None = None) -> str:
    """The page of a report; what is not given is taken from its case."""
    shown = _shown(report) if shown is None else shown
    trace = report.trace
    readings = () if trace is None else trace.readings
    epochs = () if trace is None else trace.epochs
    head = joined(_verdict(report), facts({**shown.facts, **_costs(report)}))
    return page(
        title,
        [
            _findings(report.findings),
            _remarks(report),
            parts.curves(epochs, report.findings, shown.best_epoch),
            *(judgment(shown.judged) if shown.judged is not None else ()),
            parts.flow(readings),
            parts.moves(readings),
            parts.activations(readings),
            parts.resting(readings),
            None if shown.net is None or shown.w is None else parts.weights(shown.net, shown.w, shown.shape),
            parts.settings(shown.settings or _asked(report.problem), versions()),
        ],
        head,
        _FOOT,
    )


def run_page(epochs: Sequence[Epoch], title: str, shown: Shown) -> str:
    """The page of a training that nobody examined."""
    return page(
        title,
        [
            parts.curves(epochs, (), shown.best_epoch),
            *(judgment(shown.judged) if shown.judged is not None else ()),
            None if shown.net is None or shown.w is None else parts.weights(shown.net, shown.w, shown.shape),
            parts.settings(shown.settings, versions()),
        ],
        facts(shown.facts),
        _FOOT,
    )


def _verdict(report: Report) -> Html:
    first = report.primary
    words = "Nothing was found that costs this training anything." if first is None else first.title
    healthy = report.verdict == "healthy"
    look = "verdict healthy" if healthy else "verdict ill"
    return tag("p", tag("span", ("✓ " if healthy else "✗ ") + report.verdict, class_=look), " ", words)


def _costs(report: Report) -> dict[str, object]:
    told: dict[str, object] = {"examined in": f"{report.seconds:.1f} s"} if report.seconds >= 0.05 else {}
    if report.overhead > 0:
        much = f"{report.overhead:.1f} times" if report.overhead >= 1 else f"{100 * report.overhead:.1f} % of"
        told["looking took"] = f"{much} the training"
    return told


def _findings(findings: Sequence[Finding]) -> Section | None:
    lead = "The first is what to mend first; it may explain the others."
    return Section("Findings", cards(findings), lead if len(findings) > 1 else "") if findings else None


def _remarks(report: Report) -> Section | None:
    """What could not be looked at, what was silenced, what was done for the examination."""
    told = [*(f"Could not look: {reason}" for reason in report.skipped)]
    told += [f"Silenced: {symptom} ({reason})" for symptom, reason in report.suppressed.items()]
    told += list(report.notes)
    return Section("Remarks", tag("ul", *(tag("li", line) for line in told))) if told else None


def _shown(report: Report) -> Shown:
    """What a case alone can show."""
    problem, trace = report.problem, report.trace
    net = problem.recipe.net
    about: dict[str, object] = {"network": f"{net.inputs} → {net.outputs}, {net.size} parameters"}
    if trace is None:
        return Shown(about)
    about |= {"epochs": len(trace.epochs), "rows": len(problem.rows)}
    rows, part = (problem.test, "test") if problem.test is not None else (problem.validation, "validation")
    judged = judge_rows(
        problem, trace.final, rows if rows is not None else problem.rows, part if rows is not None else "training"
    )
    return Shown(about, judged, {}, None, picture_shape(net.inputs), net, problem.recipe.weights(trace.final))


def judge_rows(problem: TrainingProblem, state: State, rows: Rows, part: str) -> Judged | None:
    """Rows of a case with what a state says of them; None where targets are neither classes nor amounts."""
    recipe = problem.recipe
    with np.errstate(all="ignore"):
        A = np.asarray(recipe.loss.predict(np, logits(recipe.net, recipe.weights(state), state.buffers, rows.X)))
    return _judged(recipe, A, rows, problem.classes, part, problem.feature_names)


def _judged(
    recipe: Recipe, A: Array, rows: Rows, classes: Array | None, part: str, names: tuple[str, ...]
) -> Judged | None:
    about: dict[str, Any] = {"feature_names": names, "shape": picture_shape(rows.X.shape[1])}
    exclusive = rows.Y.ndim == 1 and A.shape[1] > 1
    if exclusive or (A.shape[1] == 1 and recipe.loss.classes):
        P = A if exclusive else np.hstack([1.0 - A, A])
        y = rows.Y if exclusive else (rows.Y.reshape(len(A)) > 0.5).astype(np.int64)
        labels = (
            tuple(classes.tolist()) if classes is not None and len(classes) == P.shape[1] else tuple(range(P.shape[1]))
        )
        return Judged(part, rows.X, y.astype(np.int64), P.argmax(axis=1), P, labels, **about)
    if recipe.loss.classes or A.shape != rows.Y.shape:
        return None
    return Judged(part, rows.X, rows.Y, A, **about)


def judge_model(model: Model, X: Array, y: Array, part: str, shape: tuple[int, int] | None = None) -> Judged | None:
    """Rows in the user's units with what a model says of them; None for labels and several targets of classes."""
    about: dict[str, Any] = {"feature_names": model.feature_names, "shape": shape}
    if isinstance(model.classes, np.ndarray) and isinstance(y, np.ndarray) and y.ndim == 1 and len(model.classes) > 1:
        P = model.probabilities(X)
        if P.shape[1] != len(model.classes):
            return None
        codes = np.searchsorted(model.classes, y)
        return Judged(part, X, codes, P.argmax(axis=1), P, tuple(model.classes.tolist()), **about)
    if model.classes is None:
        said = model.predict(X)
        return Judged(part, X, y, said, **about) if said.shape == y.shape else None
    return None


def _asked(problem: TrainingProblem) -> dict[str, object]:
    """The settings of a case, in the words of its parts."""
    recipe, config = problem.recipe, problem.config
    named = {
        "network": ", ".join(map(str, recipe.net.layers)),
        "loss": recipe.loss,
        "optimizer": recipe.optimizer,
        "penalty": recipe.penalty,
        "clip": recipe.clip,
        "learning rate": config.learning_rate,
        "schedule": config.schedule,
        "epochs": config.epochs,
        "batch size": recipe.batch_size,
        "seed": recipe.seed,
        "dtype": recipe.dtype,
        "engine": problem.engine,
    }
    return {name: value if value is None or isinstance(value, float) else str(value) for name, value in named.items()}


def versions() -> dict[str, str]:
    """What the page's figures were computed with."""
    known = {"chainrule": chainrule.__version__, "python": platform.python_version()}
    known |= {name: _version(name) for name in _PACKAGES}
    return {name: version for name, version in known.items() if version} | {"machine": platform.machine()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
