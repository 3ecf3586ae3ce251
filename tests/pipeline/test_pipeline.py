"""Why: estimators and command line share one way from rows to a model, so each of its steps is held here by itself.

In: settings, targets, rows. Out: networks, recipes, encodings, figures; hand-worked values as oracles.
"""

import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn import metrics
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from sklearn.utils.class_weight import compute_sample_weight

from chainrule import Activation, BatchNorm, Dense, Dropout, LayerNorm
from chainrule.data import Standardizer, load, three_way
from chainrule.errors import InvalidValueError
from chainrule.nn import optimizers, schedules
from chainrule.nn.losses import LOSSES, BinaryCrossEntropy, Huber, MeanSquaredError, Poisson, SoftmaxCrossEntropy
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.pipeline import (
    OPTIMIZERS,
    REGRESSION_LOSSES,
    SCHEDULES,
    Settings,
    as_kept,
    build_problem,
    class_weights,
    classification,
    confusion_matrix,
    evaluate,
    regression,
    scaler,
    stopped_run,
    stopping_monitors,
)
from chainrule.target import Target
from chainrule.train import BestWeights, EarlyStopping, train
from chainrule.train.problem import DelayedSchedule

FAST = {"engine": "reference", "max_iter": 5}


def train_model(X, y, target, settings, **options):
    problem = build_problem(settings, (X, y), target=target, **options)
    run = train(problem)
    return problem.model(run.state), run


def rows(n=90, classes=3):
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    return rng.normal(size=(n, 2)) + 3.0 * np.c_[y, -y], y


def test_every_optimizer_schedule_and_loss_has_a_name():
    plain = set(optimizers.OPTIMIZERS.values()) - {
        optimizers.GradientAccumulation
    }  # a number of batches asks for that one
    assert {type(piece) for piece in OPTIMIZERS.values()} == plain
    assert {type(piece) for piece in SCHEDULES.values()} == set(schedules.SCHEDULES.values())
    amounts = {loss for loss in LOSSES.values() if not loss.targets.are_classes}
    assert {type(piece) for piece in REGRESSION_LOSSES.values()} == amounts


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_by_its_name(name):
    X, y = rows()
    settings = Settings(optimizer=name, learning_rate_init=0.01, **FAST | {"max_iter": 60})
    model, run = train_model(X, y, classification(y, settings), settings)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss
    assert evaluate(model, X, y)["accuracy"] > 0.8


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_trains_by_its_name(name):
    X, y = rows()
    settings = Settings(schedule=name, learning_rate_init=0.01, **FAST)
    _, run = train_model(X, y, classification(y, settings), settings)
    per_epoch = run.epochs[0].steps
    if name != "plateau":
        last = [SCHEDULES[name].factor(e + (per_epoch - 1) / per_epoch, 5) for e in range(5)]
        np.testing.assert_allclose([epoch.learning_rate for epoch in run.epochs], 0.01 * np.array(last), rtol=1e-12)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss


def test_networks_of_the_settings():
    settings = Settings(hidden_layer_sizes=(5, 4), batch_norm=True, dropout=0.2, activation="tanh")
    assert settings.network(3, 2).layers == (
        Dense(5, bias=False, initializer="xavier"),
        BatchNorm(),
        Activation("tanh"),
        Dropout(0.2),
        Dense(4, bias=False, initializer="xavier"),
        BatchNorm(),
        Activation("tanh"),
        Dropout(0.2),
        Dense(2, initializer="xavier"),
    )
    settings = Settings(hidden_layer_sizes=(5,), layer_norm=True, initializer="orthogonal")
    assert settings.network(3, 2).layers == (
        Dense(5, initializer="orthogonal"),
        LayerNorm(),
        Activation("relu"),
        Dense(2, initializer="orthogonal"),
    )
    assert Settings(hidden_layer_sizes=()).network(3, 1).layers == (Dense(1, initializer="xavier"),)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, 32), (100, 32), (1600, 32), (2000, 32), (3200, 64), (6400, 128), (60_000, 256), (10**7, 256)],
)
def test_automatic_batches_make_about_fifty_steps_an_epoch(n, expected):
    assert Settings().rows_per_batch(n) == expected


