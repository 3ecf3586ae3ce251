"""Figures of many epochs as columns, of which records are made only when somebody asks for them.

Of a small network the record of an epoch takes as long as a step. In: what a block of epochs measured. Out: `Columns`, and
`Epochs`, which stand for the tuple of their records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from chainrule.train.records import Epoch, filled, spent


@dataclass(frozen=True, eq=False)
class Columns:
    """Figures of consecutive epochs; those that are measured have a list each, in the order of the epochs."""

    first: int
    metric: str
    train_loss: Sequence[float]
    train_score: Sequence[float]
    validation_loss: Sequence[float]
    validation_score: Sequence[float]
    learning_rate: Sequence[float]
    gradient_norm: Sequence[float]
    seconds: Sequence[float]
    steps: Sequence[int]
    complete: Sequence[bool]
    finite: Sequence[bool]

    def __len__(self) -> int:
        return len(self.train_loss)

    def until(self, end: int) -> Columns:
        """Return the first epochs."""
        if end == len(self):
            return self
        return Columns(self.first, self.metric, *(getattr(self, name)[:end] for name in _COLUMNS))

    def record(self, i: int) -> Epoch:
        """Return the record of one epoch."""
        values = {name: getattr(self, name)[i] for name in _COLUMNS}
        return filled(Epoch, number=self.first + i, metric=self.metric, **values, state=spent)

    def signed(self, watched: str) -> list[float]:
        """Return a figure of each epoch with the sign that makes smaller better; infinity where it is not a number."""
        figures = getattr(self, watched)
        if watched.endswith("score") and self.metric == "accuracy":
            figures = [-figure for figure in figures]
        return [math.inf if figure != figure else figure for figure in figures]


_COLUMNS = tuple(Columns.__dataclass_fields__)[2:]


class Epochs(Sequence[Epoch]):
    """The records of a run, each made when one of them is asked for; they compare as the tuple of the records does."""

    def __init__(self, parts: Iterable[Columns | Sequence[Epoch]] = ()) -> None:
        self._parts: list[Columns | Sequence[Epoch]] = list(parts)
        self._count = sum(map(len, self._parts))
        self._made: tuple[Epoch, ...] | None = None

    @property
    def records(self) -> tuple[Epoch, ...]:
        """All records."""
        if self._made is None:
            self._made = tuple(chain.from_iterable(map(_records, self._parts)))
            self._parts = [self._made]
        return self._made

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, which: Any) -> Any:
        return self.records[which]

    def __iter__(self) -> Iterator[Epoch]:
        return iter(self.records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Epochs | tuple) and self.records == tuple(other)

    def __hash__(self) -> int:
        return hash(self.records)

    def __repr__(self) -> str:
        return repr(self.records)

    def __add__(self, other: Sequence[Epoch]) -> Epochs:
        return Epochs([*self._parts, *(other._parts if isinstance(other, Epochs) else [other])])

    def __reduce__(self) -> Any:
        return Epochs, ([self.records],)


def _records(part: Columns | Sequence[Epoch]) -> Iterable[Epoch]:
    return map(part.record, range(len(part))) if isinstance(part, Columns) else part
