"""The spellings of a gap: which cells of a table mean that nothing is known.

In: texts of cells. Out: whether a text marks a gap, and which marks are labels of their column after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MARKS = frozenset(
    (
        *(
            "",
            "na",
            "n/a",
            "n.a.",
            "n/a.",
            "#n/a",
            "#n/a n/a",
            "#na",
            "<na>",
            "null",
            "(null)",
            "#null!",
            "none",
            "nil",
        ),
        *("nan", "-nan", "nat", "?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "#div/0!", "#value!"),
        *("#ref!", "#name?", "#num!", "missing", "(missing)", "<missing>", "\\n", "1.#qnan", "-1.#qnan", "1.#ind"),
        *("-1.#ind",),
    )
)
"""Texts in small letters that stand for a gap in R, SAS, SQL, Excel, pandas and tables made by hand."""


def is_gap(text: str) -> bool:
    """Check whether a text is one of the spellings of a gap, in any case and with spaces around it.

    >>> is_gap("N/A"), is_gap(" "), is_gap("0")
    (True, True, False)
    """
    return text.strip().lower() in MARKS


def label_marks(values: Iterable[str]) -> Mapping[str, str]:
    """Return the marks among the distinct values of a text column that are labels there, each with the reason.

    >>> label_marks(["ZA", "NA", "DE"])
    {'NA': 'one of the two-letter codes of its column'}
    >>> label_marks(["yes", "no", "NA"])
    {}
    """
    distinct = list(values)
    others = [value for value in distinct if not is_gap(value)]
    found = {}
    for value in distinct:
        if value.lower() == "na" and others and all(_like(value, other) for other in others):
            found[value] = "one of the two-letter codes of its column"
        if value == "-" and "+" in others:
            found[value] = "the counterpart of '+'"
    return found


def _like(mark: str, other: str) -> bool:
    """Check whether another value is a code of two letters, in the same case."""
    return len(other) == 2 and other.isalpha() and other.isupper() == mark.isupper()


def label(value: Any) -> str:
    """Return a value as the text that stands for it among the categories.

    >>> label(3.0), label(True), label(" a")
    ('3', 'true', 'a')
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    return str(value)
