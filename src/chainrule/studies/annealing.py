"""Cosine annealing and step decay where they matter: small batches, whose noise a constant rate never lets settle.

In: rows of one seed, a schedule. Out: losses by epoch and test error, all at one base rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.intervals import ConfidenceInterval
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import Nesterov
from chainrule.nn.schedules import ConstantSchedule, Cosine, Schedule, Step
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import difference
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATE, _BATCH = 0.05, 8


def _schedules(epochs: int) -> Mapping[str, Schedule]:
    return {"constant": ConstantSchedule(), "step": Step(drop=0.3, every=max(epochs // 4, 1)), "cosine": Cosine()}


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"schedule": name} for name in _schedules(1)}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    epochs = quick_or_full(cell.config, 12, 24)
    schedule = _schedules(epochs)[cell.options["schedule"]]
    net = mlp(split.inputs, (32,), split.classes)
    record, _ = trained(
        split,
        net,
        seed=cell.seed,
        epochs=epochs,
        optimizer=Nesterov(),
        rate=_RATE,
        schedule=schedule,
        batch_size=_BATCH,
    )
    factors = [float(f"{schedule.factor(float(e), epochs):.4g}") for e in range(epochs)]
    kept = {name: record[name] for name in ("train_loss", "validation_loss", "test_error")}
    return {**kept, "last_cost": record["train_loss"][-1], "factors": factors}


def _conclude(results: Results) -> Conclusion:
    last = {arm: np.log(results.values(arm, "last_cost")) for arm in results.arms}
    against = {arm: difference(last["cosine"], last[arm]) for arm in ("constant", "step")}
    holds = against["constant"].sure and against["constant"].mean < 0
    lower = "ends at a lower training cost than" if holds else "does not end at a lower training cost than"
    step = "lower than" if against["step"].mean < 0 else "no lower than"
    noise = "" if against["step"].sure else " (within seed noise)"
    sentence = (
        f"Cosine annealing {lower} a constant rate: {_ratio(against['constant'])} of it. It is {step} that of step decay "
        f"too{noise}: {_ratio(against['step'])} of it. With batches of {_BATCH} rows a constant rate of {_RATE:g} keeps "
        f"the weights moving around the minimum."
    )
    header, table = results.table(training_cost=("last_cost", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion(sentence, holds, header, table)


def _ratio(gain: ConfidenceInterval) -> str:
    """Return a mean difference of logarithms as a ratio with its interval."""
    low, high = np.exp(gain.mean - gain.half), np.exp(gain.mean + gain.half)
    return f"{np.exp(gain.mean):.2g} ({low:.2g} to {high:.2g})"


def _draw(results: Results) -> drawing.Pictures:
    factors = {arm: results.values(arm, "factors")[:1] for arm in results.arms}
    losses = {arm: results.values(arm, "train_loss") for arm in results.arms}
    return {
        "Schedules, and the training cost with each": [
            drawing.curves("Schedules", factors, np.arange(factors["constant"].shape[1]), y_name="rate / base rate"),
            drawing.curves("Training cost", losses, y_log=True, y_name="training cost"),
        ]
    }


STUDY = Study(
    name="annealing",
    title="Cosine annealing and step decay with small batches",
    claim="With small batches, cosine annealing ends at a lower training cost than a constant rate.",
    source="lecture 12, exercise 7; [loshchilov2017]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=f"Nesterov momentum at {_RATE:g} for all, batches of {_BATCH} rows; costs are compared by their logarithms.",
)
