"""Learning-rate schedules: how the learning rate changes during training.

In: the time e in epochs (fractional: step / steps per epoch) and the length E of the whole run in epochs. Out: a factor
that multiplies the base learning rate, so that the rate and its schedule are chosen separately.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.constraints import COUNT, NOT_NEGATIVE, POSITIVE, Checked, Interval, constrained, validate
from chainrule.nn.names import resolve

_FACTOR = Interval(0, 1, "()", why="It multiplies the rate.")
_SHARE = Interval(0, 1, "()", why="It is a share of the run.")
_END = Interval(0, 1, "[]", why="It is a share of the base rate.")
_LENGTH = Interval(0, math.inf, "()", why="Lengths are in epochs.")


class Schedule(Protocol):
    """A rule for the learning rate over time."""

    def factor(self, e: float, E: float) -> float:
        """Return the factor that multiplies the base learning rate at time e.

        Parameters
        ----------
        e : float
            Epochs since the start of the run; the step divided by the steps of an epoch, so fractions occur.
        E : float
            Length of the whole run in epochs.

        Returns
        -------
        float
            The factor, >= 0; 1 is the base learning rate.
        """


@dataclass(frozen=True)
class ConstantSchedule(Checked):
    """The base rate throughout.

    Forward    (1) f = 1
    Reference  [ng2018] 7.5
    """

    def factor(self, e: float, E: float) -> float:
        """Return 1."""
        return 1.0  # (1)


@dataclass(frozen=True, kw_only=True)
class Step(Checked):
    """A staircase: the rate drops at regular intervals.

    Forward    (1) f = drop ^ ⌊e / every⌋
    Reference  [ng2018] 7.5

    Parameters
    ----------
    every : float > 0, default=10.0
        Epochs between two drops.
    drop : float in (0, 1), default=0.5
        What multiplies the rate at each drop.

    Examples
    --------
    >>> Step(every=200, drop=0.5).factor(450, 1000)
    0.25
    """

    every: float = constrained(_LENGTH, 10.0)
    drop: float = constrained(_FACTOR, 0.5)

    def factor(self, e: float, E: float) -> float:
        """Return a power of `drop`: a staircase."""
        return float(self.drop ** math.floor(e / self.every))  # (1)


@dataclass(frozen=True, kw_only=True)
class Exponential(Checked):
    """Smooth exponential decay.

    Forward    (1) f = exp(-k e)
    Reference  [ng2018] 7.5

    Parameters
    ----------
    k : float >= 0, default=0.05
        Decay for each epoch: after 1 / k epochs the rate is 1 / e of the base rate.
    """

    k: float = constrained(NOT_NEGATIVE, 0.05)

    def factor(self, e: float, E: float) -> float:
        """Fall from 1 toward 0."""
        return math.exp(-self.k * e)  # (1)


@dataclass(frozen=True, kw_only=True)
class InverseTimeDecay(Checked):
    """Decay by 1 / (1 + k e): fast at first, slow later.

    Forward    (1) f = 1 / (1 + k e)
    Reference  [ng2018] 7.5, whose k counts hundreds of epochs

    Parameters
    ----------
    k : float >= 0, default=0.05
        After 1 / k epochs the rate is half the base rate.
    """

    k: float = constrained(NOT_NEGATIVE, 0.05)

    def factor(self, e: float, E: float) -> float:
        """Fall from 1 toward 0."""
        return 1.0 / (1.0 + self.k * e)  # (1)


@dataclass(frozen=True, kw_only=True)
class Cosine(Checked):
    """Half a cosine from the base rate to `end` of it over the whole run.

    Forward    (1) f = end + (1 - end) (1 + cos(π e / E)) / 2
    Reference  [loshchilov2017]

    Parameters
    ----------
    end : float in [0, 1], default=0.0
        The factor at the end of the run.
    """

    end: float = constrained(_END, 0.0)

    def factor(self, e: float, E: float) -> float:
        """Fall from 1 to `end`."""
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + math.cos(math.pi * min(e / E, 1.0)))  # (1)


@dataclass(frozen=True, kw_only=True)
class CosineLog(Checked):
    """Rises and falls from 0 to 1 and back, each twice as long as the one before.

    The rate is low at several moments of the run, early ones too, so that a good epoch can lie at each of them.

    Forward    (1) t = e / E    (2) f = (1 - cos(2π log₂(1 + (2ᶜ - 1) t))) / 2
    Reference  [holzmuller2024]

    Parameters
    ----------
    cycles : int >= 1, default=4
        Number c of rises and falls in the whole run.

    Examples
    --------
    >>> CosineLog(cycles=1).factor(0.0, 10.0), CosineLog(cycles=1).factor(10.0, 10.0)
    (0.0, 0.0)
    """

    cycles: int = constrained(COUNT, 4)

    def factor(self, e: float, E: float) -> float:
        """Rise from 0 to 1 and fall back, `cycles` times."""
        t = min(e / E, 1.0)  # (1)
        return 0.5 * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + (2.0**self.cycles - 1.0) * t)))  # (2)


@dataclass(frozen=True, kw_only=True)
class FlatCosine(Checked):
    """The base rate for the first part of the run, then half a cosine down to 0.

    Forward    (1) t = e / E    (2) f = (1 + cos(π max(t - flat, 0) / (1 - flat))) / 2
    Reference  [holzmuller2024], with flat = 0.5

    Parameters
    ----------
    flat : float in [0, 1), default=0.5
        Share of the run at the base rate.

    Examples
    --------
    >>> FlatCosine().factor(5.0, 10.0), FlatCosine().factor(10.0, 10.0)
    (1.0, 0.0)
    """

    flat: float = constrained(Interval(0, 1, "[)", why="It is a share of the run."), 0.5)

    def factor(self, e: float, E: float) -> float:
        """Return 1 until the share is over, then fall to 0."""
        t = min(e / E, 1.0)  # (1)
        return 0.5 * (1.0 + math.cos(math.pi * max(t - self.flat, 0.0) / (1.0 - self.flat)))  # (2)


@dataclass(frozen=True, kw_only=True)
class CosineRestarts(Checked):
    """Cosines one after the other; each cycle is `growth` times as long as the one before.

    Forward    (1) c = time into the cycle / its length    (2) f = end + (1 - end) (1 + cos(π c)) / 2
    Reference  [loshchilov2017]

    Parameters
    ----------
    cycle : float > 0, default=10.0
        Length of the first cycle, in epochs.
    growth : float >= 1, default=2.0
        Each cycle is this many times as long as the one before.
    end : float in [0, 1], default=0.0
        The factor at the end of each cycle.
    """

    cycle: float = constrained(_LENGTH, 10.0)
    growth: float = constrained(Interval(1, math.inf, "[)"), 2.0)
    end: float = constrained(_END, 0.0)

    def factor(self, e: float, E: float) -> float:
        """Fall from 1 to `end`, again and again."""
        start = 0.0
        length = self.cycle
        while e >= start + length:
            start, length = start + length, length * self.growth
        c = (e - start) / length  # (1)
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + math.cos(math.pi * c))  # (2)


@dataclass(frozen=True, kw_only=True)
class WarmUp(Checked):
    """A straight rise over the first epochs, then another schedule, whose time starts at the end of the rise.

    Forward    (1) f = start + (1 - start) e / epochs while e < epochs    (2) then f = after(e - epochs, E - epochs)
    Reference  [goyal2017]

    Parameters
    ----------
    epochs : float > 0, default=1.0
        Length of the rise.
    start : float in [0, 1], default=0.0
        The factor at the start of the rise.
    after : Schedule or str, default=ConstantSchedule()
        What follows, as an object or by name.

    Raises
    ------
    InvalidValueError
        If `after` is not a schedule.

    Examples
    --------
    >>> WarmUp(epochs=4.0, after="cosine").factor(2.0, 10.0)
    0.5
    """

    epochs: float = constrained(_LENGTH, 1.0)
    start: float = constrained(_END, 0.0)
    after: Any = ConstantSchedule()

    def __post_init__(self) -> None:
        validate(self)
        place = ("WarmUp", "after")
        object.__setattr__(self, "after", resolve("schedule", self.after, _WITHOUT_WARM_UP, ("factor",), place))

    def factor(self, e: float, E: float) -> float:
        """Return the rising factor, then that of `after`."""
        if e < self.epochs:
            return self.start + (1.0 - self.start) * e / self.epochs  # (1)
        return float(self.after.factor(e - self.epochs, max(E - self.epochs, 1e-9)))  # (2)


@dataclass(frozen=True, kw_only=True)
class OneCycle(Checked):
    """Up by a cosine to the base rate, then down by a cosine to nearly zero.

    The base rate is the peak. The options have the meaning of PyTorch's `OneCycleLR`; its `pct_start` is
    `warmup_fraction`.

    Forward    (1) c = e / E    (2) f = half cosine from 1/div to 1, at c / warmup, while c < warmup
               (3) then f = half cosine from 1 to 1/(div · final_div), at (c - warmup) / (1 - warmup)
    Reference  [smith2018]

    Parameters
    ----------
    warmup_fraction : float in (0, 1), default=0.25
        Share of the run in which the rate rises.
    div_factor : float > 0, default=25.0
        The run starts at the base rate divided by this.
    final_div_factor : float > 0, default=4000.0
        The run ends at the first rate divided by this: with the defaults, at 1e-5 of the base rate.

    Examples
    --------
    >>> [round(OneCycle().factor(e, 10.0), 3) for e in (0.0, 2.5, 10.0)]
    [0.04, 1.0, 0.0]
    """

    warmup_fraction: float = constrained(_SHARE, 0.25)
    div_factor: float = constrained(POSITIVE, 25.0)
    final_div_factor: float = constrained(POSITIVE, 4000.0)

    def factor(self, e: float, E: float) -> float:
        """Rise from 1/div_factor to 1, then fall."""
        c, rise = min(e / E, 1.0), self.warmup_fraction  # (1)
        if c < rise:
            return _cosine(1.0 / self.div_factor, 1.0, c / rise)  # (2)
        lowest = 1.0 / (self.div_factor * self.final_div_factor)
        return _cosine(1.0, lowest, (c - rise) / (1.0 - rise))  # (3)


def _cosine(a: float, b: float, c: float) -> float:
    """Return a half cosine: a at c = 0, b at c = 1.

    Forward    (1) f = b + (a - b) (1 + cos(π c)) / 2
    """
    return b + (a - b) * 0.5 * (1.0 + math.cos(math.pi * c))  # (1)


@dataclass(frozen=True)
class Plateau:
    """State of `ReduceOnPlateau`.

    Parameters
    ----------
    best : float, default=inf
        The best loss so far.
    waited : int, default=0
        Epochs since then, or since the last drop.
    factor : float, default=1.0
        The factor reached.
    """

    best: float = math.inf
    waited: int = 0
    factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau(Checked):
    """A lower rate each time that the loss has stopped improving.

    It follows the validation loss, or the training loss where there are no validation rows. The training loop keeps its
    `Plateau` from epoch to epoch.

    Forward    (1) improved: loss < best - threshold |best|    (2) after `patience` without: f ← max(f · drop, lowest)
    Reference  [bengio2012]

    Parameters
    ----------
    drop : float in (0, 1), default=0.1
        What multiplies the rate.
    patience : int >= 1, default=10
        Epochs without an improvement before a drop.
    threshold : float >= 0, default=1e-4
        The least relative improvement that counts.
    lowest : float in [0, 1], default=0.0
        The factor never falls below this.
    """

    drop: float = constrained(_FACTOR, 0.1)
    patience: int = constrained(COUNT, 10)
    threshold: float = constrained(NOT_NEGATIVE, 1e-4)
    lowest: float = constrained(_END, 0.0)

    def factor(self, e: float, E: float) -> float:
        """Return 1: what the rule does depends on the losses, through `observe`."""
        return 1.0

    def observe(self, plateau: Plateau, loss: float) -> Plateau:
        """Return the plateau after one more epoch with this loss.

        Parameters
        ----------
        plateau : Plateau
            What the rule remembers of the epochs before.
        loss : float
            Loss of the epoch; NaN changes nothing.

        Returns
        -------
        Plateau
            Its `factor` multiplies the learning rate from the next epoch on.
        """
        if math.isnan(loss):
            return plateau
        if loss < plateau.best - self.threshold * abs(plateau.best) or math.isinf(plateau.best):  # (1)
            return Plateau(loss, 0, plateau.factor)
        if plateau.waited + 1 < self.patience:
            return Plateau(plateau.best, plateau.waited + 1, plateau.factor)
        return Plateau(plateau.best, 0, max(plateau.factor * self.drop, self.lowest))  # (2)


def plateau_rule(schedule: Schedule) -> ReduceOnPlateau | None:
    """Return the part of a schedule that follows the losses.

    Parameters
    ----------
    schedule : Schedule
        Any schedule.

    Returns
    -------
    ReduceOnPlateau or None
        The schedule itself or what follows its warm-up; None if nothing in it follows the losses.
    """
    while isinstance(schedule, WarmUp):
        schedule = schedule.after
    return schedule if isinstance(schedule, ReduceOnPlateau) else None


SCHEDULES: Mapping[str, type[Any]] = {
    "ConstantSchedule": ConstantSchedule,
    "Step": Step,
    "Exponential": Exponential,
    "InverseTimeDecay": InverseTimeDecay,
    "Cosine": Cosine,
    "CosineLog": CosineLog,
    "FlatCosine": FlatCosine,
    "CosineRestarts": CosineRestarts,
    "WarmUp": WarmUp,
    "OneCycle": OneCycle,
    "ReduceOnPlateau": ReduceOnPlateau,
}
"""Every schedule by the name of its class."""

_WITHOUT_WARM_UP: Mapping[str, Schedule] = {
    "constant": ConstantSchedule(),
    "step": Step(),
    "exponential": Exponential(),
    "inverse_time": InverseTimeDecay(),
    "cosine": Cosine(),
    "cosine_log": CosineLog(),
    "flat_cosine": FlatCosine(),
    "cosine_restarts": CosineRestarts(),
    "one_cycle": OneCycle(),
    "plateau": ReduceOnPlateau(),
}

BY_NAME: Mapping[str, Schedule] = {**_WITHOUT_WARM_UP, "warmup_cosine": WarmUp(after=Cosine())}
"""Schedules by the name that users write."""


def get(schedule: str | Schedule) -> Schedule:
    """Return the schedule of that name, or the schedule itself.

    Parameters
    ----------
    schedule : str or Schedule
        One of the names in `BY_NAME`, or a schedule object.

    Returns
    -------
    Schedule
        The schedule, with its default options where a name was given.

    Raises
    ------
    InvalidValueError
        For an unknown name (with the nearest one), for a class in place of an object, for anything else.

    Examples
    --------
    >>> get("cosine")
    Cosine(end=0.0)
    """
    return resolve("schedule", schedule, BY_NAME, ("factor",))
