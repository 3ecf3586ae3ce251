"""The page of one training: what is wrong, how it learned, what flowed, where it errs.

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
from chainrule.doctor.vocabulary.records import Report
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.model import Model
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe, State
from chainrule.report.page import predictions, sections
from chainrule.report.page.cards import cards
from chainrule.report.page.html import Section, facts, page
from chainrule.report.page.predictions import JudgedRows
from chainrule.report.svg.markup import Html, joined, tag
from chainrule.report.svg.pixels import picture_shape
from chainrule.train import Epoch
from chainrule.train.problem import TrainingProblem

_PACKAGES = ("numpy", "jax")
FOOT = f"Made by chainrule {chainrule.__version__}. This file is complete: it loads nothing and runs nothing."


@dataclass(frozen=True, eq=False)
class PageContent:
    """What a page shows besides a report or the epochs of a run.

    Parameters
    ----------
    facts : mapping of str to object, default={}
        Values for the head of the page, by name.
    judged : JudgedRows, default=None
        Rows with their predictions.
    settings : mapping of str to object, default={}
        The settings of the run.
    best_epoch : int, default=None
        The epoch whose weights were kept.
    shape : pair of int, default=None
        Height and width of inputs that are images.
    net : Net, default=None
        The network whose weights are shown.
    w : array of shape (p,), default=None
        Its weights.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    judged: JudgedRows | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    best_epoch: int | None = None
    shape: tuple[int, int] | None = None
    net: Net | None = None
    w: Array | None = None


def doctor_page(report: Report, title: str = "Training report", content: PageContent | None = None) -> str:
    """Return the HTML page of a doctor's report.

    Parameters
    ----------
    report : Report
        What the doctor found.
    title : str, default="Training report"
        The title of the page.
    content : PageContent, default=None
        What the page shows besides the report; by default what can be computed from the report's problem.

    Returns
    -------
    text : str
        A page that loads nothing and runs nothing.
    """
    content = _default_content(report) if content is None else content
    trace = report.trace
    readings = () if trace is None else trace.readings
    epochs = () if trace is None else trace.epochs
    head = joined(_verdict(report), facts({**content.facts, **_costs(report)}))
    shown = [
        _findings(report),
        _remarks(report),
        sections.learning_curves(epochs, report.findings, content.best_epoch),
        *_judgment(content),
        sections.gradient_flow(readings),
        sections.update_ratios(readings),
        sections.activations(readings),
        sections.idle_units(readings),
        _weights(content),
        sections.settings(content.settings or _settings_of(report.problem), versions()),
    ]
    return page(title, shown, head, FOOT)


def run_page(epochs: Sequence[Epoch], title: str, content: PageContent) -> str:
    """Return the HTML page of a training that the doctor did not examine.

    Parameters
    ----------
    epochs : sequence of Epoch
        The epochs of the run.
    title : str
        The title of the page.
    content : PageContent
        What the page shows besides the curves.

    Returns
    -------
    text : str
        A page that loads nothing and runs nothing.
    """
    shown = [
        sections.learning_curves(epochs, (), content.best_epoch),
        *_judgment(content),
        _weights(content),
        sections.settings(content.settings, versions()),
    ]
    return page(title, shown, facts(content.facts), FOOT)


def _judgment(content: PageContent) -> list[Section | None]:
    return [] if content.judged is None else predictions.sections(content.judged)


def _weights(content: PageContent) -> Section | None:
    if content.net is None or content.w is None:
        return None
    return sections.weights(content.net, content.w, content.shape)


def _verdict(report: Report) -> Html:
    first = report.primary
    words = "No problem was found in this training." if first is None else first.title
    healthy = report.verdict == "healthy"
    look = "verdict healthy" if healthy else "verdict ill"
    return tag("p", tag("span", ("✓ " if healthy else "✗ ") + report.verdict, class_=look), " ", words)


def _costs(report: Report) -> dict[str, object]:
    costs: dict[str, object] = {"examined in": f"{report.seconds:.1f} s"} if report.seconds >= 0.05 else {}
    if report.overhead > 0:
        share = f"{report.overhead:.1f} times" if report.overhead >= 1 else f"{100 * report.overhead:.1f} % of"
        costs["probes took"] = f"{share} the training"
    return costs


def _findings(report: Report) -> Section | None:
    lead = "Fix the first one first; it may explain the others."
    findings = report.findings
    if not findings:
        return None
    return Section("Findings", cards(findings, report.interface), lead if len(findings) > 1 else "")


