"""Constraints on settings as data beside the setting, and one validator for all of them; keys of settings that were checked.

A small network is trained in less time than its settings are checked, so that fits with equal settings share what follows
from them.
In: fields of frozen dataclasses that carry a constraint. Out: one sentence for every value outside its constraint; keys for
`functools.lru_cache`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from itertools import chain, pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, Protocol, Self

from chainrule.errors import did_you_mean, must_be, nearest, raise_all

_LARGEST = int(sys.float_info.max)
"""Whole numbers above have no float."""


class Constraint(Protocol):
    """A set of allowed values with a name."""

    def allows(self, value: Any) -> bool:
        """Check whether the value belongs to the set."""

    def hint(self, value: Any) -> str:
        """Return a sentence that helps to correct the wrong value, or nothing."""


@dataclass(frozen=True)
class Interval:
    """Real or whole numbers between two ends.

    Parameters
    ----------
    low, high : float
        The ends.
    closed : {"[]", "[)", "(]", "()"}, default="[]"
        Which of them belong to the interval.
    whole : bool, default=False
        Whether only whole numbers are allowed.
    why : str, default=""
        Reason for the ends, added to messages.
    optional : bool, default=False
        Whether None is allowed too.

    Examples
    --------
    >>> print(Interval(0, 1, "[)"))
    in [0, 1)
    >>> print(Interval(1, math.inf, "[)", whole=True))
    a whole number in [1, inf)
    >>> print(Interval(0, 2**64, "[)", whole=True))
    a whole number in [0, 2**64)
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
        plain = type(value) is int or (type(value) is float and not self.whole)
        if not plain and (isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real)):
            return False
        number: Any = value
        if not self.whole and isinstance(number, int) and abs(number) > _LARGEST:
            return False
        above = number >= self.low if self.closed[0] == "[" else number > self.low
        below = number <= self.high if self.closed[1] == "]" else number < self.high
        return bool(above and below)

    def hint(self, value: Any) -> str:
        """Return the reason for the ends, if one was given."""
        return self.why

    def __str__(self) -> str:
        kind = "a whole number " if self.whole else ""
        none = " or None" if self.optional else ""
        return f"{kind}in {self.closed[0]}{self._text(self.low)}, {self._text(self.high)}{self.closed[1]}{none}"

    def _text(self, end: float) -> str:
        """Return an end of the interval as a reader would write it: large whole numbers in full or as powers of two."""
        if not self.whole or math.isinf(end) or abs(end) < 10**6:
            return f"{end:g}"
        power = int(end).bit_length() - 1
        return f"2**{power}" if power > 31 and end == 2**power else str(int(end))


@dataclass(frozen=True)
class OneOf:
    """One of a few words (or None, True, False).

    Parameters
    ----------
    options : tuple
        The allowed values.

    Examples
    --------
    >>> print(OneOf(("relu", "tanh")))
    one of 'relu', 'tanh'
    """

    options: tuple[Any, ...]

    def allows(self, value: Any) -> bool:
        """Check whether the value is one of the options, of the same type."""
        return any(value is option or (type(value) is type(option) and value == option) for option in self.options)

    def hint(self, value: Any) -> str:
        """Suggest the nearest option; the message lists all options already."""
        words = [option for option in self.options if isinstance(option, str)]
        close = nearest(value, words) if isinstance(value, str) else None
        return "" if close is None else f"Did you mean {close!r}?"

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(option) for option in self.options)


@dataclass(frozen=True)
class Either:
    """The values that either of two constraints allows.

    Parameters
    ----------
    first, second : Constraint
        The two constraints.

    Examples
    --------
    >>> print(Either(OneOf(("auto",)), COUNT))
    one of 'auto' or a whole number in [1, inf)
    """

    first: Constraint
    second: Constraint

    def allows(self, value: Any) -> bool:
        """Check whether one of the two allows the value."""
        return self.first.allows(value) or self.second.allows(value)

    def hint(self, value: Any) -> str:
        """Return the hint of the first constraint for a word, else nothing."""
        return self.first.hint(value) if isinstance(value, str) else ""

    def __str__(self) -> str:
        return f"{self.first} or {self.second}"


@dataclass(frozen=True)
class Each:
    """Sequences, not empty, whose values all keep one constraint.

    Parameters
    ----------
    constraint : Constraint
        What each value may be.

    Examples
    --------
    >>> print(Each(COUNT))
    a sequence of values, each a whole number in [1, inf)
    """

    constraint: Constraint

    def allows(self, value: Any) -> bool:
        """Check whether the value is a tuple or list, not empty, of allowed values."""
        return isinstance(value, tuple | list) and len(value) > 0 and all(map(self.constraint.allows, value))

    def hint(self, value: Any) -> str:
        """Return what helps with the first wrong value."""
        wrong = [x for x in value if not self.constraint.allows(x)] if isinstance(value, tuple | list) else []
        return self.constraint.hint(wrong[0]) if wrong else ""

    def __str__(self) -> str:
        return f"a sequence of values, each {self.constraint}"


