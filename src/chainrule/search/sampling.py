"""Samplers: the next trial's values follow from the seed, its number and the known trials, so a search can be resumed.

In: a space, a seed, the trials so far. Out: values for the next trial; how much of the scores each hyper-parameter explains.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from chainrule.errors import MissingError
from chainrule.random import Purpose, Stream
from chainrule.search.results import Trial, signed
from chainrule.search.space import Dimension, Space

STARTUP = 10
"""Random trials before the first model is fitted to them."""

_MOST_ANALYZED = 400
"""Most trials in the analysis, whose time grows with their square."""


class Sampler(Protocol):
    """Chooses the values of the next trial."""

    def propose(self, number: int) -> dict[str, Any]:
        """Return values for the trial of this number; numbers are consecutive."""

    def begun(self, trial: Trial) -> None:
        """Take over a trial that an earlier process began, with what is known about it."""

    def ended(self, trial: Trial) -> None:
        """Learn from a trial that has ended."""


class RandomSampler:
    """Values that follow from seed and number alone."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def propose(self, number: int) -> dict[str, Any]:
        """Draw a point of the space."""
        return self._space.draw(self._seed, number)

    def begun(self, trial: Trial) -> None:
        """Ignore the trial: there is nothing to learn."""

    def ended(self, trial: Trial) -> None:
        """Ignore the trial: there is nothing to learn."""


class TreeSampler:
    """Tree-structured Parzen estimators: sample where good trials are dense and the others are not.

    Uses Optuna's sampler on an in-memory study that mirrors the search's own store; each proposal has its own seed, from
    the search's seed and the trial's number. The first ten trials are random. Running trials count as bad ones, so that
    workers do not all try the same values.

    Reference  [bergstra2011]
    """

    def __init__(self, space: Space, seed: int, metric: str) -> None:
        need_optuna()
        self._space = space
        self._seed = seed
        self._metric = metric
        self._known: list[Trial] = []
        self._study: Any = None
        self._open: dict[int, Any] = {}
        # The import takes a second, which the first trials can use.
        threading.Thread(target=import_module, args=("optuna",), daemon=True).start()

    def propose(self, number: int) -> dict[str, Any]:
        """Draw at random at first, then from the model."""
        if number < STARTUP:
            values = self._space.draw(self._seed, number)
            self.begun(Trial(number, values))
            return values
        trial = self._ask(number)
        self._open[number] = trial
        return decoded(self._space, trial.params)

    def begun(self, trial: Trial) -> None:
        """Take over a trial with its values."""
        if self._study is None:
            self._known.append(trial)
        else:
            self._adopt(trial)

    def ended(self, trial: Trial) -> None:
        """Learn from a trial that has ended."""
        if self._study is None:
            self._known = [trial if known.number == trial.number else known for known in self._known]
        else:
            self._tell(trial)

    def _ask(self, number: int) -> Any:
        optuna = quiet_optuna()
        if self._study is None:
            self._study = optuna.create_study()
            for trial in self._known:
                self._adopt(trial)
        seed = int(Stream.from_seed(self._seed).fold(Purpose.FOREST, number).words(np, 1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        return self._study.ask(distributions(self._space))

    def _adopt(self, trial: Trial) -> None:
        self._study.enqueue_trial(encoded(self._space, trial.values))
        self._open[trial.number] = self._study.ask(distributions(self._space))
        if trial.state != "running":
            self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        open_trial = self._open.pop(trial.number)
        if math.isnan(trial.score):
            self._study.tell(open_trial, state=quiet_optuna().trial.TrialState.PRUNED)
        else:
            self._study.tell(open_trial, signed(trial.score, self._metric))


def importance(space: Space, trials: Sequence[Trial], metric: str, seed: int = 0) -> dict[str, float]:
    """Return the share of the scores' variance that each hyper-parameter explains, the largest first.

    Computed by functional analysis of variance with a random forest, over at most 400 trials; the shares sum to 1. Empty
    for fewer than eight trials with a score, for equal scores, and without Optuna.

    Scores are those at the first rung, which all trials have.

    Reference  [hutter2014]
    """
    scored = [t for t in trials if t.rungs and math.isfinite(t.rungs[0].score)]
    scores = [signed(t.rungs[0].score, metric) for t in scored]
    every = max(1, -(-len(scored) // _MOST_ANALYZED))
    scored, scores = scored[::every], scores[::every]
    if find_spec("optuna") is None or len(scored) < 8 or len(set(scores)) < 2 or len(space.dimensions) < 2:
        return {}
    optuna = quiet_optuna()
    study = optuna.create_study()
    kinds = distributions(space)
    for trial, score in zip(scored, scores, strict=True):
        values = encoded(space, trial.values)
        study.add_trial(optuna.trial.create_trial(params=values, distributions=kinds, value=score))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=seed)
        with suppress(RuntimeError, ValueError):
            return {
                name: float(v)
                for name, v in optuna.importance.get_param_importances(study, evaluator=evaluator).items()
            }
    return {}


def usual_method() -> str:
    """Return the method of a search that names none: "tpe" where Optuna is installed, otherwise "random"."""
    return "random" if find_spec("optuna") is None else "tpe"


def need_optuna() -> None:
    """Raise `MissingError` if Optuna is not installed."""
    if find_spec("optuna") is None:
        hint = "Install it with: pip install 'chainrule[search]', or use method 'random'."
        raise MissingError(f"search: method 'tpe' needs optuna. {hint}")


@cache
def quiet_optuna() -> Any:
    """Import Optuna and let it log warnings only."""
    optuna: Any = import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distributions(space: Space) -> dict[str, Any]:
    """Return the space as Optuna's distributions."""
    return {dimension.name: _distribution(dimension) for dimension in space.dimensions}


def _distribution(dimension: Dimension) -> Any:
    known = quiet_optuna().distributions
    if dimension.choices:
        return known.CategoricalDistribution(tuple(range(len(dimension.choices))))
    low, high = dimension.ends
    high = dimension.at(1.0) if dimension.step else high
    if dimension.whole:
        return known.IntDistribution(low, high, log=dimension.log, step=int(dimension.step or 1))
    return known.FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def encoded(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with each choice replaced by its index."""
    return {d.name: d.choices.index(values[d.name]) if d.choices else values[d.name] for d in space.dimensions}


def decoded(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with each index replaced by its choice."""
    return {d.name: d.choices[values[d.name]] if d.choices else values[d.name] for d in space.dimensions}
