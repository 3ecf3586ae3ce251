"""Studies: claims that say beforehand what is run, what is measured and what would prove them wrong.

In: a configuration (data, seeds, size). Out: cells to run, each on its own; a conclusion and pictures made from records
alone.
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
from chainrule.report.plots import Plot
from chainrule.studies.statistics import Criterion, estimate

Record = Mapping[str, Any]
"""What one cell measured: plain data, as it is written to a file."""


@dataclass(frozen=True)
class StudyConfig:
    """What a study runs on, and how much of it.

    Parameters
    ----------
    data : str, default="digits"
        Source of the data, as `chainrule train` takes it.
    target : str, default=None
        Name of the target column, for tables.
    seeds : int, default=5
        Runs of every arm, each with its own split and initial weights.
    quick : bool, default=False
        Whether to use fewer rows and epochs.
    """

    data: str = "digits"
    target: str | None = None
    seeds: int = 5
    quick: bool = False


@dataclass(frozen=True)
class Cell:
    """The unit of work: one arm of a study with one seed, a function of these fields alone.

    Parameters
    ----------
    study, arm : str
        Names of the study and of the arm.
    seed : int
        Seed of the split, the initial weights and the order of rows.
    config : StudyConfig
        Data and size.
    options : mapping of str to object, default={}
        Options of the arm.
    code : str, default=""
        Digest of the study's source; changed code makes another cell.
    """

    study: str
    arm: str
    seed: int
    config: StudyConfig
    options: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""

    @property
    def key(self) -> str:
        """Key of the record: the same cell, data and size, run by the same code."""
        config = [self.config.data, self.config.target, self.config.quick]
        return json.dumps([self.study, self.arm, self.seed, *config, dict(self.options), self.code])


@dataclass(frozen=True)
class Results:
    """The records of one study.

    Parameters
    ----------
    records : mapping of str to mapping of int to Record
        Records by arm and seed.
    """

    records: Mapping[str, Mapping[int, Record]]

    @classmethod
    def of(cls, cells: Sequence[tuple[Cell, Record]]) -> Results:
        """Gather the records of cells under their arms, in the order of the arms."""
        arms: dict[str, dict[int, Record]] = {}
        for cell, record in cells:
            arms.setdefault(cell.arm, {})[cell.seed] = record
        return cls({arm: dict(sorted(by_seed.items())) for arm, by_seed in arms.items()})

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order of the study."""
        return tuple(self.records)

    def of_arm(self, arm: str) -> list[Record]:
        """Return the records of an arm, by rising seed."""
        return list(self.records[arm].values())

    def values(self, arm: str, figure: str) -> Array:
        """Return one value of an arm, (seeds) or (seeds, length): lists of different length are cut to the shortest."""
        values = [record[figure] for record in self.of_arm(arm)]
        if values and isinstance(values[0], list | tuple):
            length = min(len(value) for value in values)
            values = [value[:length] for value in values]
        return np.array(values, dtype=np.float64)

    def table(self, **columns: tuple[str, float, str]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return a header, and a row for each arm: mean and 95 % interval of values, as title=(name, factor, unit).

        Underscores of a title are shown as spaces.
        """
        header = ("", *(title.replace("_", " ") for title in columns))
        rows = [
            (arm, *(_cell_text(self.values(arm, name), factor, unit) for name, factor, unit in columns.values()))
            for arm in self.arms
        ]
        return header, tuple(rows)


def _cell_text(values: Array, factor: float, unit: str) -> str:
    """Return mean and interval in words; "not finite" where every run exploded."""
    return estimate(values).text(3, factor, unit) if np.isfinite(values).any() else "not finite"


@dataclass(frozen=True)
class Conclusion:
    """What was found.

    Parameters
    ----------
    sentence : str
        The finding, made from the measured values.
    holds : bool or None
        Whether the claim held; None where there is no claim to test.
    header : tuple of str
        Titles of the table behind it.
    rows : tuple of tuples of str
        Its rows.
    criteria : tuple of Criterion, default=()
        What the verdict follows from: it holds if all those are met that are about the claim's own setting. The others
        are measured beside it, in a setting in which the effect need not show.
    """

    sentence: str
    holds: bool | None
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    criteria: tuple[Criterion, ...] = ()

    @classmethod
    def by(
        cls,
        criteria: Sequence[Criterion],
        sentence: str,
        header: tuple[str, ...],
        rows: tuple[tuple[str, ...], ...],
    ) -> Conclusion:
        """Return the conclusion whose verdict follows from criteria."""
        holds = all(criterion.met for criterion in criteria if criterion.shown)
        return cls(sentence, holds, header, rows, tuple(criteria))

    def criteria_table(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return header and rows of the criteria: those of the claim first, then those beside it."""
        rows = [
            (
                each.where if each.shown else f"beside it: {each.where}",
                each.figure,
                each.measured,
                each.asked,
                "yes" if each.met else "no",
            )
            for each in sorted(self.criteria, key=lambda each: not each.shown)
        ]
        return ("setting", "figure", "measured (95 %)", "must be", "met"), tuple(rows)


@dataclass(frozen=True)
class Study:
    """One claim and the experiment that tests it.

    Parameters
    ----------
    name, title : str
        Name on the command line, and title of the page.
    claim : str
        What is tested.
    source : str
        Where the claim is made.
    arms : callable
        From a `StudyConfig` to the arms: what is compared, each with its options.
    run : callable
        Runs one `Cell` and returns plain data.
    conclude : callable
        From `Results` to a `Conclusion`; reads records only.
    draw : callable
        From `Results` to panels (plots) by the caption over them; reads records only.
    reading : str, default=""
        How to read the pictures.

    Examples
    --------
    >>> from chainrule.studies import STUDIES, StudyConfig
    >>> [cell.arm for cell in STUDIES["symmetry"].cells(StudyConfig(seeds=1))][:2]
    ['zeros', 'all 0.1']
    """

    name: str
    title: str
    claim: str
    source: str
    arms: Callable[[StudyConfig], Mapping[str, Mapping[str, Any]]]
    run: Callable[[Cell], Record]
    conclude: Callable[[Results], Conclusion]
    draw: Callable[[Results], Mapping[str, Sequence[Plot]]]
    reading: str = ""

    def cells(self, config: StudyConfig) -> list[Cell]:
        """Return every cell of the study: all arms with the first seed, then all with the next."""
        arms = self.arms(config)
        code = hashlib.sha256(inspect.getsource(inspect.getmodule(self.run) or type(self)).encode()).hexdigest()[:12]
        return [Cell(self.name, arm, seed, config, arms[arm], code) for seed in range(config.seeds) for arm in arms]
