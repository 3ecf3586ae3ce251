"""Keys under which what was made once is found again: of equal plain settings, or of the very same object.

A small network is trained in less time than its settings are checked, so that fits with equal settings share what follows
from them. In: values, objects. Out: keys for `functools.lru_cache`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN = frozenset({int, float, str, bool, type(None)})


def plain_key(values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return a key of values that tells their types apart too; None where one may change, or says nothing about itself.

    >>> plain_key({"a": 1}) == plain_key({"a": True}), plain_key({"a": [1]})
    (False, None)
    """
    parts: list[Any] = []
    for value in values.values():
        kind = type(value)
        if kind is tuple and _PLAIN.issuperset(map(type, value)):
            parts += (*map(type, value), value)
        elif kind in _PLAIN:
            parts += (kind, value)
        else:
            return None
    return tuple(parts)


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
