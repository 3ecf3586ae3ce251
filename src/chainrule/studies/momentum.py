"""Why: momentum is best understood on a bowl, where every path can be drawn and every rate tried.

In: a bowl of given condition number. Out: steps to its bottom and the path, each method at the best of many rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.optimizers import SGD, EmaMomentum, Nesterov, Optimizer, SGDMomentum
from chainrule.studies import drawing
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study

_METHODS: Mapping[str, Optimizer] = {
    "descent": SGD(),
    "mean of gradients": EmaMomentum(),
    "classical": SGDMomentum(),
    "Nesterov": Nesterov(),
}
_CONDITIONS = (10.0, 100.0, 1000.0)
_MOST = 20_000


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
    return {f"{name}, κ = {k:g}": {"method": name, "condition": k} for k in _CONDITIONS for name in _METHODS}


def _descend(optimizer: Optimizer, curvatures: Array, w: Array, rate: float, most: int) -> Array:
    """The path to a distance of 0.001, at most so many steps (steps + 1, 2); cut where it leaves the bowl."""
    memory: Mapping[str, Array] = {letter: np.zeros(2) for letter in optimizer.memory}
    path = [w]
    while np.linalg.norm(w) > 1e-3 and np.linalg.norm(w) < 1e3 and len(path) <= most:
        w, memory = optimizer.update(np, w, curvatures * w, memory, len(path), rate, np.zeros(2))
        path.append(w)
    return np.array(path)


def _run(cell: Cell) -> dict[str, Any]:
    optimizer, k = _METHODS[cell.options["method"]], cell.options["condition"]
    curvatures = np.array([1.0, k])
    angle = np.random.default_rng(cell.seed).uniform(0.2, 1.2)
    start = 2.0 * np.array([np.cos(angle), np.sin(angle)])
    best: Array | None = None
    for rate in np.geomspace(40.0 / k, 0.05 / k, 40):
        path = _descend(optimizer, curvatures, start, rate, _MOST if best is None else len(best) - 1)
        if np.linalg.norm(path[-1]) <= 1e-3 and (best is None or len(path) < len(best)):
            best = path
    steps = _MOST if best is None else len(best) - 1
    return {"steps": steps, "path": [] if best is None else best[:60].tolist()}


def _conclude(results: Results) -> Conclusion:
    steps = {arm: estimate(results.values(arm, "steps")).mean for arm in results.arms}
    hard = _CONDITIONS[-1]
    gain = {k: steps[f"descent, κ = {k:g}"] / steps[f"classical, κ = {k:g}"] for k in _CONDITIONS}
    grows = "grows" if gain[hard] > gain[_CONDITIONS[0]] else "does not grow"
    verb = "needs fewer steps than" if gain[hard] > 1 else "needs no fewer steps than"
    sentence = (
        f"On a bowl of condition {hard:g} classical momentum {verb} descent, each at its best rate: "
        f"{steps[f'classical, κ = {hard:g}']:.3g} against {steps[f'descent, κ = {hard:g}']:.3g}; Nesterov "
        f"{steps[f'Nesterov, κ = {hard:g}']:.3g}. The advantage {grows} with the condition number "
        f"({', '.join(f'{gain[k]:.2g}' for k in _CONDITIONS)} times at {', '.join(f'{k:g}' for k in _CONDITIONS)})."
    )
    header = ("condition number", *_METHODS)
    table = tuple(
        (f"{k:g}", *(estimate(results.values(f"{name}, κ = {k:g}", "steps")).text() for name in _METHODS))
        for k in _CONDITIONS
    )
    return Conclusion(sentence, gain[hard] > 1 and gain[hard] > gain[_CONDITIONS[0]], header, table)


def _draw(results: Results) -> Mapping[str, Any]:
    k = _CONDITIONS[1]
    figure, axes = drawing.figure(11.0, 3.6, columns=len(_METHODS))
    for ax, name in zip(axes, _METHODS, strict=True):
        path = np.array(results.of_arm(f"{name}, κ = {k:g}")[0]["path"])
        u, v = np.meshgrid(np.linspace(-2.2, 2.2, 101), np.linspace(-2.2, 2.2, 101))
        ax.contour(u, v, u**2 + k * v**2, levels=np.geomspace(0.05, 500, 10), colors=drawing.ColorS[7], linewidths=0.5)
        ax.plot(path[:, 0], path[:, 1], "o-", color=drawing.ColorS[1], markersize=2.5, linewidth=1)
        drawing.finish(ax, legend=False, title=name, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
    return {f"Paths on a bowl of condition {k:g}, each at its best rate": figure}


STUDY = Study(
    name="momentum",
    title="Momentum on a bowl",
    claim="Momentum damps the narrow direction and speeds up the wide one, the more the longer the bowl.",
    source="lecture 12, 7.5; [polyak1964], [nesterov1983]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Steps until the distance to the bottom is 0.001, the best of forty rates; the seed turns the starting point.",
)
