"""From a user's rows to the rows of a network, as NumPy source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from chainrule.data.row_transform import one_hot_columns
from chainrule.data.transforms import FeatureTransform
from chainrule.exporters import numpy_literals as literal
from chainrule.exporters.numpy_stages import Constants
from chainrule.exporters.plan import (
    Code,
    Feature,
    InferencePlan,
    Input,
    IsCode,
    IsGap,
    Number,
    Standardize,
    WordCount,
)


def identifier(text: str) -> str:
    """Return a text as a Python name in small letters.

    >>> identifier("Lot Area (m²)"), identifier("2nd")
    ('lot_area_m', '_2nd')
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "column"
    return f"_{name}" if name[0].isdigit() else name


def features_source(plan: InferencePlan, constants: Constants) -> str:
    """Return the function that makes the feature matrix of rows.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    constants : Constants
        Receives the levels of categories.

    Returns
    -------
    str
    """
    head = 'def features(rows):\n    """Return the feature matrix of rows."""\n'
    if plan.inputs[0].kind == "matrix":
        gaps = isinstance(plan.transforms[0], FeatureTransform)
        return f"{head}    return matrix(rows, COLUMNS, {gaps})\n"
    variables = _variables(plan.inputs)
    codes = {code.source: code for code in _codes(plan.features)}
    lines = [_read(each, variables[each.name], codes.get(each.name), constants) for each in plan.inputs]
    columns = _columns(plan.features, variables)
    stack = "".join(f"        {column},\n" for column in columns)
    return (
        f"{head}{''.join(f'    {line}' for line in lines)}    columns = [\n{stack}    ]\n"
        f'    return np.column_stack(columns).astype("{plan.feature_dtype}")\n'
    )


def _variables(inputs: Sequence[Input]) -> dict[str, str]:
    """Return a variable for each column, no two alike."""
    found: dict[str, str] = {}
    for each in inputs:
        name = f"x_{identifier(each.name)}"
        taken = set(found.values())
        k = 2
        while name in taken:
            name = f"x_{identifier(each.name)}_{k}"
            k += 1
        found[each.name] = name
    return found


def _codes(features: Iterable[Feature]) -> Iterable[Code]:
    for feature in features:
        if isinstance(feature, Code | IsCode):
            yield feature.code if isinstance(feature, IsCode) else feature


def _read(given: Input, variable: str, code: Code | None, constants: Constants) -> str:
    """Return the line that reads a column."""
    cells = f"for cell in column(rows, {given.name!r}, COLUMNS)"
    if given.kind == "number":
        form = given.written
        written = None if form is None else (form.decimal, form.thousands, form.prefix, form.suffix)
        call = f"number_cell({given.name!r}, cell, {written!r}, {given.gaps})"
        return f"{variable} = {_present(given, f'np.array([{call} {cells}])')}\n"
    if given.kind == "date":
        call = f"date_cell({given.name!r}, cell, {given.date_format!r}, {given.gaps})"
        return f"{variable} = {_present(given, f'np.array([{call} {cells}])')}\n"
    if code is None:
        counts = "np.bincount(np.array(word_places(cell, 32), int), minlength=32)"
        return f"{variable} = np.array([{counts} {cells}])\n"
    levels = constants.write(f"LEVELS_{variable[2:].upper()}", repr(dict(code.codes)))
    settings = f"{code.gap}, {code.unknown}, {code.hashed_from}, {code.hashed}, {code.boolean}"
    return f"{variable} = np.array([level_code(cell, {levels}, {settings}) {cells}])\n"


def _present(given: Input, cells: str) -> str:
    """Return cells with gaps where they have values that mean one."""
    return f"without({cells}, [{', '.join(map(literal.number, given.missing))}])" if given.missing else cells


def _columns(features: Sequence[Feature], variables: dict[str, str]) -> list[str]:
    """Return an expression for each feature; the word counts of a text are written at once."""
    columns = []
    for feature in features:
        if isinstance(feature, WordCount):
            if feature.place == 0:
                columns.append(f"*{variables[feature.source]}.T")
            continue
        columns.append(_expression(feature, variables))
    return columns


def _expression(feature: Feature, variables: dict[str, str]) -> str:
    if isinstance(feature, IsCode):
        x = variables[feature.code.source]
        terms = [f"({x} == {code}) * {value!r}" for code, value in feature.values.items() if value]
        return " + ".join(terms) or f"np.zeros(len({x}))"
    x = variables[feature.source]
    if isinstance(feature, Number):
        return _number(feature, x)
    if isinstance(feature, IsGap):
        return f"is_missing({x})"
    return x


def _number(feature: Number, x: str) -> str:
    value = f"part({feature.part!r}, {x}, {feature.origin})" if feature.part else x
    if (feature.center, feature.scale, feature.limit) == (0.0, 1.0, float("inf")):
        return f"filled({value}, {literal.number(feature.gap)})"
    settings = (feature.center, feature.scale, feature.limit, feature.gap)
    return f"scaled({value}, {', '.join(literal.number(each) for each in settings)})"


def transform_source(transform: Standardize | FeatureTransform, k: int, dtype: str, constants: Constants) -> str:
    """Return the function that makes network rows of the feature matrix.

    Parameters
    ----------
    transform : Standardize or FeatureTransform
        The transform.
    k : int
        Its number, which names the function.
    dtype : str
        Type of the rows.
    constants : Constants
        Receives its numbers.

    Returns
    -------
    str
    """
    head = f'def rows_{k}(F):\n    """Return the rows that a network takes."""\n'
    if isinstance(transform, Standardize):
        mean, scale = constants.add(f"MEAN_{k}", transform.mean), constants.add(f"SCALE_{k}", transform.scale)
        return f'{head}    return standardized(F, {mean}, {scale}, "{dtype}")  # X = (F - mean) / scale\n'
    lines = _scaled(transform, k, constants)
    if transform.one_hot:
        hot = [each for j, codes in transform.one_hot for each in _hot(j, codes)]
        lines.append(f"*(one_hot(F[:, j], code, opposite) for j, code, opposite in {tuple(hot)!r})")
    if transform.gaps:
        lines.append(f"*(np.isnan(F[:, j]) for j in {transform.gaps!r})")
    if transform.codes:
        lines.append(f"*(below(F[:, j], size) for j, size in {transform.codes!r})")
    stack = "".join(f"        {line},\n" for line in lines)
    return f'{head}    columns = [\n{stack}    ]\n    return np.column_stack(columns).astype("{dtype}")\n'


def _hot(j: int, codes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    opposite = codes[1] if len(codes) == 2 else -1
    return [(j, code, opposite) for code in codes[: one_hot_columns(codes)]]


def _scaled(transform: FeatureTransform, k: int, constants: Constants) -> list[str]:
    if not transform.numbers:
        return []
    first, second = np.asarray(transform.nodes, np.float64)
    numbers = f"for i, j in enumerate({transform.numbers!r})"
    if transform.method == "robust":
        medians = constants.add(f"MEDIANS_{k}", first[:, 0])
        factors = constants.add(f"FACTORS_{k}", second[:, 0])
        return [f"*(robust(F[:, j], {medians}[i], {factors}[i]) {numbers})"]
    values, images = constants.add(f"VALUES_{k}", first), constants.add(f"IMAGES_{k}", second)
    return [f"*(quantile(F[:, j], {values}[i], {images}[i]) {numbers})"]
