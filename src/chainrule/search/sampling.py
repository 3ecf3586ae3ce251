"""Why: where the next trial is tried follows from the seed, its number and what is known, so that a search can go on.

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
"""Trials at random before a model is made of them."""

_MOST_AnalyzeD = 400
"""The time of the analysis grows with the square of the trials."""


class Sampler(Protocol):
    """Chooses where to try next."""

    def propose(self, number: int) -> dict[str, Any]:
        """Values for the trial of this number; numbers come in order."""

    def begun(self, trial: Trial) -> None:
        """A trial that an earlier process began, with what is known of it."""

    def ended(self, trial: Trial) -> None:
        """A trial proposed before has ended."""


class RandomSampler:
    """Values that follow from seed and number alone."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, number: int) -> dict[str, Any]:
        """A point of the space."""
        return self._space.draw(self._seed, number)

    def begun(self, trial: Trial) -> None:
        """Nothing to learn."""

    def ended(self, trial: Trial) -> None:
        """Nothing to learn."""


class TreeSampler:
    """Tree-structured Parzen estimators: where good trials were dense and others were not.

    Optuna's sampler, on a study in memory that mirrors the search's own store; each proposal has a seed of its own, from the
    search's seed and the trial's number. The first ten trials are drawn at random. Trials under way count as bad ones, so
    that workers do not all try the same place.

    Reference  [bergstra2011]
    """

    def __init__(self, space: Space, seed: int, metric: str) -> None:
        need_optuna()
        self._space, self._seed, self._metric = space, seed, metric
        self._known: list[Trial] = []
        self._study: Any = None
        self._asked: dict[int, Any] = {}
        # The import takes a second, which the first trials can use.
        threading.Thread(target=import_module, args=("optuna",), daemon=True).start()

    def propose(self, number: int) -> dict[str, Any]:
        """At random, then from the model."""
        if number < STARTUP:
            values = self._space.draw(self._seed, number)
            self.begun(Trial(number, values))
            return values
        trial = self._ask(number)
        self._asked[number] = trial
        return decoded(self._space, trial.params)

    def begun(self, trial: Trial) -> None:
        """Take a trial over with its values."""
        if self._study is None:
            self._known.append(trial)
        else:
            self._adopt(trial)

    def ended(self, trial: Trial) -> None:
        """Learn from it."""
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
        self._asked[trial.number] = self._study.ask(distributions(self._space))
        if trial.state != "running":
            self._tell(trial)

    def _tell(self, trial: Trial) -> None:
        asked = self._asked.pop(trial.number)
        if math.isnan(trial.score):
            self._study.tell(asked, state=quiet_optuna().trial.TrialState.PRUNED)
        else:
            self._study.tell(asked, signed(trial.score, self._metric))


def importance(space: Space, trials: Sequence[Trial], metric: str, seed: int = 0) -> dict[str, float]:
    """The share of the scores' variance that each hyper-parameter explains, alone or with others; the largest first.

    By the functional analysis of variance of a forest, of 400 trials at most; the shares sum to 1. Empty for fewer than
    eight trials with a score, for equal scores, and without Optuna.

    Scores are those at the first rung, which all trials have.

    Reference  [hutter2014]
    """
    scored = [t for t in trials if t.rungs and math.isfinite(t.rungs[0].score)]
    scores = [signed(t.rungs[0].score, metric) for t in scored]
    every = max(1, -(-len(scored) // _MOST_AnalyzeD))
    scored, scores = scored[::every], scores[::every]
    if find_spec("optuna") is None or len(scored) < 8 or len(set(scores)) < 2 or len(space.dimensions) < 2:
        return {}
    optuna = quiet_optuna()
    study, kinds = optuna.create_study(), distributions(space)
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


def need_optuna() -> None:
    """Raise `MissingError` where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise MissingError("search: optuna must be installed for method 'tpe'. pip install 'chainrule[search]'")


@cache
def quiet_optuna() -> Any:
    """Optuna, which then logs warnings only."""
    optuna: Any = import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distributions(space: Space) -> dict[str, Any]:
    """The space as Optuna knows spaces."""
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
    """Values with each choice by its place in the list."""
    return {d.name: d.choices.index(values[d.name]) if d.choices else values[d.name] for d in space.dimensions}


def decoded(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The way back."""
    return {d.name: d.choices[values[d.name]] if d.choices else values[d.name] for d in space.dimensions}
