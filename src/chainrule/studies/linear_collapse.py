"""Without an activation between them, layers are one affine map however many there are: measured exactly.

In: rows of one seed. Out: how far a trained deep linear network is from one matrix, and the test errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data import load
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.report.contours import boundary, decision_line
from chainrule.report.plots import NEUTRAL, Curve
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, at_least, at_most, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import fit

_ARMS: Mapping[str, Mapping[str, Any]] = {
    "no hidden layer": {"hidden": (), "activation": "identity"},
    "3 linear layers": {"hidden": (64, 64), "activation": "identity"},
    "6 linear layers": {"hidden": (64,) * 5, "activation": "identity"},
    "3 relu layers": {"hidden": (64, 64), "activation": "relu"},
}


_PLANE = ((-2.0, 3.0), (-1.6, 2.0))


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return _ARMS


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    net = mlp(split.inputs, cell.options["hidden"], split.classes, activation=cell.options["activation"])
    record, state = trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 20, 15))
    assert state is not None
    w = state.w.astype(np.float64)
    views = net.parameters.views(w)
    W, b = np.eye(split.inputs), np.zeros(split.inputs)
    for name in [name for name in net.parameters.names if name.endswith(".W")]:
        W, b = W @ views[name], b @ views[name] + views[name.replace(".W", ".b")]
    X = split.test.X.astype(np.float64)
    Z = net(w, state.buffers.astype(np.float64), X)
    one = X @ W + b
    distance = float(np.abs(Z - one).max() / np.abs(Z).max())
    return {"test_error": record["test_error"], "distance": distance, "line": _line(cell)}


def _line(cell: Cell) -> list[list[float | None]]:
    """Return the decision boundary of the same layers on two half moons; None stands between two lines."""
    moons = load("moons", seed=cell.seed)
    net = mlp(2, cell.options["hidden"], 1, activation=cell.options["activation"])
    *_, last = fit(
        net,
        moons.X,
        moons.y,
        loss=BinaryCrossEntropy(),
        epochs=60,
        learning_rate=0.01,
        batch_size=50,
        seed=cell.seed,
    )
    state = last.state()
    line = decision_line(lambda X: net(state, X)[:, 0], *_PLANE, n=40)
    return [[round(v, 3) if np.isfinite(v) else None for v in part] for part in line]


def _criteria(results: Results) -> tuple[Criterion, ...]:
    far = {arm: results.values(arm, "distance") for arm in results.arms}
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    figure = "distance from one matrix"
    return (
        at_most("6 linear layers", figure, far["6 linear layers"], 1e-9),
        at_least("3 relu layers", figure, far["3 relu layers"], 1e-3),
        below(
            "3 relu layers",
            "test error, minus 3 linear layers",
            paired(test["3 relu layers"], test["3 linear layers"]),
            unit="points",
        ),
        below(
            "6 linear layers",
            "test error, minus 3 linear layers",
            paired(test["6 linear layers"], test["3 linear layers"]),
            unit="points",
            shown=False,
        ),
    )


def _conclude(results: Results) -> Conclusion:
    far = {arm: float(results.values(arm, "distance").max()) for arm in results.arms}
    deep = difference(results.values("6 linear layers", "test_error"), results.values("no hidden layer", "test_error"))
    bent = difference(results.values("3 relu layers", "test_error"), results.values("3 linear layers", "test_error"))
    collapses = "is one matrix, up to rounding" if far["6 linear layers"] < 1e-9 else "is NOT one matrix"
    direction = "more" if deep.mean > 0 else "less"
    level = f"{deep.size(2, 100)} points {direction} test error than no hidden layer"
    straight = estimate(results.values("3 linear layers", "test_error")).text(2, 100, "%")
    sentence = (
        f"A trained network of six linear layers {collapses} (largest difference {far['6 linear layers']:.1e} of the "
        f"largest output), with {level} after the same number of epochs. relu between the layers changes the error by "
        f"{bent.text(2, 100)} points (from {straight})."
    )
    header, table = results.table(distance_from_one_matrix=("distance", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    colors = {arm: i for i, arm in enumerate(results.arms)}
    distance = {arm: results.values(arm, "distance") for arm in results.arms}
    errors = {arm: 100 * results.values(arm, "test_error") for arm in results.arms}
    moons = load("moons")
    lines = []
    for arm in ("6 linear layers", "3 relu layers"):
        x, y = (np.array(part, np.float64) for part in results.of_arm(arm)[0]["line"])
        lines.append(boundary(arm, moons.X, moons.y, [Curve("boundary", x, y, NEUTRAL)], *_PLANE))
    return {
        "The boundary between two half moons, first seed": lines,
        "Without activations the layers are one matrix": [
            drawing.bars(
                "Distance of the network from its one matrix",
                distance,
                "largest difference / largest output",
                colors=colors,
                log=True,
                note="1e−15 is rounding: the network and the product of its matrices are the same map.",
            ),
            drawing.bars("Test error", errors, "test error, %", colors=colors),
        ],
    }


STUDY = Study(
    name="linear-collapse",
    title="Linear layers collapse into one",
    claim=(
        "Without a non-linear activation a network of any depth is one affine map; an activation between the layers "
        "does better."
    ),
    source="lecture 12, 7.2",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "The linear networks can express the same maps; after the same number of epochs they differ in how far they "
        "were trained."
    ),
)
