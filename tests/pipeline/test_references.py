"""Check the simple models by which a network is judged.

In: drawn tables with gaps and categories. Out: passes, where scores are those of scikit-learn's models and none raises.
"""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from chainrule.errors import InvalidValueError
from chainrule.pipeline import class_scores, value_scores
from chainrule.pipeline.references import references

NAMES = ["constant", "linear", "boosted trees"]


def table(n=400, seed=0):
    """Two numbers, one with gaps, and a category of eight codes, whose effect has no order."""
    rng = np.random.default_rng(seed)
    E = np.column_stack([rng.normal(size=(n, 2)), rng.integers(0, 8, n)]).astype(np.float32)
    value = E[:, 0] + np.array([3, -3, 1, -2, 2, 0, -1, 4])[E[:, 2].astype(int)]
    E[rng.random(n) < 0.2, 1] = np.nan
    return E, value.astype(np.float64)


def halves(n=400):
    return np.arange(n // 2), np.arange(n // 2, n)


def test_values_are_learned_from_numbers_gaps_and_categories():
    E, y = table()
    train, test = halves()
    constant, linear, trees = references("regression", E, y, train, test, [2])
    assert [each.name for each in (constant, linear, trees)] == NAMES
    assert constant.scores == value_scores(y[test], np.full(200, y[train].mean())).summary()
    assert linear.scores["r2"] > 0.99
    assert trees.scores["r2"] > 0.9
    assert all(each.note == "" and each.seconds > 0 for each in (constant, linear, trees))


def test_the_linear_model_is_ridge_on_standardized_numbers():
    E, y = table()
    train, test = halves()
    linear = references("regression", E[:, :1], y, train, test)[1]
    mean, sd = E[train, :1].mean(axis=0), E[train, :1].std(axis=0)
    expected = Ridge().fit((E[train, :1] - mean) / sd, y[train]).predict((E[test, :1] - mean) / sd)
    assert linear.scores == pytest.approx(value_scores(y[test], expected).summary(), rel=1e-4)


def test_trees_are_scikit_learns_with_its_defaults():
    E, y = table()
    labels = np.where(y > 0, "high", "low")
    train, test = halves()
    trees = references("classification", E, labels, train, test, [2], seed=3)[2]
    model = HistGradientBoostingClassifier(categorical_features=[2], random_state=3).fit(E[train], labels[train])
    assert trees.scores == class_scores(labels[test], model.predict_proba(E[test]), model.classes_).summary()


def test_classes_are_scored_as_a_networks_are():
    E, y = table()
    labels = np.digitize(y, [-1, 1])
    found = references("classification", E, labels, *halves(), [2])
    assert [each.name for each in found] == NAMES
    assert all(set(each.scores) == {"loss", "accuracy", "balanced_accuracy", "f1", "roc_auc"} for each in found)
    assert found[0].scores["roc_auc"] == 0.5
    assert found[1].scores["accuracy"] > found[0].scores["accuracy"] + 0.3
    assert found[2].scores["accuracy"] > found[0].scores["accuracy"] + 0.3


def test_a_class_that_no_training_row_has_gets_no_probability():
    E, y = table()
    labels = np.where(y > 0, "b", "a").astype(object)
    labels[-1] = "c"
    for each in references("classification", E, labels, *halves(), [2]):
        assert np.isfinite(each.scores["loss"])


def test_work_is_bounded_and_what_is_reduced_is_said():
    E, y = table(4000)
    labels = np.digitize(y, np.quantile(y, np.linspace(0, 1, 12)[1:-1]))
    constant, linear, trees = references("classification", E, labels, *halves(4000), [2], limit=0.005)
    assert constant.note == ""
    assert linear.note.startswith("trained on ")
    assert linear.note.endswith(" of 2,000 rows")
    assert trees.note.endswith("; 5 iterations in place of 100")
    again = references("classification", E, labels, *halves(4000), [2], limit=0.005)
    assert [each.scores for each in again] == [constant.scores, linear.scores, trees.scores], "it depends on no clock"


def test_a_model_that_fails_is_left_out_with_a_note():
    E, y = table()
    y[:200] = np.nan
    found = references("regression", E, y, *halves(), [2])
    assert [each.scores for each in found] == [{}] * 3
    assert found[1].note.startswith("left out: ValueError: Input y contains NaN")
    one_class = references("classification", E, np.arange(400) >= 200, *halves(), [2])
    assert [bool(each.scores) for each in one_class][:2] == [True, False]


def test_columns_of_gaps_only_and_of_many_categories():
    E, y = table(2000)
    E = np.column_stack([E, np.full(2000, np.nan), np.arange(2000) % 400]).astype(np.float32)
    found = references("regression", E, y, *halves(2000), [2, 4])
    assert [each.note for each in found] == ["", "", ""]
    assert all(each.scores["r2"] > 0.9 for each in found[1:])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"limit": 0}, r"limit must be in \(0, inf\), got 0"),
        ({"test": np.array([], int)}, "train and test must be rows"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, part):
    E, y = table()
    train, test = halves()
    with pytest.raises(InvalidValueError, match=part):
        references("regression", E, y, **{"train": train, "test": test, **arguments})
