"""Why: the checks before a training are worth having only if they catch broken mathematics and pass what is sound.

In: layers, losses and optimizers broken on purpose, as subclasses of the package's own. Out: the check that names each.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from doctor_cases import HEALTHY, alarms, healthy, with_layers, with_recipe, with_rows

from chainrule.doctor.rules.preflight import RULES, batch, gradients
from chainrule.doctor.vocabulary.records import NotApplicable
from chainrule.nn import optimizers
from chainrule.nn.initializers import Zeros
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, Poisson, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.penalties import Penalty
from chainrule.train import TrainConfig

relu = Activation("relu")


@dataclass(frozen=True)
class HalfDense(Dense):
    """dW lacks a factor of two."""

    def backward(self, p, saved, dZ, ctx):
        dA, g = super().backward(p, saved, dZ, ctx)
        return dA, {**g, "W": 0.5 * g["W"]}


@dataclass(frozen=True)
class FlippedDense(Dense):
    """dA has the wrong sign."""

    def backward(self, p, saved, dZ, ctx):
        dA, g = super().backward(p, saved, dZ, ctx)
        return -dA, g


@dataclass(frozen=True)
class SlopelessActivation(Activation):
    """Forgets g'(Z)."""

    def backward(self, p, saved, dA, ctx):
        return dA, {}


@dataclass(frozen=True)
class CarelessNorm(BatchNorm):
    """Takes the batch's statistics for constants."""

    def backward(self, p, saved, dY, ctx):
        return super().backward(p, saved, dY, replace(ctx, training=False))


@dataclass(frozen=True)
class MixingActivation(Activation):
    """Takes the mean over the rows away, in the forward and in the backward pass."""

    def forward(self, p, buffers, Z, ctx):
        return super().forward(p, buffers, Z - Z.mean(axis=0), ctx)

    def backward(self, p, saved, dA, ctx):
        dZ, g = super().backward(p, saved, dA, ctx)
        return dZ - dZ.mean(axis=0), g


@dataclass(frozen=True)
class DeafDense(Dense):
    """Hears nothing but its bias."""

    def forward(self, p, buffers, A, ctx):
        return super().forward(p, buffers, 0.0 * A, ctx)


@dataclass(frozen=True)
class BroadcastLoss(MeanSquaredError):
    """Targets (n) against outputs (n, 1): every row meets every target."""

    def rows(self, xp, Z, Y):
        return ((self.predict(xp, Z) - Y[:, 0]) ** 2).mean(axis=1)


@dataclass(frozen=True)
class Ascent(optimizers.SGD):
    """Up the gradient."""

    def update(self, w, g, state, ctx):
        return w + ctx.lr * g, state


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("seed", range(3))
def test_healthy_cases_pass_every_check(name, seed):
    assert alarms(healthy(name, seed), RULES) == {}


@pytest.mark.parametrize(
    "options",
    [{"batch_norm": True}, {"layer_norm": True}, {"dropout": 0.5}, {"activation": "tanh"}, {"activation": "gelu"},
     {"optimizer": "adamw"}, {"optimizer": "sgd", "learning_rate_init": 0.05}, {"alpha": 0.01, "l1_alpha": 0.001}],
    ids=str,
)  # fmt: skip
def test_usual_choices_pass_every_check(options):
    assert alarms(healthy("digits", **options), RULES) == {}
    assert alarms(healthy("diabetes", **options), RULES) == {}


@pytest.mark.parametrize("loss", [MeanSquaredError("tanh"), MeanSquaredError("sigmoid"), Poisson()], ids=str)
def test_sound_links_pass_the_gradient_check(loss):
    problem = healthy("diabetes")
    shifted = with_rows(with_recipe(problem, loss=loss), Y=np.abs(problem.rows.Y))
    assert gradients.wrong_gradient(shifted, None) is None
    assert gradients.sample_mixing(shifted, None) is None


