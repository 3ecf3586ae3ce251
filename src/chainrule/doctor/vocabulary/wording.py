"""Put numbers into the words of findings.

In: layer numbers, shares. Out: short phrases.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST = 10.0
"""The largest share that is printed as a percentage."""

MOST_TIMES = 1e6
"""The largest ratio that is printed with its digits."""


def places(numbers: Sequence[int], most: int = 5) -> str:
    """Return `layer 3` or `layers 3, 5`; at most a few numbers.

    >>> places([3]), places([3, 5]), places(range(9))
    ('layer 3', 'layers 3, 5', 'layers 0, 1, 2, 3, 4, ...')
    """
    shown = [*map(str, numbers[:most]), *(["..."] if len(numbers) > most else [])]
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(shown)}"


def percent(share: float) -> str:
    """Return a share as "12 %", with two digits if it is small; above 1000 % the digits mean nothing.

    >>> percent(0.1234), percent(0.01234), percent(1e150)
    ('12 %', '1.2 %', 'over 1000 %')
    """
    if not abs(share) <= MOST:
        return "an unknown share" if share != share else f"{'-' if share < 0 else ''}over {100 * MOST:.0f} %"
    return f"{100.0 * share:.2g} %" if abs(share) < 0.1 else f"{100.0 * share:.0f} %"


def times(ratio: float) -> str:
    """Return a ratio as "3.2 times"; above a million the digits mean nothing.

    >>> times(3.21), times(1e200), times(float("nan"))
    ('3.2 times', 'over a million times', 'an unknown multiple of')
    """
    if ratio != ratio:
        return "an unknown multiple of"
    return "over a million times" if ratio > MOST_TIMES else f"{ratio:.2g} times"


def column_name(names: Sequence[str], column: int) -> str:
    """Return the name of an input column, or its number where there are no names.

    >>> column_name(("age", "city"), 1), column_name((), 3)
    ("'city'", 'column 3')
    """
    return repr(names[column]) if column < len(names) else f"column {column}"
