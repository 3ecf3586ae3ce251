"""Constraints of settings that take a name or an object, or one value for each hidden layer.

In: constraints. Out: constraints made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.constraints import Constraint
from chainrule.errors import did_you_mean


@dataclass(frozen=True)
class Each:
    """One value for all hidden layers, or a sequence with one for each.

    >>> from chainrule.constraints import SHARE
    >>> print(Each(SHARE)), Each(SHARE).allows([0.1, 0.2]), Each(SHARE).allows([0.1, 2.0])
    in [0, 1)
    (None, True, False)
    """

    one: Constraint

    def allows(self, value: Any) -> bool:
        """Check whether it is allowed, or all of its members are."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            return self.one.allows(value)
        return all(self.one.allows(item) for item in value)

    def hint(self, value: Any) -> str:
        """Return the hint for the value, or for the first member that is not allowed."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            return self.one.hint(value)
        return next((self.one.hint(item) for item in value if not self.one.allows(item)), "")

    def __str__(self) -> str:
        return str(self.one)


@dataclass(frozen=True, eq=False)
class NameOrObject:
    """The name of a known object, or an object that has the method by which objects of its kind are used."""

    kind: str
    known: Mapping[str, Any]
    method: str

    def allows(self, value: Any) -> bool:
        """Check whether the name is known, or the object (not its class) has the method."""
        if isinstance(value, str):
            return value in self.known
        return hasattr(value, self.method) and not isinstance(value, type)

    def hint(self, value: Any) -> str:
        """Return the nearest name, or that parentheses are missing."""
        if isinstance(value, str):
            return did_you_mean(value, self.known)
        return f"Write {value.__name__}() with parentheses." if isinstance(value, type) else ""

    def __str__(self) -> str:
        article = "an" if self.kind[0] in "aeiou" else "a"
        return f"one of {', '.join(repr(name) for name in self.known)} or {article} {self.kind}"
