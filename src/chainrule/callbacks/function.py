"""Why: most rules about a run are one line; a function is enough for them.

In: a function of the epoch. Out: a monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chainrule.errors import InvalidValueError, must_be
from chainrule.train import Decision, Epoch


@dataclass(frozen=True)
class Function:
    """Calls a function after every epoch; a text that it returns ends the run and is the reason."""

    call: Callable[[Epoch], str | None]

    def start(self, epochs: int) -> None:
        """Nothing to remember."""

    def observe(self, memory: None, epoch: Epoch) -> tuple[None, Decision]:
        """Call it; raises `InvalidValueError` when it returns anything but a text or None."""
        answer: Any = self.call(epoch)
        if answer is not None and not isinstance(answer, str):
            hint = "A text stops the run and is its reason."
            raise InvalidValueError(must_be("function", "call", "a function that returns a text or None", answer, hint))
        return None, Decision(stop=answer or "")

    def end(self, memory: None) -> None:
        """Nothing to close."""


def function(call: Callable[[Epoch], str | None]) -> Function:
    """A monitor from a function `epoch -> None`, or `epoch -> str` to stop the run for that reason.

    The epoch is an `Epoch` record; `epoch.state()` gives the weights. It also works as a decorator.

    Raises `InvalidValueError` for what cannot be called.

    >>> from chainrule import Dense, Net
    >>> from chainrule.engines import Rows
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.step import Recipe
    >>> from chainrule.train import TrainConfig, train
    >>> import numpy as np
    >>> enough = function(lambda epoch: "that will do" if epoch.number == 3 else None)
    >>> recipe, X = Recipe(Net(1, [Dense(1)]), MeanSquaredError()), np.ones((4, 1))
    >>> run = train(recipe, Rows.of(recipe, X, X), TrainConfig(epochs=10), monitors=[enough])
    >>> len(run.epochs), run.stopped
    (3, 'that will do')
    """
    if not callable(call):
        raise InvalidValueError(must_be("function", "call", "a function of the epoch", call))
    return Function(call)
