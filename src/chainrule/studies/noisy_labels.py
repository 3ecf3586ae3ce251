"""Dropout where it matters: few rows, and two fifths of their labels drawn at random, which a network without it memorizes.

In: rows of one seed, a dropout rate. Out: test error, and the error on the training rows with their wrong labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.intervals import ConfidenceInterval
from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import Split, Subset, error, rows, trained, with_train
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATES = (0.0, 0.2, 0.5, 0.8)
_ROWS = 200
_LABELS = {"wrong labels": 0.4, "right labels": 0.0}
"""Shares of the training labels that are replaced by random ones."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"dropout {rate:g}, {labels}": {"rate": rate, "wrong": share}
        for labels, share in _LABELS.items()
        for rate in _RATES
    }


def _with_wrong_labels(split: Split, share: float, seed: int) -> Split:
    """Return the split with some of its training labels replaced by random ones."""
    draw = np.random.default_rng(seed)
    y = split.train.y.copy()
    wrong = draw.random(len(y)) < share
    y[wrong] = draw.integers(0, split.classes, int(wrong.sum()))
    return replace(split, train=Subset(split.train.X, y))


def _run(cell: Cell) -> dict[str, Any]:
    split = _with_wrong_labels(with_train(rows(cell.config, cell.seed), _ROWS), cell.options["wrong"], cell.seed)
    net = mlp(split.inputs, (128, 128), split.classes, dropout=cell.options["rate"])
    record, state = trained(split, net, seed=cell.seed, epochs=100, batch_size=25, rate=3e-3)
    assert state is not None
    return {"test_error": record["test_error"], "train_error": error(net, state, split.train)}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(labels: str) -> Array:
        return paired(*(results.values(f"dropout {rate}, {labels}", "test_error") for rate in ("0.5", "0")))

    figure = "test error, dropout 0.5 minus none"
    return tuple(
        below(f"{_ROWS} rows, {labels}", figure, gain(labels), unit="points", shown=labels == "wrong labels")
        for labels in _LABELS
    )


def _conclude(results: Results) -> Conclusion:
    def gain(labels: str) -> ConfidenceInterval:
        half, none = (results.values(f"dropout {rate}, {labels}", "test_error") for rate in ("0.5", "0"))
        return difference(half, none)

    wrong, right = map(gain, _LABELS)
    base = results.values("dropout 0, wrong labels", "test_error")
    verb = "lowers" if wrong.mean < 0 else "raises"
    noise = "" if wrong.sure else " (within seed noise)"
    rote = estimate(results.values("dropout 0, wrong labels", "train_error"))
    sentence = (
        f"With {_ROWS} rows, two fifths of them with random labels, dropout 0.5 {verb} the test error by "
        f"{wrong.size(2, 100)} points{noise}, from {estimate(base).text(3, 100, '%')}. Without dropout the network "
        f"is wrong for {rote.text(2, 100, '%')} of its training rows: it has memorized the wrong labels too. "
        f"Where all labels are right the same dropout changes the test error by {right.text(2, 100)} points."
    )
    header, table = results.table(test_error=("test_error", 100, "%"), training_error=("train_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    def errors(figure: str, labels: str) -> dict[str, Array]:
        return {f"dropout {rate:g}": 100 * results.values(f"dropout {rate:g}, {labels}", figure) for rate in _RATES}

    test = [
        drawing.bars(f"Test error, {labels} in training", errors("test_error", labels), "test error, %")
        for labels in _LABELS
    ]
    train = errors("train_error", "wrong labels")
    return {
        "Errors by dropout rate": [
            *test,
            drawing.bars("Training error, wrong labels", train, "training error, % (labels partly wrong)"),
        ]
    }


STUDY = Study(
    name="noisy-labels",
    title="Dropout against wrong labels, and with right ones",
    claim="With few rows and wrong labels among them, dropout lowers the test error.",
    source="lecture 12, exercise 3; [srivastava2014]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A 128-128 network, Adam at 0.003. The test rows keep their right labels.",
)
