"""Why: what watches a run says what to do by returning a decision; nothing stops by an exception.

In: epoch records, one by one, with the monitor's own memory passed in and out, so that one monitor serves many runs. Out:
decisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.constraints import COUNT, NOT_NEGATIVE, Checked, OneOf, constrained
from chainrule.train.records import Epoch

_WATCHED = OneOf(("validation_loss", "validation_score", "train_loss", "train_score"))


@dataclass(frozen=True)
class Decision:
    """What a monitor wants: nothing, to keep this epoch's weights as the best, to stop (with the reason)."""

    keep: bool = False
    stop: str = ""


class Monitor(Protocol):
    """Watches a run. Its settings are frozen; what it remembers of a run is handed in and out."""

    def start(self, epochs: int) -> Any:
        """The memory at the start of a run of at most so many epochs."""

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """New memory and a decision."""

    def end(self, memory: Any) -> None:
        """The run is over, however it ended."""


def signed(epoch: Epoch, watched: str) -> float:
    """The watched figure with the sign that makes smaller better; infinity where it is not a number."""
    value = float(getattr(epoch, watched))
    up = watched.endswith("score") and epoch.metric == "accuracy"
    return math.inf if math.isnan(value) else -value if up else value


@dataclass(frozen=True)
class Best:
    """The best figure so far and the epochs since."""

    figure: float = math.inf
    waited: int = 0


@dataclass(frozen=True)
class EarlyStopping(Checked):
    """Keeps the weights of the best epoch; stops after `patience` epochs without an improvement of more than `tolerance`.

    `tolerance` is in the unit of the watched figure. Every new best is kept, however small the gain, but only a gain above
    the tolerance restarts the patience. With `keep=False` it only stops: a training loss is measured while the weights
    move, and its lowest value is not a reason to go back.

    Reference  [prechelt1998]
    """

    patience: int = constrained(COUNT, 10)
    tolerance: float = constrained(NOT_NEGATIVE, 1e-4)
    watched: str = constrained(_WATCHED, "validation_loss")
    keep: bool = constrained(OneOf((True, False)), True)

    def start(self, epochs: int) -> tuple[Best, Best]:
        """Nothing seen yet: the best at all, and the best that counted."""
        return Best(), Best()

    def observe(self, memory: tuple[Best, Best], epoch: Epoch) -> tuple[tuple[Best, Best], Decision]:
        """Keep on improvement, stop when patience ends."""
        kept, counted = memory
        figure = signed(epoch, self.watched)
        keep = figure < kept.figure
        kept = Best(figure) if keep else kept
        counted = Best(figure) if figure < counted.figure - self.tolerance else Best(counted.figure, counted.waited + 1)
        stop = f"no better {self.watched.replace('_', ' ')} for {self.patience} epochs"
        return (kept, counted), Decision(keep and self.keep, stop if counted.waited >= self.patience else "")

    def end(self, memory: tuple[Best, Best]) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class BestWeights(Checked):
    """Keeps the weights of the best epoch and never stops."""

    watched: str = constrained(_WATCHED, "validation_loss")

    def start(self, epochs: int) -> Best:
        """Nothing seen yet."""
        return Best()

    def observe(self, memory: Best, epoch: Epoch) -> tuple[Best, Decision]:
        """Keep on improvement."""
        figure = signed(epoch, self.watched)
        return (Best(figure), Decision(keep=True)) if figure < memory.figure else (memory, Decision())

    def end(self, memory: Best) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Progress:
    """Draws a live bar with the latest figures on a rich console (standard error unless another is given)."""

    console: Any = None

    def start(self, epochs: int) -> Any:
        """Open the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(12), TextColumn("{task.fields[figures]}"))
        bar = Bar(*columns, console=self.console or Console(stderr=True))
        bar.start()
        return bar, bar.add_task("train", total=epochs, figures="")

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Move the bar."""
        bar, task = memory
        bar.update(task, completed=epoch.number, figures=figures(epoch))
        return memory, Decision()

    def end(self, memory: Any) -> None:
        """Close the bar."""
        memory[0].stop()


def figures(epoch: Epoch) -> str:
    """One short line of an epoch's loss and score, validation behind the bar."""
    text = f"loss {epoch.train_loss:.4f} {epoch.metric} {epoch.train_score:.4f}"
    if math.isnan(epoch.validation_loss):
        return text
    return f"{text} | {epoch.validation_loss:.4f} {epoch.validation_score:.4f}"
