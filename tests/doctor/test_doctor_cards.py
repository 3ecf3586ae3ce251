"""Why: a card is only worth its ink if what it prints runs, helps, and is not printed again once it was obeyed.

In: small ill networks, asked about by each of the three callers. Out: every printed line, executed for real.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_bench import small

from chainrule import NetRegressor
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.multilayer import mlp
from chainrule.nn.penalties import ClipNorm, Penalty

pytest.importorskip("sklearn", reason="the estimators are scikit-learn's")
pytest.importorskip("polars", reason="commands read tables")

from doctor import noisy_cards
from doctor.cards import failing, text
from doctor.noisy_cards import Arrays, FitCall, NothingToType, cards, executed
from doctor.noisy_faults import broken

rng = np.random.default_rng(0)
X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
ARRAYS = Arrays(X, y, X[:5] + 1, y[:5], X[5:12], y[5:12])
CALL = FitCall(
    mlp(3, [8], 1),
    {"inputs": 3, "hidden": (8,), "outputs": 1},
    ARRAYS,
    {"loss": MeanSquaredError(), "learning_rate": 1.0, "epochs": 2},
)


# Code on arrays


def test_columns_are_dropped_from_all_parts():
    changed, _ = ARRAYS.after("X = np.delete(X, [1], axis=1)", {})
    assert changed.X.shape == (30, 2)
    assert (changed.X_test == np.delete(ARRAYS.X_test, [1], axis=1)).all()
    assert (changed.X_val == np.delete(ARRAYS.X_val, [1], axis=1)).all()
    assert (changed.y == y).all()


def test_cells_are_filled_in_training_rows_and_the_callers_arrays_stay():
    wild = X.copy()
    wild[3, 1] = -999.0
    given = Arrays(wild, y, None, None, X[5:12], y[5:12])
    changed, _ = given.after("X[np.abs(X[:, 1] - 0.1) > 500, 1] = 0.1", {})
    assert changed.X[3, 1] == 0.1
    assert wild[3, 1] == -999.0
    assert (changed.X_test == X[5:12]).all()


@pytest.mark.parametrize(
    ("code", "rows"),
    [
        ("kept = np.abs(y) < 1; X, y = X[kept], y[kept]", int((np.abs(y) < 1).sum())),
        ("kept = np.isfinite(X).all(axis=1); X, y = X[kept], y[kept]", 30),
        ("rows = np.sort(np.unique(X, axis=0, return_index=True)[1]); X, y = X[rows], y[rows]", 30),
        ("X = X[:20]; y = y[:20]", 20),
        ("y = (y - y.mean()) / y.std()", 30),
    ],
)
def test_rows_that_are_kept_keep_their_targets(code, rows):
    changed, _ = ARRAYS.after(code, {})
    assert len(changed.X) == len(changed.y) == rows
    pairs = {tuple(row): target for row, target in zip(X, y, strict=True)}
    if not code.startswith("y"):
        assert all(pairs[tuple(row)] == target for row, target in zip(changed.X, changed.y, strict=True))


def test_a_new_unit_of_the_targets_is_that_of_the_test_rows_too():
    changed, _ = ARRAYS.after("y = (y - y.mean()) / y.std()", {})
    assert np.allclose(changed.y_test, (ARRAYS.y_test - y.mean()) / y.std())


# Lines for callers of fit


@pytest.mark.parametrize(
    ("line", "keywords"),
    [
        ("fit(..., learning_rate=0.1)", {"learning_rate": 0.1}),
        ("fit(..., penalty=Penalty(l2=0.01), epochs=5)", {"penalty": Penalty(l2=0.01), "epochs": 5}),
        ("fit(..., clip=ClipNorm(1))", {"clip": ClipNorm(1)}),
        ("fit(..., clip=None)", {"clip": None}),
        ("fit(..., loss=BinaryCrossEntropy())", {}),
        ('mlp(..., norm="batch"); fit(..., batch_size=8)', {"batch_size": 8}),
    ],
)
def test_printed_calls_replace_what_was_there(line, keywords):
    changed = CALL.obeying(line)
    assert {name: changed.keywords[name] for name in keywords} == keywords
    assert (changed.net != CALL.net) == ("mlp" in line)
    assert changed.keywords["epochs"] in (2, 5)


def test_printed_widths_build_another_network():
    changed = CALL.obeying("mlp(..., hidden=(32, 16))")
    assert [layer.units for layer in changed.net.layers if hasattr(layer, "units")] == [32, 16, 1]


def test_code_that_drops_a_column_makes_a_network_of_the_others():
    changed = CALL.obeying("X = np.delete(X, [0], axis=1)")
    assert changed.net.inputs == 2
    assert changed.arrays.X_val.shape == (5, 2)


@pytest.mark.parametrize(
    "line", ["gradient = 3", "X[[1, 2]]", "Dense(32, bias=True)", "scaling = Standardizer.fit(X_train)"]
)
def test_a_line_that_shows_something_changes_nothing(line):
    with pytest.raises(NothingToType):
        CALL.obeying(line)


# One card


SICK = small("classification")


def obeyed(after, symptoms=(), before=0.5, symptom="dead-units"):
    before, after = (np.broadcast_to(errors, 200) for errors in (before, after))
    return executed(SICK, (symptom, "text", "line"), before, lambda: (after, list(symptoms)))


def test_a_remedy_that_balances_classes_is_judged_by_balanced_classes():
    rare = replace(SICK, y_test=(np.arange(200) < 20).astype(int))
    assert np.allclose(noisy_cards.class_balance(rare)[[0, 100]], [5.0, 5.0 / 9.0])
    errors = np.where(np.arange(200) < 20, 2.0, 0.2)
    better_for_the_rare = np.where(np.arange(200) < 20, 1.0, 0.4)
    for symptom, worse in (("class-imbalance", False), ("dead-units", True)):
        card = executed(rare, (symptom, "", "line"), errors, lambda: (better_for_the_rare, []))
        assert card["worse"] == worse, symptom


def test_a_card_is_better_equal_worse_or_comes_again():
    assert [obeyed(after)["worse"] for after in (0.4, 0.5, 0.505, 0.6)] == [False, False, False, True]
    assert obeyed(0.4, ["dead-units"])["again"]
    assert not obeyed(0.4, ["noise"])["again"]


def refuse():
    raise TypeError("unexpected keyword argument 'norm'")


def test_a_refused_card_and_words_alone_are_told_apart():
    refused = executed(SICK, ("dead-units", "text", "norm=1"), np.zeros(200), refuse)
    assert refused["accepted"] is False
    assert "norm" in refused["why"]
    assert executed(SICK, ("dead-units", "text", ""), np.zeros(200), refuse)["words"]


def test_shares_are_of_typed_lines_and_what_fails_is_listed():
    found = [{"caller": "fit", **card} for card in (obeyed(0.4), obeyed(0.9, ["dead-units"]))]
    refused = {"caller": "fit", **executed(SICK, ("nan-loss", "", "norm=1"), np.zeros(200), refuse)}
    words = {"caller": "fit", **executed(SICK, ("nan-loss", "", ""), np.zeros(200), refuse)}
    line = {"fault": "F51", "level": "x100", "host": "toy", "settings": "adam", "cards": [*found, refused, words]}
    said = text([line]).splitlines()
    (shares,) = [each for each in said if each.startswith("fit:")]
    assert "4 cards, 1 in words only" in shares
    assert "accepted 66.7 %" in shares
    assert "better or equal 50.0 %" in shares
    assert "again 50.0 %" in shares
    assert len(list(failing([line]))) == 2


# Every card of ill networks, executed


def run(task, fault, level, callers=None, **settings):
    """Return the cards of a broken small training, for some callers."""
    training = broken(small(task, **settings), fault, level)
    ways = noisy_cards.CALLERS if callers is None else {name: noisy_cards.CALLERS[name] for name in callers}
    return [{"caller": caller, **card} for caller, way in ways.items() for card in way(training)]


def wrong(found):
    """Return what is wrong with cards: refused, worse, or printed again."""
    typed = [card for card in found if not card.get("words")]
    return [
        card for card in typed if not card["accepted"] or card.get("worse") or card.get("again")
    ]  # fmt: skip


def test_the_card_of_a_high_rate_runs_helps_and_is_not_printed_again():
    found = run("regression", "F51", "x100", ["estimator", "fit"])
    assert {card["caller"] for card in found} == {"estimator", "fit"}
    assert wrong(found) == []
    assert all(card["after"] < card["before"] for card in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "fault", "level"),
    [
        ("regression", "F56", "1"),
        ("classification", "F52", "/300"),
        ("regression", "F54", "1"),
        ("classification", "F57", "0.001"),
        ("regression", "F72", "-999 in 3 %"),
        ("classification", "F75", "exact"),
        ("regression", "F74", "counter"),
        ("regression", "F61", "0.9"),
        ("regression", "F81", "other order"),
        ("classification", "F81", "shifted"),
        ("classification", "F82", "last"),
    ],
)
def test_cards_of_all_callers_run_help_and_are_not_printed_again(task, fault, level):
    found = cards(broken(small(task), fault, level), small(task))["cards"]
    assert found
    assert wrong(found) == []


def test_estimators_keep_what_a_printed_call_leaves_out():
    training = small("classification")
    changed = noisy_cards._with_arguments(training, "NetRegressor(...)")
    assert changed.task == "regression"
    assert changed.settings == training.settings
    assert isinstance(noisy_cards.estimator(changed), NetRegressor)
    changed = noisy_cards._with_arguments(training, 'activation="tanh", batch_norm=True')
    assert changed.settings["activation"] == "tanh"
    with pytest.raises(TypeError):
        noisy_cards._with_arguments(training, "norm=1")
