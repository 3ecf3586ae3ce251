"""Why: a decision boundary in a picture must lie where the network decides, in one piece where it is one.

In: functions whose level lines are known. Out: lines at these places, closed where they close, apart where they are apart.
"""

import numpy as np
import pytest

from chainrule.report.contours import boundary, contour, decision_line
from chainrule.report.plots import Curve


def parts(line):
    """The pieces of a line, (points, 2) each."""
    points = np.array(line).T
    cuts = np.flatnonzero(np.isnan(points[:, 0]))
    return [part[~np.isnan(part[:, 0])] for part in np.split(points, cuts)]


def test_a_circle_is_one_closed_line_at_its_radius():
    [circle] = parts(decision_line(lambda X: (X**2).sum(axis=1) - 1, (-2, 2), (-2, 2), n=81))
    assert np.linalg.norm(circle, axis=1) == pytest.approx(1.0, abs=2e-3)
    assert circle[0] == pytest.approx(circle[-1])


def test_a_line_goes_from_edge_to_edge_without_turning_back():
    [line] = parts(decision_line(lambda X: X[:, 0] - 2 * X[:, 1], (-1, 1), (-1, 1), n=21))
    assert line[:, 0] == pytest.approx(2 * line[:, 1])
    assert sorted(line[[0, -1], 0]) == pytest.approx([-1, 1])
    assert abs(np.sign(np.diff(line[:, 1])).sum()) == np.count_nonzero(np.diff(line[:, 1]))


def test_lines_apart_are_separated():
    found = parts(decision_line(lambda X: X[:, 0] ** 2 - 0.25, (-1, 1), (-1, 1), n=21))
    assert sorted(float(part[0, 0]) for part in found) == pytest.approx([-0.5, 0.5], abs=0.03)


def test_a_saddle_has_two_lines_and_a_plane_without_the_level_none():
    assert len(parts(contour(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.arange(2.0), np.arange(2.0)))) == 2
    assert contour(np.ones((3, 3)), np.arange(3.0), np.arange(3.0)) == ([], [])


def test_another_level_moves_the_line():
    x = np.linspace(0, 1, 11)
    assert contour(np.tile(x, (11, 1)), x, x, 0.35)[0] == pytest.approx([0.35] * 11)


def test_a_boundary_draws_both_classes_and_its_lines():
    X = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    plot = boundary("t", X, np.array([0, 1, 1]), [Curve("a = ½", [0.5, 0.5], [0.0, 1.0])], (0, 1), (0, 1))
    assert [(curve.name, len(curve.x), curve.joined) for curve in plot.curves] == [
        ("class 0", 1, False),
        ("class 1", 2, False),
        ("a = ½", 2, True),
    ]
