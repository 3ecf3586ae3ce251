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
from chainrule.studies.statistics import difference, estimate
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
    return {name: {"rule": name} for name in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    layers: list[Layer] = []
    for _ in range(_DEPTH):
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


def _conclude(results: Results) -> Conclusion:
    errors = {arm: estimate(results.values(arm, "test_error")).mean for arm in results.arms}
    best = min(errors, key=lambda arm: errors[arm])
    against = difference(results.values("He", "test_error"), results.values("normal 0.01", "test_error"))
    passed = {arm: float(np.median(results.values(arm, "passed"))) for arm in results.arms}
    lost = [arm for arm in results.arms if not 0.01 < passed[arm] < 100]
    kept = "preserves" if "He" not in lost else "does not preserve"
    effect = "below" if against.mean < 0 else "above"
    sentence = (
        f"He's rule {kept} the signal through {_DEPTH} relu layers (last layer over first: {passed['He']:.2g}). Signal "
        f"lost or exploded with: {', '.join(lost) or 'none'}. The lowest test error is that of {best} "
        f"({100 * errors[best]:.3g} %); He's is {against.size(3, 100)} points {effect} that of normal 0.01."
    )
    holds = "He" not in lost and against.sure and against.mean < 0 and errors["zeros"] > 0.5
    header, table = results.table(last_over_first=("passed", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion(sentence, holds, header, table)


def _draw(results: Results) -> drawing.Pictures:
    colors = {arm: i for i, arm in enumerate(results.arms)}
    panels = []
    for kind, label in (("outputs", "rms of activations"), ("gradients", "rms of dW")):
        found = {arm: np.maximum(results.values(arm, kind), 1e-30) for arm in results.arms}
        shown = {arm: values for arm, values in found.items() if values.max() > 1e-29}
        gone = [arm for arm in results.arms if arm not in shown]
        note = f"Zero in every layer, so not drawn: {', '.join(gone)}." if gone else ""
        title = "Signal forward" if kind == "outputs" else "Gradient backward"
        axes: dict[str, Any] = {"y_log": True, "x_name": "layer", "y_name": label, "note": note}
        panels.append(drawing.curves(title, shown, colors=colors, dashed=("Glorot",), **axes))
    return {"Signal and gradient by layer, before the first step": panels}


STUDY = Study(
    name="initialization",
    title="Initial weights: does the signal pass?",
    claim="Weights scaled by the width of their layer let signal and gradient pass; zero, tiny and large weights do not.",
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
