"""Why: a rule that cries wolf, or never, is worse than none; each is tried on a case it must name and one it must not.

In: healthy cases, and the same with one thing broken. Out: symptom, severity, layer and the figures behind them.
"""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from doctor_cases import HEALTHY, alarms, healthy, with_layers, with_recipe, with_rows

from chainrule.doctor.remedies.apply import APPLY
from chainrule.doctor.rules import finding as found
from chainrule.doctor.rules.configuration import RULES, heads, layers, settings, start
from chainrule.doctor.vocabulary import network
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.doctor.vocabulary.records import NotApplicable
from chainrule.errors import InvalidValueError
from chainrule.nn import initializers, optimizers, schedules
from chainrule.nn.layers import (
    Activation,
    BatchNorm,
    CosineEmbedding,
    Dense,
    Dropout,
    LayerNorm,
    ParametricActivation,
    Scale,
)
from chainrule.nn.losses import BinaryCrossEntropy, Huber, MeanSquaredError, Poisson, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.penalties import ClipNorm, ClipValue
from chainrule.nn.step import train_step
from chainrule.train import TrainConfig


@dataclass(frozen=True)
class Softmax:
    """Over the columns, with the slope of an entry by itself, as someone might add it."""

    needs: ClassVar[str] = "A"

    def value(self, xp, Z):
        E = xp.exp(Z - Z.max(axis=-1, keepdims=True))
        return E / E.sum(axis=-1, keepdims=True)

    def derivative(self, xp, Z, A):
        return A * (1.0 - A)


@dataclass(frozen=True)
class Half:
    """Linear although it has another name."""

    needs: ClassVar[str] = ""

    def value(self, xp, Z):
        return 0.5 * Z

    def derivative(self, xp, Z, A):
        return 0.5


relu, tanh = Activation("relu"), Activation("tanh")


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(3))
def test_healthy_cases_raise_no_alarm(name, seed):
    assert alarms(healthy(name, seed), RULES) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"batch_norm": True},
        {"layer_norm": True},
        {"dropout": 0.5},
        {"activation": "tanh"},
        {"activation": "selu"},
        {"initializer": "glorot"},
        {"initializer": "orthogonal"},
        {"hidden_layer_sizes": (32,) * 6},
        {"optimizer": "sgd", "learning_rate_init": 0.1, "max_grad_norm": 1.0},
        {"optimizer": "nesterov", "learning_rate_init": 0.01},
        {"optimizer": "adagrad", "learning_rate_init": 0.01},
        {"schedule": "one_cycle"},
        {"schedule": "step"},
        {"schedule": "plateau"},
        {"schedule": "warmup_cosine"},
        {"learning_rate_init": 1e-4},
        {"label_smoothing": 0.1},
        {"alpha": 1e-3},
    ],
    ids=str,
)
def test_usual_choices_raise_no_alarm(options):
    for name in ("digits", "circles"):
        assert alarms(healthy(name, **options), RULES) == {}


def test_a_linear_model_is_a_usual_choice_where_the_task_is_linear():
    assert alarms(healthy("digits", hidden_layer_sizes=()), RULES) == {}
    assert set(alarms(healthy("circles", hidden_layer_sizes=()), RULES)) == {"no-hidden-layer"}


def test_every_rule_has_a_known_symptom_in_the_order_of_causes():
    assert {rule.symptom for rule in RULES} <= set(SYMPTOMS)
    assert len({rule.symptom for rule in RULES}) == len(RULES)


def test_every_fix_names_a_change_that_exists():
    folder = Path(found.__file__).parent
    sources = [
        path.read_text() for part in ("configuration", "data", "preflight") for path in (folder / part).glob("*.py")
    ]
    named = {name for source in sources for name in re.findall(r'remedy="([^"]+)"', source)}
    assert len(named) > 15
    assert named <= set(APPLY)


def test_findings_carry_plain_figures():
    finding = heads.output_range(with_rows(healthy("circles"), Y=healthy("circles").rows.Y * 2 - 1), None)
    assert all(type(value) is float for value in finding.figures.values())
    assert finding.confirmed is None


