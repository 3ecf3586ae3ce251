"""Do batch norm and dropout help? The lecture compares both networks on two digits; circles and all digits are harder.

In: a task of one seed. Out: test error and losses by epoch of both networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data import Dataset, Standardizer, load, three_way
from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import Split, Subset, quick_or_full, rows, trained, with_train
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_TASKS = ("0 against 1", "all classes", "circles")


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{task}, {name}": {"task": task, "advanced": name == "advanced"}
        for task in _TASKS
        for name in ("basic", "advanced")
    }


def _task(cell: Cell) -> Split:
    task = cell.options["task"]
    if task == "circles":
        parts = three_way(load("circles", seed=cell.seed), 0.25, 0.15, cell.seed)
        scaling = Standardizer.fit(parts.train.X)
        assert parts.validation is not None
        assert parts.test is not None

        def part(data: Dataset) -> Subset:
            return Subset(scaling.apply(data.X, "float32"), data.y.astype(int))

        return Split(part(parts.train), part(parts.validation), part(parts.test), 2, None)
    split = rows(cell.config, cell.seed)
    if task == "all classes":
        return split
    return split.each(lambda part: part.of_classes(np.array([0, 1])), 2)


def _run(cell: Cell) -> dict[str, Any]:
    split = _task(cell)
    advanced = cell.options["advanced"]
    norm, dropout = ("batch", 0.2) if advanced else (None, 0.0)
    hidden = (16, 8) if cell.options["task"] == "circles" else (32, 16)
    net = mlp(split.inputs, hidden, split.classes, norm=norm, dropout=dropout)
    epochs = quick_or_full(cell.config, 120, 150)
    record, _ = trained(
        with_train(split, 6000),
        net,
        seed=cell.seed,
        epochs=epochs,
        batch_size="full",
        rate=0.01,
    )
    return {k: record[k] for k in ("train_loss", "validation_loss", "test_error")}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    return tuple(
        below(
            task,
            "test error, advanced minus basic",
            paired(*(results.values(f"{task}, {name}", "test_error") for name in ("advanced", "basic"))),
            unit="points",
            shown=task == "all classes",
        )
        for task in _TASKS
    )


def _conclude(results: Results) -> Conclusion:
    gain = {
        task: difference(
            results.values(f"{task}, advanced", "test_error"), results.values(f"{task}, basic", "test_error")
        )
        for task in _TASKS
    }
    basic = {task: estimate(results.values(f"{task}, basic", "test_error")).mean for task in _TASKS}
    easy = "too easy to distinguish the two" if basic["0 against 1"] < 0.01 else "not solved by the basic network"
    verdicts = [
        f"{task}: {gain[task].text(2, 100)} points" + ("" if gain[task].sure else " (within seed noise)")
        for task in _TASKS
    ]
    sentence = (
        f"Batch norm and dropout change the test error by: {'; '.join(verdicts)}. The task 0 against 1 is {easy} "
        f"({100 * basic['0 against 1']:.2g} % of rows wrong without them)."
    )
    header, table = results.table(test_error=("test_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for task in _TASKS:
        losses = {name: results.values(f"{task}, {name}", "validation_loss") for name in ("basic", "advanced")}
        panels.append(drawing.curves(task, losses, y_log=True, y_name="validation loss"))
    return {"Validation loss by epoch": panels}


STUDY = Study(
    name="basic-advanced",
    title="The lecture's basic and advanced network",
    claim="The advanced network (batch norm, dropout 0.2) does better than the basic one.",
    source="lecture 12, 7.5 (training on digits)",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Hidden layers of 32 and 16 units (circles: 16 and 8), full batch, Adam at 0.01. The lecture trains 1,000 "
        "epochs at 0.001."
    ),
)
