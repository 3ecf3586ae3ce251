"""Cosine annealing and step decay where they matter: small batches, whose noise a constant rate never lets settle.

In: rows of one seed, a schedule. Out: losses by epoch and test error, all at one base rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.intervals import ConfidenceInterval
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import Nesterov
from chainrule.nn.schedules import ConstantSchedule, Cosine, Schedule, Step
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATE, _BATCH = 0.05, 8
_BATCHES = (_BATCH, 256)
"""Rows of a batch: few, which are noisy, and, beside them, many."""


def _schedules(epochs: int) -> Mapping[str, Schedule]:
    return {"constant": ConstantSchedule(), "step": Step(drop=0.3, every=max(epochs // 4, 1)), "cosine": Cosine()}


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{name}, batches of {batch}": {"schedule": name, "batch": batch}
        for batch in _BATCHES
        for name in _schedules(1)
    }


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    epochs = quick_or_full(cell.config, 12, 24)
    schedule = _schedules(epochs)[cell.options["schedule"]]
    net = mlp(split.inputs, (12,), split.classes)
    record, _ = trained(
        split,
        net,
        seed=cell.seed,
        epochs=epochs,
        optimizer=Nesterov(),
        rate=_RATE,
        schedule=schedule,
        batch_size=cell.options["batch"],
    )
    factors = [float(f"{schedule.factor(float(e), epochs):.4g}") for e in range(epochs)]
    kept = {name: record[name] for name in ("train_loss", "validation_loss", "test_error")}
    return {**kept, "last_cost": record["train_loss"][-1], "factors": factors}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(batch: int) -> Array:
        return ratio(*(results.values(f"{name}, batches of {batch}", "last_cost") for name in ("cosine", "constant")))

    figure = "final training cost, cosine over constant"
    return tuple(
        below(f"batches of {batch}", figure, gain(batch), unit="times", shown=batch == _BATCH) for batch in _BATCHES
    )


def _conclude(results: Results) -> Conclusion:
    def against(arm: str, batch: int) -> ConfidenceInterval:
        cosine, other = (results.values(f"{name}, batches of {batch}", "last_cost") for name in ("cosine", arm))
        return difference(np.log(cosine), np.log(other))

    constant, stepped, many = against("constant", _BATCH), against("step", _BATCH), against("constant", _BATCHES[-1])
    holds = constant.sure and constant.mean < 0
    lower = "ends at a lower training cost than" if holds else "does not end at a lower training cost than"
    step = "lower than" if stepped.mean < 0 else "no lower than"
    noise = "" if stepped.sure else " (within seed noise)"
    sentence = (
        f"Cosine annealing {lower} a constant rate: {_ratio(constant)} of it. It is {step} that of step decay "
        f"too{noise}: {_ratio(stepped)} of it. With batches of {_BATCH} rows a constant rate of {_RATE:g} keeps "
        f"the weights moving around the minimum. With batches of {_BATCHES[-1]} its cost is {_ratio(many)} of that of a "
        f"constant rate."
    )
    header, table = results.table(training_cost=("last_cost", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _ratio(gain: ConfidenceInterval) -> str:
    """Return a mean difference of logarithms as a ratio with its interval."""
    low, high = np.exp(gain.mean - gain.half), np.exp(gain.mean + gain.half)
    return f"{np.exp(gain.mean):.2g} ({low:.2g} to {high:.2g})"


def _draw(results: Results) -> drawing.Pictures:
    def each(figure: str, batch: int) -> dict[str, Array]:
        return {name: results.values(f"{name}, batches of {batch}", figure) for name in _schedules(1)}

    factors = {name: values[:1] for name, values in each("factors", _BATCH).items()}
    at = np.arange(factors["constant"].shape[1])
    costs = [
        drawing.curves(f"Batches of {batch}", each("train_loss", batch), y_log=True, y_name="training cost")
        for batch in _BATCHES
    ]
    schedules = drawing.curves("Schedules", factors, at, y_name="rate / base rate")
    return {"Schedules, and the training cost with each": [schedules, *costs]}


STUDY = Study(
    name="annealing",
    title="Cosine annealing with small batches, and with large ones",
    claim="With small batches, cosine annealing ends at a lower training cost than a constant rate.",
    source="lecture 12, exercise 7; [loshchilov2017]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        f"Nesterov momentum at {_RATE:g} for all, batches of {_BATCH} and {_BATCHES[-1]} rows; costs are compared by their "
        "logarithms."
    ),
)