# What a layer does, seen from outside


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        ("sigmoid", 0, 1),
        ("tanh", -1, 1),
        ("relu", 0, math.inf),
        ("identity", -math.inf, math.inf),
        ("elu", -1, math.inf),
    ],
)
def test_span_of_an_activation(function, low, high):
    assert network.span(Activation(function)) == pytest.approx((low, high), abs=1e-3)


def test_leaky_and_gelu_spans():
    assert network.span(Activation("gelu"))[0] == pytest.approx(-0.17, abs=1e-2)
    assert network.span(Activation("leaky_relu"))[1] == math.inf


def test_affine_and_softmax_are_told_by_what_they_do():
    assert network.is_affine(Activation(Half()))
    assert not network.is_affine(Activation("leaky_relu"))
    assert network.is_softmax(Activation(Softmax()))
    assert not network.is_softmax(Activation("sigmoid"))


# Heads and losses


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "relu", Softmax()], ids=str)
def test_a_function_before_a_loss_with_a_link_is_named(function):
    problem = with_layers(healthy("digits"), Dense(16), relu, Dense(10), Activation(function))
    finding = heads.output_loss_mismatch(problem, None)
    assert (finding.severity, finding.layer) == ("warning", 3)
    assert heads.output_range(problem, None) is None


def test_a_sigmoid_before_the_logistic_loss_is_critical():
    problem = with_layers(healthy("circles"), Dense(16), relu, Dense(1), Activation("sigmoid"), Dropout(0.0))
    assert heads.output_loss_mismatch(problem, None).severity == "critical"


@pytest.mark.parametrize("last", [(), (Activation("identity"),), (Activation("leaky_relu"),), (LayerNorm(),)], ids=str)
def test_heads_that_take_nothing_away_are_not_named(last):
    problem = with_layers(healthy("digits"), Dense(16), relu, Dense(10), *last)
    assert heads.output_loss_mismatch(problem, None) is None


@pytest.mark.parametrize(("function", "outside"), [("sigmoid", 0.5), ("relu", 0.4), ("tanh", 0.1)])
def test_targets_beyond_the_last_function_are_named(function, outside):
    problem = with_layers(healthy("diabetes"), Dense(16), relu, Dense(1), Activation(function))
    finding = heads.output_range(problem, None)
    assert finding.severity == "critical"
    assert finding.figures["outside"] > outside
    assert heads.output_loss_mismatch(problem, None) is None


@pytest.mark.parametrize("link", ["sigmoid", "tanh", "relu", "exp"])
def test_targets_beyond_the_link_are_named(link):
    problem = with_recipe(healthy("diabetes"), loss=MeanSquaredError(link))
    assert heads.output_range(problem, None).symptom == "output-range"


def test_a_sigmoid_over_targets_in_its_range_is_a_choice():
    problem = healthy("diabetes")
    Y = (problem.rows.Y - problem.rows.Y.min()) / np.ptp(problem.rows.Y)
    inside = with_rows(with_layers(problem, Dense(8), relu, Dense(1), Activation("sigmoid")), Y=Y)
    assert alarms(inside, RULES) == {}


def test_labels_of_minus_one_and_one_are_out_of_range_for_the_logistic_loss():
    problem = healthy("circles")
    finding = heads.output_range(with_rows(problem, Y=2 * problem.rows.Y - 1), None)
    assert finding.figures["target_low"] == -1
    assert "0 and 1" in finding.fix.text


def test_negative_counts_are_out_of_range_for_poisson():
    assert heads.output_range(with_recipe(healthy("diabetes"), loss=Poisson()), None).figures["low"] == 0


def test_class_numbers_under_a_squared_error_are_told_from_amounts():
    digits = healthy("digits")
    recipe = replace(digits.recipe, net=mlp(64, [16], 1), loss=MeanSquaredError())
    as_amounts = replace(with_rows(digits, Y=digits.rows.Y[:, None].astype(np.float32)), recipe=recipe, target=None)
    finding = heads.wrong_loss(as_amounts, None)
    assert finding.severity == "warning"
    assert "SoftmaxCrossEntropy()" in finding.fix.line("fit")
    ratings = np.clip(np.rint(2 * digits.rows.X[:, :1] + digits.rows.X[:, 20:21] + 3), 0, 6)
    assert heads.wrong_loss(with_rows(as_amounts, Y=ratings), None) is None


