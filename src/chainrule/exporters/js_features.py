"""A row in JavaScript: its cells, the features that are computed from them, and the rows of the networks."""

from __future__ import annotations

import re

import numpy as np

from chainrule.data.row_transform import one_hot_columns
from chainrule.data.table.schema import NumberFormat
from chainrule.data.transforms import FeatureTransform
from chainrule.exporters.c_features import codes_of, matrix_only
from chainrule.exporters.c_transforms import is_identity, shortened
from chainrule.exporters.cells import DIRECTIVES, ISO
from chainrule.exporters.js_text import Module, literal, quoted
from chainrule.exporters.plan import (
    Code,
    Entry,
    Feature,
    InferencePlan,
    Input,
    IsCode,
    IsGap,
    Number,
    Standardize,
    Transform,
    WordCount,
)

_TYPES = {
    "number": "number | string | null",
    "category": "string | number | boolean | null",
    "boolean": "boolean | string | null",
    "date": "Date | string | null",
    "text": "string | null",
}


def row_type(plan: InferencePlan) -> str:
    """Return the JSDoc type of a row."""
    if plan.inputs[0].kind == "matrix":
        return "/** @typedef {ArrayLike<number>} Row the numbers of a row, in the order of COLUMNS */\n"
    cells = "".join(f" *   {quoted(each.name)}?: {_TYPES[each.kind]},\n" for each in plan.inputs)
    about = 'a row by column; null, undefined, NaN and texts such as "" and "NA" are gaps'
    return f"/**\n * @typedef {{{{\n{cells} * }}}} Row {about}\n */\n"


class FeatureWriter:
    """What writes the way from a row to the rows of the networks.

    Parameters
    ----------
    module : Module
        Where tables and functions go.
    plan : InferencePlan
        The plan.
    """

    def __init__(self, module: Module, plan: InferencePlan) -> None:
        self.module = module
        self.plan = plan
        self.places = {each.name: i for i, each in enumerate(plan.inputs)}

    def columns(self) -> str:
        """Return the constant that names the columns."""
        first = self.plan.inputs[0]
        names = first.columns if first.kind == "matrix" else [each.name for each in self.plan.inputs]
        about = "/** The columns of a row, in order. */\n"
        return f"{about}export const COLUMNS = [{', '.join(quoted(name) for name in names)}];\n"

    def features(self) -> None:
        """Add the function from a row to its features."""
        first = self.plan.inputs[0]
        kind = "Float32Array" if self.plan.feature_dtype == "float32" else "Float64Array"
        if first.kind == "matrix":
            lines = self._matrix(first, kind)
        else:
            lines = [f"const given = {self.module.use('cells')}(row);"]
            lines += [line for each in self.plan.inputs for line in self._read(each)]
            lines.append(f"return {kind}.of(")
            lines += [f"  {self._feature(feature)}," for feature in self.plan.features]
            lines.append(");")
        body = "\n".join(f"  {line}" for line in lines)
        head = "/** From a row to its features.\n * @param {Row} row */\nfunction features(row) {\n"
        self.module.functions.append(f"{head}{body}\n}}\n")

    def _matrix(self, first: Input, kind: str) -> list[str]:
        gaps = any(isinstance(each, FeatureTransform) for each in self.plan.transforms)
        checked = f"{self.module.use('entries')}(row, {first.width}, {literal(gaps)})"
        if matrix_only(self.plan.features, first.width):
            return [f"return {checked};"] if kind == "Float64Array" else [f"return {kind}.from({checked});"]
        places = ", ".join(f"row[{each.place}]" for each in self.plan.features if isinstance(each, Entry))
        return [f"{checked};", f"return {kind}.of({places});"]

    def _read(self, each: Input) -> list[str]:
        """Return the lines that read a column's cell, for columns that several features share."""
        i = self.places[each.name]
        if each.kind == "number":
            written = written_text(each.written)
            tail = f", {self._constant(f'written{i}', written)}" if written else ""
            call = f"{self.module.use('number')}(given[{i}], {quoted(each.name)}, {literal(each.gaps)}{tail})"
            self.module.use("label")
            return [f"const x{i} = {self._present(each, call)};"]
        if each.kind == "date":
            formats = (each.date_format,) if each.date_format else ISO
            patterns = ", ".join(f"new RegExp({quoted(pattern(form))})" for form in formats)
            constant = self._constant(f"formats{i}", f"[{patterns}]")
            call = f"{self.module.use('date')}(given[{i}], {quoted(each.name)}, {literal(each.gaps)}, {constant})"
            self.module.use("label")
            return [f"const x{i} = {self._present(each, call)};"]
        if each.kind == "text":
            places = next(
                (f.places for f in self.plan.features if isinstance(f, WordCount) and f.source == each.name), 1
            )
            return [f"const x{i} = {self.module.use('words')}(given[{i}], {places});"]
        known = codes_of(self.plan.features).get(each.name)
        if known is None:
            return []
        return [f"const x{i} = {self.module.use('code')}(given[{i}], {self._constant(f'known{i}', _known(known))});"]

    def _present(self, each: Input, value: str) -> str:
        """Return a number or date, NaN where it is a value that means a gap."""
        if not each.missing:
            return value
        values = ", ".join(literal(number) for number in each.missing)
        return f"{self.module.use('present')}({value}, [{values}])"

    def _constant(self, name: str, text: str) -> str:
        self.module.tables.append(f"const {name} = {text};")
        return name

    def _feature(self, feature: Feature) -> str:
        """Return an expression of one feature."""
        match feature:
            case Number():
                x = f"x{self.places[feature.source]}"
                if feature.part:
                    x = f"{self.module.use('part')}({quoted(feature.part)}, {x}, {feature.origin})"
                numbers = (feature.center, feature.scale, feature.limit, feature.gap)
                return f"{self.module.use('scaled')}({x}, {', '.join(literal(float(v)) for v in numbers)})"
            case IsGap():
                return self._is_gap(feature)
            case Code():
                return f"x{self.places[feature.source]}"
            case IsCode():
                x = f"x{self.places[feature.code.source]}"
                chain = "".join(f"{x} === {code} ? {literal(float(v))} : " for code, v in feature.values.items() if v)
                return f"{chain}0"
            case WordCount():
                return f"x{self.places[feature.source]}[{feature.place}]"
            case _:
                raise TypeError(feature)

    def _is_gap(self, feature: IsGap) -> str:
        i = self.places[feature.source]
        if self.plan.inputs[i].kind == "text":
            return f"x{i}.every((count) => count === 0) ? 1 : 0"
        return f"Number.isNaN(x{i}) ? 1 : 0"

    def rows(self, t: int, name: str) -> str:
        """Add the function of a transform; return an expression of its rows for the features F."""
        transform = self.plan.transforms[t]
        if is_identity(transform):
            return "Real.from(F)"
        if isinstance(transform, Standardize):
            names = [
                self.module.table(f"{label}_{name}", values, "float64")
                for label, values in (("mean", transform.mean), ("scale", transform.scale))
            ]
            return f"{self.module.use('standardize')}(F, {', '.join(names)})"
        lines = "\n".join(f"    {line}," for line in self._features(name, transform))
        self.module.functions.append(
            f"/** From features to the rows of a network. */\nfunction {name}(F) {{\n  return Real.of(\n{lines}\n  );\n}}\n"
        )
        return f"{name}(F)"

    def _features(self, name: str, transform: FeatureTransform) -> list[str]:
        nodes = np.asarray(transform.nodes, np.float64)
        lines = []
        for i, j in enumerate(transform.numbers):
            if transform.method == "robust":
                numbers = f"{literal(float(nodes[0, i, 0]))}, {literal(float(nodes[1, i, 0]))}"
                lines.append(f"{self.module.use('robust')}(F[{j}], {numbers})")
                continue
            values, images = shortened(nodes[0, i], nodes[1, i])
            tables = [
                self.module.table(f"{label}{i}_{name}", numbers, "float64")
                for label, numbers in (("value", values), ("image", images))
            ]
            lines.append(f"{self.module.use('quantile')}(F[{j}], {', '.join(tables)})")
        for column, codes in transform.one_hot:
            other = f"F[{column}] === {codes[1]} ? -1 : " if len(codes) == 2 else ""
            lines += [f"F[{column}] === {code} ? 1 : {other}0" for code in codes[: one_hot_columns(codes)]]
        lines += [f"Number.isNaN(F[{column}]) ? 1 : 0" for column in transform.gaps]
        return lines + [f"F[{column}] < {size} ? F[{column}] : 0" for column, size in transform.codes]


