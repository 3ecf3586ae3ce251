"""The learning-rate range test: a hundred steps at rising rates show which rate suits a network.

In: a problem, or a session (fresh, or in the middle of a training). Out: losses by rate and a suggestion; the session is
left exactly as it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import POSITIVE, SHARE, Checked, Interval, OneOf, constrained
from chainrule.engines import Rows, Session, choose
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.step import Recipe
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True)
class RangeTest(Checked):
    """Settings of the range test: `steps` rates from `low` to `high`, each a fixed multiple of the one before.

    On twelve small problems (three optimizers) the rate of "tenth" was mostly within a factor of three of the best on a
    grid, that of "valley" often a hundred times too low, since from 1e-7 on most of a decline is flat.

    Parameters
    ----------
    low, high : float, default=1e-7, 10.0
        Smallest and largest rate.
    steps : int, default=100
        Number of rates.
    smoothing : float, default=0.9
        Share of the old value that the smoothed loss keeps.
    give_up : float, default=4.0
        The test ends early when the smoothed loss is this many times its best, or not finite.
    rule : {"tenth", "valley"}, default="tenth"
        How the suggestion is made: a tenth of the rate with the lowest smoothed loss, or the middle of the longest
        decline.

    References
    ----------
    Reference  [smith2017]

    Examples
    --------
    >>> RangeTest(steps=50).high
    10.0
    """

    low: float = constrained(POSITIVE, 1e-7)
    high: float = constrained(POSITIVE, 10.0)
    steps: int = constrained(Interval(10, math.inf, "[)", whole=True, why="Fewer do not make a curve."), 100)
    smoothing: float = constrained(SHARE, 0.9)
    give_up: float = constrained(Interval(1, math.inf, "()", why="It multiplies the best loss."), 4.0)
    rule: str = constrained(OneOf(("tenth", "valley")), "tenth")


@dataclass(frozen=True)
class RangeResult:
    """The result of a range test.

    Parameters
    ----------
    rates, losses, smoothed : ndarray of shape (steps,)
        Rates tried, with the loss and the smoothed loss at each.
    suggestion : float
        The suggested learning rate.
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float


def find_learning_rate(problem: TrainingProblem, settings: RangeTest = RangeTest()) -> RangeResult:
    """Run a range test over a problem's rows, from where its training would begin.

    Parameters
    ----------
    problem : TrainingProblem
        The training; its own learning rate is not used.
    settings : RangeTest, default=RangeTest()
        The rates to try.

    Returns
    -------
    RangeResult

    Raises
    ------
    InvalidValueError
        When fewer than ten rates gave a finite loss, or `low` is not below `high`.

    References
    ----------
    Reference  [smith2017]

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.train import TrainConfig
    >>> recipe, X = Recipe(mlp(1, [8], 1), MeanSquaredError()), np.linspace(-1, 1, 40)[:, None]
    >>> 1e-4 < find_learning_rate(TrainingProblem(recipe, Rows.of(recipe, X, X), TrainConfig())).suggestion < 1
    True
    """
    engine, _ = choose(problem.engine, problem.recipe)
    session = engine.compile(problem.recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    return range_test(session, problem.recipe, problem.rows, settings)


def range_test(session: Session, recipe: Recipe, rows: Rows, settings: RangeTest = RangeTest()) -> RangeResult:
    """Raise the learning rate step by step, and put the session back into the state it had.

    Forward    (1) αᵢ = low (high / low) ^ (i / (steps - 1))    (2) sᵢ = β sᵢ₋₁ + (1 - β) Lᵢ, divided by 1 - βⁱ

    Parameters
    ----------
    session : Session
        An engine's session over these rows.
    recipe : Recipe
        What the session trains.
    rows : Rows
        The training rows.
    settings : RangeTest, default=RangeTest()
        The rates to try.

    Returns
    -------
    RangeResult

    Raises
    ------
    InvalidValueError
        When fewer than ten rates gave a finite loss, or `low` is not below `high`.

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> recipe, X = Recipe(mlp(1, [8], 1), MeanSquaredError()), np.linspace(-1, 1, 40)[:, None]
    >>> rows = Rows.of(recipe, X, X)
    >>> result = range_test(choose("auto", recipe)[0].compile(recipe, rows), recipe, rows)
    >>> len(result.rates) <= 100
    True
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
    """Return a tenth of the rate with the lowest loss: as high as possible with room before it breaks.

    >>> round(tenth(np.array([0.01, 0.1, 1.0]), np.array([2.0, 1.0, 3.0])), 6)
    0.01
    """
    return float(rates[np.argmin(losses)]) / 10.0


def valley(rates: Array, losses: Array) -> float:
    """Return the rate at half of the longest decline: steep enough to learn fast, far enough from where it breaks.

    The longest decline is the longest run of positions, not necessarily neighbors, whose losses fall throughout. Half
    means a third of its length and a sixth more. The first tenth and the last five points are left out where at least
    ten remain, since smoothing and divergence distort them.

    Reference  [howard2020], rule "valley"
    """
    cut = slice(len(losses) // 10, len(losses) - 5) if len(losses) >= 20 else slice(None)
    kept = rates[: len(losses)][cut]
    steps = losses[cut]
    length = np.ones(len(steps), int)
    for i in range(1, len(steps)):
        falls = length[:i][steps[:i] > steps[i]]
        length[i] = 1 + falls.max(initial=0)
    end = int(np.argmax(length))
    start = _start_of_decline(steps, length, end)
    third = (end - start) / 3.0
    return float(kept[start + int(third) + int(third / 2.0)])


def _start_of_decline(steps: Array, length: Array, end: int) -> int:
    """Walk the longest decline back from its end to its first point."""
    at = end
    while length[at] > 1:
        at = max(j for j in range(at) if length[j] == length[at] - 1 and steps[j] > steps[at])
    return at
