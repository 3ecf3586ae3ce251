"""The specification of a search, complete and checked before anything is trained.

In: a source, a space, settings, a budget. Out: a `SearchSpec`, whose fingerprint shows whether a folder belongs to it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from chainrule.constraints import Checked, Interval, OneOf, constrained
from chainrule.data import Dataset, Parts, Task, load, three_way
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn import spec
from chainrule.pipeline import Settings, Situation, unused
from chainrule.search.halving import rung_ends
from chainrule.search.results import Trial
from chainrule.search.rungs import SearchData, digest_of
from chainrule.search.sampling import need_optuna
from chainrule.search.space import Space, default_space

METHODS = ("tpe", "random", "asha")

TEST_FRACTION = 0.2
"""Share of the rows for the final test, unless the source has test rows."""


@dataclass(frozen=True)
class SearchBudget(Checked):
    """How to search, and for how long.

    Parameters
    ----------
    method : {"tpe", "random", "asha"}, default="tpe"
        Tree-structured Parzen estimators, random search, or asynchronous successive halving.
    trials : int, default=30
        Configurations to try, counted over all calls on the same folder; None tries as many as the time allows.
    seconds : float, default=None
        Time after which no new trial starts, from the beginning of a call; running trials finish their rung.
    seed : int, default=0
        Fixes the split, the proposals and the initial weights.
    seeds : int, default=5
        Final trainings of the best configuration, each with its own seed.

    Examples
    --------
    >>> SearchBudget("random", trials=10).seeds
    5
    """

    method: str = constrained(OneOf(METHODS), "tpe")
    trials: int | None = constrained(Interval(1, 10**6, "[]", whole=True, optional=True), 30)
    seconds: float | None = constrained(Interval(0, math.inf, "()", optional=True), None)
    seed: int = constrained(Interval(0, 2**64 - 2**10, "[)", whole=True), 0)
    seeds: int = constrained(Interval(1, 100, "[]", whole=True), 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trials is None and self.seconds is None:
            fault = "SearchBudget: set `trials` or `seconds`; with neither, the search would not stop."
            raise InvalidValueError(fault)


@dataclass(frozen=True, eq=False)
class SearchSpec:
    """A search: the parts of the data, the space, the settings around it. Test rows are used only at the end."""

    parts: Parts
    space: Space
    base: Settings
    budget: SearchBudget

    @property
    def metric(self) -> str:
        """Name of the score that trials are compared by: accuracy for classes, rmse for continuous targets."""
        return "accuracy" if self.parts.train.task == "classification" else "rmse"

    @property
    def rungs(self) -> tuple[int, ...]:
        """Ends of the rungs, in epochs."""
        epochs = int(self.space.fixed.get("max_iter", self.base.max_iter))
        return rung_ends(epochs) if self.budget.method == "asha" else (epochs,)

    def settings(self, trial: Trial) -> Settings:
        """Return the settings of a trial."""
        return self.space.settings(trial.values, self.base)

    @cached_property
    def data(self) -> SearchData:
        """Rows that workers receive."""
        assert self.parts.validation is not None
        return SearchData.of(self.parts.train, self.parts.validation)

    @cached_property
    def _test(self) -> str:
        return "" if self.parts.test is None else digest_of(self.parts.test)

    def fingerprint(self) -> str:
        """Return the sha256 of everything that defines the search."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True, default=repr).encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """Return everything that defines the search as plain data; the number of trials and the time do not."""
        settings: dict[str, Any] = spec.encode(self.base)
        defining = {
            "method": self.budget.method,
            "seed": self.budget.seed,
            "data": self.data.digest,
            "test": self._test,
            "space": self.space.plain(),
        }
        return defining | {name: value for name, value in settings.items() if name not in ("type", "seed")}


def plan_search(
    source: str | Path | Dataset,
    space: Space | Mapping[str, Any] | None,
    settings: Settings,
    budget: SearchBudget,
    *,
    target: str | None = None,
    task: str | None = None,
    test_fraction: float = TEST_FRACTION,
    validation_fraction: float = Settings.validation_fraction,
) -> SearchSpec:
    """Load and split the data, and check that every value of the space is valid for it.

    The split is that of `chainrule train` with the same seed and fractions. Pixels share one scale unless the space or the
    settings say otherwise.

    Raises `InvalidValueError` with all faults, `MissingError` for "tpe" without Optuna.
    """
    if budget.method == "tpe":
        need_optuna()
    share = Interval(0, 1, "()", why="Trials are compared on those rows.")
    if not share.allows(validation_fraction):
        raise InvalidValueError(
            must_be("search", "validation_fraction", str(share), validation_fraction, share.hint(None))
        )
    data = source if isinstance(source, Dataset) else load(source, target, task=task, seed=budget.seed)
    raise_all(_ignored(source, data, target=target, task=task, test_fraction=test_fraction))
    parts = three_way(data, test_fraction, validation_fraction, budget.seed)
    if parts.train.shared_unit and settings.scaling == "columns":
        settings = replace(settings, scaling="shared")
    base = replace(settings, seed=budget.seed)
    n = len(parts.train.y)
    if space is None:
        space = default_space(n)
    elif not isinstance(space, Space):
        space = Space.of(space, base=base)
    raise_all([*_faults(space, base, n, budget), *_unused(space, base, parts.train.task)])
    return SearchSpec(parts, space, base, budget)


def _ignored(
    source: str | Path | Dataset, data: Dataset, target: str | None, task: str | None, test_fraction: float
) -> Iterator[str]:
    """Yield a sentence for every argument about the data that these data do not use."""
    if isinstance(source, Dataset):
        hint = "A data set has its target and its task."
        for name, value in (("target", target), ("task", task)):
            if value is not None:
                yield must_be("search", name, "left out for a data set", value, hint)
    if data.test is not None and test_fraction != TEST_FRACTION:
        hint = "It has test rows of its own."
        yield must_be("search", "test_fraction", "left out for this source", test_fraction, hint)


def _unused(space: Space, base: Settings, task: Task) -> Iterator[str]:
    """Yield a sentence for every name of the space that has no effect for this task, each once."""
    values = [*space.fixed.items(), *((each.name, end) for each in space.dimensions for end in each.ends)]
    named = {field.name for field in fields(Settings)}
    settings = [replace(base, **{name: value}) for name, value in values if name in named]
    yield from dict.fromkeys(fault for each in settings for fault in unused("search", each, Situation(task)))


def _faults(space: Space, base: Settings, n: int, budget: SearchBudget) -> Iterator[str]:
    yield from space.batch_faults("search", base, n)
    if budget.method == "asha" and any(d.name == "max_iter" for d in space.dimensions):
        yield must_be("search", "max_iter", "one value for method 'asha'", "a range", "Its rungs are shares of it.")
