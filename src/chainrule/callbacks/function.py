"""A monitor from a function: most rules about a run are one line.

In: a function of the epoch. Out: a monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chainrule.errors import InvalidValueError, must_be
from chainrule.train import Decision, Epoch, Run, Stop, StopReason, TrainingProblem


@dataclass(frozen=True)
class FunctionCallback:
    """A monitor that calls a function after every epoch.

    Parameters
    ----------
    call : callable
        Takes the `Epoch`; a text that it returns ends the run and is the reason.

    Examples
    --------
    >>> FunctionCallback(print).call is print
    True
    """

    call: Callable[[Epoch], str | None]

    def start(self, problem: TrainingProblem) -> None:
        """Start with nothing to remember."""

    def observe(self, memory: None, epoch: Epoch) -> tuple[None, Decision]:
        """Call the function; raise `InvalidValueError` when it returns anything but a text or None."""
        answer: Any = self.call(epoch)
        if answer is not None and not isinstance(answer, str):
            hint = "A text stops the run and is its reason."
            raise InvalidValueError(must_be("function", "call", "a function that returns a text or None", answer, hint))
        return None, Decision(stop=Stop(StopReason.MONITOR, answer) if answer else None)

    def end(self, memory: None, run: Run | None) -> None:
        """End without closing anything."""


def function(call: Callable[[Epoch], str | None]) -> FunctionCallback:
    """Make a monitor from a function of the epoch; it also works as a decorator.

    Parameters
    ----------
    call : callable
        Takes the `Epoch` record, whose `state()` gives the weights. It returns None, or a text to stop the run for that
        reason.

    Returns
    -------
    FunctionCallback

    Raises
    ------
    InvalidValueError
        For what cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import Dense, Net
    >>> from chainrule.engines import Rows
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.step import Recipe
    >>> from chainrule.train import TrainConfig, TrainingProblem, train
    >>> enough = function(lambda epoch: "good enough" if epoch.number == 3 else None)
    >>> recipe, X = Recipe(Net(1, [Dense(1)]), MeanSquaredError()), np.ones((4, 1))
    >>> run = train(TrainingProblem(recipe, Rows.of(recipe, X, X), TrainConfig(epochs=10)), [enough])
    >>> len(run.epochs), str(run.stop)
    (3, 'good enough')
    """
    if not callable(call):
        raise InvalidValueError(must_be("function", "call", "a function of the epoch", call))
    return FunctionCallback(call)
