"""The features of a plan as nodes of an ONNX graph: from a table's cells to numbers and codes.

In: the graph's inputs, one for each column. Out: one matrix of features, computed in float64 as in training.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.data.table.calendar import DAY
from chainrule.data.table.gaps import MARKS
from chainrule.exporters.onnx_builder import GraphBuilder
from chainrule.exporters.onnx_names import NO_DATE
from chainrule.exporters.plan import Code, Entry, Feature, InferencePlan, Input, IsCode, IsGap, Number, WordCount

_UNSEEN = -1
"""Code of a text that is no known level, before it is known whether it is a gap."""


def feature_faults(plan: InferencePlan) -> Iterator[str]:
    """Yield a sentence for each column that ONNX's operators cannot read."""
    hint = "ONNX has no such function of texts: leave the column out, or export to numpy or js."
    hashed: dict[str, str] = {}
    for feature in plan.features:
        code = feature.code if isinstance(feature, IsCode) else feature
        if isinstance(code, Code) and code.hashed:
            hashed[code.source] = "a category whose rare levels are hashed"
        elif isinstance(code, WordCount):
            hashed[code.source] = "a text whose words are hashed"
    for name, what in hashed.items():
        yield f"export: --to onnx must have columns that ONNX can read, got {name!r}, {what}. {hint}"


def write_features(graph: GraphBuilder, plan: InferencePlan, inputs: Mapping[str, str]) -> str:
    """Return the matrix of features in the plan's order and dtype; `inputs` has the graph's name of each column."""
    cells = _Cells(graph, plan.inputs, inputs)
    blocks = [
        _entries(graph, plan, inputs),
        _numbers(cells, plan.features),
        _gaps(cells, plan.features),
        _codes(cells, plan.features),
        *_flags(cells, plan.features),
    ]
    filled = [block for block in blocks if block is not None]
    places = [place for own, _ in filled for place in own]
    matrix = graph.join(value for _, value in filled)
    ordered = graph.columns(matrix, np.argsort(places).tolist(), len(places))
    return ordered if plan.feature_dtype == "float64" else graph.cast(ordered, plan.feature_dtype)


_Block = tuple[list[int], str]
"""Places of features in the plan, and the matrix that holds them."""


class _Cells:
    """The cells of a table's columns as values of the graph."""

    def __init__(self, graph: GraphBuilder, columns: Sequence[Input], inputs: Mapping[str, str]) -> None:
        self.graph = graph
        self.kinds = {column.name: column.kind for column in columns}
        self.missing = {column.name: column.missing for column in columns}
        self.inputs = inputs

    def number(self, source: str, part: str = "", origin: int = 0) -> str:
        """Return a number or a part of a date as float64 (n, 1), NaN for a gap; infinity stays."""
        name = self.inputs[source]
        graph = self.graph
        if self.kinds[source] != "date":
            return self._present(source, name, np.float64)
        missing = graph.node("Equal", name, graph.constant(np.array(NO_DATE)))
        moments = graph.node("Where", missing, graph.constant(np.array(np.nan)), graph.cast(name, np.float64))
        return date_part(graph, part, self._present(source, moments, np.int64), origin)

    def _present(self, source: str, value: str, kind: type[np.generic]) -> str:
        """Return numbers or moments, NaN where the cell has a value that means a gap."""
        for gap in self.missing[source]:
            missing = self.graph.node("Equal", self.inputs[source], self.graph.constant(np.array(gap, kind)))
            value = self.graph.node("Where", missing, self.graph.constant(np.array(np.nan)), value)
        return value

    def is_gap(self, source: str) -> str:
        """Return whether a number or a date is a gap or infinite, as truth values (n, 1)."""
        value = self.number(source, "days" if self.kinds[source] == "date" else "")
        return self.no_number(value)

    def no_number(self, value: str) -> str:
        """Return where a number is NaN or infinite."""
        return self.graph.node("Or", self.graph.node("IsNaN", value), self.graph.node("IsInf", value))

    def codes(self, codes: Sequence[Code]) -> str:
        """Return the codes of columns of texts, int64 (n, number of columns)."""
        graph = self.graph
        texts = [self.inputs[code.source] for code in codes]
        found = graph.join(self._known(text, code) for text, code in zip(texts, codes, strict=True))
        marks = sorted(spelling for mark in MARKS for spelling in spellings(mark))
        marked = graph.node(
            "ml.LabelEncoder",
            graph.join(texts),
            keys_strings=marks,
            values_int64s=[1] * len(marks),
            default_int64=0,
        )
        other = graph.node(
            "Where",
            graph.cast(marked, np.bool_),
            graph.constant(np.array([code.gap for code in codes], np.int64)),
            graph.constant(np.array([code.unknown for code in codes], np.int64)),
        )
        unseen = graph.node("Equal", found, graph.constant(np.array(_UNSEEN, np.int64)))
        return graph.node("Where", unseen, other, found)

    def _known(self, text: str, code: Code) -> str:
        known = dict(code.codes)
        if code.boolean:
            for key, number in code.codes.items():
                for spelling in spellings(key):
                    known.setdefault(spelling, number)
        return self.graph.node(
            "ml.LabelEncoder",
            text,
            keys_strings=list(known),
            values_int64s=list(known.values()),
            default_int64=_UNSEEN,
        )