def test_two_values_one_hot_rows_and_given_labels_under_a_squared_error_are_classes():
    circles, diabetes, digits = healthy("circles"), healthy("diabetes"), healthy("digits")
    two = replace(with_recipe(circles, loss=Huber()), target=None)
    assert "BinaryCrossEntropy()" in heads.wrong_loss(two, None).fix.line("fit")
    hot = np.eye(10, dtype=np.float32)[digits.rows.Y]
    assert heads.wrong_loss(replace(with_recipe(with_rows(digits, Y=hot), loss=MeanSquaredError()), target=None), None)
    assert heads.wrong_loss(replace(diabetes, target=replace(diabetes.target, classes=np.array([1, 2, 3]))), None)
    assert heads.wrong_loss(diabetes, None) is None


def test_counts_are_no_classes_but_marked_columns_are():
    digits, diabetes = healthy("digits"), healthy("diabetes")
    hot = np.eye(10, dtype=np.float32)[digits.rows.Y]
    marked = replace(with_recipe(with_rows(digits, Y=hot), loss=Poisson()), target=None)
    assert heads.wrong_loss(marked, None).severity == "warning"
    events = with_rows(diabetes, Y=np.float32(np.arange(len(diabetes.rows))[:, None] % 2))
    assert heads.wrong_loss(with_recipe(events, loss=Poisson()), None) is None


def test_a_squared_error_behind_a_sigmoid_on_classes_is_information():
    circles = replace(with_recipe(healthy("circles"), loss=MeanSquaredError("sigmoid")), target=None)
    assert heads.wrong_loss(circles, None).severity == "info"
    assert heads.wrong_loss(with_recipe(circles, loss=MeanSquaredError("exp")), None).severity == "warning"


def test_amounts_under_a_cross_entropy_are_named():
    diabetes = healthy("diabetes")
    assert heads.wrong_loss(with_recipe(diabetes, loss=BinaryCrossEntropy()), None).severity == "critical"
    assert heads.output_range(with_recipe(diabetes, loss=BinaryCrossEntropy()), None) is None
    values = np.arange(len(diabetes.rows))
    problem = with_rows(with_recipe(diabetes, loss=SoftmaxCrossEntropy(), net=mlp(10, [4], len(values))), Y=values)
    assert heads.wrong_loss(problem, None).symptom == "wrong-loss"


def test_a_softmax_over_one_output_is_constant():
    circles = healthy("circles")
    zeros = np.zeros(len(circles.rows), np.int64)
    by_loss = with_rows(with_recipe(circles, loss=SoftmaxCrossEntropy()), Y=zeros)
    by_layer = with_layers(circles, Dense(4), relu, Dense(1), Activation(Softmax()))
    assert heads.constant_output(by_loss, None).severity == "critical"
    assert heads.constant_output(by_layer, None).layer == 3


# Layers


def test_a_softmax_between_layers_is_named_and_one_at_the_end_is_not():
    digits = healthy("digits")
    assert layers.hidden_softmax(with_layers(digits, Dense(16), Activation(Softmax()), Dense(10)), None).layer == 1
    assert layers.hidden_softmax(with_layers(digits, Dense(16), relu, Dense(10), Activation(Softmax())), None) is None


def test_two_sigmoids_between_layers_are_suspected_and_one_is_not():
    digits, sigmoid = healthy("digits"), Activation("sigmoid")
    finding = layers.stacked_sigmoids(with_layers(digits, Dense(16), sigmoid, Dense(16), sigmoid, Dense(10)), None)
    assert (finding.symptom, finding.layer, finding.fix.remedy) == ("vanishing-gradient", 1, "no-hidden-sigmoid")
    assert layers.stacked_sigmoids(with_layers(digits, Dense(16), sigmoid, Dense(10)), None) is None
    assert layers.stacked_sigmoids(with_layers(digits, Dense(16), tanh, Dense(16), tanh, Dense(10)), None) is None
    one = with_layers(digits, Dense(16), sigmoid, Dense(10), sigmoid)
    assert layers.stacked_sigmoids(one, None) is None