@pytest.mark.parametrize(
    ("layers", "layer"),
    [
        ((Dense(8), relu, HalfDense(8), relu, Dense(10)), 2),
        ((Dense(8), relu, FlippedDense(8), relu, Dense(10)), 2),
        ((Dense(8), SlopelessActivation("tanh"), Dense(8), relu, Dense(10)), 1),
        ((Dense(8), CarelessNorm(), relu, Dense(10)), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_wrong_backward_pass_is_found_in_its_layer(layers, layer):
    finding = gradients.wrong_gradient(with_layers(healthy("digits"), *layers), None)
    assert (finding.severity, finding.layer) == ("critical", layer)
    assert finding.figures["error"] > 1e-2


def test_a_wrong_gradient_of_the_loss_is_laid_to_the_loss():
    class Doubled(SoftmaxCrossEntropy):
        def gradient(self, xp, Z, Y):
            return 2.0 * super().gradient(xp, Z, Y)

    finding = gradients.wrong_gradient(with_recipe(healthy("digits"), loss=Doubled()), None)
    assert finding.layer is None
    assert finding.figures["by_hand"] == pytest.approx(2 * finding.figures["by_differences"], rel=1e-3)


@pytest.mark.parametrize("kind", ["deep", "large weights", "raw inputs", "zero weights", "penalized"])
def test_sound_gradients_pass_whatever_scale_they_have(kind):
    digits = healthy("digits")
    cases = {
        "deep": with_recipe(digits, net=mlp(64, [5] * 9, 10, activation="sigmoid")),
        "large weights": with_recipe(digits, net=mlp(64, [64, 64], 10, initializer="constant")),
        "raw inputs": with_rows(digits, X=1000 * digits.rows.X),
        "zero weights": with_recipe(digits, net=mlp(64, [8], 10, initializer=Zeros())),
        "penalized": with_recipe(digits, penalty=Penalty(l1=0.1, l2=0.1)),
    }
    assert gradients.wrong_gradient(cases[kind], None) is None


def test_climbing_is_told_from_a_wrong_gradient():
    climbing = with_recipe(healthy("circles"), optimizer=Ascent())
    finding = gradients.not_a_descent_direction(climbing, None)
    assert finding.figures["cosine"] == pytest.approx(1.0)
    wrong = with_layers(healthy("circles"), Dense(8), relu, FlippedDense(1), BatchNorm(), Dense(1))
    assert gradients.wrong_gradient(wrong, None).layer == 2

    class Negative(BinaryCrossEntropy):
        def gradient(self, xp, Z, Y):
            return -super().gradient(xp, Z, Y)

    uphill = gradients.not_a_descent_direction(with_recipe(healthy("circles"), loss=Negative()), None)
    assert uphill.figures["after"] >= uphill.figures["loss"]


def test_without_a_gradient_there_is_no_direction():
    problem = with_recipe(healthy("diabetes"), net=mlp(10, [8], 1, initializer=Zeros()))
    centerd = with_rows(problem, Y=0 * problem.rows.Y)
    with pytest.raises(NotApplicable, match="gradient is zero"):
        gradients.not_a_descent_direction(centerd, None)


def test_rows_that_mix_are_named_and_batch_norm_is_not():
    digits = healthy("digits")
    mixing = with_layers(digits, Dense(8), MixingActivation("tanh"), Dense(10))
    assert gradients.sample_mixing(mixing, None).figures["outputs"] > 0.01
    # Its backward pass is right: only this check can see the fault.
    assert gradients.wrong_gradient(mixing, None) is None
    for norm in (BatchNorm(), LayerNorm()):
        sound = with_layers(digits, Dense(8), norm, relu, Dropout(0.5), Dense(10))
        assert gradients.sample_mixing(sound, None) is None


def test_a_loss_that_broadcasts_its_targets_mixes_rows():
    finding = gradients.sample_mixing(with_recipe(healthy("diabetes"), loss=BroadcastLoss()), None)
    assert "losses" in finding.measured


def test_what_cannot_learn_sixteen_rows_is_named():
    circles = healthy("circles")
    linear = batch.cannot_overfit_batch(with_layers(circles, Dense(1)), None)
    assert linear.figures["error"] > 0.05
    fading = with_recipe(circles, net=mlp(2, [5] * 11, 1, activation="sigmoid"))
    assert batch.cannot_overfit_batch(fading, None).severity == "critical"
    assert batch.input_ignored(fading, None) is None


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_scale_of_data_does_not_spoil_the_memory_test(name):
    problem = healthy(name)
    Y = problem.rows.Y if name == "digits" else 500 + 80 * problem.rows.Y
    assert batch.cannot_overfit_batch(with_rows(problem, X=1000 + 300 * problem.rows.X, Y=Y), None) is None


def test_penalties_dropout_and_rates_do_not_spoil_the_memory_test():
    problem = healthy("digits", dropout=0.8)
    spoiled = replace(with_recipe(problem, penalty=Penalty(l1=1.0, l2=1.0)), config=TrainConfig(100, 1e-9))
    assert batch.cannot_overfit_batch(spoiled, None) is None


def test_a_network_that_hears_nothing_is_named():
    finding = batch.input_ignored(with_layers(healthy("digits"), DeafDense(8), relu, Dense(10)), None)
    assert finding.severity == "critical"
    # The best constant answer for sixteen rows, from their counts.
    X, Y = batch._few_rows(healthy("digits"))
    p = np.bincount(Y)[np.bincount(Y) > 0] / len(Y)
    assert finding.figures["constant_loss"] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-3)
    assert len(np.unique(X, axis=0)) == 16


def test_equal_rows_cannot_be_told_apart():
    problem = healthy("circles")
    with pytest.raises(NotApplicable, match="equal"):
        batch.memorize(with_rows(problem, X=np.ones_like(problem.rows.X)))


@pytest.mark.parametrize(
    ("rate", "symptom"), [(5.0, "learning-rate-too-high"), (1e-3, None), (1e-7, "learning-rate-too-low")]
)
def test_the_range_test_judges_the_rate(rate, symptom):
    finding = batch.learning_rate_range(replace(healthy("digits"), config=TrainConfig(100, rate)), None)
    assert (finding and finding.symptom) == symptom


def test_a_loss_that_moves_at_no_rate_says_nothing_about_rates():
    still = with_recipe(healthy("circles"), net=mlp(2, [8, 8], 1, initializer=Zeros()))
    with pytest.raises(NotApplicable, match="any rate"):
        batch.learning_rate_range(still, None)


def test_checks_leave_out_what_they_cannot_judge():
    problem = healthy("wine")
    X = problem.rows.X.copy()
    X[0, 0] = np.nan
    assert alarms(with_rows(problem, X=X), RULES).keys() <= {"not-a-descent-direction"}
    assert alarms(with_rows(problem, X=1e30 * problem.rows.X), RULES).keys() <= {
        "wrong-initial-loss",
        "learning-rate-too-high",
    }