def spellings(text: str) -> Iterator[str]:
    """Yield a text in every mixture of small and capital letters.

    >>> list(spellings("na"))
    ['na', 'nA', 'Na', 'NA']
    """
    for letters in itertools.product(*(sorted({c.lower(), c.upper()}, reverse=True) for c in text)):
        yield "".join(letters)


def date_part(graph: GraphBuilder, part: str, moments: str, origin: int) -> str:
    """Return one part of date-times in microseconds, as `data.table.calendar.part` does."""
    if part == "days":
        return _over(graph, _minus(graph, moments, origin), DAY)
    days = _floor_over(graph, moments, DAY)
    if part == "hour":
        start = _times(graph, days, DAY)
        return _over(graph, graph.node("Sub", moments, start), DAY / 24)
    if part == "weekday":
        since = _minus(graph, days, -3)
        weeks = _floor_over(graph, since, 7)
        return _minus(graph, graph.node("Sub", since, _times(graph, weeks, 7)), -1)
    return _month_or_day(graph, part, days)


def _month_or_day(graph: GraphBuilder, part: str, days: str) -> str:
    """Return month or day of the month from days since 1970, by eras of 400 years that begin in March."""
    since = _minus(graph, days, -719_468)
    era = _floor_over(graph, since, 146_097)
    day_of_era = graph.node("Sub", since, _times(graph, era, 146_097))
    without_leap = graph.node("Sub", day_of_era, _floor_over(graph, day_of_era, 1460))
    without_leap = graph.node("Add", without_leap, _floor_over(graph, day_of_era, 36_524))
    without_leap = graph.node("Sub", without_leap, _floor_over(graph, day_of_era, 146_096))
    year = _floor_over(graph, without_leap, 365)
    before = graph.node("Add", _times(graph, year, 365), _floor_over(graph, year, 4))
    before = graph.node("Sub", before, _floor_over(graph, year, 100))
    day_of_year = graph.node("Sub", day_of_era, before)
    march = _floor_over(graph, _minus(graph, _times(graph, day_of_year, 5), -2), 153)
    if part == "month":
        late = graph.node("Less", march, graph.constant(np.array(10.0)))
        return graph.node("Where", late, _minus(graph, march, -3), _minus(graph, march, 9))
    start = _floor_over(graph, _minus(graph, _times(graph, march, 153), -2), 5)
    return _minus(graph, graph.node("Sub", day_of_year, start), -1)


def _minus(graph: GraphBuilder, value: str, by: float) -> str:
    return graph.node("Sub", value, graph.constant(np.array(float(by))))


def _times(graph: GraphBuilder, value: str, by: float) -> str:
    return graph.node("Mul", value, graph.constant(np.array(float(by))))


def _over(graph: GraphBuilder, value: str, by: float) -> str:
    return graph.node("Div", value, graph.constant(np.array(float(by))))


def _floor_over(graph: GraphBuilder, value: str, by: float) -> str:
    return graph.node("Floor", _over(graph, value, by))


