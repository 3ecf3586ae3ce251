"""Do the initial weights let signal and gradient pass through a deep network? Both are measured layer by layer.

In: rows of one seed, an initialization rule. Out: variance of activations and size of gradients by layer, test error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.initializers import Constant, Initializer, Normal, Zeros
from chainrule.nn.layers import Activation, Context, Dense, Layer
from chainrule.nn.losses import SoftmaxCrossEntropy, mean_loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD
from chainrule.random import Stream
from chainrule.studies import drawing
from chainrule.studies.common import Subset, quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, above, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RULES: Mapping[str, str | Initializer] = {
    "zeros": Zeros(),
    "constant 0.1": Constant(0.1),
    "normal 0.01": Normal(sigma=0.01),
    "normal 1": Normal(sigma=1.0),
    "Xavier": "xavier",
    "Glorot": "glorot",
    "He": "he",
}
_DEPTH = 8
_WIDTH = 64
_SHALLOW = ", 1 layer"
"""Arms with one hidden layer, beside the deep ones."""


def by_layer(net: Net, part: Subset, seed: int) -> tuple[list[float], list[float]]:
    """Return the rms of the output of every activation, and of the gradient with respect to the W of every Dense layer."""
    w, buffers = net.init(seed)
    X, y = part.X[:256].astype(np.float64), part.y[:256]
    loss = SoftmaxCrossEntropy()
    ctx = Context(np, training=True, stream=Stream.from_seed(seed))
    with np.errstate(all="ignore"):
        layers = net.trace(w, buffers, X, lambda Z: mean_loss(loss, np, Z, y, np.ones(len(y)))[1], ctx)
        outputs = [_rms(at.output) for at, f in zip(layers, net.layers, strict=True) if isinstance(f, Activation)]
        return outputs, [_rms(at.parameters["W"]) for at in layers if "W" in at.parameters]


def _rms(A: Array) -> float:
    return float(f"{np.sqrt(np.mean(np.square(A))):.6g}")


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    deep = {name: {"rule": name, "depth": _DEPTH} for name in _RULES}
    shallow = {f"{name}{_SHALLOW}": {"rule": name, "depth": 1} for name in ("normal 0.01", "He")}
    return deep | shallow


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    layers: list[Layer] = []
    for _ in range(cell.options["depth"]):
        layers += [Dense(_WIDTH, initializer=_RULES[cell.options["rule"]]), Activation("relu")]
    net = Net(split.inputs, [*layers, Dense(split.classes, initializer=_RULES[cell.options["rule"]])])
    outputs, gradients = by_layer(net, split.train, cell.seed)
    runs = [
        trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 8, 15), optimizer=SGD(), rate=rate)[0]
        for rate in (0.01, 0.1)
    ]
    best = min(runs, key=lambda run: float(run["test_error"]))
    return {
        "outputs": outputs,
        "gradients": gradients,
        "test_error": best["test_error"],
        "passed": outputs[-1] / max(outputs[0], 1e-300),
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    passed = {arm: results.values(arm, "passed") for arm in results.arms}
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    signal, error = "signal, last layer over first", "test error, He minus normal 0.01"
    where = f"{_DEPTH} layers"
    return (
        above(f"{where}, He", signal, passed["He"], 0.1, unit="times"),
        below(f"{where}, He", signal, passed["He"], 10.0, unit="times"),
        below(f"{where}, normal 0.01", signal, passed["normal 0.01"], 0.01, unit="times"),
        above(f"{where}, normal 1", signal, passed["normal 1"], 100.0, unit="times"),
        above(f"{where}, zeros", "test error", test["zeros"], 0.5, unit="%"),
        below(where, error, paired(test["He"], test["normal 0.01"]), -0.1, unit="points"),
        below(where, "test error, He minus Xavier", paired(test["He"], test["Xavier"]), unit="points"),
        below(
            "1 layer",
            error,
            paired(test[f"He{_SHALLOW}"], test[f"normal 0.01{_SHALLOW}"]),
            -0.1,
            unit="points",
            shown=False,
        ),
    )


def _conclude(results: Results) -> Conclusion:
    errors = {arm: estimate(results.values(arm, "test_error")).mean for arm in _RULES}
    best = min(errors, key=lambda arm: errors[arm])
    against = difference(results.values("He", "test_error"), results.values("normal 0.01", "test_error"))
    passed = {arm: float(np.median(results.values(arm, "passed"))) for arm in _RULES}
    lost = [arm for arm in _RULES if not 0.01 < passed[arm] < 100]
    shallow = difference(
        results.values(f"He{_SHALLOW}", "test_error"), results.values(f"normal 0.01{_SHALLOW}", "test_error")
    )
    kept = "preserves" if "He" not in lost else "does not preserve"
    effect = "below" if against.mean < 0 else "above"
    sentence = (
        f"He's rule {kept} the signal through {_DEPTH} relu layers (last layer over first: {passed['He']:.2g}). Signal "
        f"lost or exploded with: {', '.join(lost) or 'none'}. The lowest test error is that of {best} "
        f"({100 * errors[best]:.3g} %); He's is {against.size(3, 100)} points {effect} that of normal 0.01, "
        f"with one hidden layer it differs by {shallow.text(2, 100)} points."
    )
    header, table = results.table(last_over_first=("passed", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    colors = {arm: i for i, arm in enumerate(_RULES)}
    panels = []
    for kind, label in (("outputs", "rms of activations"), ("gradients", "rms of dW")):
        found = {arm: np.maximum(results.values(arm, kind), 1e-30) for arm in _RULES}
        shown = {arm: values for arm, values in found.items() if values.max() > 1e-29}
        gone = [arm for arm in _RULES if arm not in shown]
        note = f"Zero in every layer, so not drawn: {', '.join(gone)}." if gone else ""
        title = "Signal forward" if kind == "outputs" else "Gradient backward"
        axes: dict[str, Any] = {"y_log": True, "x_name": "layer", "y_name": label, "note": note}
        panels.append(drawing.curves(title, shown, colors=colors, dashed=("Glorot",), **axes))
    return {"Signal and gradient by layer, before the first step": panels}


STUDY = Study(
    name="initialization",
    title="Initial weights: does the signal pass?",
    claim=(
        "Weights scaled by the width of their layer let signal and gradient pass; zero, tiny and large weights do not; and "
        "relu trains better with He's 2/n than with Xavier's 1/n."
    ),
    source="lecture 12, 7.4; [glorot2010], [he2015]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "All hidden layers are equally wide, so Xavier and Glorot are the same rule here and their lines coincide. "
        "Test error: plain gradient descent, the better of two rates."
    ),
)