@dataclass(frozen=True)
class Ascending:
    """Sequences of at least two finite numbers, each larger than the one before.

    Examples
    --------
    >>> Ascending().allows((0.0, 0.5, 2.0)), Ascending().allows((0.0, 0.0))
    (True, False)
    """

    def allows(self, value: Any) -> bool:
        """Check whether the value is such a tuple or list."""
        if not isinstance(value, tuple | list) or len(value) < 2:
            return False
        return all(_FINITE.allows(x) for x in value) and all(a < b for a, b in pairwise(value))

    def hint(self, value: Any) -> str:
        """Return nothing: the name of the set says it."""
        return ""

    def __str__(self) -> str:
        return "at least two finite numbers in ascending order"


_FINITE = Interval(-math.inf, math.inf, "()")
POSITIVE = Interval(0, math.inf, "()")
NOT_NEGATIVE = Interval(0, math.inf, "[)")
COUNT = Interval(1, math.inf, "[)", whole=True)
SHARE = Interval(0, 1, "[)")


def constrained(constraint: Constraint, default: Any = ..., *, kw_only: Any = MISSING) -> Any:
    """Declare a dataclass field under a constraint.

    Parameters
    ----------
    constraint : Constraint
        What the field may be.
    default : object, default=...
        Default of the field; without one it must be given.
    kw_only : bool, optional
        Whether the field is given by name only; by default as the dataclass says.

    Returns
    -------
    dataclasses.Field
    """
    metadata = {"constraint": constraint}
    given = MISSING if default is ... else default
    return field(default=given, metadata=metadata, kw_only=kw_only)


def faults(owner: str, values: Mapping[str, Any], allowed: Mapping[str, Constraint]) -> Iterator[str]:
    """Describe each value outside its constraint in a sentence.

    Parameters
    ----------
    owner : str
        The object that messages name.
    values : mapping of str to object
        Values by name.
    allowed : mapping of str to Constraint
        Constraints by the same names.

    Yields
    ------
    str
    """
    for name, constraint in allowed.items():
        if not constraint.allows(values[name]):
            yield must_be(owner, name, str(constraint), values[name], constraint.hint(values[name]))


def validate(piece: Any) -> None:
    """Raise one error that names every field of a dataclass outside its constraint."""
    allowed = constraints_of(type(piece))  # type: ignore[arg-type]  # (classes are hashable)
    values = {name: getattr(piece, name) for name in allowed}
    if not all_allowed(values, allowed):
        raise_all(faults(type(piece).__name__, values, allowed))


@cache
def constraints_of(cls: type) -> Mapping[str, Constraint]:
    """Return the constraints of a dataclass by the names of its fields."""
    return {f.name: f.metadata["constraint"] for f in fields(cls) if "constraint" in f.metadata}


def all_allowed(values: Mapping[str, Any], allowed: Mapping[str, Constraint]) -> bool:
    """Check whether every value keeps its constraint, without a word about those that do not."""
    return all(constraint.allows(values[name]) for name, constraint in allowed.items())


class Checked:
    """Base of frozen dataclasses whose fields carry constraints, which are checked once, at construction.

    It also turns a wrong call into one clear line: an option given by position, or under a name that does not exist.
    `positional_hint` is what to add when an option came by position.
    """

    positional_hint: ClassVar[str] = ""

    def __new__(cls, *positional: Any, **named: Any) -> Self:
        """Create the object after a check of how the arguments were given."""
        raise_all(_call_faults(cls, positional, named))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        validate(self)


@cache
def _names_of(cls: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a dataclass that are given in order, and those that are given by name only."""
    known = [f for f in fields(cls) if f.init]
    ordered, options = (tuple(f.name for f in known if f.kw_only is by_name) for by_name in (False, True))
    return ordered, options


def _call_faults(cls: type[Checked], positional: tuple[Any, ...], named: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each option given by position or under an unknown name."""
    ordered, options = _names_of(cls)  # type: ignore[arg-type]  # (classes are hashable)
    if options and len(positional) > len(ordered):
        allowed = f"given by name ({', '.join(options)})"
        yield must_be(cls.__name__, "options", allowed, positional[len(ordered)], cls.positional_hint)
    for name in named:
        if name not in (*ordered, *options):
            hint = did_you_mean(name, [*ordered, *options]) or f"{cls.__name__} has no options."
            yield must_be(cls.__name__, "options", "known by name", name, hint)


_PLAIN = frozenset({int, float, str, bool, type(None)})
_PLAIN_OR_TUPLE = _PLAIN | {tuple}


def plain_key(values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return a key of values that tells their types apart too; None where one may change, or says nothing about itself.

    >>> plain_key({"a": 1}) == plain_key({"a": True}), plain_key({"a": [1]})
    (False, None)
    """
    held = tuple(values.values())
    kinds = tuple(map(type, held))
    within = tuple(map(type, chain.from_iterable([value for value in held if type(value) is tuple])))
    plain = _PLAIN_OR_TUPLE.issuperset(kinds) and _PLAIN.issuperset(within)
    return (held, kinds, within) if plain else None


class Same:
    """A key that only the very same object has: to compare one network with another takes longer than to make one."""

    __slots__ = ("one",)

    def __init__(self, one: Any) -> None:
        self.one = one

    def __hash__(self) -> int:
        return id(self.one)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.one is other.one


class Unkeyed(Same):
    """An argument that says no more than the others: all are equal."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unkeyed)
