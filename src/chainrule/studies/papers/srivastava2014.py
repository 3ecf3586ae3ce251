"""Dropout's best known table: errors of dense networks on MNIST, and the share that max-norm has in them.

In: pixels. Out: test error by epoch of one network without dropout, with it, and with max-norm as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.nn.layers import Dropout
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGDMomentum
from chainrule.nn.schedules import OneCycle
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full
from chainrule.studies.papers.common import followed, images
from chainrule.studies.statistics import difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import TrainConfig

_ARMS: Mapping[str, Mapping[str, Any]] = {
    "no dropout": {"dropout": False, "max_weight_norm": None, "rate": 0.01},
    "dropout": {"dropout": True, "max_weight_norm": None, "rate": 0.02},
    "dropout, max-norm": {"dropout": True, "max_weight_norm": 2.0, "rate": 0.04},
}


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    size = {"width": quick_or_full(config, 512, 1024), "epochs": quick_or_full(config, 15, 16)}
    return {
        name: {**options, **size, "epochs": size["epochs"] // (1 if options["dropout"] else 2)}
        for name, options in _ARMS.items()
    }


def network(inputs: int, classes: int, width: int, dropout: bool) -> Net:
    """Return three hidden relu layers; dropout drops a fifth of the inputs and half of the hidden units."""
    layers = mlp(inputs, (width,) * 3, classes, dropout=0.5 if dropout else 0.0).layers
    return Net(inputs, [Dropout(0.2), *layers] if dropout else layers)


def _run(cell: Cell) -> dict[str, Any]:
    options = cell.options
    split = images(cell.config, cell.seed)
    net = network(split.inputs, split.classes, options["width"], options["dropout"])
    recipe = Recipe(
        net,
        SoftmaxCrossEntropy(),
        SGDMomentum(mu=0.95),
        batch_size=128,
        max_weight_norm=options["max_weight_norm"],
        seed=cell.seed,
    )
    return followed(split, recipe, TrainConfig(options["epochs"], options["rate"], OneCycle()))


def _conclude(results: Results) -> Conclusion:
    none, dropped, bounded = (results.values(arm, "test_error") for arm in _ARMS)
    gain, more = difference(dropped, none), difference(bounded, dropped)
    by_dropout = "lowers" if gain.mean < 0 else "raises"
    by_bound = "lowers" if more.mean < 0 else "raises" if more.mean > 0 else "does not change"
    sentence = (
        f"Dropout {by_dropout} the test error from {estimate(none).text(3, 100, '%')} to "
        f"{estimate(dropped).text(3, 100, '%')}, and max-norm {by_bound} it to {estimate(bounded).text(3, 100, '%')}."
    )
    header, rows = results.table(test_error=("test_error", 100, "%"), CPU_seconds=("cpu_seconds", 1, ""))
    return Conclusion(sentence, gain.mean < 0 and more.mean <= 0, header, rows)


def _draw(results: Results) -> drawing.Pictures:
    found = {arm: 100 * results.values(arm, "test_errors") for arm in results.arms}
    return {"Test error by epoch": [drawing.curves("Test error", found, y_log=True, y_name="test error, %")]}


STUDY = Study(
    name="srivastava2014",
    title="Srivastava et al. 2014: dropout and max-norm",
    claim="Dropout lowers the test error of a large relu network, and bounding its weights lowers it further.",
    source="[srivastava2014] table 2, appendix B.1",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Lower is better. The runs are far shorter than the paper's.",
)
