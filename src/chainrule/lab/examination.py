"""The doctor in the lab: trials whose curves grow while they run, and remedies that branch a training.

In: a training of the room. Out: events for the page; a new training with one thing changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chainrule.doctor.examine import examine_problem
from chainrule.doctor.remedies.apply import APPLY, apply_remedies
from chainrule.doctor.vocabulary.records import Report
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.lab.live import LiveTraining
from chainrule.lab.recipe import HiddenLayer, LabRecipe
from chainrule.lab.room import LabSession, Room
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout
from chainrule.nn.optimizers import GradientAccumulation
from chainrule.report.cards import card_lines
from chainrule.train import TrainingProblem

Post = Callable[[dict[str, Any]], None]


class _Left(BaseException):
    """The page no longer waits for trials."""


def examine_session(session: LabSession, post: Post, stopping: Callable[[], bool], seconds: float) -> None:
    """Examine a training as far as it has come, and post every point of its trials, then the report.

    Parameters
    ----------
    session : LabSession
        A training with at least one whole epoch.
    post : callable
        Takes events: "point" (remedy, seed, epoch, loss) and at the end "report".
    stopping : callable
        Returns True where nobody waits any more.
    seconds : float
        Seconds after which no further trial begins.

    Raises
    ------
    InvalidValueError
        Before the first whole epoch, and for fewer rows than can be judged.
    """
    problem = examined_problem(session)

    def watch(remedy: str, seed: int, epoch: int, loss: float) -> None:
        if stopping():
            raise _Left
        post({"event": "point", "remedy": remedy, "seed": problem.recipe.seed + seed, "epoch": epoch, "loss": loss})

    try:
        report = examine_problem(problem, seconds=seconds, watch=watch)
    except _Left:
        return
    post(_plain(report))


def examined_problem(session: LabSession) -> TrainingProblem:
    """Return the problem of a training with as many epochs as it has done.

    Raises `InvalidValueError` before the first.
    """
    with session.turn.command():
        epoch = session.live.epoch
    problem = session.live.problem
    if epoch < 1:
        raise InvalidValueError("lab: a training must have one whole epoch to be examined. Train it first.")
    if len(problem.rows) < USUAL.fewest_to_judge:
        allowed = f"at least {USUAL.fewest_to_judge} to be examined"
        raise InvalidValueError(must_be("lab", "the number of rows", allowed, len(problem.rows)))
    return replace(problem, config=replace(problem.config, epochs=epoch))


def _plain(report: Report) -> dict[str, Any]:
    """Return a report as an event, each finding with the lines of its card."""
    plain = report.plain()
    cards = [
        {**data, "lines": card_lines(finding)} for data, finding in zip(plain["findings"], report.findings, strict=True)
    ]
    return {"event": "report", **plain, "findings": cards}


def apply_remedy(room: Room, session: LabSession, remedy: Any, begin: Any) -> LabSession:
    """Branch a training: the same rows and numbers with a remedy of the doctor applied.

    Parameters
    ----------
    room : Room
        Where the branch is kept.
    session : LabSession
        The training.
    remedy : str
        A remedy of the catalogue.
    begin : {"now", "start"}
        Where the branch begins. A remedy that changes the network begins at the start in any case.

    Returns
    -------
    LabSession
        The branch.

    Raises
    ------
    InvalidValueError
        For a remedy that does not exist or changes nothing.
    """
    if not isinstance(remedy, str) or remedy not in APPLY:
        hint = did_you_mean(remedy, APPLY) if isinstance(remedy, str) else ""
        raise InvalidValueError(must_be("lab", "remedy", "a remedy of the doctor", remedy, hint))
    if begin not in ("now", "start"):
        raise InvalidValueError(must_be("lab", "from", "'now' or 'start'", begin))
    with session.turn.command():
        epoch, snapshot = session.live.epoch, session.live.save()
    old = session.live.problem
    unlimited = old.config.epochs
    changed = apply_remedies(replace(old, config=replace(old.config, epochs=max(epoch, 1))), remedy)
    if changed is None:
        raise InvalidValueError(must_be("lab", "remedy", "one that changes this training", remedy))
    changed = replace(changed, config=replace(changed.config, epochs=max(unlimited, changed.config.epochs)))
    live = LiveTraining(changed, session.subject.limited)
    same = changed.recipe.net.parameters == old.recipe.net.parameters and changed.start is old.start
    if begin == "now" and same:
        live.load(*snapshot)
    branch = room.add(session.subject, recipe_of(changed, session.recipe), live)
    branch.remedies = (*session.remedies, remedy)
    return branch


def recipe_of(problem: TrainingProblem, before: LabRecipe) -> LabRecipe:
    """Return the settings of the page's controls after a remedy; what the page has no control for is left out."""
    net, recipe = problem.recipe.net, problem.recipe
    hidden: list[HiddenLayer] = []
    for layer in net.layers[: net.head]:
        if isinstance(layer, Dense):
            hidden.append(HiddenLayer(layer.units, "identity"))
        elif hidden and isinstance(layer, BatchNorm):
            hidden[-1] = replace(hidden[-1], batch_norm=True)
        elif hidden and isinstance(layer, Dropout):
            hidden[-1] = replace(hidden[-1], dropout=layer.rate)
        elif hidden and isinstance(layer, Activation) and layer.function in ACTIVATIONS:
            hidden[-1] = replace(hidden[-1], activation=str(layer.function))
    rule = recipe.optimizer
    return replace(
        before,
        hidden=tuple(hidden),
        optimizer=rule.optimizer if isinstance(rule, GradientAccumulation) else rule,
        learning_rate=problem.config.learning_rate,
        batch_size=recipe.batch_size,
        alpha=recipe.penalty.l2,
        l1=recipe.penalty.l1,
    )


class Events:
    """Events that wait for a reader; none is left out, since there are few."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._error: BaseException | None = None
        self.closed = False

    def post(self, event: dict[str, Any]) -> None:
        """Add an event."""
        with self._lock:
            self._events.append(event)
        self._wake()

    def close(self, error: BaseException | None = None) -> None:
        """Say that no event follows."""
        self._error = error
        self.closed = True
        self._wake()

    def take(self) -> dict[str, Any] | None:
        """Return the first event that waits, None if there is none; raise what ended the examination."""
        with self._lock:
            if self._events:
                return self._events.pop(0)
        if self._error is not None:
            raise self._error
        return None
