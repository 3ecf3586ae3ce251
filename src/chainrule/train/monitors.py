"""Monitors, which watch a run and return decisions; nothing stops by an exception.

In: epoch records, one by one, with the monitor's own memory passed in and out, so that one monitor serves many runs. Out:
decisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.constraints import COUNT, NOT_NEGATIVE, Checked, OneOf, constrained
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Stop, StopReason

_WATCHED = OneOf(("validation_loss", "validation_score", "train_loss", "train_score"))


@dataclass(frozen=True)
class Decision:
    """What a monitor wants.

    Parameters
    ----------
    keep : bool, default=False
        Whether to keep this epoch's weights as the best so far.
    stop : Stop or None, default=None
        Why to stop the run after this epoch; None to go on.

    Examples
    --------
    >>> Decision(stop=Stop(StopReason.MONITOR, "good enough")).keep
    False
    """

    keep: bool = False
    stop: Stop | None = None


class Monitor(Protocol):
    """The methods of a monitor. Its settings are frozen; what it remembers of a run is passed in and out."""

    def start(self, problem: TrainingProblem) -> Any:
        """Return the memory at the start of a run.

        Parameters
        ----------
        problem : TrainingProblem
            What is trained.

        Returns
        -------
        object
        """

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Return the new memory and a decision.

        Parameters
        ----------
        memory : object
            What `start`, or the last call, returned.
        epoch : Epoch
            What was measured.

        Returns
        -------
        tuple of object and Decision
        """

    def end(self, memory: Any) -> None:
        """Close what is open: the run is over, however it ended.

        Parameters
        ----------
        memory : object
            What the last call returned.
        """


def signed(epoch: Epoch, watched: str) -> float:
    """Return the watched figure with the sign that makes smaller better; infinity where it is not a number."""
    value = float(getattr(epoch, watched))
    up = watched.endswith("score") and epoch.metric == "accuracy"
    return math.inf if math.isnan(value) else -value if up else value


_NAMES = {
    "validation_loss": "validation loss",
    "validation_score": "validation score",
    "train_loss": "training loss",
    "train_score": "training score",
}


def no_improvement(figure: str, epochs: int) -> Stop:
    """Return the stop of a run whose figure did not improve for a number of epochs."""
    return Stop(StopReason.EARLY_STOPPING, f"{figure} did not improve for {epochs} epoch{'s' if epochs > 1 else ''}")


@dataclass(frozen=True)
class Best:
    """The best figure so far and the epochs since."""

    figure: float = math.inf
    waited: int = 0


@dataclass(frozen=True)
class EarlyStopping(Checked):
    """A monitor that keeps the weights of the best epoch and stops when there is no improvement for a while.

    Every new best is kept, however small the gain, but only a gain above the tolerance restarts the patience.

    Parameters
    ----------
    patience : int, default=10
        Epochs without an improvement after which it stops.
    tolerance : float, default=1e-4
        Improvement that counts, in the unit of the watched figure.
    watched : {"validation_loss", "validation_score", "train_loss", "train_score"}, default="validation_loss"
        The figure that is to improve.
    keep : bool, default=True
        Whether to keep the best epoch's weights. With False it only stops: a training loss is measured while the weights
        move, and its lowest value is not a reason to go back.

    References
    ----------
    Reference  [prechelt1998]

    Examples
    --------
    >>> EarlyStopping(patience=5).patience
    5
    """

    patience: int = constrained(COUNT, 10)
    tolerance: float = constrained(NOT_NEGATIVE, 1e-4)
    watched: str = constrained(_WATCHED, "validation_loss")
    keep: bool = constrained(OneOf((True, False)), True)

    def start(self, problem: TrainingProblem) -> tuple[Best, Best]:
        """Return the best at all and the best that counted: nothing seen yet."""
        return Best(), Best()

    def observe(self, memory: tuple[Best, Best], epoch: Epoch) -> tuple[tuple[Best, Best], Decision]:
        """Keep on improvement, stop when patience ends."""
        best, counted = memory
        figure = signed(epoch, self.watched)
        keep = figure < best.figure
        best = Best(figure) if keep else best
        counted = Best(figure) if figure < counted.figure - self.tolerance else Best(counted.figure, counted.waited + 1)
        stop = no_improvement(_NAMES[self.watched], self.patience) if counted.waited >= self.patience else None
        return (best, counted), Decision(keep and self.keep, stop)

    def end(self, memory: tuple[Best, Best]) -> None:
        """End without closing anything."""


@dataclass(frozen=True)
class BestWeights(Checked):
    """A monitor that keeps the weights of the best epoch and never stops.

    Parameters
    ----------
    watched : {"validation_loss", "validation_score", "train_loss", "train_score"}, default="validation_loss"
        The figure that decides.

    Examples
    --------
    >>> BestWeights().watched
    'validation_loss'
    """

    watched: str = constrained(_WATCHED, "validation_loss")

    def start(self, problem: TrainingProblem) -> Best:
        """Return the best so far: nothing seen yet."""
        return Best()

    def observe(self, memory: Best, epoch: Epoch) -> tuple[Best, Decision]:
        """Keep on improvement."""
        figure = signed(epoch, self.watched)
        return (Best(figure), Decision(keep=True)) if figure < memory.figure else (memory, Decision())

    def end(self, memory: Best) -> None:
        """End without closing anything."""


@dataclass(frozen=True)
class Progress:
    """A monitor that draws a live progress bar with the latest figures.

    Parameters
    ----------
    console : rich.console.Console or None, default=None
        Where to draw; None is standard error.

    Examples
    --------
    >>> Progress().console is None
    True
    """

    console: Any = None

    def start(self, problem: TrainingProblem) -> Any:
        """Open the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(12), TextColumn("{task.fields[figures]}"))
        bar = Bar(*columns, console=self.console or Console(stderr=True))
        bar.start()
        return bar, bar.add_task("train", total=problem.config.epochs, figures="")

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Move the bar."""
        bar, task = memory
        bar.update(task, completed=epoch.number, figures=figures(epoch))
        return memory, Decision()

    def end(self, memory: Any) -> None:
        """Close the bar."""
        memory[0].stop()


def figures(epoch: Epoch) -> str:
    """Return one short line of an epoch's loss and score, validation after the bar."""
    text = f"loss {epoch.train_loss:.4f} {epoch.metric} {epoch.train_score:.4f}"
    if math.isnan(epoch.validation_loss):
        return text
    return f"{text} | {epoch.validation_loss:.4f} {epoch.validation_score:.4f}"
