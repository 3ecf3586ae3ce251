"""One column of a table: its kind, the reason, and everything that encoding its cells needs.

In: a column of a frame, and the kind that the user asked for. Out: a `Column`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.table.calendar import DAY, part
from chainrule.data.table.cells import TEXT, clean_text, interpret, loose_numbers, without_marks
from chainrule.data.table.dates import microseconds, mostly_dates
from chainrule.data.table.gaps import MARKS, is_gap, label, label_marks
from chainrule.data.table.missing import cleared, in_numbers
from chainrule.data.table.schema import Column, NumberFormat, NumberRange
from chainrule.data.table.shell import list_text, option_text
from chainrule.data.table.values import text_of
from chainrule.errors import InvalidValueError, must_be

MOST_LEVELS = 256
"""Levels of a category that get codes of their own; beyond, the most frequent do and the others are hashed."""

_OWN, _HASHED = 192, 64
"""Codes of a category with more levels: of frequent levels, and of those that are hashed."""

COUNTED = 10
"""Rows from which on 1, 2, 3, ... is taken for a count of the rows."""

_MANY = 20
"""Rows from which on texts that are all distinct, or numbers that are the rows' in another order, are ids."""

_MOSTLY = 0.9
"""Share of a column's filled cells that must be numbers for the others to count as gaps."""

_ID_WORD = r"id|idx|index|row[_ ]?id|row[_ ]?names?|row[_ ]?num(ber)?|uuid|guid"
ID_NAME = re.compile(rf"(?i:(^|[_ .-])({_ID_WORD}))$|[a-z](Id|ID)$")
SAVED_INDEX = re.compile(r"^(__index_level_\d+__|Unnamed: 0|)$")


_REPEATED = 3
"""Rows of a level that is no chance find."""

_FEW_TEXTS = 50
"""Distinct texts up to which a column is a category, however many words they have."""

_LABELS = 1000
"""Distinct texts up to which a mark of a gap may be a label."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a column, typed, and how they were written."""

    name: str
    values: pl.Series
    gaps: int
    written: NumberFormat | None = None
    date_format: str | None = None
    reason: str = ""
    warning: str = ""


def column_of(
    owner: str, cells: pl.Series, asked: str | None, decimal: str | None, missing: Sequence[str] = ()
) -> tuple[Column, str]:
    """Return what a column is, with a warning about its cells if there is one.

    `missing` are values that mean a gap. The cells have gaps for them; others may be the same number or date.
    """
    kind, typed = typed_cells(owner, cells, asked, decimal)
    if missing and kind in ("number", "date"):
        values = cleared(typed.values, in_numbers(missing, typed.written), decimal)
        typed = replace(typed, values=values, gaps=values.null_count())
    reason = f"asked for (--columns {cells.name}={asked})" if asked else typed.reason
    if asked == "id":
        return Column(cells.name, "id", reason, used=False), ""
    constant = None if asked else _constant(typed, kind)
    if constant is not None:
        return constant, ""
    if kind == "number":
        return _number(typed, reason, asked), typed.warning
    if kind == "boolean":
        share = typed.values.mean()
        center = float(isinstance(share, float) and share >= 0.5)
        numbers = (NumberRange("", center, 1.0, 0.0, 1.0),)
        return Column(cells.name, kind, reason, True, numbers, ("false", "true"), gaps=typed.gaps), ""
    if kind == "date":
        return _date(typed, reason), typed.warning
    return _text(typed, reason, asked), ""


