"""From a trained model to its inference plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.data.table.codecs import FARTHEST, MISSING, CategoryCodec
from chainrule.data.table.missing import moments_of, numbers_of
from chainrule.data.table.schema import FIRST_CODE, HASHED_WORDS, Column, TableSchema
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.exporters.plan import (
    Code,
    Entry,
    Feature,
    InferencePlan,
    Input,
    IsCode,
    IsGap,
    Network,
    Number,
    Output,
    Standardize,
    WordCount,
)
from chainrule.exporters.stages import network_stages, piece_faults
from chainrule.model import Model
from chainrule.nn.losses import LOSSES, MultiSoftmaxCrossEntropy, Quantile, TargetKind
from chainrule.pack import Pack
from chainrule.prediction import Predictor
from chainrule.table_model import TableModel

_INFINITE = float("inf")
_NAN = float("nan")


def lower(model: Predictor) -> InferencePlan:
    """Return what a model computes as a plan.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The trained model.

    Returns
    -------
    InferencePlan
        Its numbers have the model's type; batch norm is folded in float64.

    Raises
    ------
    InvalidValueError
        For layers, functions and losses of the user's own: no format has code for them.

    Examples
    --------
    >>> from chainrule.data import Standardizer
    >>> from chainrule.nn.layers import Dense
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.net import Net
    >>> one = Standardizer.identity(1)
    >>> net = Net(1, [Dense(1)])
    >>> model = Model(net, MeanSquaredError(), np.array([2.0, 1.0]), np.zeros(0), one, None, None, ("x",), "y")
    >>> lower(model).networks[0].stages
    (Affine(W=array([[2.]]), b=array([1.])),)
    """
    core: Any = model.core if isinstance(model, TableModel) else model
    if not isinstance(core, Model | Pack):
        allowed = "a Model, a Pack, a TableModel or a fitted estimator"
        raise InvalidValueError(must_be("export", "model", allowed, type(core).__name__))
    raise_all(_faults(core))
    if isinstance(model, TableModel):
        raise_all(_text_faults(model.schema))
        inputs = tuple(_input(column) for column in model.schema.used)
        features = _table_features(model.schema, isinstance(core, Pack))
    else:
        columns = _matrix_columns(core)
        inputs = (Input("X", "matrix", len(columns), columns),)
        features = tuple(Entry("X", place) for place in range(len(columns)))
    single = isinstance(model, TableModel) and isinstance(core, Pack)
    dtype = str((core.w if isinstance(core, Model) else core.members[0].w).dtype)
    transforms = (Standardize(core.inputs.mean, core.inputs.scale),) if isinstance(core, Model) else core.transforms
    feature_dtype = "float32" if single else "float64"
    return InferencePlan(inputs, features, feature_dtype, transforms, _networks(core), _output(core), dtype)


def _matrix_columns(core: Model | Pack) -> tuple[str, ...]:
    if isinstance(core, Model) and len(core.feature_names) != core.net.inputs:
        return tuple(f"x{place}" for place in range(core.net.inputs))
    return core.feature_names


def _faults(core: Model | Pack) -> Iterator[str]:
    """Say which pieces are the user's own."""
    nets = [core.net] if isinstance(core, Model) else [member.net for member in core.members]
    yield from dict.fromkeys(fault for net in nets for fault in piece_faults(net))
    if type(core.loss) not in LOSSES.values():
        hint = "The exported file has no code for it."
        yield must_be("export", "loss", "one of chainrule's own", type(core.loss).__name__, hint)


def _networks(core: Model | Pack) -> tuple[Network, ...]:
    if isinstance(core, Pack):
        return tuple(
            Network(member.transform, float(member.weight), network_stages(member.net, member.w, member.buffers))
            for member in core.members
        )
    numbers = ((core.w, core.buffers), *core.others)
    return tuple(Network(0, 1.0 / len(numbers), network_stages(core.net, *each)) for each in numbers)


def _output(core: Model | Pack) -> Output:
    loss: Any = core.loss
    levels = tuple(loss.levels) if isinstance(loss, Quantile) else ()
    classes = core.classes if isinstance(core.classes, tuple) else (() if core.classes is None else (core.classes,))
    kind = _kind(core)
    return Output(
        kind=kind,
        link=loss.link,
        blocks=_blocks(core, kind),
        classes=() if kind == "labels" else classes,
        temperature=1.0 if core.classes is None else float(core.temperature),
        mean_first=isinstance(core, Pack) or bool(core.others),
        mean=None if core.targets is None else core.targets.mean,
        scale=None if core.targets is None else core.targets.scale,
        limits=core.limits if core.classes is None else None,
        levels=levels,
        central=loss.central if isinstance(loss, Quantile) else 0,
        name=core.target_name,
    )


