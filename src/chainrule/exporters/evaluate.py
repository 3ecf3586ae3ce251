"""A plan computed with NumPy: what every export must give, and how much of it is rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array
from chainrule.data.table.calendar import part
from chainrule.data.table.missing import without_numbers
from chainrule.errors import InvalidValueError
from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.cells import date_cell, is_gap, label, level_code, number_cell, word_places
from chainrule.exporters.plan import (
    Affine,
    Apply,
    Code,
    Cosines,
    Entry,
    Feature,
    InferencePlan,
    Input,
    IsCode,
    IsGap,
    Lookup,
    Multiply,
    NormalizeRows,
    Number,
    Output,
    Periodic,
    PiecewiseLinear,
    SideBySide,
    Stage,
    Standardize,
    WordCount,
)
from chainrule.nn.activations import ACTIVATIONS, ELU, LeakyReLU
from chainrule.nn.losses import SoftmaxCrossEntropy

Noise: TypeAlias = Callable[[Array, Array], Array]
"""Takes numbers and the size of what was summed for them; returns the numbers as another rounding would give them."""


def run(plan: InferencePlan, rows: Rows, dtype: Any = None, noise: Noise | None = None) -> Answers:
    """Return what a plan answers for rows.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    rows : array of shape (n, d) or list of dict
        Rows in the user's units.
    dtype : dtype, default=None
        Type of the networks' numbers; None is the plan's.
    noise : callable, default=None
        Changes every intermediate result as rounding might, for `rounding`.

    Returns
    -------
    Answers

    Raises
    ------
    InvalidValueError
        For cells that cannot be read.
    """
    rounded = noise or (lambda Z, size: Z)
    chosen = np.dtype(dtype or plan.dtype)
    with np.errstate(all="ignore"):
        F = _moved_numbers(features(plan, rows), rounded)
        X = [_moved_numbers(_transformed(each, F, chosen), rounded) for each in plan.transforms]
        logits = [_through(network.stages, X[network.transform], rounded) for network in plan.networks]
        return _answer(plan, logits, rounded)


def features(plan: InferencePlan, rows: Rows) -> Array:
    """Return the feature matrix of rows.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    rows : array of shape (n, d) or list of dict
        Rows in the user's units.

    Returns
    -------
    array of shape (n, number of features)
        In the plan's `feature_dtype`.
    """
    read = {each.name: _read(each, rows) for each in plan.inputs}
    columns = [_feature(each, read) for each in plan.features]
    return np.column_stack(columns).astype(plan.feature_dtype)


def _read(given: Input, rows: Rows) -> Any:
    """Return the cells of an input: a matrix, numbers, microseconds, or the cells themselves."""
    if given.kind == "matrix":
        return np.asarray(rows, np.float64)
    cells = [row[given.name] for row in rows]
    try:
        if given.kind == "number":
            form = given.written
            written = None if form is None else (form.decimal, form.thousands, form.prefix, form.suffix)
            numbers = [number_cell(given.name, cell, written, given.gaps) for cell in cells]
            return without_numbers(np.array(numbers, np.float64), frozenset(given.missing))
        if given.kind == "date":
            moments = [date_cell(given.name, cell, given.date_format, given.gaps) for cell in cells]
            return without_numbers(np.array(moments, np.float64), frozenset(given.missing))
    except ValueError as error:
        raise InvalidValueError(f"export: {error}.") from None
    return cells


def _feature(feature: Feature, read: Mapping[str, Any]) -> Array:
    if isinstance(feature, IsCode):
        return np.array([feature.values.get(code, 0.0) for code in _codes(feature.code, read)])
    given = read[feature.source]
    if isinstance(feature, Entry):
        column: Array = given[:, feature.place]
        return column
    if isinstance(feature, Code):
        return np.array(_codes(feature, read), np.float64)
    if isinstance(feature, WordCount):
        return np.array([word_places(cell, feature.places).count(feature.place) for cell in given], np.float64)
    if isinstance(feature, IsGap):
        return _is_gap(given)
    return _number(feature, given)


def _codes(code: Code, read: Mapping[str, Any]) -> list[int]:
    known = dict(code.codes)
    settings = (known, code.gap, code.unknown, code.hashed_from, code.hashed, code.boolean)
    return [level_code(cell, *settings) for cell in read[code.source]]


def _is_gap(given: Any) -> Array:
    if isinstance(given, np.ndarray):
        return np.isnan(given).astype(np.float64)
    return np.array([is_gap(label(cell)) or not word_places(cell, 1) for cell in given], np.float64)


def _number(feature: Number, given: Array) -> Array:
    x = part(feature.part, given, feature.origin) if feature.part else given
    z = np.clip((x - feature.center) / feature.scale, -feature.limit, feature.limit)
    return np.where(np.isnan(z), feature.gap, z)


def _transformed(transform: Any, F: Array, dtype: Any) -> Array:
    if isinstance(transform, Standardize):
        X: Array = ((F - transform.mean) / transform.scale).astype(dtype)
        return X
    return np.asarray(transform.apply(F, dtype))


def _moved_numbers(X: Array, noise: Noise) -> Array:
    """Return rows as another rounding would give them; whole numbers, such as codes, are exact."""
    return noise(X, np.abs(X) * (np.rint(X) != X))


def _through(stages: Sequence[Stage], A: Array, noise: Noise) -> Array:
    for stage in stages:
        A = _STAGES[type(stage)](stage, A, noise)
    return A


def _affine(stage: Affine, A: Array, noise: Noise) -> Array:
    W, b = stage.W.astype(A.dtype), stage.b.astype(A.dtype)
    return noise(A @ W + b, np.sqrt(A**2 @ W**2 + b**2))


def _multiply(stage: Multiply, A: Array, noise: Noise) -> Array:
    product = A * stage.s.astype(A.dtype)
    t = stage.t.astype(A.dtype)
    return noise(product + t, np.abs(product) + np.abs(t))


def _normalize_rows(stage: NormalizeRows, Z: Array, noise: Noise) -> Array:
    mean = Z.mean(axis=1, keepdims=True)
    distance = noise(Z - mean, (np.abs(Z) + np.abs(mean)) * (Z.shape[1] > 1))
    s = np.sqrt((distance**2).mean(axis=1, keepdims=True) + Z.dtype.type(stage.epsilon))
    Y = stage.gamma.astype(Z.dtype) * (distance / s) + stage.beta.astype(Z.dtype)
    return noise(Y, np.abs(Y) + np.abs(stage.beta))


def _apply(stage: Apply, Z: Array, noise: Noise) -> Array:
    function: Any = ACTIVATIONS[stage.function]
    if stage.function in ("leaky_relu", "elu"):
        function = {"leaky_relu": LeakyReLU, "elu": ELU}[stage.function](stage.a)
    A = function.value(np, Z)
    if stage.alpha is not None:
        A = Z + stage.alpha.astype(Z.dtype) * (A - Z)
    return noise(A, np.abs(A))


def _flat(Y: Array) -> Array:
    """Return (n, d, u) as (n, d u), for no rows too."""
    return Y.reshape(len(Y), Y.shape[1] * Y.shape[2])


def _cosines(stage: Cosines, A: Array, noise: Noise) -> Array:
    x = A[:, :, None]
    product, b = x * stage.w.astype(A.dtype), stage.b.astype(A.dtype)
    U = 2.0 * np.pi * noise(product + b, np.abs(product) + np.abs(b))
    H = np.concatenate([x, np.cos(noise(U, np.abs(U)))], axis=2)
    Y = stage.gamma.astype(A.dtype) * H + stage.beta.astype(A.dtype)
    return _flat(noise(Y, np.abs(Y) + np.abs(stage.beta)))


def _periodic(stage: Periodic, A: Array, noise: Noise) -> Array:
    x = A[:, :, None]
    U = 2.0 * np.pi * x * stage.w.astype(A.dtype) + stage.b.astype(A.dtype)
    H = np.cos(noise(U, np.abs(U) + np.abs(stage.b)))
    E = np.einsum("ndm,dmu->ndu", H, stage.V.astype(A.dtype)) + stage.c.astype(A.dtype)
    E = noise(E, np.abs(stage.V).sum(axis=1) + np.abs(stage.c))
    return _flat(np.concatenate([x, E], axis=2))


def _piecewise(stage: PiecewiseLinear, A: Array, noise: Noise) -> Array:
    x = A[:, :, None]
    bins = len(stage.edges) - 1
    lowest = np.array([-np.inf, *np.zeros(bins - 1)], A.dtype)
    highest = np.array([*np.ones(bins - 1), np.inf], A.dtype)
    start, width = stage.edges[:-1].astype(A.dtype), np.diff(stage.edges).astype(A.dtype)
    F = np.clip((x - start) / width, lowest, highest)
    line, steps = x * stage.a.astype(A.dtype), np.einsum("ndt,dtu->ndu", F, stage.P.astype(A.dtype))
    size = np.abs(line) + np.abs(stage.c) + np.einsum("ndt,dtu->ndu", np.abs(F), np.abs(stage.P))
    return _flat(noise(line + stage.c.astype(A.dtype) + steps, size))


def _lookup(stage: Lookup, C: Array, noise: Noise) -> Array:
    found = []
    for j, table in enumerate(stage.tables):
        known = (C[:, j] >= 0) & (C[:, j] < len(table))
        found.append(table.astype(C.dtype)[np.where(known, C[:, j], 0).astype(np.int64)])
    return np.concatenate(found, axis=1)


def _side_by_side(stage: SideBySide, A: Array, noise: Noise) -> Array:
    outputs, start = [], 0
    for width, stages in stage.parts:
        outputs.append(_through(stages, A[:, start : start + width], noise))
        start += width
    return np.concatenate(outputs, axis=1)


_STAGES: Mapping[type, Callable[[Any, Array, Noise], Array]] = {
    Affine: _affine,
    Multiply: _multiply,
    NormalizeRows: _normalize_rows,
    Apply: _apply,
    Cosines: _cosines,
    Periodic: _periodic,
    PiecewiseLinear: _piecewise,
    Lookup: _lookup,
    SideBySide: _side_by_side,
}


def _link(output: Output, Z: Array) -> Array:
    """Return f(Z); a softmax goes over each block."""
    if output.link != "softmax":
        return ACTIVATIONS[output.link].value(np, Z)
    return np.concatenate([SoftmaxCrossEntropy().predict(np, Z[:, start:end]) for start, end in output.blocks], axis=1)


def _inverse(output: Output, A: Array) -> Array:
    if output.link == "softmax":
        logits: Array = np.log(np.maximum(A, np.finfo(A.dtype).tiny))
        return logits
    function: Any = ACTIVATIONS[output.link]
    return np.asarray(function.inverse(np, A))


def _answer(plan: InferencePlan, logits: Sequence[Array], noise: Noise) -> Answers:
    """Return the answer for the logits of every network."""
    output = plan.output
    each = [noise(A, np.abs(A)) for A in (_link(output, Z) for Z in logits)]
    mean = sum(A.dtype.type(network.weight) * A for network, A in zip(plan.networks, each, strict=True))
    A = noise(np.asarray(mean), np.abs(mean))
    P = A
    if output.temperature != 1.0:
        Z = _inverse(output, A) if output.mean_first else logits[0]
        P = _link(output, Z / Z.dtype.type(output.temperature))
    return _classes(output, A, P) if output.kind not in ("values", "quantiles") else Answers(_values(output, A))


def _classes(output: Output, A: Array, P: Array) -> Answers:
    if output.kind == "labels":
        return Answers(P, ((A > 0.5).astype(np.int64),))
    if output.kind == "binary":
        P = np.concatenate([1.0 - P, P], axis=1)
    blocks = ((0, 2),) if output.kind == "binary" else output.blocks
    chosen = zip(output.classes, blocks, strict=True)
    return Answers(P, tuple(known[P[:, start:end].argmax(axis=1)] for known, (start, end) in chosen))


def _values(output: Output, A: Array) -> Array:
    """Return values in their units, clipped to the limits; quantiles ascending for each target."""
    values = A.astype(np.float64)
    if output.mean is not None and output.scale is not None:
        values = values * output.scale + output.mean
    if output.limits is not None:
        values = np.clip(values, *output.limits)
    if output.kind == "quantiles":
        q = len(output.levels)
        values = _flat(np.sort(values.reshape(len(values), values.shape[1] // q, q), axis=2))
    return values


def rounding(plan: InferencePlan, rows: Rows, draws: int = 3) -> Array:
    """Return how far the rounding of float32 may move the answers: the largest of some draws, times four.

    Every input and every intermediate result of the plan, computed in float64, is moved by a random share of float32's
    precision. So a row whose large terms cancel is known to be uncertain, whatever format computes it.

    Parameters
    ----------
    plan : InferencePlan
        The plan.
    rows : array of shape (n, d) or list of dict
        Rows in the user's units.
    draws : int, default=3
        How often the results are moved.

    Returns
    -------
    array of shape (n, k)
        For each of `Answers.numbers`.
    """
    exact = run(plan, rows, np.float64).numbers
    rng = np.random.default_rng(0)
    unit = float(np.finfo(np.float32).eps)

    def moved(Z: Array, size: Array) -> Array:
        return Z + unit * size * rng.standard_normal(Z.shape)

    with np.errstate(all="ignore"):
        far = [np.abs(run(plan, rows, np.float64, moved).numbers - exact) for _ in range(draws)]
        return 4.0 * np.max(far, axis=0)
