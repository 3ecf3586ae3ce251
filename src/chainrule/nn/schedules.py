"""Why: how the learning rate moves while training goes on.

In: the time e in epochs (fractional: step / steps per epoch) and the length E of the whole run in epochs. Out: a factor
that multiplies the base learning rate, so that the rate and its course are chosen apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.constraints import COUNT, NOT_NEGATIVE, POSITIVE, Checked, Interval, constrained, validate
from chainrule.errors import InvalidValueError, must_be

_FACTOR = Interval(0, 1, "()", why="It multiplies the rate.")
_END = Interval(0, 1, "[]", why="It is a share of the base rate.")
_LENGTH = Interval(0, math.inf, "()", why="Lengths are in epochs.")


class Schedule(Protocol):
    """A course of the learning rate."""

    def factor(self, e: float, E: float) -> float:
        """What multiplies the base rate at time e of E epochs."""


@dataclass(frozen=True)
class ConstantSchedule:
    """The base rate throughout.

    Forward    (1) f = 1
    Reference  [ng2018] 7.5
    """

    def factor(self, e: float, E: float) -> float:
        """One."""
        return 1.0  # (1)


@dataclass(frozen=True)
class Step(Checked):
    """Drops at intervals.

    Forward    (1) f = drop ^ ⌊e / every⌋
    Reference  [ng2018] 7.5

    >>> Step(every=200, drop=0.5).factor(450, 1000)
    0.25
    """

    every: float = constrained(_LENGTH, 10.0)
    drop: float = constrained(_FACTOR, 0.5)

    def factor(self, e: float, E: float) -> float:
        """A staircase."""
        return float(self.drop ** math.floor(e / self.every))  # (1)


@dataclass(frozen=True)
class Exponential(Checked):
    """Smooth exponential decay.

    Forward    (1) f = exp(-k e)
    Reference  [ng2018] 7.5
    """

    k: float = constrained(NOT_NEGATIVE, 0.05)

    def factor(self, e: float, E: float) -> float:
        """From 1 toward 0."""
        return math.exp(-self.k * e)  # (1)


@dataclass(frozen=True)
class InverseTimeDecay(Checked):
    """Fast at first, slow later.

    Forward    (1) f = 1 / (1 + k e)
    Reference  [ng2018] 7.5, whose k counts hundreds of epochs
    """

    k: float = constrained(NOT_NEGATIVE, 0.05)

    def factor(self, e: float, E: float) -> float:
        """From 1 toward 0."""
        return 1.0 / (1.0 + self.k * e)  # (1)


@dataclass(frozen=True)
class Cosine(Checked):
    """Half a cosine from the base rate to `end` of it over the whole run.

    Forward    (1) f = end + (1 - end) (1 + cos(π e / E)) / 2
    Reference  [loshchilov2017]
    """

    end: float = constrained(_END, 0.0)

    def factor(self, e: float, E: float) -> float:
        """From 1 to end."""
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + math.cos(math.pi * min(e / E, 1.0)))  # (1)


@dataclass(frozen=True)
class CosineRestarts(Checked):
    """Cosines one behind the other; each cycle is `growth` times as long as the one before.

    Forward    (1) c = time into the cycle / its length    (2) f = end + (1 - end) (1 + cos(π c)) / 2
    Reference  [loshchilov2017]
    """

    cycle: float = constrained(_LENGTH, 10.0)
    growth: float = constrained(Interval(1, math.inf, "[)"), 2.0)
    end: float = constrained(_END, 0.0)

    def factor(self, e: float, E: float) -> float:
        """From 1 to end, again and again."""
        start, length = 0.0, self.cycle
        while e >= start + length:
            start, length = start + length, length * self.growth
        c = (e - start) / length  # (1)
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + math.cos(math.pi * c))  # (2)


@dataclass(frozen=True)
class WarmUp(Checked):
    """A straight rise over the first epochs, then another schedule, whose time starts at the end of the rise.

    Forward    (1) f = start + (1 - start) e / epochs while e < epochs    (2) then f = after(e - epochs, E - epochs)
    Reference  [goyal2017]
    """

    epochs: float = constrained(_LENGTH, 1.0)
    start: float = constrained(_END, 0.0)
    after: Schedule = ConstantSchedule()

    def __post_init__(self) -> None:
        validate(self)
        if isinstance(self.after, type) or not hasattr(self.after, "factor"):
            raise InvalidValueError(must_be("WarmUp", "after", "a schedule", self.after))

    def factor(self, e: float, E: float) -> float:
        """Rises, then follows `after`."""
        if e < self.epochs:
            return self.start + (1.0 - self.start) * e / self.epochs  # (1)
        return self.after.factor(e - self.epochs, max(E - self.epochs, 1e-9))  # (2)


@dataclass(frozen=True)
class OneCycle(Checked):
    """Up by a cosine from 1/`divide` of the peak to the peak at share `rise` of the run, then down by a cosine to 1/`final`.

    The base rate is the peak.

    Forward    (1) c = e / E    (2) f = half cosine from 1/divide to 1, at c / rise, while c < rise
               (3) then f = half cosine from 1 to 1/final, at (c - rise) / (1 - rise)
    Reference  [smith2018]
    """

    rise: float = constrained(_FACTOR, 0.25)
    divide: float = constrained(POSITIVE, 25.0)
    final: float = constrained(POSITIVE, 1e5)

    def factor(self, e: float, E: float) -> float:
        """From 1/divide over 1 to 1/final."""
        c = min(e / E, 1.0)  # (1)
        if c < self.rise:
            return _cosine(1.0 / self.divide, 1.0, c / self.rise)  # (2)
        return _cosine(1.0, 1.0 / self.final, (c - self.rise) / (1.0 - self.rise))  # (3)


def _cosine(a: float, b: float, c: float) -> float:
    """Half a cosine: a at c = 0, b at c = 1.

    Forward    (1) f = b + (a - b) (1 + cos(π c)) / 2
    """
    return b + (a - b) * 0.5 * (1.0 + math.cos(math.pi * c))  # (1)


@dataclass(frozen=True)
class Plateau:
    """What `ReduceOnPlateau` remembers: the best loss, epochs since, the factor reached."""

    best: float = math.inf
    waited: int = 0
    factor: float = 1.0


@dataclass(frozen=True)
class ReduceOnPlateau(Checked):
    """Multiplies the rate by `drop` when the loss has not improved by `threshold` (relative) for `patience` epochs.

    It follows what the run measured, so it carries a `Plateau` from epoch to epoch, which the loop keeps.

    Forward    (1) improved: loss < best - threshold |best|    (2) after `patience` without: f ← max(f · drop, lowest)
    Reference  [bengio2012]
    """

    drop: float = constrained(_FACTOR, 0.1)
    patience: int = constrained(COUNT, 10)
    threshold: float = constrained(NOT_NEGATIVE, 1e-4)
    lowest: float = constrained(_END, 0.0)

    def factor(self, e: float, E: float) -> float:
        """One: what it does depends on the losses, through `observe`."""
        return 1.0

    def observe(self, plateau: Plateau, loss: float) -> Plateau:
        """The memory after one more epoch with this loss."""
        if math.isnan(loss):
            return plateau
        if loss < plateau.best - self.threshold * abs(plateau.best) or math.isinf(plateau.best):  # (1)
            return Plateau(loss, 0, plateau.factor)
        if plateau.waited + 1 < self.patience:
            return Plateau(plateau.best, plateau.waited + 1, plateau.factor)
        return Plateau(plateau.best, 0, max(plateau.factor * self.drop, self.lowest))  # (2)


def plateau_rule(schedule: Schedule) -> ReduceOnPlateau | None:
    """The part of a schedule that follows the losses, if it has one (on its own or after a warm-up)."""
    while isinstance(schedule, WarmUp):
        schedule = schedule.after
    return schedule if isinstance(schedule, ReduceOnPlateau) else None


SCHEDULES: Mapping[str, type[Any]] = {
    "ConstantSchedule": ConstantSchedule,
    "Step": Step,
    "Exponential": Exponential,
    "InverseTimeDecay": InverseTimeDecay,
    "Cosine": Cosine,
    "CosineRestarts": CosineRestarts,
    "WarmUp": WarmUp,
    "OneCycle": OneCycle,
    "ReduceOnPlateau": ReduceOnPlateau,
}
"""Every schedule by name."""
