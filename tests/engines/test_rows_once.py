"""Rows that are right already pass one quick check; all others are looked at closely, with the same result."""

import numpy as np
import pytest

from chainrule import mlp
from chainrule.engines import Rows
from chainrule.engines import base as module
from chainrule.engines.border import checked_rows
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.step import Recipe

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3))
VALUES = Recipe(mlp(3, [4], 2), MeanSquaredError(), dtype="float64")
CLASSES = Recipe(mlp(3, [4], 3), SoftmaxCrossEntropy(), dtype="float64")
Y, numbers, c = rng.normal(size=(12, 2)), np.arange(12) % 3, rng.uniform(1, 2, 12)


def _with(array, value, place=5):
    changed = np.array(array)
    changed.reshape(-1)[place] = value
    return changed


RIGHT = {
    "values": (VALUES, X, Y, c),
    "classes": (CLASSES, X, numbers, c),
    "in Fortran's order": (VALUES, np.asfortranarray(X), np.asfortranarray(Y), c),
    "every second row": (VALUES, np.repeat(X, 2, axis=0)[::2], Y, c),
    "a weight of 0": (VALUES, X, Y, _with(c, 0.0)),
    "large numbers": (VALUES, _with(X, 1e100), Y, c),
    "another type": (VALUES, X.astype(np.float32), Y, c),
}
WRONG = {
    "NaN in X": (VALUES, _with(X, np.nan), Y, c),
    "infinity in Y": (VALUES, X, _with(Y, -np.inf), c),
    "NaN in Y": (VALUES, X, _with(Y, np.nan), c),
    "a class too many": (CLASSES, X, _with(numbers, 3), c),
    "a class below 0": (CLASSES, X, _with(numbers, -1), c),
    "a weight below 0": (VALUES, X, Y, _with(c, -1.0)),
    "a weight that is NaN": (VALUES, X, Y, _with(c, np.nan)),
    "no weight at all": (VALUES, X, Y, np.zeros(12)),
    "columns": (VALUES, X[:, :2], Y, c),
    "rows": (VALUES, X, Y[:-1], c),
    "beyond the type": (Recipe(mlp(3, [4], 2), MeanSquaredError()), _with(X, 1e300), Y, c),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_rows_are_the_same_either_way(case, monkeypatch):
    recipe, *rows = RIGHT[case]
    quick = Rows.of(recipe, *rows)
    monkeypatch.setattr(module, "_ready", lambda *arguments: None)
    close = Rows.of(recipe, *rows)
    for a, b in ((quick.X, close.X), (quick.Y, close.Y), (quick.c, close.c)):
        assert a.dtype == b.dtype
        assert a.flags.c_contiguous
        assert a.tobytes() == b.tobytes()
    assert quick.c is not rows[2]
    assert checked_rows(recipe, quick) is quick


@pytest.mark.parametrize("case", WRONG)
def test_wrong_rows_are_refused_either_way(case, monkeypatch):
    recipe, *rows = WRONG[case]
    with pytest.raises(InvalidValueError) as quick:
        Rows.of(recipe, *rows)
    monkeypatch.setattr(module, "_ready", lambda *arguments: None)
    with pytest.raises(InvalidValueError) as close:
        Rows.of(recipe, *rows)
    assert str(quick.value) == str(close.value)


@pytest.mark.parametrize(
    "recipe",
    [
        CLASSES,
        Recipe(mlp(3, [4], 2), MeanSquaredError(), dtype="float32"),
        Recipe(mlp(4, [4], 2), MeanSquaredError(), dtype="float64"),
        Recipe(mlp(3, [4], 1), MeanSquaredError(), dtype="float64"),
        Recipe(mlp(3, [4], 2), SoftmaxCrossEntropy(), dtype="float64"),
    ],
    ids=["classes", "another type", "columns", "outputs", "another loss"],
)
def test_rows_of_another_recipe_are_checked_again(recipe):
    rows = Rows.of(VALUES, X, Y, c)
    assert not rows.were_checked_for(recipe)
    assert not rows[:5].were_checked_for(VALUES)
    assert not rows.visiting(np.arange(3, dtype=np.uint32)).were_checked_for(VALUES)
