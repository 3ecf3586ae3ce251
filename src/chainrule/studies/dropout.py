"""Does dropout regularize? That is a claim about small training sets, so the experiment varies their size.

In: rows of one seed. Out: training and test error by dropout rate and number of training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained, with_train
from chainrule.studies.statistics import Criterion, below, difference, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATES = (0.0, 0.2, 0.5, 0.8)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    sizes = (100, 300, 1000) if config.data == "digits" or config.quick else (300, 1000, 3000, 10000)
    return {f"dropout {rate:g}, {n} rows": {"rate": rate, "rows": n} for n in sizes for rate in _RATES}


def _run(cell: Cell) -> dict[str, Any]:
    split = with_train(rows(cell.config, cell.seed), cell.options["rows"])
    net = mlp(split.inputs, (256, 256), split.classes, dropout=cell.options["rate"])
    steps = quick_or_full(cell.config, 800, 3000)
    epochs = max(1, round(steps * 32 / len(split.train.y)))
    record, state = trained(split, net, seed=cell.seed, epochs=epochs, batch_size=32)
    assert state is not None
    Z = net(state, split.train.X)
    return {
        "rate": cell.options["rate"],
        "rows": len(split.train.y),
        "test_error": record["test_error"],
        "train_error": float((Z.argmax(axis=1) != split.train.y).mean()),
    }


def _by_size(results: Results, figure: str) -> dict[int, dict[float, Any]]:
    table: dict[int, dict[float, Any]] = {}
    for arm in results.arms:
        first = results.of_arm(arm)[0]
        table.setdefault(int(first["rows"]), {})[float(first["rate"])] = results.values(arm, figure)
    return table


def _criteria(results: Results) -> tuple[Criterion, ...]:
    table = _by_size(results, "test_error")
    small, large = min(table), max(table)
    gain = {n: paired(table[n][0.5], table[n][0.0]) for n in table}
    figure = "test error, dropout 0.5 minus none"
    return (
        below(f"{small} rows", figure, gain[small], unit="points"),
        below(
            f"{small} rows",
            f"that gain minus the one with {large} rows",
            paired(gain[small], gain[large]),
            unit="points",
        ),
        below(f"{large} rows", figure, gain[large], unit="points", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    table = _by_size(results, "test_error")
    gains = {n: {rate: difference(errors[rate], errors[0.0]) for rate in errors if rate} for n, errors in table.items()}
    best = {n: min(found, key=lambda rate: found[rate].mean) for n, found in gains.items()}
    small, large = min(table), max(table)
    at_small, at_large = gains[small][best[small]], gains[large][best[large]]
    helped = "lowers" if at_small.mean < 0 else "raises"
    certainty = "" if at_small.sure else " (within seed noise)"
    trend = "helps most with few rows" if at_small.mean < at_large.mean else "does not help more with few rows"
    worst = max(_RATES[1:], key=lambda rate: gains[small][rate].mean)
    sentence = (
        f"With {small} training rows the best dropout ({best[small]:g}) {helped} the test error by "
        f"{at_small.size(2, 100)} points{certainty}; with {large} rows the change is {at_large.text(2, 100)} points, so "
        f"dropout "
        f"{trend}. The worst rate, {worst:g}, changes the error with {small} rows by "
        f"{gains[small][worst].text(2, 100)} points."
    )
    header = ("training rows", *(f"dropout {rate:g}" for rate in _RATES))
    shown = [(str(n), *(f"{100 * table[n][rate].mean():.2f} %" for rate in _RATES)) for n in sorted(table)]
    return Conclusion.by(_criteria(results), sentence, header, tuple(shown))


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for kind, name in (("test_error", "test error"), ("train_error", "training error")):
        found = _by_size(results, kind)
        sizes = sorted(found)
        arms = {f"dropout {rate:g}": 100 * np.array([found[n][rate] for n in sizes]).T for rate in _RATES}
        axes: dict[str, Any] = {
            "x_log": True,
            "x_ticks": sizes,
            "x_name": "training rows",
            "within": (0.0,),
        }
        panels.append(drawing.curves(name.capitalize(), arms, np.array(sizes), y_name=f"{name}, %", **axes))
    return {"Error by size of the training set": panels}


STUDY = Study(
    name="dropout",
    title="Dropout against over-fitting",
    claim="Dropout regularizes: it lowers the test error, most with few training rows, and too much of it harms.",
    source="lecture 12, 7.3 and exercise 3; [srivastava2014]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Lower test error is better. A training error of zero beside a test error well above it is over-fitting.",
)
