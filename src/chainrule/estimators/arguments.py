"""The check of an estimator's arguments, which `fit` makes all at once.

In: arguments by name. Out: checked `Settings`, or one error that names every fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state

from chainrule.arrays import Array
from chainrule.constraints import COUNT, Constraint, OneOf, Unkeyed, constraints_of, faults, plain_key
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

_SEEDS = constraints_of(Settings)["seed"]

_SETTINGS = tuple(field.name for field in fields(Settings) if field.name not in {"dtype", "seed"})

SMALL = 2**15
"""Numbers of a float64 training set (rows times columns) up to which "auto" trains in float64."""


def checked_settings(owner: str, arguments: Mapping[str, Any]) -> Settings:
    """Return an estimator's arguments as settings; "find" and "auto" stand as the defaults until the data settle them.

    Raises `InvalidValueError` naming every argument outside its limits.
    """
    values, first = _values(arguments), seed(arguments["random_state"])
    own = {name: arguments[name] for name in _OWN if name in arguments}
    key = plain_key({**values, **own})
    if key is None or not _SEEDS.allows(first):
        settings, wrong = _settings(owner, values, own, first)
    else:
        settings, wrong = _known_settings(owner, tuple(values), key, Unkeyed((values, own)))
    raise_all([*wrong, *_other(owner, arguments)])
    return settings.settled(seed=first)


def _settings(
    owner: str, values: Mapping[str, Any], own: Mapping[str, Any], first: int
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings, and a sentence for each argument outside its limits."""
    settings = Settings(**values, seed=first)
    wrong = settings.faults(owner, lambda name: "random_state" if name == "seed" else name)
    return settings, (*wrong, *faults(owner, own, {name: _OWN[name] for name in own}))


@lru_cache(maxsize=64)
def _known_settings(
    owner: str, names: tuple[str, ...], key: tuple[Any, ...], parts: Unkeyed
) -> tuple[Settings, tuple[str, ...]]:
    values, own = parts.one
    return _settings(owner, values, own, 0)


def _values(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that `Settings` take; what the data settle is left out."""
    values = {name: arguments[name] for name in _SETTINGS if name in arguments}
    if isinstance(values["hidden_layer_sizes"], int | np.integer):
        values["hidden_layer_sizes"] = (int(values["hidden_layer_sizes"]),)
    open_questions = [name for name in ("loss", "learning_rate_multipliers") if values[name] is None]
    open_questions += ["learning_rate_init"] if isinstance(values["learning_rate_init"], str) else []
    return {name: value for name, value in values.items() if name not in open_questions}


def _other(owner: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    scoring, base, callbacks, rate = (
        arguments[name] for name in ("scoring", "init_from", "callbacks", "learning_rate_init")
    )
    if isinstance(rate, str) and rate != "find":
        yield must_be(owner, "learning_rate_init", "a number above 0 or 'find'", rate)
    if isinstance(scoring, str) and scoring not in get_scorer_names():
        yield must_be(owner, "scoring", "a scorer's name", scoring, did_you_mean(scoring, get_scorer_names()))
    elif not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        yield must_be(owner, "scoring", "None, a scorer's name or a function of (estimator, X, y)", scoring)
    if not (base is None or isinstance(base, Model) or isinstance(getattr(base, "model_", None), Model)):
        yield must_be(owner, "init_from", "None, a fitted estimator or a Model", base, "Fit it first.")
    if not isinstance(callbacks, Sequence) or not all(map(_is_monitor, callbacks)):
        yield must_be(owner, "callbacks", "a sequence of monitors", callbacks)


def _is_monitor(callback: Any) -> bool:
    """Check whether it is a monitor; a class is none."""
    return not isinstance(callback, type) and hasattr(callback, "observe")


def seed(random_state: Any) -> int:
    """Return a seed from what scikit-learn allows: a whole number, a `RandomState`, or None for a fresh one.

    >>> seed(3)
    3
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def seeds(first: int, count: int) -> list[int]:
    """Return the seeds of an ensemble: the given one, then words drawn from it.

    >>> len(set(seeds(0, 5))), seeds(7, 1)
    (5, [7])
    """
    return [first, *(int(np.random.SeedSequence((first, i)).generate_state(1)[0]) for i in range(1, count))]


def settled_dtype(dtype: str, X: Array) -> str:
    """Return the dtype that "auto" means: float32, but float64 for a small training set of float64.

    A small set trains as fast in float64, and its rounding then hides nothing: a weight of 2 is a row twice to ten digits.

    >>> settled_dtype("auto", np.zeros((10, 4))), settled_dtype("auto", np.zeros((10_000, 4)))
    ('float64', 'float32')
    """
    if dtype != "auto":
        return dtype
    return "float64" if X.dtype == np.float64 and X.size <= SMALL else "float32"