def _kind(core: Model | Pack) -> Any:
    """Return what the model answers."""
    if core.classes is None:
        return "quantiles" if isinstance(core.loss, Quantile) else "values"
    if isinstance(core.classes, tuple):
        return "several"
    if core.loss.targets is TargetKind.LABELS:
        return "labels" if core.outputs > 1 else "binary"
    return "classes"


def _blocks(core: Model | Pack, kind: str) -> tuple[tuple[int, int], ...]:
    """Return the columns of each softmax, or one block."""
    if kind == "several":
        sizes = [len(known) for known in core.classes or ()]
        if isinstance(core.loss, MultiSoftmaxCrossEntropy) and list(core.loss.sizes) != sizes:
            raise_all([must_be("export", "classes", f"of the loss's sizes {core.loss.sizes}", sizes)])
        ends = np.cumsum(sizes)
        return tuple((int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True))
    return ((0, core.outputs),)


def _input(column: Column) -> Input:
    """Return what the user gives for a column of a table."""
    kind: Any = column.kind
    named = {"number": numbers_of, "date": moments_of}.get(column.kind)
    return Input(
        column.name,
        kind,
        date_format=column.date_format,
        written=column.written,
        gaps=bool(column.gaps or column.missing),
        missing=() if named is None else tuple(sorted(named(column.missing))),
    )


def _text_faults(schema: TableSchema) -> Iterator[str]:
    """Say which texts have values for missing cells, which no written file compares with."""
    for column in schema.used:
        if column.kind == "text" and column.missing:
            hint = "It is a text of several words, whose values for missing cells no exported file knows."
            yield must_be("export", f"missing value of column {column.name!r}", "left out", column.missing[0], hint)


def _table_features(schema: TableSchema, pack: bool) -> tuple[Feature, ...]:
    """Return the columns of the feature matrix or the plain matrix, in the order of the schema's own."""
    found = [_pack_features(column) if pack else _plain_features(column) for column in schema.used]
    return tuple(feature for features in found for feature in features)


def _pack_features(column: Column) -> list[Feature]:
    if column.kind in ("category", "boolean"):
        return [_code(column)]
    if column.kind == "text":
        return [WordCount(column.name, place, HASHED_WORDS) for place in range(HASHED_WORDS)]
    return [
        Number(column.name, each.part, column.origin, each.center, each.scale, FARTHEST, _NAN)
        for each in column.numbers
    ]


def _plain_features(column: Column) -> list[Feature]:
    gap: list[Feature] = [IsGap(column.name)] if column.gaps else []
    if column.kind == "category":
        return _one_hot(column)
    if column.kind == "boolean":
        code, center = _code(column), column.numbers[0].center
        flag: list[Feature] = [IsCode(code, {0: 1.0, MISSING: 1.0})] if column.gaps else []
        return [IsCode(code, {0: center, MISSING: center, FIRST_CODE: 0.0, FIRST_CODE + 1: 1.0}), *flag]
    if column.kind == "text":
        return [*(WordCount(column.name, place, HASHED_WORDS) for place in range(HASHED_WORDS)), *gap]
    numbers = [
        Number(column.name, each.part, column.origin, 0.0, 1.0, _INFINITE, each.center) for each in column.numbers
    ]
    return [*numbers, *gap]


def _one_hot(column: Column) -> list[Feature]:
    """Return one column per level, then those for rare levels and gaps if the training had some."""
    code = _code(column)
    shown = [FIRST_CODE + k for k in range(len(column.categories) + column.hashed)]
    shown += [0] if column.rare and not column.hashed else []
    shown += [MISSING] if column.gaps else []
    return [IsCode(code, {each: 1.0}) for each in shown]


def _code(column: Column) -> Code:
    codec = CategoryCodec(column)
    boolean = column.kind == "boolean"
    codes = dict(codec.known)
    if boolean:
        codes.update({digit: codes[text] for digit, text in (("1", "true"), ("0", "false"))})
    return Code(column.name, codes, MISSING, 0, codec.hashed_from, column.hashed, boolean)