def transform_of(plan: InferencePlan, t: int) -> tuple[Transform, int]:
    """Return a transform and the width of its rows."""
    transform = plan.transforms[t]
    return transform, sum(transform.widths) if isinstance(transform, FeatureTransform) else len(transform.mean)


def pattern(form: str) -> str:
    r"""Return a format of dates as a regular expression of JavaScript.

    >>> print(pattern("%Y-%m"))
    ^(?<Y>\d{4})-(?<m>\d\d?)$
    """
    escaped = re.sub(r"%[#.]?[A-Za-z]|[^%]", lambda part: DIRECTIVES.get(part[0]) or _escaped(part[0]), form)
    return f"^{escaped.replace('(?P<', '(?<')}$"


def _escaped(text: str) -> str:
    return re.sub(r"([\\^$.*+?()[\]{}|/])", r"\\\1", text)


def written_text(form: NumberFormat | None) -> str:
    """Return how a column's numbers are written in text, as an object; "" for plain ones."""
    if form is None:
        return ""
    parts = [f"decimal: {quoted(form.decimal)}", f"thousands: {quoted(form.thousands)}"]
    patterns = {}
    if form.prefix:
        patterns["prefix"] = rf"^([+-]?)\s*{_escaped(form.prefix)}\s*"
    if form.suffix:
        patterns["suffix"] = rf"\s*{_escaped(form.suffix)}$"
    if form.thousands:
        mark = _escaped(form.thousands)
        patterns["grouped"] = rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+($|[^\d{mark}])"
    parts += [f"{name}: new RegExp({quoted(expression)})" for name, expression in patterns.items()]
    return f"{{ {', '.join(parts)} }}"


def _known(code: Code) -> str:
    """Return the codes of a column's levels."""
    pairs = ", ".join(f"[{quoted(level)}, {value}]" for level, value in code.codes.items())
    rest = f"gap: {code.gap}, unknown: {code.unknown}, hashedFrom: {code.hashed_from}, hashed: {code.hashed}"
    return f"{{ codes: new Map([{pairs}]), boolean: {literal(code.boolean)}, {rest} }}"