@pytest.mark.parametrize(
    ("between", "severity"),
    [
        ((), "warning"),
        ((Activation(Half()),), "warning"),
        ((BatchNorm(), Dropout(0.2)), "warning"),
        ((Scale(),), "warning"),
        ((LayerNorm(),), None),
        ((relu,), None),
        ((ParametricActivation("relu"),), None),
        ((CosineEmbedding(2),), None),
    ],
    ids=str,
)
def test_linear_stacks_are_named(between, severity):
    problem = with_layers(healthy("digits"), Dense(32), relu, Dense(32), *between, Dense(10))
    finding = layers.linear_collapse(problem, None)
    assert (finding and finding.severity) == severity
    assert finding is None or finding.layer == 2


def test_a_bottleneck_is_information_unless_all_is_linear():
    digits = healthy("digits")
    assert layers.linear_collapse(with_layers(digits, Dense(32), relu, Dense(4), Dense(10)), None).severity == "info"
    assert layers.linear_collapse(with_layers(digits, Dense(4), Dense(10)), None).severity == "warning"
    assert layers.linear_collapse(with_layers(digits, Dense(10)), None) is None


@pytest.mark.parametrize(
    ("pair", "severity"),
    [((relu, tanh), "warning"), ((relu, Dropout(0.1), relu), "info"), ((relu, Activation("identity")), None)],
    ids=str,
)
def test_doubled_activations(pair, severity):
    finding = layers.doubled_activation(with_layers(healthy("digits"), Dense(8), *pair, Dense(10)), None)
    assert (finding and finding.severity) == severity


def test_a_bias_before_batch_norm_is_information():
    digits = healthy("digits")
    assert layers.bias_before_norm(with_layers(digits, Dense(8), BatchNorm(), relu, Dense(10)), None).severity == "info"
    without = with_layers(digits, Dense(8, bias=False), BatchNorm(), relu, Dense(8), LayerNorm(), relu, Dense(10))
    assert layers.bias_before_norm(without, None) is None


def test_dropout_right_before_batch_norm_is_named_and_a_dense_layer_apart_is_not():
    digits = healthy("digits")
    problem = with_layers(digits, Dense(8), Dropout(0.5), relu, BatchNorm(), Dense(10))
    assert layers.dropout_before_norm(problem, None).layer == 1
    assert layers.dropout_before_norm(healthy("digits", batch_norm=True, dropout=0.5), None) is None


@pytest.mark.parametrize(
    ("layers_", "severity"),
    [
        ((Dropout(0.3), Dense(8), relu, Dense(10)), "info"),
        ((Dropout(0.2), Dense(8), relu, Dropout(0.5), Dense(10)), None),
        ((Dense(8), relu, Dropout(0.8), Dense(10)), "warning"),
        ((Dense(8), relu, Dense(10), Dropout(0.1)), "warning"),
    ],
    ids=str,
)
def test_dropout_rates(layers_, severity):
    finding = layers.dropout_too_high(with_layers(healthy("digits"), *layers_), None)
    assert (finding and finding.severity) == severity


def test_batch_norm_over_few_rows_is_named():
    problem = healthy("digits", batch_norm=True)
    severities = {rows: layers.tiny_batch(with_recipe(problem, batch_size=rows), None) for rows in (2, 4, 8)}
    assert [severities[2].severity, severities[4].severity, severities[8]] == ["warning", "warning", None]
    assert layers.tiny_batch(replace(problem, rows=problem.rows[:1]), None).severity == "critical"
    with pytest.raises(InvalidValueError, match="batch_size must be at least 2 with batch norm"):
        with_recipe(problem, batch_size=1)
    assert layers.tiny_batch(with_recipe(healthy("digits"), batch_size=1), None) is None


@dataclass(frozen=True)
class StuckNorm(BatchNorm):
    """Forgets to move its running statistics."""

    def forward(self, p, buffers, Z, ctx):
        Y, saved, _ = super().forward(p, buffers, Z, ctx)
        return Y, saved, buffers


@dataclass(frozen=True)
class RestlessDropout(Dropout):
    """Drops in inference as well."""

    def forward(self, p, buffers, A, ctx):
        return super().forward(p, buffers, A, replace(ctx, training=True))


@pytest.mark.parametrize(
    ("norm", "severity"), [(StuckNorm(), "critical"), (BatchNorm(momentum=0.9999), "critical"), (BatchNorm(), None)]
)
def test_running_statistics_that_stay_behind_are_named(norm, severity):
    finding = layers.frozen_statistics(with_layers(healthy("digits"), Dense(8), norm, relu, Dense(10)), None)
    assert (finding and finding.severity) == severity


