"""Scikit-learn's own callbacks (progress bars, score logs; from 1.9 on) as monitors of a network's epochs.

In: those callbacks, or an estimator that they were set on. Out: monitors that call them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator

from chainrule.errors import MissingError
from chainrule.train import Decision, Epoch, Run, Stop, StopReason, TrainingProblem

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn calls this interface experimental: a release may do without it

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """A class that adds nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Epochs", "Fitted", "ScikitLearnCallbacks", "Task", "fit_task", "with_callbacks"]

_ASKED = Stop(StopReason.MONITOR, "a callback of scikit-learn asked to stop")

Fitted = Callable[[Epoch], Mapping[str, Any]]
"""The attributes with which a copy of the estimator predicts with an epoch's weights."""


@dataclass(frozen=True, eq=False)
class Task:
    """A task that an estimator's callbacks hear of, with the rows that are trained on: `X`, `y`, `metadata`."""

    estimator: Any
    context: Any
    rows: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def begin(self) -> None:
        """Announce its beginning."""
        self.context.call_on_fit_task_begin(estimator=self.estimator, **self.rows)

    def end(self, fitted: Callable[[], Mapping[str, Any]] | None = None) -> bool:
        """Announce its end; return whether a callback asks to stop. A copy that predicts is made only if one needs it."""
        told = self.context.call_on_fit_task_end(
            estimator=self.estimator, **self.rows, reconstruction_attributes=fitted
        )
        return bool(told)

    def part(self, name: str, number: int | None = None, parts: int = 0) -> Task:
        """Return a task within this one, of a number of parts; numbered by itself unless the parts run at the same time."""
        return Task(self.estimator, self.context.subcontext(name, number, parts), self.rows)


@dataclass(frozen=True, eq=False)
class Epochs:
    """A monitor that makes every epoch of a run a part of a task; a callback that answers True stops the run.

    The run begins and ends the task too, unless it is `opened` already.
    """

    task: Task
    fitted: Fitted | None = None
    opened: bool = False

    def start(self, problem: TrainingProblem) -> None:
        """Begin the task."""
        if not self.opened:
            self.task.begin()

    def observe(self, memory: None, epoch: Epoch) -> tuple[None, Decision]:
        """Announce one part."""
        part, fitted = self.task.part("epoch"), self.fitted
        part.begin()
        stop = part.end(None if fitted is None else lambda: fitted(epoch))
        return None, Decision(stop=_ASKED if stop else None)

    def end(self, memory: None, run: Run | None) -> None:
        """End the task."""
        if not self.opened:
            self.task.end()


@contextmanager
def fit_task(estimator: Any, epochs: int, networks: Sequence[Fitted], **rows: Any) -> Iterator[list[list[Epochs]]]:
    """Announce an estimator's fit to the callbacks that were set on it, or passed down to it; yield each network's monitors.

    The fit is a task whose parts are epochs, or of several networks a task for each of them, whose parts are epochs. The
    estimator has `CallbackSupportMixin`, and its `fit` has `with_callbacks`. Without callbacks
    there are no monitors.
    """
    if not getattr(estimator, "_skl_callbacks", ()):
        yield [[] for _ in networks]
        return
    alone = len(networks) == 1
    parts = epochs if alone else len(networks)
    whole = Task(estimator, estimator._init_callback_context(max_subtasks=parts, sequential_subtasks=alone), rows)
    whole.begin()
    tasks = [whole] if alone else [whole.part("network", i, epochs) for i in range(parts)]
    yield [[Epochs(task, fitted, opened=alone)] for task, fitted in zip(tasks, networks, strict=True)]
    whole.end(dict)


class Network(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """A stand-in for the estimator where callbacks are called without one; a progress bar shows its name."""

    @with_callbacks  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Do nothing: leaving the decorated method tears callbacks down."""


@dataclass(frozen=True, eq=False)
class ScikitLearnCallbacks:
    """A monitor that calls scikit-learn's callbacks before and after a run and every epoch; one that returns True stops it.

    For runs without an estimator: `NetClassifier` and `NetRegressor` have `set_callbacks` themselves, and take those that
    a search or a pipeline hands down. Callbacks that need one that predicts, such as `ScoringMonitor`, do nothing here.

    Scikit-learn calls this interface experimental and may change it in any release; nothing outside this module depends
    on it.

    Parameters
    ----------
    callbacks : sequence, default=()
        The callbacks of scikit-learn.

    Raises
    ------
    MissingError
        At the start of a run where scikit-learn has no callbacks.

    Examples
    --------
    >>> from chainrule import NetRegressor
    >>> class Count:
    ...     epochs = 0
    ...     def setup(self, estimator, context): pass
    ...     def teardown(self, estimator, context): pass
    ...     def on_fit_task_begin(self, estimator, context): pass
    ...     def on_fit_task_end(self, estimator, context):
    ...         self.epochs += context.parent is not None
    >>> count = Count()
    >>> _ = NetRegressor((4,), max_iter=3, callbacks=[ScikitLearnCallbacks([count])]).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> count.epochs
    3
    """

    callbacks: Sequence[Any] = ()

    def start(self, problem: TrainingProblem) -> Epochs:
        """Open a task, whose parts are epochs."""
        network = Network()
        if not hasattr(network, "set_callbacks"):
            raise MissingError("ScikitLearnCallbacks: scikit-learn must have callbacks, as version 1.9 does.")
        network.set_callbacks(*self.callbacks)
        within = Epochs(Task(network, network._init_callback_context(max_subtasks=problem.config.epochs)))
        within.start(problem)
        return within

    def observe(self, memory: Epochs, epoch: Epoch) -> tuple[Epochs, Decision]:
        """Announce one part of the task."""
        return memory, memory.observe(None, epoch)[1]

    def end(self, memory: Epochs, run: Run | None) -> None:
        """End the task and tear the callbacks down, which `with_callbacks` does for an estimator."""
        try:
            memory.end(None, run)
        finally:
            memory.task.estimator.close()
