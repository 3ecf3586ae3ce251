"""`chainrule evaluate`: how good a trained model is on labeled rows.

In: a model file and a source. Out: its scores, those of each class, and a warning where rows were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.source_rows import ModelPath, check_threshold, core_of, read_model, rows_to_evaluate
from chainrule.cli.streamed import can_be_streamed, source_of
from chainrule.cli.streamed_rows import StreamedEvaluation, evaluate_streamed, is_streamed_source
from chainrule.cli.unused import refuse, source_facts
from chainrule.data.row_sketch import MOST_HASHES
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.pipeline import class_scores, confusion_matrix, labels_at
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.report import terminal

MOST_CLASSES = 20
"""Classes up to which each has a line."""


def evaluate(
    model: ModelPath,
    source: Annotated[str | None, o.SOURCE] = None,
    data: o.Pattern = None,
    target: o.Target = None,
    separator: o.Separator = None,
    decimal: o.Decimal = None,
    header: o.Header = None,
    encoding: o.Encoding = None,
    threshold: o.Threshold = None,
    max_memory: o.MaxMemory = None,
    seed: o.DataSeed = 0,
    as_json: o.Json = False,
) -> None:
    """Evaluate MODEL on labeled data (the test split of SOURCE if it has one, otherwise all rows).

    Parquet files by a pattern, or with --max-memory, are read in parts.
    """
    source = source_of("evaluate", source, data)
    streamed = is_streamed_source(source, max_memory)
    streams = {"streamed": can_be_streamed(source), "held in memory": not streamed}
    refuse("evaluate", source_facts(source) | streams)
    trained = read_model(model)
    if target not in (None, trained.target_name):
        allowed = f"{trained.target_name!r}, which the model predicts, or left out"
        raise InvalidValueError(must_be("evaluate", "--target", allowed, target))
    core = core_of(trained)
    check_threshold("evaluate", core, threshold)
    if streamed:
        found = evaluate_streamed(trained, source, max_memory, threshold)
        _show_streamed(core, found, threshold, as_json)
        return
    form = o.TrainOptions(separator=separator, decimal=decimal, header=header, encoding=encoding)
    rows = rows_to_evaluate(trained, source, form.reading("evaluate"), seed)
    assert rows.y is not None
    scores = evaluate_model(core, rows.X, rows.y, threshold)
    known = None if core.trained_on is None else core.trained_on.share(rows.X)
    _tell(rows.name, core, (len(rows.X), rows.left_out, known), rows.notes)
    if as_json:
        chosen = {} if threshold is None else {"threshold": threshold}
        o.print_json({"rows": len(rows.X), "left_out": rows.left_out, "trained_on": known, **chosen, **scores})
        return
    out = o.console()
    out.print(terminal.scores_table({f"{len(rows.X):,} rows": scores}))
    if isinstance(core.classes, np.ndarray) and not core.multilabel:
        _show_classes(core, rows.X, rows.y, threshold)


def _show_streamed(core: Model | Pack, found: StreamedEvaluation, threshold: float | None, as_json: bool) -> None:
    """Print the scores of rows that were read in parts."""
    running, scores = found.scores, found.scores.summary()
    notes = found.notes
    if running.sampled:
        notes += (f"{found.name}: roc_auc is that of {running.sampled:,} rows, drawn at random; more need more memory",)
    _tell(found.name, core, (running.rows, found.left_out, found.known), notes)
    if as_json:
        chosen = {} if threshold is None else {"threshold": threshold}
        o.print_json({"rows": running.rows, "left_out": found.left_out, "trained_on": found.known, **chosen, **scores})
        return
    out = o.console()
    out.print(terminal.scores_table({f"{running.rows:,} rows": scores}))
    if isinstance(core.classes, np.ndarray):
        _show_tables(core.classes.tolist(), running.each_class(), running.confusion)


def _tell(name: str, core: Model | Pack, counts: tuple[int, int, float | None], notes: Sequence[str]) -> None:
    """Print what is unusual about the rows on standard error, each in one line."""
    n, left_out, known = counts
    sentences = list(notes)
    if left_out:
        sentences.append(f"{name}: {left_out:,} of {n + left_out:,} rows have no target and are left out")
    if known and core.trained_on is not None:
        about = "about " if len(core.trained_on.hashes) >= MOST_HASHES else ""
        share = f"{about}{round(known * n):,} of {n:,} rows"
        sentences.append(f"{name}: the model was trained on {share}; the scores of new rows are likely lower")
    for sentence in sentences:
        o.console(stderr=True).print(sentence, markup=False)


def _show_classes(core: Model | Pack, X: Array, y: Array, threshold: float | None) -> None:
    """Print precision, recall and F1 of each class, and the confusion of few classes."""
    assert isinstance(core.classes, np.ndarray)
    P = core.probabilities(X)
    each = class_scores(y, P, core.classes, threshold).classes
    predicted = core.predict(X) if threshold is None else labels_at(core.classes, P, threshold)
    _show_tables(
        core.classes.tolist(),
        [(c.label, c.precision, c.recall, c.f1, c.support) for c in each],
        confusion_matrix(y, predicted, core.classes),
    )


def _show_tables(labels: list[Any], each: Sequence[tuple[Any, float, float, float, int]], confusion: Array) -> None:
    """Print the lines of the classes, if they are few, and their confusion."""
    out = o.console()
    if len(labels) <= MOST_CLASSES:
        header = ("class", "precision", "recall", "F1", "rows")
        out.print(terminal.plain_table(header, [(str(label), *scores) for label, *scores in each]))
    if len(labels) <= terminal.MOST_CLASSES:
        out.print(terminal.confusion_table(confusion, labels))
