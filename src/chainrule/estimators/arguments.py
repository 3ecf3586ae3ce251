"""Why: an estimator stores what it was given; what that may be is asked in `fit`, all at once.

In: an estimator. Out: checked `Settings`, or one error that names every fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state

from chainrule.arrays import Array
from chainrule.constraints import COUNT, Constraint, OneOf, faults
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.model import Model
from chainrule.pipeline import Settings

_FLAG = OneOf((False, True))
_OWN: dict[str, Constraint] = {
    "dtype": OneOf(("auto", "float32", "float64")),
    "warm_start": _FLAG,
    "verbose": _FLAG,
    "n_networks": COUNT,
    "calibrate": OneOf((False, "temperature")),
}
"""What estimators take beyond `Settings`."""

_SETTINGS = tuple(field.name for field in fields(Settings) if field.name not in {"dtype", "seed"})

SMALL = 2**15
"""Numbers of a float64 training set (rows times columns) up to which "auto" trains in float64."""


def checked(estimator: Any) -> Settings:
    """The estimator's arguments as settings; "find" and "auto" stand as the defaults until the data settle them.

    Raises `InvalidValueError` naming every argument outside what it may be.
    """
    owner, given = type(estimator).__name__, {name: x for name, x in vars(estimator).items() if not name.endswith("_")}
    settings = Settings(**_values(given), seed=seed(estimator.random_state))
    found = list(settings.faults(owner, lambda name: "random_state" if name == "seed" else name))
    raise_all([*found, *faults(owner, given, {k: c for k, c in _OWN.items() if k in given}), *_other(owner, given)])
    return settings


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that `Settings` take; what the data settle is left out."""
    values = {name: given[name] for name in _SETTINGS if name in given}
    if isinstance(values["hidden_layer_sizes"], int | np.integer):
        values["hidden_layer_sizes"] = (int(values["hidden_layer_sizes"]),)
    open_questions = [name for name in ("loss", "learning_rate_multipliers") if values[name] is None]
    open_questions += ["learning_rate_init"] if isinstance(values["learning_rate_init"], str) else []
    return {name: value for name, value in values.items() if name not in open_questions}


def _other(owner: str, given: Mapping[str, Any]) -> Iterator[str]:
    scoring, start, callbacks, rate = (given[x] for x in ("scoring", "start", "callbacks", "learning_rate_init"))
    if isinstance(rate, str) and rate != "find":
        yield must_be(owner, "learning_rate_init", "a number above 0 or 'find'", rate)
    if isinstance(scoring, str) and scoring not in get_scorer_names():
        yield must_be(owner, "scoring", "a scorer's name", scoring, did_you_mean(scoring, get_scorer_names()))
    elif not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        yield must_be(owner, "scoring", "None, a scorer's name or a function of (estimator, X, y)", scoring)
    if not (start is None or isinstance(start, Model) or isinstance(getattr(start, "model_", None), Model)):
        yield must_be(owner, "start", "None, a fitted estimator or a Model", start, "Fit it first.")
    if not isinstance(callbacks, Sequence) or not all(map(_watches, callbacks)):
        yield must_be(owner, "callbacks", "a sequence of monitors", callbacks)


def _watches(callback: Any) -> bool:
    """Whether it is a monitor, or gives one for a job; a class is neither."""
    return not isinstance(callback, type) and (hasattr(callback, "observe") or hasattr(callback, "for_job"))


def seed(random_state: Any) -> int:
    """A seed from what scikit-learn allows: a whole number, a `RandomState`, or None for a fresh one.

    >>> seed(3)
    3
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def seeds(first: int, count: int) -> list[int]:
    """Seeds of an ensemble: the given one, then words drawn from it.

    >>> len(set(seeds(0, 5))), seeds(7, 1)
    (5, [7])
    """
    return [first, *(int(np.random.SeedSequence((first, i)).generate_state(1)[0]) for i in range(1, count))]


def settled_dtype(dtype: str, X: Array) -> str:
    """The dtype that "auto" means: float32, but float64 for a small training set of float64.

    A small set trains as fast in float64, and its rounding then hides nothing: a weight of 2 is a row twice to ten digits.

    >>> settled_dtype("auto", np.zeros((10, 4))), settled_dtype("auto", np.zeros((10_000, 4)))
    ('float64', 'float32')
    """
    if dtype != "auto":
        return dtype
    return "float64" if X.dtype == np.float64 and X.size <= SMALL else "float32"