def typed_cells(owner: str, cells: pl.Series, asked: str | None, decimal: str | None) -> tuple[str, Cells]:
    """Return a column's kind by its type and its texts, and its cells of that type."""
    name, kind = cells.name, cells.dtype
    if asked in ("category", "text", "id"):
        return asked, Cells(name, text_of(cells), cells.null_count())
    if kind in TEXT:
        return _typed_text(owner, cells, asked, decimal)
    if kind == pl.Boolean:
        values, found = cells, "boolean"
    elif isinstance(kind, pl.Duration):
        values, found = cells.dt.total_microseconds() / DAY, "number"
    elif kind.is_numeric() or kind == pl.Null:
        values, found = cells, "number"
    elif kind.is_temporal():
        values, found = cells, "date"
    else:
        hint = f"Leave it out ({option_text('--drop', list_text([name]))})."
        raise InvalidValueError(
            must_be(owner, f"column {name!r}", "numbers, texts, booleans or dates", str(kind), hint)
        )
    if asked and asked != found and not (asked == "number" and found == "boolean"):
        raise InvalidValueError(must_be(owner, f"column {name!r}", f"a {asked}, as asked", str(kind)))
    found = asked or found
    values = values.cast(pl.Float64).fill_nan(None) if found == "number" and not kind.is_integer() else values
    reason = {"number": "numbers", "boolean": "true or false", "date": "dates"}[found]
    return _without_infinity(found, Cells(name, values, values.null_count(), reason=reason))


def _without_infinity(kind: str, typed: Cells) -> tuple[str, Cells]:
    if kind != "number" or not typed.values.dtype.is_float() or not typed.values.is_infinite().any():
        return kind, typed
    infinite = typed.values.is_infinite()
    values = typed.values.set(infinite, None)
    warning = f"column {typed.name!r}: {infinite.sum()} infinite values count as gaps."
    return kind, replace(typed, values=values, gaps=values.null_count(), warning=warning)


def _typed_text(owner: str, cells: pl.Series, asked: str | None, decimal: str | None) -> tuple[str, Cells]:
    """Return the kind of a column of texts."""
    text = clean_text(cells)
    found = interpret(text, decimal)
    typed = Cells(cells.name, found.values, found.values.null_count(), found.written, found.date_format, found.reason)
    if found.kind != "text" and asked in (None, found.kind):
        reason = {"number": "texts that are numbers", "boolean": "true or false", "date": "dates"}[found.kind]
        if typed.date_format:
            reason = f"dates written {typed.date_format}"
        return _without_infinity(found.kind, replace(typed, reason=reason))
    numbers, odd = loose_numbers(text)
    filled = numbers.len() - numbers.null_count()
    if asked == "number" or (
        not found.reason and filled >= _MOSTLY * (filled + odd.sum()) and numbers.n_unique() > _MANY
    ):
        return _without_infinity("number", _loose(text, numbers, odd, "number"))
    dates = mostly_dates(without_marks(text), _MOSTLY) if asked in (None, "date") and not found.reason else None
    if dates is not None:
        odd = (dates[0].is_null() & without_marks(text).is_not_null()).to_numpy()
        reason = f"dates written {dates[1]}"
        loose = _loose(text, dates[0], odd, "date")
        return "date", replace(loose, date_format=dates[1], reason=reason)
    if asked is not None:
        raise InvalidValueError(must_be(owner, f"column {cells.name!r}", f"a {asked}, as asked", found.kind))
    reason = found.reason
    if not reason and filled > odd.sum() > 0:
        reason = f"{text[int(np.flatnonzero(odd)[0])]!r} in row {np.flatnonzero(odd)[0] + 1} is no number"
    return "category", replace(typed, reason=reason)


def _loose(text: pl.Series, values: pl.Series, odd: Array, what: str) -> Cells:
    """Return a column of numbers or dates in which a few cells are something else."""
    rows = np.flatnonzero(odd)
    warning = ""
    if len(rows):
        counts = (
            f"1 cell is no {what} and counts as a gap"
            if len(rows) == 1
            else (f"{len(rows):,} cells are no {what}s and count as gaps")
        )
        example = f"{text[int(rows[0])]!r} in row {rows[0] + 1}"
        keep = option_text("--columns", list_text([f"{text.name}=category"]))
        warning = f"column {text.name!r}: {counts}, such as {example}. Use {keep} to keep texts."
    return Cells(text.name, values, values.null_count(), reason=f"{what}s", warning=warning)


def _constant(typed: Cells, kind: str) -> Column | None:
    """Return a column that has nothing but gaps, or one value and no gap."""
    values = typed.values
    filled = len(values) - values.null_count()
    if filled == 0:
        return Column(typed.name, "constant", "empty", used=False)
    if len(values) < 2 or typed.gaps or values.dtype == pl.Null or values[0] != values[-1]:
        return None
    if (values == values[0]).all() and not (kind == "category" and is_gap(str(values[0]))):
        value = label(values[0])
        return Column(typed.name, "constant", f"always {value}", used=False, value=value)
    return Column(typed.name, "constant", "empty", used=False) if (values == values[0]).all() else None


