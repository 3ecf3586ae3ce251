"""Do units that start equal stay equal? The number of different units after training shows it.

In: rows of one seed, an initialization rule. Out: different units of the first hidden layer after training, test error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.initializers import Constant, Initializer, Normal, Zeros
from chainrule.nn.layers import Activation, Dense
from chainrule.nn.net import Net
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, at_least, at_most, below, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RULES: Mapping[str, str | Initializer] = {
    "zeros": Zeros(),
    "all 0.1": Constant(0.1),
    "random, tiny": Normal(sigma=1e-4),
    "random (Xavier)": "xavier",
}
_UNITS = 32


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"rule": name} for name in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    rule = _RULES[cell.options["rule"]]
    net = Net(
        split.inputs,
        [Dense(_UNITS, initializer=rule), Activation("tanh"), Dense(split.classes, initializer=rule)],
    )
    record, state = trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 15, 10), rate=3e-3)
    assert state is not None
    W = net.parameters.views(state.w)["0.W"]
    scale = float(np.abs(W).max()) or 1.0
    different = len(np.unique(np.round(W.T / scale, 4), axis=0))
    return {"units": different, "test_error": record["test_error"], "train_loss": record["train_loss"]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    units = {arm: results.values(arm, "units") for arm in results.arms}
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    figure = "different units at the end"
    return (
        at_most("zeros", figure, units["zeros"], 1),
        at_most("all 0.1", figure, units["all 0.1"], 1),
        at_least("random (Xavier)", figure, units["random (Xavier)"], _UNITS),
        below(
            "random (Xavier)",
            "test error, minus that of all 0.1",
            paired(test["random (Xavier)"], test["all 0.1"]),
            unit="points",
        ),
        at_most("random, tiny", figure, units["random, tiny"], 1, shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    units = {arm: float(results.values(arm, "units").max()) for arm in results.arms}
    error = {arm: estimate(results.values(arm, "test_error")).mean for arm in results.arms}
    same = units["zeros"] == 1 and units["all 0.1"] == 1
    stay = "stay equal" if same else "do not stay equal"
    free = "become all different" if units["random (Xavier)"] == _UNITS else "do not become all different"
    sentence = (
        f"{_UNITS} units that start equal {stay} through the whole training (different units at the end: "
        f"{units['zeros']:.0f} with zeros, {units['all 0.1']:.0f} with all 0.1), and the network is wrong on "
        f"{100 * error['all 0.1']:.2g} % of the test rows. Random units {free}, and it is wrong on "
        f"{100 * error['random (Xavier)']:.2g} %."
    )
    header, table = results.table(different_units=("units", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    losses = {arm: results.values(arm, "train_loss") for arm in results.arms}
    plot = drawing.curves("Training loss", losses, y_log=True, y_name="training loss", dashed=("all 0.1",))
    return {"How equal units learn": [plot]}


STUDY = Study(
    name="symmetry",
    title="Equal initial weights stay equal",
    claim="A layer whose weights start equal learns like a single unit; random initial weights break the symmetry.",
    source="lecture 12, 7.4",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
)
