"""Does a falling learning rate beat a constant one? Each schedule gets the best of four base rates.

In: rows of one seed. Out: validation and test error by schedule, each at the best of four base rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import Nesterov
from chainrule.nn.schedules import ConstantSchedule, Cosine, Exponential, InverseTimeDecay, OneCycle, Schedule, Step
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATES = (0.003, 0.01, 0.03, 0.1)


def _schedules(epochs: int) -> Mapping[str, Schedule]:
    """Return the schedules; every decay ends at a few hundredths of the base rate or below."""
    return {
        "constant": ConstantSchedule(),
        "step": Step(drop=0.3, every=max(epochs // 4, 1)),
        "exponential": Exponential(k=4.0 / epochs),
        "inverse time": InverseTimeDecay(k=20.0 / epochs),
        "cosine": Cosine(),
        "one cycle": OneCycle(),
    }


def _epochs(config: StudyConfig) -> int:
    return quick_or_full(config, 12, 20)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"schedule": name} for name in _schedules(1)}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    epochs = _epochs(cell.config)
    schedule = _schedules(epochs)[cell.options["schedule"]]
    net = mlp(split.inputs, (64, 64), split.classes)
    runs = [
        trained(split, net, seed=cell.seed, epochs=epochs, optimizer=Nesterov(), rate=rate, schedule=schedule)[0]
        for rate in _RATES
    ]
    best = min(range(len(_RATES)), key=lambda i: runs[i]["validation_loss"][-1])
    factors = [schedule.factor(float(e), epochs) for e in np.linspace(0, epochs, 60, endpoint=False)]
    return {
        **runs[best],
        "rate": _RATES[best],
        "last_validation_loss": runs[best]["validation_loss"][-1],
        "last_train_loss": runs[best]["train_loss"][-1],
        "factors": factors,
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def against(arm: str) -> Array:
        return ratio(results.values(arm, "last_validation_loss"), results.values("constant", "last_validation_loss"))

    figure = "final validation loss over that of a constant rate"
    return (
        below("cosine", figure, against("cosine"), unit="times"),
        *(below(arm, figure, against(arm), unit="times", shown=False) for arm in results.arms[1:] if arm != "cosine"),
    )


def _conclude(results: Results) -> Conclusion:
    gains = {
        arm: difference(results.values(arm, "last_validation_loss"), results.values("constant", "last_validation_loss"))
        for arm in results.arms
        if arm != "constant"
    }
    best = min(gains, key=lambda arm: gains[arm].mean)
    base = estimate(results.values("constant", "last_validation_loss")).mean
    sure = [arm for arm, gain in gains.items() if gain.sure and gain.mean < 0]
    pace = "below" if gains[best].mean < 0 else "above"
    sentence = (
        f"With {best}, the best of the schedules, the final validation loss is {pace} that of a constant rate "
        f"({base + gains[best].mean:.3g} against {base:.3g}, difference {gains[best].text(2)}). Better than a constant "
        f"rate beyond "
        f"seed noise: {', '.join(sure) or 'none'}."
    )
    header, table = results.table(
        best_base_rate=("rate", 1, ""),
        validation_loss=("last_validation_loss", 1, ""),
        training_loss=("last_train_loss", 1, ""),
        test_error=("test_error", 100, "%"),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    factors = {arm: results.values(arm, "factors")[:1] for arm in results.arms}
    losses = {arm: results.values(arm, "validation_loss") for arm in results.arms}
    at = np.linspace(0, losses["constant"].shape[1], 60, endpoint=False)
    rates = drawing.curves("Schedules", factors, at, y_name="rate / base rate")
    return {
        "Schedules, and the validation loss with each": [
            rates,
            drawing.curves("Validation loss", losses, y_log=True, y_name="validation loss"),
        ]
    }


STUDY = Study(
    name="schedules",
    title="Learning-rate schedules",
    claim="A rate that falls ends at a lower loss than a constant one.",
    source="lecture 12, 7.5 and exercise 7; [loshchilov2017], [smith2018]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Nesterov momentum; every schedule at the best of four base rates (0.003 to 0.1) by validation loss. Where "
        "that is 0.1, a larger one may be better still."
    ),
)
