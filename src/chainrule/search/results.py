"""Results of a search as frozen records, for tables, pages and programs.

In: trials and the final trainings. Out: `SearchResult`, with the best trial, an interval over seeds, and what mattered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chainrule.intervals import ConfidenceInterval
from chainrule.pipeline import Settings
from chainrule.prediction import Predictor
from chainrule.search.space import Space


@dataclass(frozen=True)
class RungScore:
    """Result of a trial at the end of a rung.

    Parameters
    ----------
    end : int
        Most epochs at this rung.
    score : float
        Score on the validation rows at the best epoch: accuracy, or rmse in the target's unit.
    loss : float
        Loss on the validation rows at that epoch.
    epochs : int
        Epochs done; fewer than `end` after early stopping.
    best_epoch : int or None
        Epoch with the lowest validation loss.
    seconds : float
        Seconds of training.
    curve : tuple of (int, float), default=()
        Epochs and their scores.
    """

    end: int
    score: float
    loss: float
    epochs: int
    best_epoch: int | None
    seconds: float
    curve: tuple[tuple[int, float], ...] = field(default=(), repr=False)

    def plain(self) -> dict[str, Any]:
        """Return the record as plain data, for storage.

        Returns
        -------
        dict
            Fields by name.
        """
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> RungScore:
        """Rebuild a record from plain data.

        Parameters
        ----------
        plain : mapping
            Fields by name, as `plain` returns them.

        Returns
        -------
        RungScore
            The record.
        """
        return cls(**{**plain, "curve": tuple((int(e), float(s)) for e, s in plain["curve"])})


@dataclass(frozen=True)
class Trial:
    """One configuration and its training so far.

    Parameters
    ----------
    number : int
        Number of the trial, from 0.
    values : mapping of str to object
        Hyper-parameters by name.
    state : {"running", "complete", "pruned"}, default="running"
        "running" also means waiting for a rung.
    rungs : tuple of RungScore, default=()
        Results of the rungs done so far.
    reason : str, default=""
        Why the trial was pruned.
    """

    number: int
    values: Mapping[str, Any]
    state: str = "running"
    rungs: tuple[RungScore, ...] = ()
    reason: str = ""

    @property
    def score(self) -> float:
        """Score on the validation rows, at the best epoch of the last rung; NaN before there is one."""
        return self.rungs[-1].score if self.rungs else math.nan

    @property
    def loss(self) -> float:
        """Loss on the validation rows at that epoch."""
        return self.rungs[-1].loss if self.rungs else math.nan

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return sum(rung.seconds for rung in self.rungs)

    @property
    def epochs(self) -> int:
        """Epochs done in total."""
        return self.rungs[-1].epochs if self.rungs else 0

    @property
    def curve(self) -> tuple[tuple[int, float], ...]:
        """Epochs and their scores."""
        return self.rungs[-1].curve if self.rungs else ()


@dataclass(frozen=True)
class Final:
    """A final training of the best configuration with its own seed.

    Parameters
    ----------
    seed : int
        Seed of the training.
    validation : mapping of str to float
        Scores on the validation rows.
    test : mapping of str to float or None
        Scores on the test rows; None if there are none.
    epochs : int
        Epochs done.
    seconds : float
        Seconds of training.
    """

    seed: int
    validation: Mapping[str, float]
    test: Mapping[str, float] | None
    epochs: int
    seconds: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of a search.

    Parameters
    ----------
    method : str
        Method of the search.
    metric : {"accuracy", "rmse"}
        Score that trials are compared by.
    space : Space
        What was searched.
    trials : tuple of Trial
        All trials by number.
    settings : Settings or None
        Settings of the best trial.
    finals : tuple of Final
        Final trainings of the best configuration, one per seed.
    importance : mapping of str to float
        Share of the scores' variance that each hyper-parameter explains; the shares sum to 1.
    model : Model, TableModel or None
        Model of the first final training.
    seconds : float
        Duration of the call.
    folder : Path
        Folder of the search.
    interrupted : bool, default=False
        Whether the search was stopped before its end; the same call resumes it.
    notes : tuple of str, default=()
        Remarks for the reader.
    """

    method: str
    metric: str
    space: Space
    trials: tuple[Trial, ...]
    settings: Settings | None
    finals: tuple[Final, ...]
    importance: Mapping[str, float]
    model: Predictor | None = field(repr=False)
    seconds: float
    folder: Path
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Trial | None:
        """Complete trial with the best score, the lower loss if scores are equal; None before there is one."""
        return best_of(self.trials, self.metric)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """Trials with a score, best first."""
        return tuple(sorted((t for t in self.trials if not math.isnan(t.score)), key=lambda t: rank(t, self.metric)))

    def interval(self, part: str = "test") -> ConfidenceInterval:
        """Return the mean and 95 % interval of the metric over the final trainings.

        Parameters
        ----------
        part : {"test", "validation"}, default="test"
            Rows that the metric was computed on.

        Returns
        -------
        ConfidenceInterval
            Mean and half-width.
        """
        figures = [getattr(final, part) for final in self.finals]
        return ConfidenceInterval.of([values[self.metric] for values in figures if values is not None])


def rank(trial: Trial, metric: str, rung: int = -1) -> tuple[float, float, int]:
    """Return a sort key, smaller is better: the score at a rung, then the loss, then the number; NaN comes last."""
    reached = trial.rungs[rung] if trial.rungs else None
    if reached is None or math.isnan(reached.score):
        return math.inf, math.inf, trial.number
    return signed(reached.score, metric), reached.loss, trial.number


def signed(score: float, metric: str) -> float:
    """Return the score with the sign that makes smaller better."""
    return -score if metric == "accuracy" else score


def best_of(trials: Sequence[Trial], metric: str) -> Trial | None:
    """Return the best of the complete trials that have a score, or None."""
    complete = [t for t in trials if t.state == "complete" and not math.isnan(t.score)]
    return min(complete, key=lambda t: rank(t, metric), default=None)
