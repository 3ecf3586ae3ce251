"""The parameters of scikit-learn's perceptrons with their limits, checked together before work begins.

In: the parameters that an estimator stored. Out: `Arguments`, typed and checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from chainrule.constraints import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Either,
    Interval,
    OneOf,
    constrained,
    faults,
)
from chainrule.errors import must_be, raise_all

_FLAG = OneOf((False, True))


@dataclass(frozen=True)
class Arguments:
    """The parameters of both perceptrons, with scikit-learn's names and limits; sizes of hidden layers as a tuple."""

    hidden_layer_sizes: tuple[int, ...]
    random_state: Any
    activation: str = constrained(OneOf(("identity", "logistic", "tanh", "relu")))
    solver: str = constrained(OneOf(("lbfgs", "sgd", "adam")))
    alpha: float = constrained(NOT_NEGATIVE)
    batch_size: int | str = constrained(Either(OneOf(("auto",)), COUNT))
    learning_rate: str = constrained(OneOf(("constant", "invscaling", "adaptive")))
    learning_rate_init: float = constrained(POSITIVE)
    power_t: float = constrained(NOT_NEGATIVE)
    max_iter: int = constrained(COUNT)
    shuffle: bool = constrained(_FLAG)
    tol: float = constrained(NOT_NEGATIVE)
    verbose: int = constrained(Either(_FLAG, Interval(0, math.inf, "[)", whole=True)))
    warm_start: bool = constrained(_FLAG)
    momentum: float = constrained(Interval(0, 1))
    nesterovs_momentum: bool = constrained(_FLAG)
    early_stopping: bool = constrained(_FLAG)
    validation_fraction: float = constrained(SHARE)
    beta_1: float = constrained(SHARE)
    beta_2: float = constrained(SHARE)
    epsilon: float = constrained(POSITIVE)
    n_iter_no_change: float = constrained(Either(COUNT, OneOf((math.inf,))))
    max_fun: int = constrained(COUNT)
    loss: str = constrained(OneOf(("squared_error", "poisson")), "squared_error")

    @classmethod
    def of(cls, owner: str, stored: Mapping[str, Any]) -> Arguments:
        """Check the parameters that an estimator stored; `owner` is its name in messages.

        Raises `InvalidValueError` naming every parameter outside what it may be.
        """
        values = {name: value.item() if isinstance(value, np.generic) else value for name, value in stored.items()}
        allowed = {f.name: f.metadata["constraint"] for f in fields(cls) if f.name in values and f.metadata}
        sizes = np.atleast_1d(np.asarray(values["hidden_layer_sizes"], dtype=object)).tolist()
        raise_all([*_size_faults(owner, sizes), *faults(owner, values, allowed)])
        return cls(**{**values, "hidden_layer_sizes": tuple(map(int, sizes))})

    def rows_per_batch(self, n: int) -> int:
        """Return the batch size for n rows: 200 by default, never more than n."""
        return min(200 if self.batch_size == "auto" else int(self.batch_size), n)


def _size_faults(owner: str, sizes: list[Any]) -> Iterator[str]:
    if not all(COUNT.allows(size) for size in sizes):
        yield must_be(owner, "hidden_layer_sizes", "whole numbers >= 1", sizes, "Each is the width of a hidden layer.")
