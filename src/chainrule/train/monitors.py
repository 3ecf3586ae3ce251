"""Monitors, which watch a run and return decisions; nothing stops by an exception.

In: epoch records, one by one, with the monitor's own memory passed in and out, so that one monitor serves many runs. Out:
decisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from chainrule.constraints import COUNT, NOT_NEGATIVE, SHARE, Checked, Interval, OneOf, constrained
from chainrule.train.columns import Columns
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Run, Stop, StopReason

_STEPS = Interval(0, math.inf, "[)", whole=True)
_WATCHED = OneOf(("validation_loss", "validation_score", "train_loss", "train_score"))


MANY_EPOCHS = 2**31
"""More epochs than any run has: what a monitor that never stops a run says."""


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


GO_ON, KEEP = Decision(), Decision(keep=True)
"""The two decisions that most epochs end with."""


class Monitor(Protocol):
    """The methods of a monitor. Its settings are frozen; what it remembers of a run is passed in and out.

    A monitor that reads only figures may say with a method `ahead(memory)` how many epochs may run before its next decision
    can matter; small networks then run that many in one call. Its epochs have no `state()`.
    """

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

    def end(self, memory: Any, run: Run | None) -> None:
        """Close what is open: the run is over, however it ended.

        Parameters
        ----------
        memory : object
            What the last call returned.
        run : Run or None
            What `train` will return; None if the run ended by an exception.
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


class Best(NamedTuple):
    """The best figure so far, and the epochs and steps since."""

    figure: float = math.inf
    waited: int = 0
    steps: int = 0

    def longer(self, steps: int) -> Best:
        """Return the same after one more epoch."""
        return Best(self.figure, self.waited + 1, self.steps + steps)


class RunningMean(NamedTuple):
    """The mean of a figure over the last epochs, in which an epoch counts `share` times as much as the next.

    Reference  [kingma2015] 3: the division by Σ (1 - β) βⁱ, so that the first epochs count in full
    """

    total: float = 0.0
    weight: float = 0.0

    def add(self, figure: float, share: float) -> RunningMean:
        """Return the mean with one more epoch; a figure that is not finite is left out."""
        if not math.isfinite(figure):
            return self
        return RunningMean(share * self.total + (1.0 - share) * figure, share * self.weight + 1.0 - share)

    def seen(self, figure: float) -> float:
        """Return the mean after an epoch with this figure: infinity where it is not finite."""
        return self.total / self.weight if math.isfinite(figure) else math.inf


class Patience(NamedTuple):
    """What early stopping remembers: the best at all, the best that counted, the mean, and the steps of a whole epoch."""

    best: Best = Best()
    counted: Best = Best()
    mean: RunningMean = RunningMean()
    per_epoch: int = 0


class Unread:
    """What early stopping remembers after epochs that could not end the run and whose figures it has not read yet.

    To read them takes longer than a step of a small network, and after the last epoch of a run nobody needs to know.
    """

    def __init__(self, monitor: EarlyStopping, before: Patience, columns: Columns) -> None:
        self._unread = monitor, before, columns

    @cached_property
    def patience(self) -> Patience:
        """The memory after these epochs."""
        monitor, before, columns = self._unread
        return monitor.after(before, columns)[0]

    def __eq__(self, other: object) -> bool:
        return self.patience == (other.patience if isinstance(other, Unread) else other)

    def __hash__(self) -> int:
        return hash(self.patience)

    def __repr__(self) -> str:
        return repr(self.patience)


def _read(memory: Patience | Unread) -> Patience:
    return memory.patience if isinstance(memory, Unread) else memory


