"""Lines along which a function of two variables has one value: decision boundaries, contours of a loss.

In: values on a grid, or a function and its part of the plane. Out: lines as coordinates; a plot of rows and a boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.report.plots import Curve, LinePlot

Edge = tuple[int, int, bool]
"""An edge of the grid: row and column of its first point, and whether it runs along the row."""

Line = tuple[list[float], list[float]]
"""Horizontal and vertical coordinates; NaN separates one line from the next."""

PLANE = 300.0
"""Height of a plot of a plane."""


def contour(values: Array, x: Array, y: Array, level: float = 0.0) -> Line:
    """Return where values (rows, columns) at heights y and places x cross a level, straight between the grid's points.

    >>> contour(np.array([[-1.0, 1.0], [-1.0, 1.0]]), np.array([0.0, 1.0]), np.array([0.0, 2.0]))
    ([0.5, 0.5], [0.0, 2.0])
    """
    Z = np.asarray(values, np.float64) - level
    beside: dict[Edge, list[Edge]] = {}
    for a, b in _segments(Z > 0):
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    line: Line = ([], [])
    for chain in _chains(beside):
        if line[0]:
            line[0].append(np.nan)
            line[1].append(np.nan)
        for edge in chain:
            px, py = _crossing(Z, x, y, edge)
            line[0].append(px)
            line[1].append(py)
    return line


def _segments(above: Array) -> Iterator[tuple[Edge, Edge]]:
    """Yield the pairs of edges between which the level crosses a cell; a saddle has two."""
    for i, j in np.ndindex(above.shape[0] - 1, above.shape[1] - 1):
        edges = ((i, j, True), (i, j + 1, False), (i + 1, j, True), (i, j, False))
        corners = (above[i, j], above[i, j + 1], above[i + 1, j + 1], above[i + 1, j])
        crossed = [edges[k] for k in range(4) if corners[k] != corners[(k + 1) % 4]]
        for k in range(0, len(crossed), 2):
            yield crossed[k], crossed[k + 1]


def _chains(beside: dict[Edge, list[Edge]]) -> Iterator[list[Edge]]:
    """Yield lines of edges, open ones from end to end, closed ones back to their first edge; empties its argument."""
    while beside:
        start = next((edge for edge, others in beside.items() if len(others) == 1), next(iter(beside)))
        chain = [start]
        while others := beside.get(chain[-1]):
            after = others.pop()
            beside[after].remove(chain[-1])
            if not others:
                del beside[chain[-1]]
            chain.append(after)
        beside.pop(chain[-1], None)
        yield chain


def _crossing(Z: Array, x: Array, y: Array, edge: Edge) -> tuple[float, float]:
    i, j, along = edge
    k, m = (i, j + 1) if along else (i + 1, j)
    share = Z[i, j] / (Z[i, j] - Z[k, m])
    return float(x[j] + share * (x[m] - x[j])), float(y[i] + share * (y[k] - y[i]))


def decision_line(
    decide: Callable[[Array], Array], x: tuple[float, float], y: tuple[float, float], n: int = 60
) -> Line:
    """Return where a function of rows (m, 2) is 0 within limits, found on a grid of n by n points.

    >>> [round(v, 6) for v in decision_line(lambda X: X[:, 0] - 0.25, (0, 1), (0, 1), n=3)[0]]
    [0.25, 0.25, 0.25]
    """
    across, up = np.linspace(*x, n), np.linspace(*y, n)
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    return contour(np.asarray(decide(grid), np.float64).reshape(n, n), across, up)


def boundary(
    title: str,
    X: Array,
    y: Array,
    lines: Sequence[Curve],
    x: tuple[float, float],
    up: tuple[float, float],
    note: str = "",
) -> LinePlot:
    """Return rows (m, 2) of two classes, 0 and 1, under the lines that separate them; x and up are the ends of the axes."""
    groups = [Curve(f"class {k}", X[y == k, 0], X[y == k, 1], k, joined=False) for k in (0, 1)]
    return LinePlot(title, [*groups, *lines], "x₁", "x₂", x_limits=x, y_limits=up, height=PLANE, note=note)
