"""Why: what a search asks is settled, checked and named before anything is trained.

In: a source, a space, settings, a plan. Out: a `SearchSpec`, whose fingerprint says whether a folder is of this search.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from chainrule.constraints import Checked, Interval, OneOf, constrained
from chainrule.data import Dataset, Parts, load, three_way
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn import spec
from chainrule.pipeline import Settings
from chainrule.search.halving import rung_ends
from chainrule.search.results import Trial
from chainrule.search.rungs import Problem, digest_of
from chainrule.search.space import Space, default_space

METHODS = ("tpe", "random", "asha")


@dataclass(frozen=True)
class SearchBudget(Checked):
    """How to search.

    `trials` are counted over all calls that go on from one folder; None is as many as the time allows. `seconds` count from
    the beginning of a call; trials under way when they are over are brought to the end of their rung. `seeds` is the number
    of trainings of the best configuration at the end.
    """

    method: str = constrained(OneOf(METHODS), "tpe")
    trials: int | None = constrained(Interval(1, 10**6, "[]", whole=True, optional=True), 30)
    seconds: float | None = constrained(Interval(0, math.inf, "()", optional=True), None)
    seed: int = constrained(Interval(0, 2**64 - 2**10, "[)", whole=True), 0)
    seeds: int = constrained(Interval(1, 100, "[]", whole=True), 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trials is None and self.seconds is None:
            raise InvalidValueError(
                must_be("SearchBudget", "trials", "given, or seconds", None, "Else it would never end.")
            )


@dataclass(frozen=True, eq=False)
class SearchSpec:
    """What is searched: the parts of the data, the space, the settings around it. Test rows are looked at in the end."""

    parts: Parts
    space: Space
    base: Settings
    plan: SearchBudget

    @property
    def metric(self) -> str:
        """What is compared: accuracy for classes, rmse for amounts."""
        return "accuracy" if self.parts.train.task == "classification" else "rmse"

    @property
    def rungs(self) -> tuple[int, ...]:
        """The ends of the rungs, in epochs."""
        epochs = int(self.space.fixed.get("max_iter", self.base.max_iter))
        return rung_ends(epochs) if self.plan.method == "asha" else (epochs,)

    def settings(self, trial: Trial) -> Settings:
        """Those of a trial."""
        return self.space.settings(trial.values, self.base)

    @cached_property
    def problem(self) -> Problem:
        """The rows that workers get."""
        assert self.parts.validation is not None
        return Problem.of(self.parts.train, self.parts.validation)

    @cached_property
    def _test(self) -> str:
        return "" if self.parts.test is None else digest_of(self.parts.test)

    def fingerprint(self) -> str:
        """The sha256 of all that makes it this search; another fingerprint is another search."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True, default=repr).encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """What makes it this search and no other; the number of trials and the time do not."""
        asked: dict[str, Any] = spec.encode(self.base)
        told = {
            "method": self.plan.method,
            "seed": self.plan.seed,
            "data": self.problem.digest,
            "test": self._test,
            "space": self.space.plain(),
        }
        return told | {name: value for name, value in asked.items() if name not in ("type", "seed")}


def plan_search(
    source: str | Path | Dataset,
    space: Space | Mapping[str, Any] | None,
    settings: Settings,
    plan: SearchBudget,
    *,
    target: str | None = None,
    task: str | None = None,
    test_fraction: float = 0.2,
    validation_fraction: float = Settings.validation_fraction,
) -> SearchSpec:
    """Load, split, and check that every value of the space is one that this data allow.

    The split is that of `chainrule train` with the same seed and fractions. Pixels share one scale unless the space or the
    settings say otherwise.

    Raises `InvalidValueError` with all faults.
    """
    share = Interval(0, 1, "()", why="Trials are compared on those rows.")
    if not share.allows(validation_fraction):
        raise InvalidValueError(
            must_be("search", "validation_fraction", str(share), validation_fraction, share.hint(None))
        )
    data = source if isinstance(source, Dataset) else load(source, target, task=task, seed=plan.seed)
    parts = three_way(data, test_fraction, validation_fraction, plan.seed)
    if parts.train.shared_unit and settings.scaling == "columns":
        settings = replace(settings, scaling="shared")
    base, n = replace(settings, seed=plan.seed), len(parts.train.y)
    if space is None:
        space = default_space(n)
    elif not isinstance(space, Space):
        space = Space.of(space, base=base)
    raise_all(_faults(space, base, n, plan))
    return SearchSpec(parts, space, base, plan)


def _faults(space: Space, base: Settings, n: int, plan: SearchBudget) -> Iterator[str]:
    yield from space.batch_faults("search", base, n)
    if plan.method == "asha" and any(d.name == "max_iter" for d in space.dimensions):
        yield must_be("search", "max_iter", "one value for method 'asha'", "a range", "Its rungs are shares of it.")
