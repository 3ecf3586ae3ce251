"""Why: what a search found is told by frozen records that a table, a page or a program can take apart.

In: trials and the last trainings. Out: `SearchResult`, with the best trial, an interval over seeds, and what mattered.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chainrule.model import Model
from chainrule.pipeline import Settings
from chainrule.search.space import Space

_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""The 97.5 % points of Student's distribution with 1, 2, ... degrees of freedom; 1.96 is used beyond 15."""


@dataclass(frozen=True)
class RungScore:
    """What a trial had come to at the end of a rung: `end` epochs at most, `epochs` of them done."""

    end: int
    score: float
    loss: float
    epochs: int
    best_epoch: int | None
    seconds: float
    curve: tuple[tuple[int, float], ...] = field(default=(), repr=False)

    def plain(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> RungScore:
        """The way back."""
        return cls(**{**plain, "curve": tuple((int(e), float(s)) for e, s in plain["curve"])})


@dataclass(frozen=True)
class Trial:
    """One configuration: the values it was given, its rungs, how it stands.

    `state` is "running" (under way, or waiting for a rung), "complete" or "pruned"; `reason` says why it was pruned.
    """

    number: int
    values: Mapping[str, Any]
    state: str = "running"
    rungs: tuple[RungScore, ...] = ()
    reason: str = ""

    @property
    def score(self) -> float:
        """On the validation rows, at the best epoch of the last rung; NaN before there is one."""
        return self.rungs[-1].score if self.rungs else math.nan

    @property
    def loss(self) -> float:
        """On the validation rows, at that epoch."""
        return self.rungs[-1].loss if self.rungs else math.nan

    @property
    def seconds(self) -> float:
        """Of training."""
        return sum(rung.seconds for rung in self.rungs)

    @property
    def epochs(self) -> int:
        """Done in all."""
        return self.rungs[-1].epochs if self.rungs else 0

    @property
    def curve(self) -> tuple[tuple[int, float], ...]:
        """Epochs and their scores."""
        return self.rungs[-1].curve if self.rungs else ()


@dataclass(frozen=True)
class Final:
    """The best configuration trained once more, with a seed of its own: figures on validation and test rows."""

    seed: int
    validation: Mapping[str, float]
    test: Mapping[str, float] | None
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Interval:
    """A mean and the half-width of its 95 % interval (NaN for a single value)."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Student's interval of the mean of a few values.

        Reference  [student1908]

        >>> str(Interval.of([1.0, 2.0, 3.0]))
        '2.0000 ± 2.4843'
        """
        n = len(values)
        if n < 2:
            return cls(values[0] if values else math.nan, math.nan)
        quantile = _T[n - 2] if n - 2 < len(_T) else 1.96
        return cls(statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(n))

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if math.isnan(self.half) else f" ± {self.half:.4f}")


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search came to.

    `metric` is "accuracy" or "rmse". `best` is the trial with the best validation score, the lower loss where scores are
    equal; `settings` are its, `finals` its trainings with other seeds, `model` the first of them. `importance` shares 1
    among the hyper-parameters. `interrupted` tells that it is not over: the same call goes on.
    """

    method: str
    metric: str
    space: Space
    trials: tuple[Trial, ...]
    settings: Settings | None
    finals: tuple[Final, ...]
    importance: Mapping[str, float]
    model: Model | None = field(repr=False)
    seconds: float
    folder: Path
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Trial | None:
        """The best trial that is complete, or None before there is one."""
        return best_of(self.trials, self.metric)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """Trials with a score, the best first."""
        return tuple(sorted((t for t in self.trials if not math.isnan(t.score)), key=lambda t: rank(t, self.metric)))

    def interval(self, part: str = "test") -> Interval:
        """Mean and 95 % interval of the metric over the seeds of the finals, on validation or test rows."""
        figures = [getattr(final, part) for final in self.finals]
        return Interval.of([values[self.metric] for values in figures if values is not None])


def rank(trial: Trial, metric: str, rung: int = -1) -> tuple[float, float, int]:
    """Smaller is better: the score at a rung, then the loss, then the number. What is no number comes last."""
    found = trial.rungs[rung] if trial.rungs else None
    if found is None or math.isnan(found.score):
        return math.inf, math.inf, trial.number
    return signed(found.score, metric), found.loss, trial.number


def signed(score: float, metric: str) -> float:
    """The score with the sign that makes smaller better."""
    return -score if metric == "accuracy" else score


def best_of(trials: Sequence[Trial], metric: str) -> Trial | None:
    """The best of the complete ones that have a score."""
    complete = [t for t in trials if t.state == "complete" and not math.isnan(t.score)]
    return min(complete, key=lambda t: rank(t, metric), default=None)
