"""Why: scikit-learn 1.9 has callbacks of its own (progress bars, score logs); the same ones can watch a network's epochs.

In: those callbacks, or an estimator that they were set on. Out: a monitor that calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks

from chainrule.train import Decision, Epoch


class Network(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for the estimator where callbacks are called without one; its name is what a progress bar shows."""

    @with_callbacks  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Nothing: leaving the decorated method is what tears callbacks down."""


@dataclass(frozen=True, eq=False)
class ScikitLearnCallbacks:
    """Calls scikit-learn's callbacks before and after the run and every epoch; one that answers True stops the run.

    With `callbacks` alone it needs no estimator, which is enough for `ProgressBar`. An estimator whose class has
    `CallbackSupportMixin`, and `with_callbacks` on the `fit` that makes this monitor, passes itself: then the callbacks
    are those set on it or handed down from a search or pipeline around it. `ScoringMonitor` also needs the rows `X`, `y`,
    and `fitted`, which gives the attributes that make a copy of the estimator predict with an epoch's weights.

    Scikit-learn calls this interface experimental and may change it in any release; nothing else here depends on it.

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
    estimator: Any = None
    X: Any = field(default=None, repr=False)
    y: Any = field(default=None, repr=False)
    metadata: Mapping[str, Any] | None = field(default=None, repr=False)
    fitted: Callable[[Epoch], Mapping[str, Any]] | None = field(default=None, repr=False)

    def start(self, epochs: int) -> Any:
        """The estimator and its context, whose subtasks are epochs."""
        estimator = Network().set_callbacks(*self.callbacks) if self.estimator is None else self.estimator
        context = estimator._init_callback_context(max_subtasks=epochs)
        context.call_on_fit_task_begin(estimator=estimator, **self._rows())
        return estimator, context

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """One subtask; the copy that predicts is made only if a callback asks for it."""
        estimator, context = memory
        task = context.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(estimator=estimator, **self._rows())
        fitted = self.fitted
        attributes = None if fitted is None else (lambda: dict(fitted(epoch)))
        stop = task.call_on_fit_task_end(estimator=estimator, **self._rows(), reconstruction_attributes=attributes)
        return memory, Decision(stop="a callback of scikit-learn asked to stop" if stop else "")

    def end(self, memory: Any) -> None:
        """The whole is done; a stand-in also tears its callbacks down, which `with_callbacks` does for an estimator."""
        estimator, context = memory
        try:
            context.call_on_fit_task_end(estimator=estimator, **self._rows())
        finally:
            if self.estimator is None:
                estimator.close()

    def _rows(self) -> dict[str, Any]:
        return {"X": self.X, "y": self.y, "metadata": self.metadata}
