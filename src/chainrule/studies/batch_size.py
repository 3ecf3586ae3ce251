"""Small batches are noisy and cheap, large ones smooth and expensive: the loss is measured by steps and by seconds.

In: rows of one seed, a batch size. Out: the gradient's noise, steps and seconds to a loss, test error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.layers import Context
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.step import loss_and_gradient
from chainrule.report.plots import Curve, Level, LinePlot
from chainrule.studies import drawing
from chainrule.studies.common import Split, quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, above, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_GOAL = 0.2
_SIZES = (8, 32, 128, 512)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"{size} rows": {"size": size} for size in _SIZES} | {"all rows": {"size": None}}


def _noise(split: Split, net: Any, size: int, seed: int) -> float:
    """Return the norm of the gradient's standard deviation over batches, relative to that of the full gradient."""
    w, buffers = net.init(seed)
    ctx = Context(np)
    X, y = split.train.X.astype(np.float64), split.train.y

    def gradient(i: Any) -> Any:
        return loss_and_gradient(net, SoftmaxCrossEntropy(), w, buffers, X[i], y[i], np.ones(len(i)), ctx).gradient

    draw = np.random.default_rng(seed)
    whole = gradient(np.arange(min(len(y), 4000)))
    batches = np.array([gradient(draw.choice(len(y), size, replace=False)) for _ in range(20)])
    return float(np.sqrt(((batches - whole) ** 2).sum(axis=1).mean()) / np.linalg.norm(whole))


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    size = cell.options["size"]
    net = mlp(split.inputs, (64,), split.classes)
    n = len(split.train.y)
    per_epoch = math.ceil(n / (size or n))
    epochs = max(4, quick_or_full(cell.config, 300, 1500) // per_epoch)
    record, _ = trained(split, net, seed=cell.seed, epochs=min(epochs, 300), batch_size=size or "full", rate=3e-3)
    reached = next((i for i, loss in enumerate(record["validation_loss"]) if loss <= _GOAL), None)
    return {
        "noise": _noise(split, net, min(size or n, n), cell.seed) if size else 0.0,
        "steps_to_goal": math.inf if reached is None else (reached + 1) * per_epoch,
        "seconds_to_goal": math.inf if reached is None else record["seconds"][reached],
        "rows_to_goal": math.inf if reached is None else (reached + 1) * n,
        "test_error": record["test_error"],
        "validation_loss": record["validation_loss"],
        "per_epoch": per_epoch,
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def between(figure: str, a: str, b: str) -> Array:
        return ratio(results.values(a, figure), results.values(b, figure))

    few, some, every = "8 rows", "128 rows", "all rows"
    goal = f"to a loss of {_GOAL:g}"
    return (
        above(
            f"{few} over {some}", "noise of the gradient (theory: 4)", between("noise", few, some), 2.0, unit="times"
        ),
        above(f"{few} over {every}", f"steps {goal}", between("steps_to_goal", few, every), unit="times"),
        above(f"{every} over {some}", f"seconds {goal}", between("seconds_to_goal", every, some), unit="times"),
        above(
            f"{few} over {every}", f"seconds {goal}", between("seconds_to_goal", few, every), unit="times", shown=False
        ),
    )


def _conclude(results: Results) -> Conclusion:
    steps = {arm: estimate(results.values(arm, "steps_to_goal")).mean for arm in results.arms}
    seconds = {arm: estimate(results.values(arm, "seconds_to_goal")).mean for arm in results.arms}
    noise = {arm: float(results.values(arm, "noise").mean()) for arm in results.arms}
    few = min(steps, key=lambda arm: math.inf if math.isnan(steps[arm]) else steps[arm])
    fast = min(seconds, key=lambda arm: math.inf if math.isnan(seconds[arm]) else seconds[arm])
    ratio = noise["8 rows"] / noise["128 rows"]
    sentence = (
        f"From 128 rows to 8 the noise of the gradient grows by a factor of {ratio:.2g} (theory: 4). A validation loss of "
        f"{_GOAL:g} takes the fewest steps with batches of {few} ({steps[few]:.3g}) and the least time with {fast} "
        f"({seconds[fast]:.2g} s)."
    )
    header, table = results.table(
        relative_noise=("noise", 1, ""),
        steps=("steps_to_goal", 1, ""),
        seconds=("seconds_to_goal", 1, ""),
        test_error=("test_error", 100, "%"),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    colors = {arm: i for i, arm in enumerate(results.arms)}
    losses = {arm: np.median(results.values(arm, "validation_loss"), axis=0) for arm in results.arms}
    by_step = [
        Curve(
            arm,
            np.arange(1, len(loss) + 1) * results.of_arm(arm)[0]["per_epoch"],
            loss,
            colors[arm],
            dots=len(loss) < 12,
        )
        for arm, loss in losses.items()
    ]
    seconds = {arm: results.values(arm, "seconds_to_goal") for arm in results.arms}
    reached = {arm: values[np.isfinite(values)] for arm, values in seconds.items() if np.isfinite(values).any()}
    steps = LinePlot(
        "Validation loss by step",
        by_step,
        x_name="steps",
        y_name="validation loss",
        x_log=True,
        y_log=True,
        levels=[Level(_GOAL, f"goal {_GOAL:g}")],
        note="A line begins after the first epoch: a larger batch has fewer steps in it.",
    )
    bars = drawing.bars(f"Seconds to a loss of {_GOAL:g}", reached, "seconds", colors=colors)
    return {"In steps, and in seconds": [steps, bars]}


STUDY = Study(
    name="batch-size",
    title="Batch size: noise, steps and seconds",
    claim="Small batches are noisy and need more steps; the full batch is smooth, but not the fastest in seconds.",
    source="lecture 12, 7.5 (optimization)",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Adam at 0.003 on 64 hidden units, one thread. Seconds are those of this machine.",
)
