"""Figures of many epochs as columns, of which records are made only when somebody asks for them.

Of a small network the record of an epoch takes as long as a step. In: what a block of epochs measured. Out: `Columns`, and
`Epochs`, which stand for the tuple of their records.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.losses import Loss
from chainrule.nn.step import Sums
from chainrule.train.records import Epoch, filled, shown_score, spent


class Columns:
    """Figures of consecutive epochs, each a list that is made when it is first asked for.

    Parameters
    ----------
    first : int
        Number of the first epoch, from 1.
    loss : Loss
        What was trained with; it names the score.
    per_epoch : int
        Steps of a whole epoch.
    figures : array of shape (epochs, 6)
        `engines.native.FIGURES` of each epoch, which nobody changes.
    rates : array of shape (epochs * per_epoch,)
        Learning rate of each step.
    held_out : pair of arrays of shape (epochs,) or None
        Mean loss and score of the validation rows.
    """

    def __init__(
        self,
        first: int,
        loss: Loss,
        per_epoch: int,
        figures: Array,
        rates: Array,
        held_out: tuple[Array, Array] | None,
    ) -> None:
        self.first = first
        self.metric = loss.metric
        self._loss = loss
        self._per_epoch = per_epoch
        self._figures = figures
        self._rates = rates
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self._figures)

    def until(self, end: int) -> Columns:
        """Return the first epochs."""
        if end == len(self):
            return self
        held_out = None if self._held_out is None else (self._held_out[0][:end], self._held_out[1][:end])
        return Columns(self.first, self._loss, self._per_epoch, self._figures[:end], self._rates, held_out)

    def record(self, i: int) -> Epoch:
        """Return the record of one epoch."""
        values = {name: getattr(self, name)[i] for name in _COLUMNS}
        return filled(Epoch, number=self.first + i, metric=self.metric, **values, state=spent)

    def sums(self, i: int) -> Sums:
        """Return the sums of one epoch, as the loop keeps them of an epoch that is cut short."""
        loss, score, weight, norm, steps, _ = self._figures[i].tolist()
        return Sums() + Sums(loss, score, weight, norm, int(steps))

    def signed(self, watched: str) -> list[float]:
        """Return a figure of each epoch with the sign that makes smaller better; infinity where it is not a number."""
        figures: list[float] = getattr(self, watched)
        if watched.endswith("score") and self.metric == "accuracy":
            figures = [-figure for figure in figures]
        return [math.inf if figure != figure else figure for figure in figures]

    def _mean(self, column: int) -> list[float]:
        """Return the mean over the rows of each epoch: NaN where none of them counts."""
        total, weight = self._figures[:, column], self._figures[:, 2]
        with np.errstate(all="ignore"):
            means: list[float] = np.where(weight != 0, (0.0 + total) / weight, math.nan).tolist()
        return means

    def _shown(self, scores: Iterable[float]) -> list[float]:
        return [shown_score(self._loss, score) for score in scores]

    @cached_property
    def train_loss(self) -> list[float]:
        """Mean training loss."""
        return self._mean(0)

    @cached_property
    def train_score(self) -> list[float]:
        """Training score."""
        return self._shown(self._mean(1))

    @cached_property
    def validation_loss(self) -> list[float]:
        """Mean loss of the validation rows, NaN without them and after an epoch that is not complete."""
        return [math.nan] * len(self) if self._held_out is None else self._held_out[0].tolist()

    @cached_property
    def validation_score(self) -> list[float]:
        """Score of the validation rows."""
        return [math.nan] * len(self) if self._held_out is None else self._shown(self._held_out[1].tolist())

    @cached_property
    def learning_rate(self) -> list[float]:
        """Learning rate of the last step."""
        last = np.arange(len(self)) * self._per_epoch + np.maximum(self.steps, 1) - 1
        rates: list[float] = self._rates[last].tolist()
        return rates

    @cached_property
    def gradient_norm(self) -> list[float]:
        """Mean length of the gradient."""
        norms = zip(self._figures[:, 3].tolist(), self.steps, strict=True)
        return [norm / steps if steps else math.nan for norm, steps in norms]

    @cached_property
    def seconds(self) -> list[float]:
        """Time of each epoch."""
        seconds: list[float] = self._figures[:, 5].tolist()
        return seconds

    @cached_property
    def steps(self) -> list[int]:
        """Steps of each epoch."""
        return list(map(int, self._figures[:, 4].tolist()))

    @cached_property
    def complete(self) -> list[bool]:
        """Whether all steps of an epoch were done."""
        return [steps == self._per_epoch for steps in self.steps]

    @cached_property
    def finite(self) -> list[bool]:
        """Whether losses and gradients are finite numbers."""
        return [self._sound(i) for i in range(len(self))]

    @property
    def broken(self) -> int | None:
        """First epoch whose numbers are not finite; None where all of them are."""
        held_out = self._held_out is None or np.isfinite(self._held_out[0]).all()
        if held_out and np.isfinite(self._figures).all() and self._figures[:, 2].all():
            return None
        return next((i for i, finite in enumerate(self.finite) if not finite), None)

    def _sound(self, i: int) -> bool:
        held_out = self._held_out is None or not self.complete[i] or math.isfinite(self.validation_loss[i])
        return held_out and math.isfinite(self.train_loss[i]) and math.isfinite(self._figures[i, 3])


_COLUMNS = (
    "train_loss",
    "train_score",
    "validation_loss",
    "validation_score",
    "learning_rate",
    "gradient_norm",
    "seconds",
    "steps",
    "complete",
    "finite",
)
"""The fields of a record that differ from epoch to epoch."""


class Epochs(Sequence[Epoch]):
    """The records of a run, made when one of them is asked for; they compare as the tuple of the records does."""

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