def _entries(graph: GraphBuilder, plan: InferencePlan, inputs: Mapping[str, str]) -> _Block | None:
    found = [(place, feature) for place, feature in enumerate(plan.features) if isinstance(feature, Entry)]
    if not found:
        return None
    source = found[0][1].source
    width = next(column.width for column in plan.inputs if column.name == source)
    chosen = graph.columns(inputs[source], [feature.place for _, feature in found], width)
    return [place for place, _ in found], chosen


def _numbers(cells: _Cells, features: Sequence[Feature]) -> _Block | None:
    found = [(place, feature) for place, feature in enumerate(features) if isinstance(feature, Number)]
    if not found:
        return None
    graph = cells.graph
    numbers = [feature for _, feature in found]
    values = graph.join(cells.number(number.source, number.part, number.origin) for number in numbers)
    scaled = values
    if any(number.center != 0.0 or number.scale != 1.0 for number in numbers):
        scaled = graph.node("Sub", values, _vector(graph, [number.center for number in numbers]))
        scaled = graph.node("Div", scaled, _vector(graph, [number.scale for number in numbers]))
    limits = np.array([number.limit for number in numbers])
    if np.isfinite(limits).any():
        scaled = graph.node("Max", graph.node("Min", scaled, graph.constant(limits)), graph.constant(-limits))
    filled = graph.node("Where", cells.no_number(values), _vector(graph, [number.gap for number in numbers]), scaled)
    return [place for place, _ in found], filled


def _vector(graph: GraphBuilder, numbers: Sequence[float]) -> str:
    return graph.constant(np.array(numbers, np.float64))


def _gaps(cells: _Cells, features: Sequence[Feature]) -> _Block | None:
    found = [(place, feature) for place, feature in enumerate(features) if isinstance(feature, IsGap)]
    if not found:
        return None
    gaps = cells.graph.join(cells.is_gap(feature.source) for _, feature in found)
    return [place for place, _ in found], cells.graph.cast(gaps, np.float64)


def _codes(cells: _Cells, features: Sequence[Feature]) -> _Block | None:
    found = [(place, feature) for place, feature in enumerate(features) if isinstance(feature, Code)]
    if not found:
        return None
    codes = cells.codes([feature for _, feature in found])
    return [place for place, _ in found], cells.graph.cast(codes, np.float64)


def _flags(cells: _Cells, features: Sequence[Feature]) -> Iterator[_Block]:
    """Yield the flags of each column of texts: its code looked up in a table of their values."""
    by_source: dict[str, list[tuple[int, IsCode]]] = {}
    for place, feature in enumerate(features):
        if isinstance(feature, IsCode):
            by_source.setdefault(feature.code.source, []).append((place, feature))
    sources = list(by_source)
    if not sources:
        return
    graph = cells.graph
    codes = cells.codes([by_source[source][0][1].code for source in sources])
    for i, source in enumerate(sources):
        flags = [feature for _, feature in by_source[source]]
        own = graph.columns(codes, [i], len(sources))
        yield [place for place, _ in by_source[source]], _flags_of(graph, own, flags)


def _flags_of(graph: GraphBuilder, codes: str, flags: Sequence[IsCode]) -> str:
    if all(list(flag.values.values()) == [1.0] for flag in flags):
        chosen = np.array([next(iter(flag.values)) for flag in flags], np.int64)
        return graph.cast(graph.node("Equal", codes, graph.constant(chosen)), np.float64)
    table = _value_table(flags)
    row = graph.node("Squeeze", codes, graph.constant(np.array([1], np.int64)))
    return graph.node("Gather", graph.constant(table), row, axis=0)


def _value_table(flags: Sequence[IsCode]) -> Array:
    """Return the value of each flag for each code, (codes, flags)."""
    code = flags[0].code
    possible = [*code.codes.values(), code.gap, code.unknown, *(c for flag in flags for c in flag.values)]
    table = np.zeros((max(possible) + 1, len(flags)))
    for j, flag in enumerate(flags):
        for number, value in flag.values.items():
            table[number, j] = value
    return table
