"""Constraints on settings as data beside the setting, and one validator for all of them.

In: fields of frozen dataclasses that carry a constraint. Out: one sentence for every value outside its constraint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Protocol

from chainrule.errors import did_you_mean, must_be, raise_all


class Constraint(Protocol):
    """A set of allowed values with a name."""

    def allows(self, value: Any) -> bool:
        """Check whether the value belongs to the set."""

    def hint(self, value: Any) -> str:
        """Return a sentence that helps to correct the wrong value, or nothing."""


@dataclass(frozen=True)
class Interval:
    """Real or whole numbers between two ends; `closed` says which ends belong: "[]", "[)", "(]" or "()".

    >>> print(Interval(0, 1, "[)"))
    in [0, 1)
    >>> print(Interval(1, math.inf, "[)", whole=True))
    a whole number in [1, inf)
    """

    low: float
    high: float
    closed: str = "[]"
    whole: bool = False
    why: str = ""
    optional: bool = False

    def allows(self, value: Any) -> bool:
        """Check whether the value is a number (no bool) of the right kind between the ends."""
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value
        above = number >= self.low if self.closed[0] == "[" else number > self.low
        below = number <= self.high if self.closed[1] == "]" else number < self.high
        return bool(above and below)

    def hint(self, value: Any) -> str:
        """Return the reason for the ends, if one was given."""
        return self.why

    def __str__(self) -> str:
        kind = "a whole number " if self.whole else ""
        none = " or None" if self.optional else ""
        return f"{kind}in {self.closed[0]}{self.low:g}, {self.high:g}{self.closed[1]}{none}"


@dataclass(frozen=True)
class OneOf:
    """One of a few words (or None, True, False).

    >>> print(OneOf(("relu", "tanh")))
    one of 'relu', 'tanh'
    """

    options: tuple[Any, ...]

    def allows(self, value: Any) -> bool:
        """Check whether the value is one of the options, of the same type."""
        return any(value is option or (type(value) is type(option) and value == option) for option in self.options)

    def hint(self, value: Any) -> str:
        """Suggest the nearest option."""
        return did_you_mean(value, [o for o in self.options if isinstance(o, str)]) if isinstance(value, str) else ""

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(option) for option in self.options)


POSITIVE = Interval(0, math.inf, "()")
NOT_NEGATIVE = Interval(0, math.inf, "[)")
COUNT = Interval(1, math.inf, "[)", whole=True)
SHARE = Interval(0, 1, "[)")


def constrained(constraint: Constraint, default: Any = ...) -> Any:
    """Declare a dataclass field under a constraint."""
    metadata = {"constraint": constraint}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


def faults(owner: str, values: Mapping[str, Any], allowed: Mapping[str, Constraint]) -> Iterator[str]:
    """Describe each value outside its constraint in a sentence."""
    for name, constraint in allowed.items():
        if not constraint.allows(values[name]):
            yield must_be(owner, name, str(constraint), values[name], constraint.hint(values[name]))


def validate(piece: Any) -> None:
    """Raise one error that names every field of a dataclass outside its constraint."""
    allowed = {f.name: f.metadata["constraint"] for f in fields(piece) if "constraint" in f.metadata}
    raise_all(faults(type(piece).__name__, {name: getattr(piece, name) for name in allowed}, allowed))


class Checked:
    """Base of frozen dataclasses whose fields carry constraints, which are checked once, at construction."""

    def __post_init__(self) -> None:
        validate(self)
