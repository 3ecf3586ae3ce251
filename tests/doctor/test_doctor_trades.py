"""What a repair is judged by, and what its card says it trades.

In: continuous targets under losses for classes, rare classes, scripted outcomes. Out: errors, log lines, card lines.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import plane, runner_of

from chainrule import mlp
from chainrule.doctor.remedies.apply import apply_remedies
from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.repair import PairedComparison
from chainrule.doctor.trials.scoring import RowScores, score_logits
from chainrule.doctor.trials.trade import trade_in_words
from chainrule.doctor.vocabulary.catalogue import find_remedy
from chainrule.doctor.vocabulary.records import Finding
from chainrule.doctor.vocabulary.targets import are_continuous
from chainrule.engines import Rows
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SoftmaxCrossEntropy,
)
from chainrule.nn.step import Recipe
from chainrule.report.cards import card_lines
from chainrule.train import TrainConfig
from chainrule.train.problem import TrainingProblem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
T = X @ [1.0, 2.0, -1.0, 0.5]


def of(loss, y, outputs=1, **config):
    recipe = Recipe(mlp(4, [16], outputs), loss, batch_size=32)
    rows = Rows.of(recipe, X, y)
    return TrainingProblem(
        recipe, rows[:200], TrainConfig(**{"epochs": 40, "learning_rate": 0.01, **config}), rows[200:]
    )


AMOUNTS = {
    "large numbers as one label": of(BinaryCrossEntropy(), 1000 + 300 * T),
    "small numbers as one label": of(BinaryCrossEntropy(), T),
    "numbers as several labels": of(BinaryCrossEntropy(), np.column_stack([T, -T]), 2),
    "whole numbers as classes": of(SoftmaxCrossEntropy(), np.argsort(np.argsort(T)), 300),
    "squared error": of(MeanSquaredError(), T),
    "absolute error": of(MeanAbsoluteError(), T),
    "huber": of(Huber(), 100 * T),
    "counts": of(Poisson(), np.exp(0.3 * T)),
}

CLASSES = {
    "two": of(BinaryCrossEntropy(), (T > 0) * 1.0),
    "soft labels": of(BinaryCrossEntropy(), 0.1 + 0.8 * (T > 0)),
    "signs": of(BinaryCrossEntropy(), np.sign(T)),
    "several": of(SoftmaxCrossEntropy(), (T > 0).astype(int) + (T > 2), 3),
    "labels": of(BinaryCrossEntropy(), np.column_stack([T > 0, T > 1]) * 1.0, 2),
}


@pytest.mark.parametrize("given", AMOUNTS.values(), ids=AMOUNTS)
def test_amounts_are_judged_by_squared_error_whatever_the_loss(given):
    assert are_continuous(given.rows)
    held = given.validation
    Z = np.zeros((len(held), given.recipe.net.outputs))
    scores = score_logits(given.recipe, Z, given.rows, held)
    assert len(np.unique(scores.mistakes)) > 20, "a share for each row, not right and wrong"
    tried = PairedComparison().attempt(given, replace(given, config=TrainConfig(3, 0.01)), "undertrained", "shorter")
    assert tried.continuous
    assert "squared error" in str(tried)
    assert "of a constant prediction's" in str(tried)


@pytest.mark.parametrize("given", CLASSES.values(), ids=CLASSES)
def test_classes_are_counted(given):
    assert not are_continuous(given.rows)


def test_the_right_loss_for_amounts_is_an_improvement_that_a_repair_keeps():
    given = of(BinaryCrossEntropy(), 2.0 * T)
    changed = apply_remedies(given, "matching-loss")
    tried = PairedComparison().attempt(given, changed, "wrong-loss", "matching-loss")
    assert tried.kept, tried
    assert np.mean(tried.after) < 0.3 < np.mean(tried.before)


def outcome(mistakes, loss=0.5):
    scores = RowScores(np.full(len(mistakes), loss), np.asarray(mistakes, float))
    return Outcome(scores, scores, (), 10)


def rare(wrong_rare, wrong_frequent, loss=0.5):
    """An outcome on 100 rows, of which the first ten are of the rare class."""
    return outcome(
        [*[1] * wrong_rare, *[0] * (10 - wrong_rare), *[1] * wrong_frequent, *[0] * (90 - wrong_frequent)], loss
    )


LOPSIDED = plane(n=300)
LOPSIDED = replace(
    LOPSIDED, validation=replace(LOPSIDED.validation[:100], Y=np.array([1.0] * 10 + [0.0] * 90, np.float32)[:, None])
)

TRADES = {
    "class weights": ("class-weights", rare(8, 0), rare(4, 8), "balanced accuracy 0.6 -> 0.756; accuracy 0.92 -> 0.88"),
    "rare classes for all": ("longer", rare(8, 0), rare(4, 8), "balanced accuracy 0.6 -> 0.756; accuracy 0.92 -> 0.88"),
    "all for rare classes": ("longer", rare(4, 8), rare(8, 0), "accuracy 0.88 -> 0.92; balanced accuracy 0.756 -> 0.6"),
    "probabilities": (
        "longer",
        rare(8, 8, 0.4),
        rare(4, 4, 0.9),
        "balanced accuracy 0.556 -> 0.778; accuracy 0.84 -> 0.92; loss 0.4 -> 0.9",
    ),
    "a lower loss for rows": (
        "rate/10",
        rare(4, 4, 0.9),
        rare(5, 5, 0.4),
        "loss 0.9 -> 0.4; balanced accuracy 0.778 -> 0.722; accuracy 0.92 -> 0.9",
    ),
    "class weights without loss": (
        "class-weights",
        rare(8, 0),
        rare(8, 0),
        "balanced accuracy 0.6 -> 0.6; accuracy 0.92 -> 0.92",
    ),
}

FREE = {
    "better in all": ("longer", rare(8, 8, 0.9), rare(4, 4, 0.4)),
    "units differ": ("matching-loss", rare(8, 8, 0.1), rare(4, 4, 0.9)),
    "worse in all": ("longer", rare(4, 4, 0.4), rare(8, 8, 0.9)),
    "diverged": ("longer", rare(8, 0), replace(rare(4, 8), diverged=True)),
    "other rows": ("longer", outcome([0, 1]), outcome([1, 0])),
}


@pytest.mark.parametrize(("remedy", "old", "new", "words"), TRADES.values(), ids=TRADES)
def test_what_a_remedy_trades_is_said(remedy, old, new, words):
    assert trade_in_words(LOPSIDED, find_remedy(remedy), old, new) == f"on held-out rows: {words}"


@pytest.mark.parametrize(("remedy", "old", "new"), FREE.values(), ids=FREE)
def test_a_remedy_that_trades_nothing_says_nothing(remedy, old, new):
    assert trade_in_words(LOPSIDED, find_remedy(remedy), old, new) == ""


def test_a_card_shows_both_scores_of_class_weights():
    rng = np.random.default_rng(1)
    y = (rng.uniform(size=500) < np.where(X[:, :1].repeat(2, 0)[:500, 0] > 1.0, 0.5, 0.02)) * 1.0
    recipe = Recipe(mlp(1, [8], 1), BinaryCrossEntropy(), batch_size=32)
    rows = Rows.of(recipe, X[:, :1].repeat(2, 0)[:500], y)
    trial = runner_of(TrainingProblem(recipe, rows[:300], TrainConfig(60, 0.01), rows[300:])).trial(
        "class-weights", True
    )
    assert trial.helped
    assert trial.trade.startswith("on held-out rows: balanced accuracy 0.")
    assert "; accuracy 0." in trial.trade
    finding = Finding("class-imbalance", "warning", "", "", "", "", trials=(trial,))
    assert card_lines(finding)["Trades"] == f"class-weights, {trial.trade}"