def test_batch_sizes():
    assert Settings(batch_size="full").rows_per_batch(77) == 77
    assert Settings(batch_size=7).rows_per_batch(7) == 7
    with pytest.raises(InvalidValueError, match=re.escape("at most the number of training rows (6), got 7.")):
        Settings(batch_size=7).rows_per_batch(6)


def test_recipe_and_course_of_the_settings():
    settings = Settings(
        optimizer="nesterov",
        schedule="cosine",
        alpha=0.1,
        l1_alpha=0.01,
        max_grad_norm=2.0,
        max_iter=7,
        learning_rate_init=0.3,
        seed=4,
        dtype="float64",
    )
    recipe = settings.recipe(settings.network(3, 1), MeanSquaredError(), 200)
    assert (recipe.optimizer, recipe.penalty, recipe.clip) == (
        optimizers.Nesterov(),
        Penalty(l1=0.01, l2=0.1),
        ClipNorm(2.0),
    )
    assert (recipe.seed, recipe.dtype, recipe.batch_size) == (4, "float64", 32)
    config = settings.config(200, validated=False)
    assert (config.epochs, config.learning_rate, config.schedule) == (7, 0.3, schedules.Cosine())


def test_pieces_may_stand_for_names():
    settings = Settings(optimizer=optimizers.Adam(beta1=0.5), schedule=schedules.Step(every=3.0))
    settings.check("here")
    assert settings.recipe(settings.network(2, 1), MeanSquaredError(), 50).optimizer == optimizers.Adam(beta1=0.5)
    assert settings.config(50, validated=True).schedule == schedules.Step(every=3.0)


def test_faults_carry_the_names_that_the_user_knows():
    with pytest.raises(InvalidValueError) as raised:
        Settings(max_iter=0, engine="native2", batch_norm=True, layer_norm=True).check("here", str.upper)
    assert str(raised.value).splitlines() == [
        "here: MAX_ITER must be one of 'auto' or a whole number in [1, inf), got 0.",
        "here: LAYER_NORM must be False beside BATCH_NORM, got True. Choose one of the two.",
        "here: ENGINE must be 'auto' or an engine's name, got 'native2'. Did you mean 'native'?",
    ]


def test_defaults_are_allowed_and_every_setting_is_constrained_somewhere():
    Settings().check("here")
    elsewhere = {"hidden_layer_sizes", "quantiles", "learning_rate_multipliers", "batch_size", "engine"}
    assert {f.name for f in fields(Settings) if "constraint" not in f.metadata} == elsewhere
    for name in (f.name for f in fields(Settings)):
        with pytest.raises(InvalidValueError, match=f"here: {name} must be"):
            Settings(**{name: complex(1, 1)}).check("here")


def test_two_classes_are_one_logit_with_the_logistic_loss():
    target = classification(np.array(["b", "a", "b"]), Settings(label_smoothing=0.2))
    assert (target.classes.tolist(), target.loss, target.outputs) == (["a", "b"], BinaryCrossEntropy(), 1)
    # 1 becomes 1 - ε/2 and 0 becomes ε/2
    np.testing.assert_allclose(target.encode(np.array(["a", "b"])), [[0.1], [0.9]], rtol=1e-15)


def test_more_classes_are_a_logit_each_with_softmax():
    target = classification(np.array([30, 10, 20]), Settings(label_smoothing=0.2))
    assert (target.loss, target.outputs) == (SoftmaxCrossEntropy(label_smoothing=0.2), 3)
    assert target.encode(np.array([10, 30, 20, 10])).tolist() == [0, 2, 1, 0]
    with pytest.raises(InvalidValueError, match=re.escape("labels must be among [10, 20, 30], got [11, 40].")):
        target.encode(np.array([40, 10, 11]))


def test_one_class_is_refused():
    with pytest.raises(InvalidValueError, match="at least two classes"):
        classification(np.array([1, 1]), Settings())


def test_amounts_are_standardised_where_the_link_is_the_identity():
    y = np.array([1.0, 3.0])
    target = regression(y, Settings())
    assert (target.classes, target.loss, target.outputs) == (None, MeanSquaredError(), 1)
    np.testing.assert_array_equal(target.encode(y), [[-1.0], [1.0]])
    weighted = regression(y, Settings(loss="huber"), np.array([3.0, 1.0]))
    assert weighted.loss == Huber()
    assert weighted.scaling.mean.tolist() == [1.5]
    counts = regression(y, Settings(loss="poisson"))
    assert (counts.loss, counts.scaling) == (Poisson(), None)
    np.testing.assert_array_equal(counts.encode(y), [[1.0], [3.0]])
    assert regression(np.ones((4, 3)), Settings()).outputs == 3