def number_range(name: str, values: pl.Series) -> NumberRange:
    """Return where the values of a number lie; a gap or NaN is left out."""
    filled = values.cast(pl.Float64).fill_nan(None).drop_nulls()
    if not len(filled):
        return NumberRange(name, 0.0, 1.0, 0.0, 0.0)
    lower, center, upper = (float(filled.quantile(q, "linear") or 0.0) for q in (0.25, 0.5, 0.75))
    lowest, highest = float(filled[filled.arg_min() or 0]), float(filled[filled.arg_max() or 0])
    scale = upper - lower
    if not 0 < scale < float("inf"):
        scale = highest / 2 - lowest / 2
    return NumberRange(name, center, scale if scale > 0 else 1.0, lowest, highest)


def _number(typed: Cells, reason: str, asked: str | None) -> Column:
    """Return a column of numbers, which may count the rows."""
    numbers = number_range("", typed.values)
    counted = None if asked else _counts_rows(typed, numbers)
    if counted:
        return Column(typed.name, "id", counted, False, (numbers,), gaps=typed.gaps)
    return Column(typed.name, "number", reason, True, (numbers,), gaps=typed.gaps, written=typed.written)


def _counts_rows(typed: Cells, numbers: NumberRange) -> str:
    """Return how a column counts the rows, "" if it does not."""
    values, n = typed.values, len(typed.values)
    if typed.gaps or n < 2:
        return ""
    if SAVED_INDEX.match(typed.name) and values.n_unique() == n:
        return "a saved row index"
    spread = numbers.highest - numbers.lowest
    if n < COUNTED or spread < n - 1 or (not values.dtype.is_integer() and (values != values.round()).any()):
        return ""
    if spread == n - 1 and numbers.lowest in (0, 1):
        steps = np.diff(values.to_numpy())
        if (steps == 1).all():
            return f"counts the rows ({int(numbers.lowest)}, {int(numbers.lowest) + 1}, ... in the file's order)"
        if n >= _MANY and values.n_unique() == n:
            return f"the numbers {int(numbers.lowest)} to {int(numbers.highest)}, each once"
    if n >= _MANY and ID_NAME.search(typed.name) and values.n_unique() == n:
        return "whole numbers that are all distinct, and its name"
    return ""


