"""Frozen records of a training, which anything may keep, print or draw.

In: sums and times from the loop. Out: `Epoch`, `Run`, `Stop`, `Snapshot`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from chainrule.arrays import Array
from chainrule.display import HtmlDisplay
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import Loss
from chainrule.nn.step import Recipe, State, Sums, measure

T = TypeVar("T")


@dataclass(frozen=True)
class Epoch:
    """The measurements of one epoch.

    Training figures are taken while the weights move and with dropout on; validation figures at the epoch's end in
    inference mode, NaN where there are no validation rows. Losses are means without penalties.

    Parameters
    ----------
    number : int
        Number of the epoch, from 1.
    metric : str
        What the scores are: "accuracy" (0 to 1) or "rmse".
    train_loss, train_score : float
        Mean loss and score over the epoch's batches.
    validation_loss, validation_score : float
        The same on the validation rows.
    learning_rate : float
        The last step's learning rate.
    gradient_norm : float
        Mean of ‖g‖ over the steps, before clipping.
    seconds : float
        Time that the epoch took.
    steps : int
        Number of steps done in this epoch.
    complete : bool
        Whether all batches of the epoch were used.
    finite : bool
        Whether losses and gradients were finite numbers.
    state : callable
        `state()` returns all numbers at the epoch's end. Call it before the next epoch starts.
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
        """Return plain data for a log.

        Returns
        -------
        dict of str to float, int or None
            Numbers by name; None where nothing was measured.
        """
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


class StopReason(Enum):
    """Why a training ended."""

    COMPLETED = "completed"
    EARLY_STOPPING = "early stopping"
    MONITOR = "monitor"
    PAUSED = "paused"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"


_WORDS = {
    StopReason.COMPLETED: "all epochs completed",
    StopReason.EARLY_STOPPING: "stopped early: {}",
    StopReason.MONITOR: "{}",
    StopReason.PAUSED: "paused {}",
    StopReason.DIVERGED: "diverged: {}",
    StopReason.INTERRUPTED: "interrupted {}",
}


@dataclass(frozen=True)
class Stop:
    """The end of a training; its text is for people, programs ask for its reason.

    Parameters
    ----------
    reason : StopReason
        The kind of end.
    detail : str, default=""
        What happened, as a part of a sentence.

    Examples
    --------
    >>> print(Stop(StopReason.DIVERGED, "the loss in epoch 3 is not a finite number"))
    diverged: the loss in epoch 3 is not a finite number
    """

    reason: StopReason
    detail: str = ""

    def __str__(self) -> str:
        return _WORDS[self.reason].format(self.detail)


COMPLETED = Stop(StopReason.COMPLETED)
"""The end of a training that did all its epochs."""


def diverged(epoch: int, what: str = "the loss in") -> Stop:
    """Return the end of a training in numbers that are not finite."""
    return Stop(StopReason.DIVERGED, f"{what} epoch {epoch} is not a finite number")


@dataclass(frozen=True)
class Run(HtmlDisplay):
    """The result of a training.

    Parameters
    ----------
    epochs : sequence of Epoch
        What was measured after each epoch.
    state : State
        The numbers it ended with: those of the best epoch where a monitor kept one, else the last finite ones.
    best_epoch : int or None
        Number of the epoch that was kept; None where no monitor kept one.
    stop : Stop
        Why it ended.
    engine : str
        Name of the engine that trained.
    notes : tuple of str
        What the user should know, such as engines that could not run the network.
    seconds : float
        Time that the training took.
    memories : tuple, default=()
        What each monitor remembered at the end, in their order.
    """

    epochs: Sequence[Epoch]
    state: State = field(repr=False)
    best_epoch: int | None
    stop: Stop
    engine: str
    notes: tuple[str, ...]
    seconds: float
    memories: tuple[Any, ...] = field(default=(), repr=False, compare=False)

    def __repr__(self) -> str:
        best = "" if self.best_epoch is None else f"best epoch {self.best_epoch}, "
        return f"Run({len(self.epochs)} epochs, {best}{self.engine} engine: {self.stop})"

    @property
    def diverged(self) -> bool:
        """Whether it ended because the loss was no longer a finite number."""
        return self.stop.reason is StopReason.DIVERGED

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it."""
        return self.stop.reason is StopReason.INTERRUPTED


@dataclass(frozen=True)
class Snapshot:
    """All that a run needs to continue from here as if it had never stopped.

    The state with its step number (which fixes shuffles and masks), the sums of the epoch under way, the epochs done, the
    best epoch's number and state, and why the run ended if it has. What monitors and schedules remember follows from the
    epochs.
    """

    state: State
    sums: Sums
    epochs: Sequence[Epoch]
    best: tuple[int, State] | None
    stop: Stop | None = None


def spent() -> State:
    """Refuse the state of an epoch that is over: its numbers have moved on."""
    hint = "The numbers of a finished run are in run.state."
    raise InvalidValueError(f"Epoch: call state() before the next epoch starts. {hint}")


def metric_value(loss: Loss, sums: Sums) -> float:
    """Return the metric from the sums of scores."""
    return shown_score(loss, sums.mean_score)


def shown_score(loss: Loss, score: float) -> float:
    """Return the metric from a mean score: accuracy as it is, the root for "rmse"."""
    return math.sqrt(score) if loss.metric == "rmse" and score >= 0 else score


def epoch_record(
    number: int,
    loss: Loss,
    sums: Sums,
    held_out: Sums | None,
    *,
    rate: float,
    seconds: float,
    complete: bool,
    state: Callable[[], State],
) -> Epoch:
    """Return the record of an epoch from its sums, and from those of the validation rows where they were measured."""
    train_loss = sums.mean_loss
    validation_loss = math.nan if held_out is None else held_out.mean_loss
    finite = math.isfinite(train_loss) and math.isfinite(sums.norm)
    return filled(
        Epoch,
        number=number,
        metric=loss.metric,
        train_loss=train_loss,
        train_score=metric_value(loss, sums),
        validation_loss=validation_loss,
        validation_score=math.nan if held_out is None else metric_value(loss, held_out),
        learning_rate=rate,
        gradient_norm=sums.mean_norm,
        seconds=seconds,
        steps=int(sums.steps),
        complete=complete,
        finite=finite and (held_out is None or math.isfinite(validation_loss)),
        state=state,
    )


def filled(cls: type[T], **fields: Any) -> T:
    """Return an object of a frozen dataclass whose fields are all given: of a small network's epochs there are thousands."""
    record = object.__new__(cls)
    record.__dict__.update(fields)
    return record


def measure_epochs(recipe: Recipe, Z: Array, rows: Rows) -> tuple[Array, Array, float]:
    """Return the sums of validation rows after each of several epochs, from their logits (epochs, n, k), and the weight.

    Each sum adds the same numbers in the same order as `measure_rows` does for one epoch.
    """
    epochs, n, k = Z.shape
    Y = np.concatenate([rows.Y] * epochs)
    Z = Z.reshape(epochs * n, k)
    with np.errstate(all="ignore"):
        each = (recipe.loss.rows(np, Z, Y), recipe.loss.score(np, Z, Y))
        losses, scores = ((rows.c * part.reshape(epochs, n)).sum(axis=1) for part in each)
    return losses.astype(np.float64), scores.astype(np.float64), float(rows.c.sum())


def measure_rows(recipe: Recipe, Z: Array, rows: Rows) -> Sums:
    """Return the sums of validation rows from their logits; numbers that overflow show there, not as warnings."""
    with np.errstate(all="ignore"):
        return measure(recipe, np, Z, rows.Y, rows.c)