def test_balanced_weights_are_scikit_learns():
    y = np.array(["a", "b", "b", "c", "c", "c"])
    expected = compute_sample_weight("balanced", y)
    np.testing.assert_allclose(class_weights(np.unique(y), y, "balanced"), expected, rtol=1e-15)
    assert class_weights(np.unique(y), y, {"a": 5}).tolist() == [5, 1, 1, 1, 1, 1]
    assert class_weights(np.unique(y), y, None).tolist() == [1] * 6


def test_scaling_by_column_shared_and_none():
    X = np.array([[0.0, 10.0], [2.0, 30.0]])
    assert scaler(X, "none").apply(X).tolist() == X.tolist()
    assert scaler(X, "columns").apply(X).tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    shared = scaler(X, "shared")
    assert len(set(shared.mean)) == len(set(shared.scale)) == 1
    assert scaler(X, "columns", np.array([1.0, 3.0])).mean.tolist() == [1.5, 25.0]


def test_test_rows_are_scaled_by_the_training_rows():
    X, y = rows()
    settings = Settings(**FAST)
    model, _ = train_model(X, y, classification(y, settings), settings, validation=(X + 100.0, y))
    expected = Standardizer.fit(X)
    np.testing.assert_array_equal(model.inputs.mean, expected.mean)
    np.testing.assert_array_equal(model.inputs.scale, expected.scale)


def test_constant_columns_do_no_harm():
    X, y = rows()
    X = np.c_[X, np.full(len(X), 7.0)]
    settings = Settings(**FAST)
    model, _ = train_model(X, y, classification(y, settings), settings)
    moved = X.copy()
    moved[:, 2] = -1e6
    np.testing.assert_array_equal(model.logits(moved), model.logits(X))
    assert np.isfinite(model.logits(X)).all()


def test_figures_of_a_classification_are_scikit_learns():
    X, y = rows()
    settings = Settings(dtype="float64", **FAST)
    for labels in (y, np.array(["a", "b", "c"])[y], y % 2):
        model, _ = train_model(X, labels, classification(labels, settings), settings)
        figures = evaluate(model, X, labels)
        assert figures["accuracy"] == accuracy_score(labels, model.predict(X))
        assert figures["loss"] == pytest.approx(log_loss(labels, model.probabilities(X)), rel=1e-9)
        counts = confusion_matrix(labels, model.predict(X), model.classes)
        np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, model.predict(X)))


def test_figures_of_a_regression_are_scikit_learns():
    X, _ = rows()
    y = 100.0 + X @ [3.0, 4.0]
    settings = Settings(dtype="float64", **FAST)
    model, _ = train_model(X, y, regression(y, settings), settings)
    figures = evaluate(model, X, y)
    assert figures["rmse"] == pytest.approx(root_mean_squared_error(y, model.predict(X)), rel=1e-12)
    assert figures["r2"] == pytest.approx(r2_score(y, model.predict(X)), rel=1e-12)
    # the loss is of standardized targets
    assert figures["loss"] == pytest.approx((figures["rmse"] / y.std()) ** 2, rel=1e-9)


def test_constant_targets_have_no_r2():
    X, _ = rows()
    y = np.full(len(X), 5.0)
    settings = Settings(**FAST)
    model, _ = train_model(X, y, regression(y, settings), settings)
    figures = evaluate(model, X, y)
    assert math.isnan(figures["r2"])
    assert figures["rmse"] < 5.0


def test_smoothing_is_of_the_training_not_of_the_figures():
    X, y = rows(classes=2)
    settings = Settings(label_smoothing=0.3, dtype="float64", **FAST)
    model, _ = train_model(X, y, classification(y, settings), settings)
    assert Target.of(model).encode(y).ravel().tolist() == y.tolist()
    assert evaluate(model, X, y)["loss"] == pytest.approx(log_loss(y, model.probabilities(X)), rel=1e-9)


def test_names_of_columns_and_target():
    X, y = rows()
    settings = Settings(**FAST)
    target = classification(y, settings)
    named, _ = train_model(X, y, target, settings, feature_names=("u", "v"), target_name="kind")
    assert (named.feature_names, named.target_name) == (("u", "v"), "kind")
    plain, _ = train_model(X, y, target, settings)
    assert (plain.feature_names, plain.target_name) == (("x0", "x1"), "target")