def _remarks(report: Report) -> Section | None:
    """Show what was skipped and suppressed, and the notes of the examination."""
    remarks = [f"Skipped: {reason}" for reason in report.skipped]
    remarks += [f"Suppressed: {symptom} ({reason})" for symptom, reason in report.suppressed.items()]
    remarks += report.notes
    return Section("Remarks", tag("ul", *(tag("li", line) for line in remarks))) if remarks else None


def _default_content(report: Report) -> PageContent:
    """Return what can be shown of a report's problem alone."""
    problem = report.problem
    trace = report.trace
    net = problem.recipe.net
    about: dict[str, object] = {"network": f"{net.inputs} → {net.outputs}, {net.size} parameters"}
    if trace is None:
        return PageContent(about)
    about |= {"epochs": len(trace.epochs), "rows": len(problem.rows)}
    rows, part = problem.rows, "training"
    if problem.test is not None:
        rows, part = problem.test, "test"
    elif problem.validation is not None:
        rows, part = problem.validation, "validation"
    judged = judge_rows(problem, trace.final, rows, part)
    return PageContent(about, judged, {}, None, picture_shape(net.inputs), net, problem.recipe.weights(trace.final))


def judge_rows(problem: TrainingProblem, state: State, rows: Rows, part: str) -> JudgedRows | None:
    """Return rows of a problem with a state's predictions; None if they can be shown neither as classes nor as values."""
    recipe = problem.recipe
    with np.errstate(all="ignore"):
        A = np.asarray(recipe.loss.predict(np, logits(recipe.net, recipe.weights(state), state.buffers, rows.X)))
    return _judged(recipe, A, rows, problem.classes, part, problem.feature_names)


def _judged(
    recipe: Recipe, A: Array, rows: Rows, classes: Array | None, part: str, names: tuple[str, ...]
) -> JudgedRows | None:
    about: dict[str, Any] = {"feature_names": names, "shape": picture_shape(rows.X.shape[1])}
    exclusive = rows.Y.ndim == 1 and A.shape[1] > 1
    if exclusive or (A.shape[1] == 1 and recipe.loss.targets.are_classes):
        P = A if exclusive else np.hstack([1.0 - A, A])
        y = rows.Y if exclusive else (rows.Y.reshape(len(A)) > 0.5).astype(np.int64)
        known = classes is not None and len(classes) == P.shape[1]
        labels = tuple(classes.tolist()) if known and classes is not None else tuple(range(P.shape[1]))
        return JudgedRows(part, rows.X, y.astype(np.int64), P.argmax(axis=1), P, labels, **about)
    if recipe.loss.targets.are_classes or A.shape != rows.Y.shape:
        return None
    return JudgedRows(part, rows.X, rows.Y, A, **about)


def judge_model(model: Model, X: Array, y: Array, part: str, shape: tuple[int, int] | None = None) -> JudgedRows | None:
    """Return rows with a model's predictions, for a page.

    Parameters
    ----------
    model : Model
        The model to judge.
    X : array of shape (n, d)
        Rows in the user's units.
    y : array of shape (n,) or (n, k)
        Their targets: labels, or values in the user's unit.
    part : str
        What the rows are called: "test", "validation", "training".
    shape : pair of int, default=None
        Height and width where a row is an image.

    Returns
    -------
    judged : JudgedRows or None
        None for multi-label targets and for several targets of classes, of which a page shows nothing.
    """
    about: dict[str, Any] = {"feature_names": model.feature_names, "shape": shape}
    if isinstance(model.classes, np.ndarray) and isinstance(y, np.ndarray) and y.ndim == 1 and len(model.classes) > 1:
        P = model.probabilities(X)
        if P.shape[1] != len(model.classes):
            return None
        numbers = np.searchsorted(model.classes, y)
        return JudgedRows(part, X, numbers, P.argmax(axis=1), P, tuple(model.classes.tolist()), **about)
    if model.classes is None:
        predicted = model.predict(X)
        return JudgedRows(part, X, y, predicted, **about) if predicted.shape == y.shape else None
    return None


def _settings_of(problem: TrainingProblem) -> dict[str, object]:
    """Return the settings of a problem, in the words of its parts."""
    recipe = problem.recipe
    config = problem.config
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
    """Return the versions of the software that computed the page's values."""
    known = {"chainrule": chainrule.__version__, "python": platform.python_version()}
    known |= {name: _version(name) for name in _PACKAGES}
    return {name: version for name, version in known.items() if version} | {"machine": platform.machine()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
