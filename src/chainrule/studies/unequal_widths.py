"""Xavier's and Glorot's rules where they differ: layers of unequal width, with the signal measured in both directions.

In: inputs of one seed, a shape, a rule. Out: how much signal reaches the last layer, and how much gradient the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.layers import Context, Dense
from chainrule.nn.net import Net
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_SHAPES: Mapping[str, tuple[int, ...]] = {
    "equal widths": (128,) * 6,
    "a funnel": (512, 256, 128, 64, 32, 16),
    "wide and narrow by turns": (256, 32, 256, 32, 256, 32),
}
_RULES = {"Xavier": "xavier", "Glorot": "glorot"}
_ROWS = 256


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"{shape}, {rule}": {"shape": shape, "rule": rule} for shape in _SHAPES for rule in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    first, *others = _SHAPES[cell.options["shape"]]
    net = Net(first, [Dense(width, initializer=_RULES[cell.options["rule"]]) for width in others])
    w, buffers = net.init(cell.seed)
    draw = np.random.default_rng(cell.seed)
    X, ctx = draw.normal(size=(_ROWS, first)), Context(np, training=True)
    forward = [_rms(X), *(_rms(at.output) for at in net.trace(w, buffers, X, np.ones_like, ctx))]
    dZ = draw.normal(size=(_ROWS, others[-1]))
    _, tape, _ = net.forward(w, buffers, X, ctx)
    dX, _ = net.backward(w, tape, dZ, ctx)
    up, down = forward[-1] / forward[0], _rms(dX) / _rms(dZ)
    return {
        "signal": forward,
        "forward": up,
        "backward": down,
        "worst": float(max(abs(np.log2(up)), abs(np.log2(down)))),
    }


def _rms(A: Any) -> float:
    return float(f"{np.sqrt(np.mean(np.square(A))):.6g}")


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(shape: str) -> Array:
        return paired(*(results.values(f"{shape}, {rule}", "worst") for rule in ("Glorot", "Xavier")))

    figure = "powers of two that the worse direction is off, Glorot minus Xavier"
    funnel, turns = list(_SHAPES)[1:]
    return (
        below(funnel, figure, gain(funnel)),
        below(turns, figure, gain(turns), shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    worst = {arm: results.values(arm, "worst") for arm in results.arms}
    gain = {shape: difference(worst[f"{shape}, Glorot"], worst[f"{shape}, Xavier"]) for shape in _SHAPES}
    factor = {arm: 2 ** estimate(values).mean for arm, values in worst.items()}
    funnel, turns = list(_SHAPES)[1:]
    helps = gain[funnel].sure and gain[funnel].mean < 0
    fails = gain[turns].sure and gain[turns].mean > 0
    sentence = (
        f"In a funnel the direction that is off more is off by a factor of {factor[f'{funnel}, Xavier']:.2g} with Xavier's "
        f"rule and {factor[f'{funnel}, Glorot']:.2g} with Glorot's, which {'balances' if helps else 'does not balance'} "
        f"both. Where wide and narrow layers alternate it {'is the worse rule' if fails else 'is not the worse rule'} "
        f"({factor[f'{turns}, Glorot']:.2g} against {factor[f'{turns}, Xavier']:.2g}): it loses signal both ways. With "
        f"equal widths the rules are the same."
    )
    header, table = results.table(signal_forward=("forward", 1, ""), gradient_backward=("backward", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for i, shape in enumerate(list(_SHAPES)[1:]):
        arms = {rule: results.values(f"{shape}, {rule}", "signal") for rule in _RULES}
        widths = ", ".join(map(str, _SHAPES[shape]))
        axes: dict[str, Any] = {
            "y_log": True,
            "x_name": "layer",
            "y_name": "rms of the signal",
            "note": f"Widths {widths}.",
        }
        at = np.arange(6)
        title = "A funnel" if i == 0 else "Wide and narrow by turns"
        panels.append(drawing.curves(title, arms, at, **axes))
    return {"The signal on its way forward": panels}


STUDY = Study(
    name="unequal-widths",
    title="Xavier against Glorot with unequal widths",
    claim="Glorot's rule balances both directions: in a funnel neither signal nor gradient is as far off as with Xavier's.",
    source="lecture 12, 7.4; [glorot2010]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Linear layers before training; 1 is a signal of unchanged size. It holds if, in the funnel, the 95 % interval of "
        "the difference (of logarithms, Glorot minus Xavier, in the worse direction) lies below 0."
    ),
)