def test_what_stops_a_run():
    by_training_loss = EarlyStopping(3, 0.5, "train_loss", keep=False)
    for early, validated, expected in (
        (True, True, [EarlyStopping(3, 0.5)]),
        (False, True, [BestWeights(), by_training_loss]),
        (True, False, [by_training_loss]),
        (False, False, [by_training_loss]),
    ):
        settings = Settings(early_stopping=early, n_iter_no_change=3, tol=0.5)
        assert stopping_monitors(settings, validated) == expected
    assert stopping_monitors(Settings(early_stopping=True, n_iter_no_change=None), True) == [BestWeights()]
    assert stopping_monitors(Settings(n_iter_no_change=None), False) == []


def test_by_itself_a_run_is_stopped_by_a_smoothed_loss_after_enough_steps():
    noisy = {"smoothing": 0.8, "steps": 500}
    by_training_loss = EarlyStopping(20, 0.5, "train_loss", keep=False, **noisy)
    settings = Settings(tol=0.5)
    assert settings.n_iter_no_change == "auto"
    assert stopping_monitors(replace(settings, early_stopping=True), True) == [EarlyStopping(20, 0.5, **noisy)]
    assert stopping_monitors(settings, True) == [BestWeights(smoothing=0.8), by_training_loss]
    assert stopping_monitors(settings, False) == [by_training_loss]


@pytest.mark.parametrize("value", [0, 2.5, "20", True])
def test_a_patience_is_a_number_of_epochs_or_auto(value):
    with pytest.raises(InvalidValueError, match="n_iter_no_change must be one of 'auto' or a whole number"):
        Settings(n_iter_no_change=value).check("x")


def test_a_few_noisy_validation_rows_do_not_end_a_run():
    parts = three_way(load("moons"), 0.2, 0.1, seed=0)
    kept = {}
    for patience in (20, "auto"):
        settings = Settings(early_stopping=True, max_iter=300, n_iter_no_change=patience)
        problem = build_problem(settings, parts)
        run = train(problem, stopping_monitors(settings, True))
        kept[patience] = evaluate(problem.model(run.state), parts.test.X, parts.test.y)["accuracy"]
    assert kept["auto"] > 0.95
    assert kept["auto"] > kept[20] + 0.1


def test_a_problem_may_be_as_long_as_a_run_of_it_kept():
    X, y = rows()
    settings = Settings(
        engine="reference", max_iter=200, learning_rate_init=0.05, early_stopping=True, n_iter_no_change=3
    )
    problem = build_problem(settings, (X, y), validation=(X[:30], (y[:30] + 1) % 3))
    monitors = stopping_monitors(settings, validated=True)
    run = train(problem, monitors)
    assert as_kept(problem, run).config.epochs == run.best_epoch < len(run.epochs)
    assert stopped_run(problem, monitors).best_epoch == run.best_epoch
    falling = build_problem(replace(settings, schedule="cosine"), (X, y), validation=(X[:30], y[:30]))
    assert stopped_run(falling, monitors) is None, "its schedule depends on the length"
    by_loss = as_kept(problem, stopped_run(problem, stopping_monitors(settings, validated=False), validated=False))
    assert by_loss.config.epochs > run.best_epoch
    assert len(by_loss.validation) == 30


def test_data_come_as_arrays_as_a_data_set_or_in_parts():
    iris = load("iris")
    settings = Settings(**FAST)
    arrays, whole = build_problem(settings, (iris.X, iris.y)), build_problem(settings, iris)
    np.testing.assert_array_equal(arrays.rows.X, whole.rows.X)
    assert whole.feature_names == iris.feature_names
    assert arrays.feature_names == ("x0", "x1", "x2", "x3")
    parts = build_problem(settings, three_way(iris, 0.2, 0.1, seed=0))
    assert [len(part) for part in (parts.rows, parts.validation, parts.test)] == [108, 12, 30]
    assert build_problem(settings, (iris.X, iris.X[:, :2])).target.outputs == 2
    assert build_problem(settings, load("diabetes")).classes is None