def test_dropout_in_inference_is_named():
    digits = healthy("digits")
    problem = with_layers(digits, Dense(8), relu, RestlessDropout(0.5), Dense(10))
    assert layers.dropout_in_inference(problem, None).layer == 2
    assert layers.dropout_in_inference(with_layers(digits, Dense(8), relu, Dropout(0.5), Dense(10)), None) is None


# First numbers


@pytest.mark.parametrize(
    "rule", [initializers.Zeros(), initializers.Constant(0.01), initializers.Constant(0.5)], ids=str
)
def test_equal_units_are_critical(rule):
    finding = start.symmetric_weights(with_recipe(healthy("digits"), net=mlp(64, [16, 16], 10, initializer=rule)), None)
    assert (finding.severity, finding.figures["twins"]) == ("critical", 1.0)


def test_a_constant_first_layer_alone_is_a_warning_and_zero_last_weights_are_fine():
    digits = healthy("digits")
    first = with_layers(digits, Dense(16, initializer="constant"), relu, Dense(10))
    last = with_layers(digits, Dense(16), relu, Dense(10, initializer="zeros"))
    assert start.symmetric_weights(first, None).severity == "warning"
    assert start.symmetric_weights(last, None) is None


@pytest.mark.parametrize(
    ("rule", "large"),
    [(initializers.Normal(sigma=1.0), True), (initializers.Normal(sigma=0.01), False)],
    ids=["large", "small"],
)
def test_first_weights_of_a_wrong_scale_are_named(rule, large):
    problem = with_recipe(healthy("digits"), net=mlp(64, [64, 64], 10, initializer=rule))
    finding = start.init_scale(problem, None)
    assert (finding.figures["logits"] > 30) == large
    assert start.init_scale(replace(problem, start=problem.recipe.start()), None) is None


def test_the_figure_of_scale_is_that_of_the_weights():
    # A ReLU network is homogeneous: weights 10 times as large in three layers make logits 1000 times as large.
    class TenTimes(initializers.He):
        def draw(self, stream, n_in, n_out):
            return 10.0 * super().draw(stream, n_in, n_out)

    problem = with_recipe(healthy("digits"), net=mlp(64, [256, 256], 256, initializer=TenTimes()))
    figures = start.init_scale(problem, None).figures
    # The last layer's suitable spread is Xavier's, smaller than He's by √2; draws scatter by less than 10 %.
    assert figures["logits"] == pytest.approx(1000 * math.sqrt(2), rel=0.1)


def test_norm_layers_even_out_the_scale():
    rule = initializers.Normal(sigma=1.0)
    problem = with_recipe(healthy("digits"), net=mlp(64, [64, 64], 10, norm="layer", initializer=rule))
    assert start.init_scale(problem, None) is None


def test_a_first_loss_above_knowing_nothing_is_named():
    digits = healthy("digits")
    finding = start.wrong_initial_loss(with_rows(digits, X=100 * digits.rows.X), None)
    assert finding.figures["uninformed"] == pytest.approx(math.log(10))
    assert finding.figures["initial_loss"] > 10


def test_a_first_loss_on_targets_far_from_zero_is_named():
    diabetes = healthy("diabetes")
    far = with_rows(diabetes, Y=diabetes.rows.Y + 10)
    assert start.wrong_initial_loss(far, None).figures["uninformed"] == pytest.approx(float(far.rows.Y.var()), rel=1e-4)
    trained = replace(far, start=replace(far.recipe.start(), step=5))
    assert start.wrong_initial_loss(trained, None) is None


def test_the_first_loss_of_counts_has_no_measure():
    problem = with_recipe(healthy("diabetes"), loss=Poisson())
    with pytest.raises(NotApplicable, match="Poisson"):
        start.wrong_initial_loss(problem, None)


# Settings


