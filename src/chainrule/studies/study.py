"""Why: a claim becomes an experiment when it says beforehand what is run, what is measured and what would prove it wrong.

In: a setting (data, seeds, size). Out: cells to run, each on its own; a conclusion and pictures made from records alone.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.studies.statistics import estimate

Record = Mapping[str, Any]
"""What one cell measured: plain data, as it is written to a file."""


@dataclass(frozen=True)
class Setting:
    """On what and how much: a source of data, the number of seeds, `quick` for minutes less and digits more."""

    data: str = "digits"
    target: str | None = None
    seeds: int = 5
    quick: bool = False


@dataclass(frozen=True)
class Cell:
    """The unit of work: one arm of a study with one seed, a function of these fields alone."""

    study: str
    arm: str
    seed: int
    setting: Setting
    options: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""

    @property
    def key(self) -> str:
        """What a record is found by: the same cell of the same data and size, done by the same code."""
        setting = [self.setting.data, self.setting.target, self.setting.quick]
        return json.dumps([self.study, self.arm, self.seed, *setting, dict(self.options), self.code])


@dataclass(frozen=True)
class Results:
    """The records of one study, by arm and seed."""

    records: Mapping[str, Mapping[int, Record]]

    @classmethod
    def of(cls, cells: Sequence[tuple[Cell, Record]]) -> Results:
        """Gather records under their arms, in the order of the arms."""
        arms: dict[str, dict[int, Record]] = {}
        for cell, record in cells:
            arms.setdefault(cell.arm, {})[cell.seed] = record
        return cls({arm: dict(sorted(by_seed.items())) for arm, by_seed in arms.items()})

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order of the study."""
        return tuple(self.records)

    def of_arm(self, arm: str) -> list[Record]:
        """The records of an arm, by rising seed."""
        return list(self.records[arm].values())

    def values(self, arm: str, figure: str) -> Array:
        """One figure of an arm, (seeds) or (seeds, length): lists of different length are cut to the shortest."""
        found = [record[figure] for record in self.of_arm(arm)]
        if found and isinstance(found[0], list | tuple):
            length = min(len(value) for value in found)
            found = [value[:length] for value in found]
        return np.array(found, dtype=np.float64)

    def without_seeds(self, dropped: Callable[[Record], bool]) -> Results:
        """These results without the records that `dropped` names."""
        kept = {a: {s: r for s, r in by.items() if not dropped(r)} for a, by in self.records.items()}
        return Results({arm: by_seed for arm, by_seed in kept.items() if by_seed})

    def table(self, **columns: tuple[str, float, str]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Header and rows, one an arm: mean and 95 % interval of figures, each as (name, factor, unit) under its title.

        Underscores of a title are shown as spaces.
        """
        header = ("", *(title.replace("_", " ") for title in columns))
        rows = [
            (arm, *(estimate(self.values(arm, name)).text(3, factor, unit) for name, factor, unit in columns.values()))
            for arm in self.arms
        ]
        return header, tuple(rows)


@dataclass(frozen=True)
class Conclusion:
    """What was found: one sentence made from the figures, whether the claim held, and the table behind it."""

    sentence: str
    holds: bool | None
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Study:
    """One claim and the experiment that tests it.

    `arms` names what is compared and gives each arm its options; `run` does one cell and returns plain data; `conclude` and
    `draw` read records only. `reading` is what to take from the pictures; `source` is where the claim stands.
    """

    name: str
    title: str
    claim: str
    source: str
    arms: Callable[[Setting], Mapping[str, Mapping[str, Any]]]
    run: Callable[[Cell], Record]
    conclude: Callable[[Results], Conclusion]
    draw: Callable[[Results], Mapping[str, Any]]
    reading: str = ""

    def cells(self, setting: Setting) -> list[Cell]:
        """Every cell of the study: all arms with the first seed, then all with the next."""
        arms = self.arms(setting)
        code = hashlib.sha256(inspect.getsource(inspect.getmodule(self.run) or type(self)).encode()).hexdigest()[:12]
        return [Cell(self.name, arm, seed, setting, arms[arm], code) for seed in range(setting.seeds) for arm in arms]
