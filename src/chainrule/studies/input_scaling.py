"""How much do features of different scale stretch the contours of the loss? Condition number and steps measure it.

In: a linear problem of one seed whose second feature has a larger unit. Out: condition number, steps to a loss, the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.nn.optimizers import SGD, StepContext
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, above, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_UNITS = (1.0, 3.0, 10.0, 30.0)
_MOST = 200_000


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"unit {unit:g}, {'standardized' if scaled else 'raw'}": {"unit": unit, "scaled": scaled}
        for unit in _UNITS
        for scaled in (False, True)
    }


def _problem(cell: Cell) -> tuple[Array, Array]:
    """Return the Hessian H of the mean squared error ½ (w - w*)ᵀ H (w - w*) and the initial w - w*, in two dimensions."""
    draw = np.random.default_rng(cell.seed)
    X = draw.standard_normal((200, 2)) * np.array([1.0, cell.options["unit"]])
    X = Standardizer.fit(X).apply(X, "float64") if cell.options["scaled"] else X - X.mean(axis=0)
    y = X @ np.array([1.0, 1.0 / X[:, 1].std()]) + 0.1 * draw.standard_normal(200)
    H = X.T @ X / len(X)
    return H, -np.linalg.solve(H, X.T @ (y - y.mean()) / len(X))


def _run(cell: Cell) -> dict[str, Any]:
    H, w = _problem(cell)
    curvatures = np.linalg.eigvalsh(H)
    rate = 2.0 / curvatures.sum()
    optimizer = SGD()
    first = float(w @ H @ w)
    path = [w.tolist()]
    steps = 0
    while float(w @ H @ w) > 1e-6 * first and steps < _MOST:
        w = optimizer.update(w, H @ w, {}, StepContext(np, steps + 1, rate, np.zeros(2)))[0]
        steps += 1
        if steps <= 40:
            path.append(w.tolist())
    return {"condition": float(curvatures[1] / curvatures[0]), "steps": steps, "path": path, "hessian": H.tolist()}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def saved(unit: float) -> Array:
        return ratio(*(results.values(f"unit {unit:g}, {kind}", "steps") for kind in ("raw", "standardized")))

    figure = "steps, raw over standardized"
    return (
        above(f"scales {_UNITS[-1]:g} to 1", figure, saved(_UNITS[-1]), 2.0, unit="times"),
        above("equal scales", figure, saved(_UNITS[0]), 2.0, unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    steps = {arm: estimate(results.values(arm, "steps")).mean for arm in results.arms}
    condition = {arm: estimate(results.values(arm, "condition")).mean for arm in results.arms}
    raw, scaled = f"unit {_UNITS[-1]:g}, raw", f"unit {_UNITS[-1]:g}, standardized"
    faster = steps[raw] / steps[scaled]
    verb = "saves" if faster > 1 else "does not save"
    sentence = (
        f"Where one feature's scale is {_UNITS[-1]:g} times the other's, the condition number is {condition[raw]:.3g}, and "
        f"gradient descent at its best rate needs {steps[raw]:.4g} steps to a millionth of the loss. Standardized, the "
        f"condition "
        f"number is {condition[scaled]:.2g} and it takes {steps[scaled]:.2g} steps: standardizing {verb} steps (a factor of "
        f"{faster:.3g})."
    )
    header, table = results.table(condition_number=("condition", 1, ""), steps=("steps", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for kind in ("raw", "standardized"):
        record = results.of_arm(f"unit {_UNITS[1]:g}, {kind}")[0]
        path = np.array(record["path"])
        H = np.array(record["hessian"])
        title = f"{kind.capitalize()}: condition number {record['condition']:.3g}, {record['steps']} steps"
        reach = 1.4 * float(np.abs(path).max())
        panels.append(drawing.bowl(title, H, path, reach, names=("w₁ − w₁*", "w₂ − w₂*")))
    return {f"Contours of the loss and the path of descent, one feature in a unit of {_UNITS[1]:g}": panels}


STUDY = Study(
    name="input-scaling",
    title="Standardized inputs",
    claim="Standardizing the inputs makes the contours of the loss round, so gradient descent needs far fewer steps.",
    source="lecture 12, 7.3",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Linear least squares on two random features, whatever the data; the rate 2 / (L + μ) is the best constant one.",
)
