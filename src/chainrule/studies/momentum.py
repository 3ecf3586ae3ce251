"""What does momentum do? On a bowl every path can be drawn and every rate tried.

In: a bowl of given condition number. Out: steps to its bottom and the path, each method at the best of many rates, and at a
rate that all share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.optimizers import SGD, EmaMomentum, Nesterov, Optimizer, SGDMomentum, StepContext
from chainrule.report.plots import LinePlot
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, below, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_METHODS: Mapping[str, Optimizer] = {
    "descent": SGD(),
    "mean of gradients": EmaMomentum(),
    "classical": SGDMomentum(),
    "Nesterov": Nesterov(),
}
_CONDITIONS = (10.0, 100.0, 1000.0)
_MOST = 20_000
_SHARED, _SHOWN = 1.95, 40
"""A rate for all methods, times the largest curvature, just below the 2 beyond which descent diverges; steps at it."""

_STABLE = ("descent", "mean of gradients", "classical")
"""Methods that converge at that rate; the limit of Nesterov is (2 + 2β) / (1 + 2β), 1.36."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"{name}, κ = {k:g}": {"method": name, "condition": k} for k in _CONDITIONS for name in _METHODS}


def _descend(optimizer: Optimizer, curvatures: Array, w: Array, rate: float, most: int) -> Array:
    """Return the path to a distance of 0.001, of at most `most` steps (steps + 1, 2); cut where it leaves the bowl."""
    memory: Mapping[str, Array] = {letter: np.zeros(2) for letter in optimizer.state_names}
    path = [w]
    while np.linalg.norm(w) > 1e-3 and np.linalg.norm(w) < 1e3 and len(path) <= most:
        w, memory = optimizer.update(w, curvatures * w, memory, StepContext(np, len(path), rate, np.zeros(2)))
        path.append(w)
    return np.array(path)


def _run(cell: Cell) -> dict[str, Any]:
    optimizer = _METHODS[cell.options["method"]]
    k = cell.options["condition"]
    curvatures = np.array([1.0, k])
    angle = np.random.default_rng(cell.seed).uniform(0.2, 1.2)
    start = 2.0 * np.array([np.cos(angle), np.sin(angle)])
    best: Array | None = None
    for rate in np.geomspace(40.0 / k, 0.05 / k, 40):
        path = _descend(optimizer, curvatures, start, rate, _MOST if best is None else len(best) - 1)
        if np.linalg.norm(path[-1]) <= 1e-3 and (best is None or len(path) < len(best)):
            best = path
    steps = _MOST if best is None else len(best) - 1
    equal = _descend(optimizer, curvatures, start, _SHARED / k, _SHOWN)
    path = [] if best is None else best[:60].tolist()
    return {"steps": steps, "path": path, "equal_path": [[float(f"{v:.4g}") for v in point] for point in equal]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(k: float) -> Array:
        return ratio(*(results.values(f"{name}, κ = {k:g}", "steps") for name in ("classical", "descent")))

    easy, hard = _CONDITIONS[0], _CONDITIONS[-1]
    figure = "steps, momentum over descent"
    return (
        below(f"κ = {hard:g}", figure, gain(hard), unit="times"),
        below(f"κ = {hard:g}", f"that ratio over the one at κ = {easy:g}", ratio(gain(hard), gain(easy)), unit="times"),
        below(f"κ = {easy:g}", figure, gain(easy), unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    steps = {arm: estimate(results.values(arm, "steps")).mean for arm in results.arms}
    hard = _CONDITIONS[-1]
    gain = {k: steps[f"descent, κ = {k:g}"] / steps[f"classical, κ = {k:g}"] for k in _CONDITIONS}
    grows = "grows" if gain[hard] > gain[_CONDITIONS[0]] else "does not grow"
    verb = "needs fewer steps than" if gain[hard] > 1 else "does not need fewer steps than"
    sentence = (
        f"On a bowl of condition number {hard:g} classical momentum {verb} gradient descent, each at its best rate: "
        f"{steps[f'classical, κ = {hard:g}']:.3g} against {steps[f'descent, κ = {hard:g}']:.3g} (Nesterov: "
        f"{steps[f'Nesterov, κ = {hard:g}']:.3g}). The advantage {grows} with the condition number "
        f"({', '.join(f'{gain[k]:.2g}' for k in _CONDITIONS)} times at {', '.join(f'{k:g}' for k in _CONDITIONS)})."
    )
    header = ("condition number", *_METHODS)
    table = tuple(
        (f"{k:g}", *(estimate(results.values(f"{name}, κ = {k:g}", "steps")).text() for name in _METHODS))
        for k in _CONDITIONS
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    k = _CONDITIONS[1]
    records = {name: results.of_arm(f"{name}, κ = {k:g}")[0] for name in _METHODS}
    best = [_path(f"{name}: {record['steps']} steps", k, record["path"]) for name, record in records.items()]
    equal = [_path(name, k, records[name]["equal_path"]) for name in _STABLE if "equal_path" in records[name]]
    pictures = {f"First steps on a bowl of condition number {k:g}, each method at its best rate": best}
    if equal:
        rate = f"{_SHARED:g} / {k:g}, just below the limit of descent"
        pictures[f"The first {_SHOWN} steps at an equal rate ({rate}; Nesterov diverges there)"] = equal
    return pictures


def _path(title: str, k: float, path: list[list[float]]) -> LinePlot:
    names = ("flat direction w₁", f"steep direction w₂ (curvature {k:g})")
    return drawing.bowl(title, np.diag([1.0, k]), np.array(path).reshape(-1, 2), 2.2, names=names)


STUDY = Study(
    name="momentum",
    title="Momentum on a bowl",
    claim="Momentum damps the steep direction and speeds up the flat one, and helps more the larger the condition number.",
    source="lecture 12, 7.6; [polyak1964], [nesterov1983]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Steps until the distance to the minimum is 0.001, at the best of forty rates; the seed sets the starting "
        "point. At its best rate momentum takes larger steps and swings more; that it damps the steep direction shows "
        "at an equal rate."
    ),
)
