"""Values that a call of `fit` or `partial_fit` is made of.

In: rows, targets and weights, checked. Out: `FitData`, and the `Call` that is trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from chainrule.arrays import Array
from chainrule.model import Model
from chainrule.pipeline import Settings
from chainrule.train import TrainingProblem

UserValidation: TypeAlias = tuple[Any, Any, Any]
"""The user's validation rows: X, y, weights, or None for each."""


@dataclass(frozen=True, eq=False)
class SplitBy:
    """What validation rows are held out by: whole groups, or the latest times; at random where both are None."""

    groups: Any = None
    times: Any = None


@dataclass(frozen=True, eq=False)
class FitData:
    """Rows, targets and weights (None: all 1), checked; the settings for them; the model that training begins from.

    `continues` says whether the networks continue from where they ended.
    """

    settings: Settings
    X: Array = field(repr=False)
    y: Array = field(repr=False)
    weights: Array | None = field(repr=False)
    base: Model | None
    continues: bool


@dataclass(frozen=True, eq=False)
class Call:
    """What one call trains: a problem for each network, the validation rows (X, y, weights) in the user's units.

    `weighted` says whether rows have weights of their own.
    """

    settings: Settings
    problems: tuple[TrainingProblem, ...]
    validation: tuple[Array, ...] | None = field(repr=False)
    continues: bool
    weighted: bool