@pytest.mark.parametrize(
    ("optimizer", "rate", "symptom"),
    [
        (optimizers.Adam(), 1.0, "learning-rate-too-high"),
        (optimizers.Adam(), 0.03, None),
        (optimizers.Adam(), 1e-6, "learning-rate-too-low"),
        (optimizers.Adam(), 1e-4, None),
        (optimizers.SGD(), 50.0, "learning-rate-too-high"),
        (optimizers.SGD(), 1.0, None),
        (optimizers.SGD(), 1e-9, "learning-rate-too-low"),
        (optimizers.SGDMomentum(), 2.0, "learning-rate-too-high"),
        (optimizers.EmaMomentum(), 2.0, None),
    ],
)
def test_learning_rates_out_of_all_reason(optimizer, rate, symptom):
    problem = replace(with_recipe(healthy("digits"), optimizer=optimizer), config=TrainConfig(100, rate))
    found_ = [f for f in (settings.rate_above_bound(problem, None), settings.rate_below_bound(problem, None)) if f]
    assert [f.symptom for f in found_] == ([symptom] if symptom else [])


def test_adam_moves_no_weight_further_than_the_bound_says():
    # (1 - β₁) / √(1 - β₂) = √10 is the bound for one step; the typical entry stays below one rate per step.
    recipe, rows = healthy("circles").recipe, healthy("circles").rows
    state = first = recipe.start()
    for _ in range(50):
        state, _ = train_step(recipe, np, state, rows.X, rows.Y, rows.c, 1e-5)
    moved = np.abs(state.w - first.w) / (50 * 1e-5)
    assert 0 < moved.max() <= math.sqrt(10)
    assert np.median(moved) <= 1.01


@pytest.mark.parametrize(
    ("optimizer", "named"),
    [
        (optimizers.Adam(epsilon=0.1), True),
        (optimizers.Adam(beta1=0.99, beta2=0.9), True),
        (optimizers.EmaMomentum(beta=0.9999), True),
        (optimizers.Adam(), False),
        (optimizers.AdaGrad(), False),
        (optimizers.Nesterov(mu=0.99), False),
    ],
    ids=str,
)
def test_settings_of_optimizers(optimizer, named):
    assert bool(settings.optimizer_settings(with_recipe(healthy("digits"), optimizer=optimizer), None)) == named


@pytest.mark.parametrize(
    ("optimizer", "clip", "named"),
    [
        (optimizers.SGD(), ClipNorm(1e-3), True),
        (optimizers.SGD(), ClipValue(1e-4), True),
        (optimizers.SGD(), ClipNorm(1.0), False),
        (optimizers.Adam(), ClipNorm(1e-3), False),
        (optimizers.Adam(), ClipValue(1e-8), True),
    ],
    ids=str,
)
def test_clipping_limits(optimizer, clip, named):
    problem = with_recipe(healthy("digits"), optimizer=optimizer, clip=clip)
    assert bool(settings.clipping_below_first_gradient(problem, None)) == named


def test_frozen_layers_are_named_by_what_they_start_from():
    digits = healthy("digits")
    frozen = with_recipe(digits, learning_rate_multipliers={"0.*": 0.0})
    assert (settings.zero_multiplier(frozen, None).severity, settings.zero_multiplier(frozen, None).layer) == (
        "warning",
        0,
    )
    assert (
        settings.zero_multiplier(with_recipe(digits, learning_rate_multipliers={"*": 0.0}), None).severity == "critical"
    )
    assert settings.zero_multiplier(replace(frozen, start=digits.recipe.start()), None).severity == "info"
    assert (
        settings.zero_multiplier(with_recipe(digits, learning_rate_multipliers={"*.b": 0.0, "0.W": 0.1}), None) is None
    )


@pytest.mark.parametrize(
    ("schedule", "named"),
    [
        (schedules.Exponential(k=0.5), True),
        (schedules.Step(every=2, drop=0.1), True),
        (schedules.WarmUp(epochs=5, start=0.0, after=schedules.Exponential(k=1.0)), True),
        (schedules.Exponential(), False),
        (schedules.Cosine(), False),
        (schedules.OneCycle(), False),
        (schedules.ReduceOnPlateau(), False),
    ],
    ids=str,
)
def test_schedules_that_end_early(schedule, named):
    finding = settings.schedule_near_zero(replace(healthy("digits"), config=TrainConfig(100, 1e-3, schedule)), None)
    assert bool(finding) == named


def test_looking_changes_nothing():
    problem = healthy("circles")
    before = {name: getattr(problem.rows, name).copy() for name in ("X", "Y", "c")}
    alarms(problem, RULES)
    assert all(np.array_equal(getattr(problem.rows, name), array) for name, array in before.items())
