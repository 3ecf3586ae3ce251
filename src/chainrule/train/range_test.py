"""Why: the learning rate matters most, and a hundred steps at rising rates show where it belongs.

In: a session (fresh, or in the middle of a training). Out: losses by rate and a suggestion; the session is left exactly as
it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import POSITIVE, SHARE, Checked, Interval, limited
from chainrule.engines import Rows, Session
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.step import Recipe


@dataclass(frozen=True)
class RangeTest(Checked):
    """Settings: from `low` to `high` in `steps` steps, each rate a fixed multiple of the one before.

    It ends early when the smoothed loss is `give_up` times its best, or not finite. `smoothing` is the share of the old
    value kept in the smoothed loss.

    Reference  [smith2017]
    """

    low: float = limited(POSITIVE, 1e-7)
    high: float = limited(POSITIVE, 10.0)
    steps: int = limited(Interval(10, math.inf, "[)", whole=True, why="Fewer draw no curve."), 100)
    smoothing: float = limited(SHARE, 0.9)
    give_up: float = limited(POSITIVE, 4.0)


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
    for i, rate in enumerate(rates):
        epoch, position = divmod(int(before.step) + i, per_epoch)
        loss = session.run(epoch, position, np.array([rate])).mean_loss
        average = settings.smoothing * average + (1.0 - settings.smoothing) * loss
        smooth = average / (1.0 - settings.smoothing ** (i + 1))  # (2)
        if not math.isfinite(loss) or smooth > settings.give_up * min(smoothed, default=math.inf):
            break
        losses.append(loss)
        smoothed.append(smooth)
    session.load(before)
    if len(losses) < 10:
        hint = "The loss is not finite or explodes at once; scale the inputs or lower the range."
        raise InvalidValueError(must_be("RangeTest", "low", "a rate at which the network trains", settings.low, hint))
    return RangeResult(rates[: len(losses)], np.array(losses), np.array(smoothed), valley(rates, np.array(smoothed)))


def valley(rates: Array, losses: Array) -> float:
    """The rate at half of the longest decline: steep enough to learn fast, far enough from where it breaks.

    The longest decline is the longest run of positions, not necessarily neighbours, whose losses fall throughout; it
    counts from where a twentieth of its fall is behind it, since rates far too low make a long flat slope. Half means a
    third of its length and a sixth more. The first tenth and the last five points are left out where at least
    ten remain, since smoothing and divergence distort them.

    Reference  [howard2020], rule "valley", there without the cut of the flat slope
    """
    cut = slice(len(losses) // 10, len(losses) - 5) if len(losses) >= 20 else slice(None)
    kept, steps = rates[: len(losses)][cut], losses[cut]
    length = np.ones(len(steps), int)
    for i in range(1, len(steps)):
        falls = length[:i][steps[:i] > steps[i]]
        length[i] = 1 + falls.max(initial=0)
    end = int(np.argmax(length))
    start = _steep(steps, _start_of_decline(steps, length, end), end)
    third = (end - start) / 3.0
    return float(kept[start + int(third) + int(third / 2.0)])


def _start_of_decline(steps: Array, length: Array, end: int) -> int:
    """Walks the longest decline back from its end to its first point."""
    at = end
    while length[at] > 1:
        at = max(j for j in range(at) if length[j] == length[at] - 1 and steps[j] > steps[at])
    return at


def _steep(steps: Array, start: int, end: int) -> int:
    """The last position before the decline has lost a twentieth of its fall."""
    flat = np.flatnonzero(steps[start : end + 1] >= steps[start] - 0.05 * (steps[start] - steps[end]))
    return start + int(flat[-1])