@dataclass(frozen=True)
class EarlyStopping(Checked):
    """A monitor that keeps the weights of the best epoch and stops when there is no improvement for a while.

    Every new best is kept, however small the gain, but only a gain above the tolerance restarts the patience.

    A loss moves from epoch to epoch by chance: by dropout, by the order of the batches, and the more the fewer rows it is
    measured on. With `smoothing` a running mean of it is watched, which such noise moves little. A few rows are also few
    steps in an epoch; `steps` sees to it that a network has had the chance to improve before it is stopped.

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
    smoothing : float, default=0.0
        Share in [0, 1) that a running mean of the figure keeps at each epoch; 0 takes each epoch's own.
    steps : int, default=0
        Optimizer steps without an improvement that must have been done as well before it stops.

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
    smoothing: float = constrained(SHARE, 0.0)
    steps: int = constrained(_STEPS, 0)

    def start(self, problem: TrainingProblem) -> Patience:
        """Return the memory of a run of which nothing was seen yet."""
        return Patience(per_epoch=getattr(problem, "steps_per_epoch", 0) if self.steps else 0)

    def observe(self, memory: Patience | Unread, epoch: Epoch) -> tuple[Patience, Decision]:
        """Keep on improvement, stop when patience ends."""
        best, counted, mean, per_epoch = _read(memory)
        own = signed(epoch, self.watched)
        mean = mean.add(own, self.smoothing)
        figure = mean.seen(own)
        keep = figure < best.figure
        best = Best(figure) if keep else best
        counted = Best(figure) if figure < counted.figure - self.tolerance else counted.longer(epoch.steps)
        ended = counted.waited >= self.patience and counted.steps >= self.steps
        after = Patience(best, counted, mean, per_epoch)
        if not ended:
            return after, KEEP if keep and self.keep else GO_ON
        return after, Decision(keep and self.keep, self._stop(counted.waited))

    def _stop(self, waited: int) -> Stop:
        return no_improvement(("smoothed " if self.smoothing else "") + _NAMES[self.watched], waited)

    def observe_block(
        self, memory: Patience | Unread, columns: Columns
    ) -> tuple[Patience | Unread, int | None, Stop | None]:
        """Return what `observe` of one epoch after the other does, of which at most the last can end the patience.

        Parameters
        ----------
        memory : Patience or Unread
            What the last call returned.
        columns : Columns
            Figures of the epochs.

        Returns
        -------
        tuple of Patience or Unread, int or None and Stop or None
            The new memory, the last epoch to keep, and why to stop.
        """
        before = _read(memory)
        if not self.keep and len(columns) < self.ahead(before):
            return Unread(self, before, columns), None, None
        return self.after(before, columns)

    def after(self, memory: Patience, columns: Columns) -> tuple[Patience, int | None, Stop | None]:
        """Return the memory after some epochs, the last of them to keep, and why to stop.

        Parameters
        ----------
        memory : Patience
            The memory before them.
        columns : Columns
            Their figures.

        Returns
        -------
        tuple of Patience, int or None and Stop or None
        """
        lowest, (bar, waited, steps), (total, weight) = memory.best.figure, memory.counted, memory.mean
        kept: int | None = None
        counted: int | None = None
        share, rest, tolerance, infinity = self.smoothing, 1.0 - self.smoothing, self.tolerance, math.inf
        for i, own in enumerate(columns.signed(self.watched)):
            figure = infinity
            if -infinity < own < infinity:
                total = share * total + rest * own
                weight = share * weight + 1.0 - share
                figure = total / weight
            if figure < lowest:
                lowest, kept = figure, i
            if figure < bar - tolerance:
                bar, counted = figure, i
        if counted is None:
            waited, steps = waited + len(columns), steps + sum(columns.steps)
        else:
            waited, steps = len(columns) - 1 - counted, sum(columns.steps[counted + 1 :])
        memory = Patience(Best(lowest), Best(bar, waited, steps), RunningMean(total, weight), memory.per_epoch)
        ended = waited >= self.patience and steps >= self.steps
        return memory, kept if self.keep else None, self._stop(waited) if ended else None

    def ahead(self, memory: Patience | Unread) -> int:
        """Return how many epochs it can do without: its patience has to end before it stops a run, in epochs and steps.

        Parameters
        ----------
        memory : Patience or Unread
            What the last call returned.

        Returns
        -------
        int
        """
        _, counted, _, per_epoch = _read(memory)
        by_steps = math.ceil((self.steps - counted.steps) / per_epoch) if per_epoch else 1
        return max(1, self.patience - counted.waited, by_steps)

    def end(self, memory: Patience | Unread, run: Run | None) -> None:
        """End without closing anything."""


@dataclass(frozen=True)
class BestWeights(Checked):
    """A monitor that keeps the weights of the best epoch and never stops.

    Parameters
    ----------
    watched : {"validation_loss", "validation_score", "train_loss", "train_score"}, default="validation_loss"
        The figure that decides.
    smoothing : float, default=0.0
        Share in [0, 1) that a running mean of the figure keeps at each epoch; 0 takes each epoch's own.

    Examples
    --------
    >>> BestWeights().watched
    'validation_loss'
    """

    watched: str = constrained(_WATCHED, "validation_loss")
    smoothing: float = constrained(SHARE, 0.0)

    def start(self, problem: TrainingProblem) -> tuple[Best, RunningMean]:
        """Return the best so far, and the mean: nothing seen yet."""
        return Best(), RunningMean()

    def observe(self, memory: tuple[Best, RunningMean], epoch: Epoch) -> tuple[tuple[Best, RunningMean], Decision]:
        """Keep on improvement."""
        best, mean = memory
        own = signed(epoch, self.watched)
        mean = mean.add(own, self.smoothing)
        figure = mean.seen(own)
        keep = figure < best.figure
        return (Best(figure) if keep else best, mean), KEEP if keep else GO_ON

    def observe_block(
        self, memory: tuple[Best, RunningMean], columns: Columns
    ) -> tuple[tuple[Best, RunningMean], int | None, None]:
        """Return what `observe` of one epoch after the other does.

        Parameters
        ----------
        memory : tuple
            What the last call returned.
        columns : Columns
            Figures of the epochs.

        Returns
        -------
        tuple of tuple, int or None and None
            The new memory, the last epoch to keep, and that nothing stops.
        """
        best, mean = memory
        kept = None
        for i, own in enumerate(columns.signed(self.watched)):
            mean = mean.add(own, self.smoothing)
            figure = mean.seen(own)
            if figure < best.figure:
                best, kept = Best(figure), i
        return (best, mean), kept, None

    def ahead(self, memory: tuple[Best, RunningMean]) -> int:
        """Return that it can do without any number of epochs: it never stops a run.

        Parameters
        ----------
        memory : tuple
            What the last call returned.

        Returns
        -------
        int
        """
        return MANY_EPOCHS

    def end(self, memory: tuple[Best, RunningMean], run: Run | None) -> None:
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

    def end(self, memory: Any, run: Run | None) -> None:
        """Close the bar."""
        memory[0].stop()


def figures(epoch: Epoch) -> str:
    """Return one short line of an epoch's loss and score, validation after the bar."""
    text = f"loss {epoch.train_loss:.4f} {epoch.metric} {epoch.train_score:.4f}"
    if math.isnan(epoch.validation_loss):
        return text
    return f"{text} | {epoch.validation_loss:.4f} {epoch.validation_score:.4f}"
