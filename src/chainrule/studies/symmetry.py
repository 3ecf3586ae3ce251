"""Why: units that start equal stay equal; how many different units a layer has after training shows it.

In: rows of one seed, a rule for first weights. Out: different units of the first hidden layer after training, test error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.initializers import Constant, Initializer, Normal, Zeros
from chainrule.nn.layers import Activation, Dense
from chainrule.nn.net import Net
from chainrule.studies import drawing
from chainrule.studies.common import constrained, rows, trained
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study

_RULES: Mapping[str, str | Initializer] = {
    "zeros": Zeros(),
    "all 0.1": Constant(0.1),
    "random, tiny": Normal(1e-4),
    "random (Xavier)": "xavier",
}
_UNITS = 32


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"rule": name} for name in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    split, rule = rows(cell.setting, cell.seed), _RULES[cell.options["rule"]]
    net = Net(
        split.inputs,
        [Dense(_UNITS, initializer=rule), Activation("tanh"), Dense(split.classes, initializer=rule)],
    )
    record, state = trained(split, net, seed=cell.seed, epochs=constrained(cell.setting, 15, 10), rate=3e-3)
    assert state is not None
    W = net.parameters.views(state.w)["0.W"]
    scale = float(np.abs(W).max()) or 1.0
    different = len(np.unique(np.round(W.T / scale, 4), axis=0))
    return {"units": different, "test_error": record["test_error"], "train_loss": record["train_loss"]}


def _conclude(results: Results) -> Conclusion:
    units = {arm: float(results.values(arm, "units").max()) for arm in results.arms}
    error = {arm: estimate(results.values(arm, "test_error")).mean for arm in results.arms}
    same = units["zeros"] == 1 and units["all 0.1"] == 1
    stay = "stay one unit" if same else "do not stay equal"
    free = "become all different" if units["random (Xavier)"] == _UNITS else "do not become all different"
    sentence = (
        f"{_UNITS} units that start equal {stay} through the whole training (different ones at the end: zeros "
        f"{units['zeros']:.0f}, all 0.1 {units['all 0.1']:.0f}) and are wrong on {100 * error['all 0.1']:.2g} % of the test "
        f"rows; random ones {free} and are wrong on {100 * error['random (Xavier)']:.2g} %."
    )
    holds = same and units["random (Xavier)"] == _UNITS and error["random (Xavier)"] < error["all 0.1"]
    header, table = results.table(different_units=("units", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion(sentence, holds, header, table)


def _draw(results: Results) -> Mapping[str, Any]:
    losses = {arm: results.values(arm, "train_loss") for arm in results.arms}
    return {
        "Training loss": drawing.one(
            lambda ax: drawing.curves(ax, losses, yscale="log", xlabel="epoch", ylabel="training loss")
        )
    }


STUDY = Study(
    name="symmetry",
    title="Equal first weights stay equal",
    claim="A layer whose weights start equal learns as one single unit; random first weights break the symmetry.",
    source="lecture 12, 7.4",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
)
