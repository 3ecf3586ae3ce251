"""Does random search beat a grid with the same number of trials, since few hyper-parameters matter?

In: rows of one seed, a trial's hyper-parameters. Out: its validation error; the best by number of trials; what mattered.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.multilayer import mlp
from chainrule.report.plots import Points, ScatterPlot
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_NAMES = ("rate", "width", "dropout", "batch norm")
_GRID = tuple(itertools.product((1e-4, 1e-1), (16, 128), (0.1, 0.4), (False, True)))
_TRIALS = len(_GRID)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {"grid": {"random": False}, "random": {"random": True}}


def _points(random: bool, seed: int) -> list[tuple[float, int, float, bool]]:
    """Return the trials of one search: the corners of a grid in random order, or as many random points of the same box."""
    draw = np.random.default_rng(seed)
    if not random:
        return [_GRID[i] for i in draw.permutation(_TRIALS)]
    return [
        (10 ** draw.uniform(-4, -1), int(2 ** draw.uniform(4, 7)), draw.uniform(0, 0.5), bool(draw.integers(2)))
        for _ in range(_TRIALS)
    ]


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    points = _points(cell.options["random"], cell.seed)
    found = []
    for rate, width, dropout, norm in points:
        net = mlp(split.inputs, (width, width), split.classes, dropout=dropout, norm="batch" if norm else None)
        record, _ = trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 6, 8), rate=rate)
        found.append((record["validation_loss"][-1], record["test_error"]))
    losses = np.minimum(np.array([loss for loss, _ in found]), 10.0)
    best = int(losses.argmin())
    return {
        "losses": losses.tolist(),
        "best_so_far": np.minimum.accumulate(losses).tolist(),
        "best_loss": float(losses[best]),
        "test_error": found[best][1],
        "points": [[float(value) for value in point] for point in points],
        "best_rate": points[best][0],
    }


def _importance(results: Results) -> Array:
    """Return the share of the rank variance of the losses that each hyper-parameter explains, over all random trials."""
    X = np.concatenate([np.array(record["points"]) for record in results.of_arm("random")])
    y = np.concatenate([np.array(record["losses"]) for record in results.of_arm("random")])

    def ranks(values: Array) -> Array:
        r = np.argsort(np.argsort(values)).astype(float)
        return r - r.mean()

    columns = np.stack([ranks(X[:, j]) for j in range(X.shape[1])] + [ranks(X[:, 0]) ** 2], axis=1)
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    b, *_ = np.linalg.lstsq(columns, ranks(y) / ranks(y).std(), rcond=None)
    shares = np.abs(b)
    return np.array([shares[0] + shares[-1], *shares[1:-1]]) / shares.sum()


def _criteria(results: Results) -> tuple[Criterion, ...]:
    best = {arm: results.values(arm, "best_so_far") for arm in results.arms}
    figure = "best validation loss, random over grid"
    return (
        below(f"after {_TRIALS} trials", figure, ratio(best["random"][:, -1], best["grid"][:, -1]), unit="times"),
        below(
            "after the first trial", figure, ratio(best["random"][:, 0], best["grid"][:, 0]), unit="times", shown=False
        ),
    )


def _conclude(results: Results) -> Conclusion:
    gain = difference(results.values("random", "best_loss"), results.values("grid", "best_loss"))
    importance = dict(zip(_NAMES, _importance(results), strict=True))
    most = max(importance, key=lambda name: importance[name])
    losses = {arm: estimate(results.values(arm, "best_loss")).mean for arm in results.arms}
    better = "better" if gain.mean < 0 else "worse"
    noise = "" if gain.sure else ", within seed noise"
    sentence = (
        f"With {_TRIALS} trials each, random search ends {better} than a grid over the same box: best validation loss "
        f"{losses['random']:.3g} against {losses['grid']:.3g} (difference {gain.text(2)}{noise}). The most important "
        f"hyper-parameter "
        f"is the {most} (it explains {100 * importance[most]:.2g} % of the ranks)."
    )
    header, table = results.table(
        best_validation_loss=("best_loss", 1, ""),
        its_test_error=("test_error", 100, "%"),
        its_rate=("best_rate", 1, ""),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    best = {arm: results.values(arm, "best_so_far") for arm in results.arms}
    X = np.concatenate([np.array(record["points"]) for record in results.of_arm("random")])
    y = np.concatenate([np.array(record["losses"]) for record in results.of_arm("random")])
    groups = []
    for norm, color, name in ((0.0, 1, "without batch norm"), (1.0, 0, "with batch norm")):
        chosen = X[:, 3] == norm
        groups.append(Points(name, X[chosen, 0], y[chosen], color, np.sqrt(X[chosen, 1] / 4)))
    trials = ScatterPlot(
        "Every random trial",
        groups,
        "learning rate",
        "validation loss",
        x_log=True,
        y_log=True,
        note="The area of a point is the width of the network, from 16 to 128 units.",
    )
    axes: dict[str, Any] = {"y_log": True, "x_name": "trial", "y_name": "best validation loss so far"}
    return {"Random search and grid": [drawing.curves("Best so far", best, **axes), trials]}


STUDY = Study(
    name="random-search",
    title="Random search over rate, width, dropout and batch norm",
    claim="With the same number of trials, random search finds a better configuration than a grid.",
    source="lecture 12, exercise 10; [bergstra2012]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "A grid of sixteen trials over four hyper-parameters has two values of each; sixteen random points have "
        "sixteen."
    ),
)
