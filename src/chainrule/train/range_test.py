"""Why: the learning rate matters most, and a hundred steps at rising rates show where it belongs.

In: a session (fresh, or in the middle of a training). Out: losses by rate and a suggestion; the session is left exactly as
it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import POSITIVE, SHARE, Checked, Interval, OneOf, constrained
from chainrule.engines import Rows, Session
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.step import Recipe


@dataclass(frozen=True)
class RangeTest(Checked):
    """Settings: from `low` to `high` in `steps` steps, each rate a fixed multiple of the one before.

    It ends early when the smoothed loss is `give_up` times its best, or not finite. `smoothing` is the share of the old
    value kept in the smoothed loss. `rule` makes the suggestion: "tenth" takes a tenth of the rate with the lowest
    smoothed loss, "valley" the middle of the longest decline. On twelve small problems (three optimizers) the rate of
    "tenth" was mostly within a factor of three of the best on a grid, that of "valley" often a hundred times too low,
    since from 1e-7 on most of a decline is flat.

    Reference  [smith2017]
    """

    low: float = constrained(POSITIVE, 1e-7)
    high: float = constrained(POSITIVE, 10.0)
    steps: int = constrained(Interval(10, math.inf, "[)", whole=True, why="Fewer draw no curve."), 100)
    smoothing: float = constrained(SHARE, 0.9)
    give_up: float = constrained(Interval(1, math.inf, "()", why="It multiplies the best loss."), 4.0)
    rule: str = constrained(OneOf(("tenth", "valley")), "tenth")


@dataclass(frozen=True)
class RangeResult:
    """Rates tried, loss and smoothed loss at each, and the suggested learning rate."""

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float


def range_test(session: Session, recipe: Recipe, rows: Rows, settings: RangeTest = RangeTest()) -> RangeResult:
    """Raise the rate step by step, and put the session back into the state it had.

    Forward    (1) αᵢ = low (high / low) ^ (i / (steps - 1))    (2) sᵢ = β sᵢ₋₁ + (1 - β) Lᵢ, divided by 1 - βⁱ

    Raises `InvalidValueError` when fewer than ten rates gave a finite loss, or `low` is not below `high`.
    """
    if not settings.low < settings.high:
        raise InvalidValueError(must_be("RangeTest", "low", f"below high={settings.high:g}", settings.low))
    before = session.state
    per_epoch = len(recipe.batches(len(rows)))
    rates = settings.low * (settings.high / settings.low) ** (np.arange(settings.steps) / (settings.steps - 1))  # (1)
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    try:
        for i, rate in enumerate(rates):
            epoch, position = divmod(int(before.step) + i, per_epoch)
            loss = session.run(epoch, position, np.array([rate])).mean_loss
            average = settings.smoothing * average + (1.0 - settings.smoothing) * loss
            smooth = average / (1.0 - settings.smoothing ** (i + 1))  # (2)
            if not math.isfinite(loss) or smooth > settings.give_up * min(smoothed, default=math.inf):
                break
            losses.append(loss)
            smoothed.append(smooth)
    finally:
        session.load(before)
    if len(losses) < 10:
        hint = "The loss is not finite or explodes at once; scale the inputs or lower the range."
        raise InvalidValueError(must_be("RangeTest", "low", "a rate at which the network trains", settings.low, hint))
    suggest = {"tenth": tenth, "valley": valley}[settings.rule]
    curve = np.array(smoothed)
    return RangeResult(rates[: len(losses)], np.array(losses), curve, suggest(rates, curve))


def tenth(rates: Array, losses: Array) -> float:
    """A tenth of the rate with the lowest loss: as high as may be with room before it breaks.

    >>> round(tenth(np.array([0.01, 0.1, 1.0]), np.array([2.0, 1.0, 3.0])), 6)
    0.01
    """
    return float(rates[np.argmin(losses)]) / 10.0


def valley(rates: Array, losses: Array) -> float:
    """The rate at half of the longest decline: steep enough to learn fast, far enough from where it breaks.

    The longest decline is the longest run of positions, not necessarily neighbors, whose losses fall throughout. Half
    means a third of its length and a sixth more. The first tenth and the last five points are left out where at least
    ten remain, since smoothing and divergence distort them.

    Reference  [howard2020], rule "valley"
    """
    cut = slice(len(losses) // 10, len(losses) - 5) if len(losses) >= 20 else slice(None)
    kept, steps = rates[: len(losses)][cut], losses[cut]
    length = np.ones(len(steps), int)
    for i in range(1, len(steps)):
        falls = length[:i][steps[:i] > steps[i]]
        length[i] = 1 + falls.max(initial=0)
    end = int(np.argmax(length))
    start = _start_of_decline(steps, length, end)
    third = (end - start) / 3.0
    return float(kept[start + int(third) + int(third / 2.0)])


def _start_of_decline(steps: Array, length: Array, end: int) -> int:
    """Walks the longest decline back from its end to its first point."""
    at = end
    while length[at] > 1:
        at = max(j for j in range(at) if length[j] == length[at] - 1 and steps[j] > steps[at])
    return at
