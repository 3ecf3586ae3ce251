"""Why: rows that do not fit the network must be refused before training, all faults at once.

In: wrong shapes, values, classes and weights. Out: messages.
"""

import math

import numpy as np
import pytest

from chainrule import Dense, Net, fit
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.step import Recipe


def test_rows_are_converted_and_weights_default_to_one():
    recipe = Recipe(Net(2, [Dense(1)]), MeanSquaredError())
    rows = Rows.of(recipe, np.asfortranarray(np.arange(6).reshape(3, 2)), [1, 2, 3])
    assert (rows.X.dtype, rows.Y.dtype, rows.c.dtype) == (np.float32,) * 3
    assert (rows.X.flags.c_contiguous, rows.Y.shape, rows.c.tolist(), len(rows)) == (True, (3, 1), [1, 1, 1], 3)
    classes = Rows.of(Recipe(Net(2, [Dense(2)]), SoftmaxCrossEntropy()), np.ones((2, 2)), np.array([0, 1], np.uint8))
    assert (classes.Y.dtype, classes.Y.shape) == (np.int64, (2,))


def rows_of(net, loss, *arrays):
    return lambda: Rows.of(Recipe(net, loss), *arrays)


def test_errors_name_every_fault():
    X, y = np.ones((3, 2)), np.array([0, 1, 2])
    X[1, 0] = math.nan
    with pytest.raises(InvalidValueError) as caught:
        Rows.of(Recipe(Net(2, [Dense(2)]), SoftmaxCrossEntropy()), X, y, np.array([1.0, -1.0, 1.0]))
    lines = str(caught.value).splitlines()
    assert lines[0] == "fit: X must be finite, got nan in row 1, column 0."
    assert lines[1].startswith("fit: y must be whole-number classes in 0..1, got 'int64 0..2'.")
    assert lines[2].startswith("fit: sample_weight must be finite numbers >= 0, got -1.0 in row 1.")
    assert len(lines) == 3


NET, ONE = Net(2, [Dense(2)]), Net(2, [Dense(1)])
X3 = np.ones((3, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            rows_of(NET, MeanSquaredError(), np.ones((3, 4)), np.ones((3, 2))),
            r"X must be of shape \(n, 2\).*got \(3, 4\)",
        ),
        (rows_of(NET, MeanSquaredError(), np.ones(2), np.ones((1, 2))), r"X must be of shape \(n, 2\).*got \(2,\)"),
        (rows_of(NET, MeanSquaredError(), np.ones((0, 2)), np.ones((0, 2))), "with n > 0, got"),
        (rows_of(NET, MeanSquaredError(), X3, np.ones((4, 2))), r"y must be of shape \(3, 2\), got \(4, 2\)"),
        (rows_of(NET, MeanSquaredError(), X3, np.ones(3)), r"y must be of shape \(3, 2\), got \(3, 1\)"),
        (rows_of(ONE, BinaryCrossEntropy(), X3, np.array([0, 1])), r"y must be of shape \(3, 1\)"),
        (rows_of(ONE, MeanSquaredError(), X3, np.array([0, math.inf, 1])), "y must be finite, got inf in row 1"),
        (rows_of(NET, SoftmaxCrossEntropy(), X3, np.array([0.0, 1.0, 0.0])), "whole-number classes in 0..1"),
        (rows_of(NET, SoftmaxCrossEntropy(), X3, np.array([0, -1, 0])), "whole-number classes in 0..1"),
        (rows_of(NET, SoftmaxCrossEntropy(), X3, np.ones((3, 2))), r"y must be of shape \(3,\)"),
        (rows_of(ONE, MeanSquaredError(), X3, np.ones(3), np.zeros(3)), "sample_weight must be above 0 for some row"),
        (rows_of(ONE, MeanSquaredError(), X3, np.ones(3), np.ones(2)), r"sample_weight must be 3 .*got \(2,\)"),
    ],
)
def test_errors_by_argument(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


@pytest.mark.parametrize(("place", "name"), [(0, "X"), (1, "y"), (2, "sample_weight")])
def test_text_is_refused(place, name):
    arrays = [X3, np.ones(3), np.ones(3)]
    arrays[place] = arrays[place].astype(str)
    with pytest.raises(InvalidValueError, match=f"fit: {name} must be numbers, got '<U32 array'"):
        Rows.of(Recipe(ONE, MeanSquaredError()), *arrays)


def test_numbers_too_large_for_the_dtype_are_refused():
    with pytest.raises(
        InvalidValueError, match=r"X must be within the range of float32, got 1e\+300 in row 0, column 0"
    ):
        Rows.of(Recipe(ONE, MeanSquaredError()), np.full((3, 2), 1e300), np.ones(3))


def test_fit_complains_at_the_first_iteration():
    X, Y = np.ones((4, 3)), np.ones((4, 2))
    with pytest.raises(InvalidValueError, match="patterns of parameter names"):
        next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), learning_rate_multipliers={"7.*": 0.0}))
    with pytest.raises(InvalidValueError, match="TrainConfig: epochs must be"):
        next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), epochs=0))
    with pytest.raises(InvalidValueError, match=r"(?s)TrainConfig: learning_rate must be in \(0, inf\), got -1"):
        next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), learning_rate=-1))
    with pytest.raises(InvalidValueError, match="Did you mean 'reference'"):
        next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), engine="referance"))
    with pytest.raises(InvalidValueError, match="dtype must be one of"):
        next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), dtype="float16"))


def test_some_of_the_rows_are_rows():
    recipe = Recipe(Net(2, [Dense(1)]), MeanSquaredError())
    rows = Rows.of(recipe, np.arange(12.0).reshape(6, 2), np.arange(6.0), np.arange(1.0, 7.0))
    for take in (slice(1, 4), [1, 2, 3], np.array([False, True, True, True, False, False])):
        some = rows[take]
        assert (len(some), some.X[0, 0], some.Y[-1, 0], some.c.tolist()) == (3, 2.0, 3.0, [2.0, 3.0, 4.0])
    assert np.shares_memory(rows[:2].X, rows.X)
