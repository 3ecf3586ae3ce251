"""Why: what an epoch measured and what a run came to are frozen records that anything may keep, print or draw.

In: sums and times from the loop. Out: `Epoch` and `Run`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from chainrule.display import HtmlDisplay
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import Loss
from chainrule.nn.step import State, Sums


@dataclass(frozen=True)
class Epoch:
    """One epoch's measurements.

    Losses are means without penalties; scores are accuracy (0 to 1) or root mean squared error, as `metric` says.
    The training figures are taken while the weights move and with dropout on; validation figures at the epoch's end in
    inference, NaN where there are no validation rows. `learning_rate` is the last step's; `gradient_norm` the mean of ‖g‖
    over the steps, before clipping; `seconds` the time of this epoch; `finite` says whether losses and gradients were
    numbers. `state()` gives all numbers at its end, and is to be
    asked before the next epoch begins.
    """

    number: int
    metric: str
    train_loss: float
    train_score: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    steps: int
    complete: bool
    finite: bool
    state: Callable[[], State] = field(repr=False, compare=False)

    def record(self) -> dict[str, float | int | None]:
        """Plain data for a log: numbers only, None where nothing was measured."""
        figures = {
            "epoch": self.number,
            "train_loss": self.train_loss,
            f"train_{self.metric}": self.train_score,
            "validation_loss": self.validation_loss,
            f"validation_{self.metric}": self.validation_score,
            "learning_rate": self.learning_rate,
            "gradient_norm": self.gradient_norm,
            "seconds": self.seconds,
            "steps": self.steps,
        }
        return {name: value if math.isfinite(value) else None for name, value in figures.items()}


@dataclass(frozen=True)
class Run(HtmlDisplay):
    """What a training came to: its epochs, the state it ended with (the best where a monitor kept it), why it ended."""

    epochs: tuple[Epoch, ...]
    state: State = field(repr=False)
    best_epoch: int | None
    stopped: str
    engine: str
    notes: tuple[str, ...]
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether it ended because the loss was no longer a finite number."""
        return self.stopped.startswith("diverged")

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it."""
        return self.stopped.startswith("interrupted")


@dataclass(frozen=True)
class Snapshot:
    """All that a run needs to go on from here as if it had never stopped.

    The state with its step number (which fixes shuffles and masks), the sums of the epoch under way, the epochs done, the
    best epoch's number and state, and why the run ended if it has. What monitors and schedules remember follows from the
    epochs.
    """

    state: State
    sums: Sums
    epochs: tuple[Epoch, ...]
    best: tuple[int, State] | None
    stopped: str | None = None


def spent() -> State:
    """The answer of an epoch that is over: its numbers have moved on."""
    hint = "Ask while the loop stands at that epoch; a finished run's numbers are in run.state."
    raise InvalidValueError(f"Epoch: state must be asked for before the next epoch begins. {hint}")


def metric_value(loss: Loss, sums: Sums) -> float:
    """The metric from a mean score: accuracy as it is, the root for "rmse"."""
    score = sums.mean_score
    return math.sqrt(score) if loss.metric == "rmse" and score >= 0 else score