def _date(typed: Cells, reason: str) -> Column:
    """Return a column of dates with those parts that vary."""
    moments = microseconds(typed.values)
    known = moments[np.isfinite(moments)]
    origin = int(known.min() // DAY * DAY) if len(known) else 0
    names = ("hour",) if typed.values.dtype == pl.Time else ("days", "month", "weekday", "day", "hour")
    ranges = [number_range(name, pl.Series(part(name, moments, origin))) for name in names]
    varying = tuple(each for each in ranges if each.highest > each.lowest) or tuple(ranges[:1])
    return Column(
        typed.name, "date", reason, True, varying, gaps=typed.gaps, date_format=typed.date_format, origin=origin
    )


def _text(typed: Cells, reason: str, asked: str | None) -> Column:
    """Return a column of texts: a category, a text of words, or an id."""
    levels, gaps, labels = _levels(typed.values)
    found = Levels(levels, gaps, labels, len(typed.values), typed.values.dtype == pl.String)
    return text_column(typed.name, found, reason, asked)


@dataclass(frozen=True, eq=False)
class Levels:
    """The distinct texts of a column with their counts (columns "level" and "count"), its gaps, labels among marks, rows."""

    counts: pl.DataFrame
    gaps: int
    labels: Mapping[str, str]
    n: int
    texts: bool = True


def text_column(name: str, found: Levels, reason: str, asked: str | None) -> Column:
    """Return a column of texts by its levels: a category, a text of words, or an id."""
    if SAVED_INDEX.match(name) and not asked:
        return Column(name, "id", "a saved row index", used=False)
    levels, gaps, n = found.counts, found.gaps, found.n
    distinct, filled = levels.height, n - gaps
    if not distinct:
        return Column(name, "constant", "empty", used=False)
    if asked == "text" or (asked is None and _is_text(levels["level"], filled)):
        why = reason or f"texts of several words, {distinct:,} of them distinct"
        return Column(name, "text", why, True, gaps=gaps)
    alone = levels["count"].to_numpy().max() < _REPEATED and distinct > 0.8 * filled
    if asked is None and filled >= _MANY and (distinct == filled or alone):
        why = "all texts are distinct" if distinct == filled else f"{distinct:,} of {filled:,} texts are distinct"
        return Column(name, "id", why, used=False, gaps=gaps)
    why = reason or f"{distinct:,} distinct {'texts' if found.texts else 'values'}"
    why += "".join(f"; {mark!r} is a label: {because}" for mark, because in found.labels.items())
    return _category(name, why, levels, n, gaps)


def _levels(values: pl.Series) -> tuple[pl.DataFrame, int, Mapping[str, str]]:
    """Return the levels of a column with their counts, its gaps, and the marks that are labels."""
    return levels_of(level_counts(values), len(values))


def level_counts(values: pl.Series) -> pl.DataFrame:
    """Return the distinct texts of a column, marks of gaps among them, with their counts."""
    if values.dtype == pl.String:
        return clean_text(values).alias("level").drop_nulls().value_counts()
    counts = values.alias("level").drop_nulls().value_counts()
    names = pl.Series("level", [label(level) for level in counts["level"]], dtype=pl.String)
    return counts.with_columns(names).group_by("level").agg(pl.col("count").sum())


def levels_of(levels: pl.DataFrame, n: int) -> tuple[pl.DataFrame, int, Mapping[str, str]]:
    """Return the levels among the distinct texts of n rows, the gaps, and the marks that are labels."""
    marked = levels["level"].str.to_lowercase().is_in(list(MARKS))
    labels = label_marks(levels["level"]) if marked.any() and levels.height <= _LABELS else {}
    levels = levels.filter(~marked | levels["level"].is_in(list(labels)))
    return levels, n - int(levels["count"].sum()), labels


def _category(name: str, reason: str, levels: pl.DataFrame, n: int, gaps: int) -> Column:
    """Return a category with a code for each frequent level."""
    repeated = levels.filter(pl.col("count") >= _REPEATED)
    if repeated.height > MOST_LEVELS:
        own = _ordered(_frequent_first(repeated).head(_OWN))
        reason = f"{reason}; the {_OWN} most frequent have codes, the others are hashed into {_HASHED}"
        return Column(name, "category", reason, True, categories=own, hashed=_HASHED, gaps=gaps)
    least = least_count(n)
    frequent = (repeated if least >= _REPEATED else levels).filter(pl.col("count") >= least)
    own = _ordered(_frequent_first(frequent if frequent.height else levels).head(MOST_LEVELS if frequent.height else 1))
    return Column(name, "category", reason, True, categories=own, rare=len(own) < levels.height, gaps=gaps)


def _frequent_first(levels: pl.DataFrame) -> pl.Series:
    return levels.sort(["count", "level"], descending=[True, False])["level"]


def _ordered(levels: pl.Series) -> tuple[str, ...]:
    """Return levels in order: numbers by value, texts by letters."""
    try:
        return tuple(sorted(levels, key=lambda level: (float(level), level)))
    except ValueError:
        return tuple(sorted(levels))


def least_count(n: int) -> int:
    """Return how many rows a level must have among n for a code of its own.

    One or two rows say nothing about a level, and its code would hardly be trained; together, rare levels train the code
    that unknown ones get. Small tables need one or two rows only, large ones a ten-thousandth.

    >>> least_count(20), least_count(1000), least_count(1_000_000)
    (1, 3, 100)
    """
    return max(1, min(_REPEATED, n // 30), n // 10_000)


def _is_text(levels: pl.Series, n: int) -> bool:
    """Check for texts of several words that hardly repeat."""
    if len(levels) <= _FEW_TEXTS or 5 * len(levels) <= n:
        return False
    words = levels.gather_every(max(1, len(levels) // 1000)).str.count_matches(r"\S+").mean()
    return isinstance(words, float) and words >= (3 if len(levels) > 0.9 * n else 2)
