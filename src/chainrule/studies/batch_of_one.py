"""One row a step: how many rows must be read to reach a loss, how long that takes, and where a constant rate ends.

In: rows of one seed, a batch size. Out: rows read and seconds to a loss, the loss at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.intervals import ConfidenceInterval
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import SGD
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_SIZES: Mapping[str, tuple[int | None, float]] = {"1 row": (1, 0.01), "32 rows": (32, 0.1), "all rows": (None, 0.5)}
"""Rows of a batch (None: all), and a rate that suits them."""
_GOAL = 0.5


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"size": size, "rate": rate} for name, (size, rate) in _SIZES.items()}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    size, n = cell.options["size"], len(split.train.y)
    net = mlp(split.inputs, (32,), split.classes)
    epochs = quick_or_full(cell.config, 8, 12) if size else 150
    record, _ = trained(
        split,
        net,
        seed=cell.seed,
        epochs=epochs,
        optimizer=SGD(),
        rate=cell.options["rate"],
        batch_size=size or "full",
    )
    reached = next((i for i, loss in enumerate(record["validation_loss"]) if loss <= _GOAL), None)
    return {
        "epochs_to_goal": math.inf if reached is None else reached + 1,
        "rows_to_goal": math.inf if reached is None else (reached + 1) * n,
        "seconds_to_goal": math.inf if reached is None else record["seconds"][-1] / epochs * (reached + 1),
        "seconds_per_pass": record["seconds"][-1] / epochs,
        "steps_to_goal": math.inf if reached is None else (reached + 1) * math.ceil(n / (size or n)),
        "train_loss": record["train_loss"],
        "test_error": record["test_error"],
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    one, few, every = results.arms
    read = ratio(results.values(one, "rows_to_goal"), results.values(every, "rows_to_goal"))
    time = ratio(results.values(one, "seconds_per_pass"), results.values(few, "seconds_per_pass"))
    return (
        below("one row over all rows", f"rows read to a loss of {_GOAL:g}", read, unit="times"),
        below("one row over 32 rows", "seconds for one pass over the rows", time, unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    one, few, every = results.arms
    read = {arm: np.log(results.values(arm, "rows_to_goal")) for arm in results.arms}
    time = {arm: np.log(results.values(arm, "seconds_per_pass")) for arm in results.arms}
    reads, takes = difference(read[one], read[every]), difference(time[one], time[few])
    fewer = reads.sure and reads.mean < 0
    slower = takes.sure and takes.mean > 0
    sentence = (
        f"To a validation loss of {_GOAL:g}, steps of one row read {'fewer' if fewer else 'no fewer'} rows than steps of "
        f"all ({_ratio(reads)} times as many). They take {'more' if slower else 'no more'} time for the same rows than "
        f"mini-batches of 32 ({_ratio(takes)} times), which compute their rows at once: rows are saved, time is "
        f"{'not' if slower else 'too'}."
    )
    header, table = results.table(
        steps=("steps_to_goal", 1, ""),
        rows_read=("rows_to_goal", 1, ""),
        seconds=("seconds_to_goal", 1, ""),
        seconds_per_pass=("seconds_per_pass", 1, ""),
        test_error=("test_error", 100, "%"),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _ratio(gain: ConfidenceInterval) -> str:
    """Return a mean difference of logarithms as a ratio with its interval."""
    low, high = np.exp(gain.mean - gain.half), np.exp(gain.mean + gain.half)
    return f"{np.exp(gain.mean):.2g} ({low:.2g} to {high:.2g})"


def _draw(results: Results) -> drawing.Pictures:
    colors = {arm: i for i, arm in enumerate(results.arms)}
    losses = {arm: results.values(arm, "train_loss")[:, :12] for arm in results.arms}
    seconds = {arm: results.values(arm, "seconds_to_goal") for arm in results.arms}
    reached = {arm: values[np.isfinite(values)] for arm, values in seconds.items() if np.isfinite(values).any()}
    return {
        "By passes over the rows, and by time": [
            drawing.curves("Training loss", losses, colors=colors, y_log=True, y_name="training loss"),
            drawing.bars(f"Seconds to a loss of {_GOAL:g}", reached, "seconds", colors=colors),
        ]
    }


STUDY = Study(
    name="batch-of-one",
    title="One row a step",
    claim="Stochastic descent, one row a step, reaches a loss with fewer rows read than descent on all rows.",
    source="lecture 12, 7.5 (optimization)",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Plain descent on 32 hidden units at 0.01, 0.1 and 0.5 for one row, 32 and all. It holds if the 95 % interval of "
        "the logarithm of the ratio of rows read lies below 0. Seconds, those of this machine, show where it does not."
    ),
)
