"""`chainrule evaluate`: how good a trained model is on labeled rows.

In: a model file and a source. Out: its scores, those of each class, and a warning where rows were trained on.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.source_rows import ModelPath, SourceRows, core_of, read_model, rows_to_evaluate
from chainrule.cli.unused import refuse, source_facts
from chainrule.data.row_sketch import MOST_HASHES
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.pipeline import class_scores, confusion_matrix
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.report import terminal

MOST_CLASSES = 20
"""Classes up to which each has a line."""


def evaluate(
    model: ModelPath,
    source: o.Source,
    target: o.Target = None,
    separator: o.Separator = None,
    decimal: o.Decimal = None,
    seed: o.DataSeed = 0,
    as_json: o.Json = False,
) -> None:
    """Evaluate MODEL on labeled data (the test split of SOURCE if it has one, otherwise all rows)."""
    refuse("evaluate", source_facts(source))
    trained = read_model(model)
    if target not in (None, trained.target_name):
        allowed = f"{trained.target_name!r}, which the model predicts, or left out"
        raise InvalidValueError(must_be("evaluate", "--target", allowed, target))
    reading = o.TrainOptions(separator=separator, decimal=decimal).reading("evaluate")
    rows = rows_to_evaluate(trained, source, reading, seed)
    assert rows.y is not None
    core = core_of(trained)
    scores = evaluate_model(core, rows.X, rows.y)
    known = None if core.trained_on is None else core.trained_on.share(rows.X)
    _tell(rows, core, known)
    if as_json:
        o.print_json({"rows": len(rows.X), "left_out": rows.left_out, "trained_on": known, **scores})
        return
    out = o.console()
    out.print(terminal.scores_table({f"{len(rows.X):,} rows": scores}))
    if isinstance(core.classes, np.ndarray) and not core.multilabel:
        _show_classes(core, rows.X, rows.y)


def _tell(rows: SourceRows, core: Model | Pack, known: float | None) -> None:
    """Print what is unusual about the rows on standard error, each in one line."""
    n = len(rows.X)
    sentences = list(rows.notes)
    if rows.left_out:
        sentences.append(
            f"{rows.name}: {rows.left_out:,} of {n + rows.left_out:,} rows have no target and are left out"
        )
    if known and core.trained_on is not None:
        about = "about " if len(core.trained_on.hashes) >= MOST_HASHES else ""
        share = f"{about}{round(known * n):,} of {n:,} rows"
        sentences.append(f"{rows.name}: the model was trained on {share}; the scores of new rows are likely lower")
    for sentence in sentences:
        o.console(stderr=True).print(sentence, markup=False)


def _show_classes(core: Model | Pack, X: Array, y: Array) -> None:
    """Print precision, recall and F1 of each class, and the confusion of few classes."""
    assert isinstance(core.classes, np.ndarray)
    labels = core.classes.tolist()
    out = o.console()
    if len(labels) <= MOST_CLASSES:
        each = class_scores(y, core.probabilities(X), core.classes).classes
        header = ("class", "precision", "recall", "F1", "rows")
        out.print(terminal.plain_table(header, [(str(c.label), c.precision, c.recall, c.f1, c.support) for c in each]))
    if len(labels) <= terminal.MOST_CLASSES:
        out.print(terminal.confusion_table(confusion_matrix(y, core.predict(X), core.classes), labels))
