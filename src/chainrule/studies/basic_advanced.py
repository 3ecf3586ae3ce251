"""Why: the lecture trains a basic network and an advanced one on two digits; rings of points and all digits are harder.

In: a task of one seed. Out: test error and the cost's course of both networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data import Dataset, Standardizer, load, three_way
from chainrule.nn.net import mlp
from chainrule.studies import drawing
from chainrule.studies.common import Part, Split, constrained, rows, trained, with_train
from chainrule.studies.statistics import difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study

_TASKS = ("0 against 1", "all classes", "circles")


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
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

        def part(data: Dataset) -> Part:
            return Part(scaling.apply(data.X, "float32"), data.y.astype(int))

        return Split(part(parts.train), part(parts.validation), part(parts.test), 2, None)
    split = rows(cell.setting, cell.seed)
    if task == "all classes":
        return split
    return split.each(lambda part: part.of_classes(np.array([0, 1])), 2)


def _run(cell: Cell) -> dict[str, Any]:
    split, advanced = _task(cell), cell.options["advanced"]
    norm, dropout = ("batch", 0.2) if advanced else (None, 0.0)
    hidden = (16, 8) if cell.options["task"] == "circles" else (32, 16)
    net = mlp(split.inputs, hidden, split.classes, norm=norm, dropout=dropout)
    epochs = constrained(cell.setting, 120, 150)
    record, _ = trained(
        with_train(split, 6000),
        net,
        seed=cell.seed,
        epochs=epochs,
        batch_size=None,
        rate=0.01,
    )
    return {k: record[k] for k in ("train_loss", "validation_loss", "test_error")}


def _conclude(results: Results) -> Conclusion:
    gain = {
        task: difference(
            results.values(f"{task}, advanced", "test_error"), results.values(f"{task}, basic", "test_error")
        )
        for task in _TASKS
    }
    basic = {task: estimate(results.values(f"{task}, basic", "test_error")).mean for task in _TASKS}
    easy = "too easy to tell the two apart" if basic["0 against 1"] < 0.01 else "not solved by the basic one"
    verdicts = [
        f"{task}: {gain[task].text(2, 100)} points" + ("" if gain[task].sure else " (within the noise)")
        for task in _TASKS
    ]
    sentence = (
        f"Batch norm and dropout change the test error by: {'; '.join(verdicts)}. 0 against 1 is {easy} "
        f"({100 * basic['0 against 1']:.2g} % wrong without them)."
    )
    helped = any(found.sure and found.mean < 0 for found in gain.values())
    harmed = any(found.sure and found.mean > 0 for found in gain.values())
    header, table = results.table(test_error=("test_error", 100, "%"))
    return Conclusion(sentence, helped and not harmed, header, table)


def _draw(results: Results) -> Mapping[str, Any]:
    figure, axes = drawing.figure(11.0, 3.8, columns=len(_TASKS))
    for ax, task in zip(axes, _TASKS, strict=True):
        losses = {name: results.values(f"{task}, {name}", "validation_loss") for name in ("basic", "advanced")}
        drawing.curves(ax, losses, yscale="log", xlabel="epoch", ylabel="validation loss", title=task)
    return {"Basic and advanced": figure}


STUDY = Study(
    name="basic-advanced",
    title="The lecture's basic and advanced network",
    claim="The advanced network (batch norm, dropout 0.2) does better than the basic one.",
    source="lecture 12, 7.7",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="64-32-16 (circles: 16-8), full batch, Adam at 0.01, as the lecture does it.",
)