def test_weights_of_classes_multiply_those_of_rows():
    X, y = rows(classes=2)
    weights = np.linspace(1, 2, len(y))
    problem = build_problem(Settings(**FAST), (X, y), weights=weights, class_weight={1: 3.0})
    np.testing.assert_allclose(problem.rows.c, np.where(y == 1, 3.0, 1.0) * weights, rtol=1e-6)
    with pytest.raises(InvalidValueError, match="class_weight must be None for these targets, got 'balanced'"):
        build_problem(Settings(**FAST), (X, X[:, 0]), class_weight="balanced")


def test_a_problem_goes_on_from_a_state_at_the_start_of_an_epoch():
    X, y = rows()
    problem = build_problem(Settings(schedule="cosine", batch_size=30, **FAST), (X, y))
    state = replace(train(problem).state, step=7)
    on = problem.after(state)
    assert (int(on.start.step), on.config.epochs) == (9, 8)
    assert on.config.schedule == DelayedSchedule(schedules.Cosine(), 3)
    further = on.after(train(on).state)
    assert (int(further.start.step), further.config.epochs) == (24, 13)
    assert further.config.schedule == DelayedSchedule(schedules.Cosine(), 8)
    assert [epoch.number for epoch in train(further).epochs] == [9, 10, 11, 12, 13]


def test_a_problem_made_by_hand_has_no_model():
    X, y = rows()
    problem = replace(build_problem(Settings(**FAST), (X, y)), target=None)
    with pytest.raises(InvalidValueError, match="target must be given to make a model, got None"):
        problem.model(problem.recipe.start())


def test_model_says_what_it_cannot_do():
    X, y = rows()
    settings = Settings(**FAST)
    amounts, _ = train_model(X, X[:, 0], regression(X[:, 0], settings), settings)
    classes, _ = train_model(X, y, classification(y, settings), settings)
    assert (amounts.task, classes.task) == ("regression", "classification")
    with pytest.raises(InvalidValueError, match="Probabilities need a classifier"):
        amounts.probabilities(X)
    for wrong in (X[:, :1], X[0]):
        with pytest.raises(InvalidValueError, match=re.escape("Model: X must be of shape (n, 2)")):
            classes.predict(wrong)
    X[3, 1] = np.nan
    with pytest.raises(InvalidValueError, match="finite, got nan at row 3, column 1"):
        classes.predict(X)


TOYS = ("moons", "circles", "spirals", "blobs", "iris", "wine")


def toy(name, **settings):
    """A small set, cut as `chainrule train` does, and its settings."""
    chosen = Settings(early_stopping=True, **settings)
    return chosen, build_problem(chosen, three_way(load(name, seed=0), 0.2, 0.1, 0))


@pytest.mark.parametrize("name", TOYS)
def test_few_rows_are_trained_for_as_many_steps_as_help(name):
    chosen, problem = toy(name)
    short = replace(problem, config=replace(problem.config, epochs=100))
    assert problem.config.epochs == -(-2000 // problem.steps_per_epoch) > 100
    longer, usual = (train(each, stopping_monitors(chosen, validated=True)).epochs for each in (problem, short))
    best = [min(epoch.validation_loss for epoch in epochs) for epochs in (longer, usual)]
    assert best[0] <= best[1]


def test_the_budget_follows_from_the_rows_alone():
    assert Settings().epochs(10**5, validated=True) == Settings().epochs(2000, validated=True) == 100
    for size in (1, 64, "full", "auto"):
        assert Settings(batch_size=size).epochs(216, validated=True) == 286
    assert Settings().epochs(240, validated=False) == 125
    assert Settings(max_iter=3).epochs(5, validated=True) == 3
    assert list(Settings(max_iter="autp").faults("fit")) == [
        "fit: max_iter must be one of 'auto' or a whole number in [1, inf), got 'autp'. Did you mean 'auto'?"
    ]


@pytest.mark.parametrize("name", TOYS)
def test_dropout_is_not_stopped_by_its_noise(name):
    chosen, problem = toy(name, dropout=0.5, max_iter=300)
    stopped = train(problem, stopping_monitors(chosen, validated=True))
    whole = train(problem, stopping_monitors(replace(chosen, n_iter_no_change=None), validated=True))
    figures = [[epoch.validation_loss for epoch in run.epochs] for run in (stopped, whole)]
    best = [min(np.convolve(each, np.ones(5) / 5, "valid")) for each in figures]
    assert best[0] <= best[1] + 0.005
