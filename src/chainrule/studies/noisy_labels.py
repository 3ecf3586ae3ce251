"""Dropout where it matters: few rows, and a fifth of their labels wrong, which a network without it memorizes.

In: rows of one seed, a dropout rate. Out: test error, and the error on the training rows with their wrong labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import Split, Subset, error, quick_or_full, rows, trained, with_train
from chainrule.studies.statistics import difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATES = (0.0, 0.2, 0.5, 0.8)
_ROWS, _WRONG = 100, 0.2


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"dropout {rate:g}": {"rate": rate} for rate in _RATES}


def _with_wrong_labels(split: Split, seed: int) -> Split:
    """Return the split with some of its training labels replaced by random ones."""
    draw = np.random.default_rng(seed)
    y = split.train.y.copy()
    wrong = draw.random(len(y)) < _WRONG
    y[wrong] = draw.integers(0, split.classes, int(wrong.sum()))
    return replace(split, train=Subset(split.train.X, y))


def _run(cell: Cell) -> dict[str, Any]:
    split = _with_wrong_labels(with_train(rows(cell.config, cell.seed), _ROWS), cell.seed)
    net = mlp(split.inputs, (128, 128), split.classes, dropout=cell.options["rate"])
    epochs = quick_or_full(cell.config, 100, 200)
    record, state = trained(split, net, seed=cell.seed, epochs=epochs, batch_size=25, rate=3e-3)
    assert state is not None
    return {"test_error": record["test_error"], "train_error": error(net, state, split.train)}


def _conclude(results: Results) -> Conclusion:
    base = results.values("dropout 0", "test_error")
    gains = {arm: difference(results.values(arm, "test_error"), base) for arm in results.arms if arm != "dropout 0"}
    best = min(gains, key=lambda arm: gains[arm].mean)
    verb = "lowers" if gains[best].mean < 0 else "raises"
    noise = "" if gains[best].sure else " (within seed noise)"
    rote = estimate(results.values("dropout 0", "train_error"))
    sentence = (
        f"With {_ROWS} rows, a fifth of them wrongly labeled, {best} {verb} the test error by "
        f"{gains[best].size(2, 100)} points{noise}, from {estimate(base).text(3, 100, '%')}. Without dropout the network "
        f"is wrong for {rote.text(2, 100, '%')} of its training rows: it has memorized the wrong labels too."
    )
    header, table = results.table(test_error=("test_error", 100, "%"), training_error=("train_error", 100, "%"))
    return Conclusion(sentence, gains[best].sure and gains[best].mean < 0, header, table)


def _draw(results: Results) -> drawing.Pictures:
    errors = {arm: 100 * results.values(arm, "test_error") for arm in results.arms}
    train = {arm: 100 * results.values(arm, "train_error") for arm in results.arms}
    return {
        "Errors by dropout rate": [
            drawing.bars("Test error", errors, "test error, %"),
            drawing.bars("Training error", train, "training error, % (labels partly wrong)"),
        ]
    }


STUDY = Study(
    name="noisy-labels",
    title="Dropout against wrong labels",
    claim="With few rows and wrong labels among them, dropout lowers the test error.",
    source="lecture 12, exercise 3; [srivastava2014]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A 128-128 network, Adam at 0.003. The test rows keep their right labels.",
)
