"""Why: each rule on a training must speak on the trace that shows its symptom and be silent on the one that does not.

In: hand-made traces and tiny runs, one healthy and one ill for every rule. Out: findings, or none.
"""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from doctor_traces import BAD, problem, reading, stuck, trace

from chainrule import Activation, Dense, mlp
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.rules import training
from chainrule.doctor.rules.training import convergence, flow, norms, steps
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.doctor.vocabulary.records import NotApplicable, Reading
from chainrule.engines import Rows
from chainrule.nn.layers import BatchNorm, Dropout
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import Cosine, Exponential, ReduceOnPlateau
from chainrule.nn.step import Recipe
from chainrule.train import TrainConfig
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import diverged


def test_every_rule_is_silent_on_a_healthy_trace():
    given = problem()
    healthy = trace(given, norms=[1.0] * 20)
    for rule in training.RULES:
        try:
            assert rule.check(given, healthy) is None, rule.symptom
        except NotApplicable:
            assert rule.symptom == "train-eval-gap"


def test_every_rule_has_a_name_of_the_vocabulary():
    names = [rule.symptom for rule in training.RULES]
    assert set(names) <= set(SYMPTOMS)
    assert [SYMPTOMS[name].rank for name in names] == sorted(SYMPTOMS[name].rank for name in names)


@pytest.mark.parametrize("rule", training.RULES, ids=lambda rule: rule.symptom)
def test_a_rule_without_a_trace_says_that_it_cannot_look(rule):
    if rule.symptom == "no-validation":
        assert rule.check(problem(), None) is None
    else:
        with pytest.raises(NotApplicable, match="monitored"):
            rule.check(problem(), None)


def test_frozen_layer():
    given = problem()
    still = {"update_ratio": 0.0}
    found = steps.unchanged_weights(given, stuck(given, _0=still))
    assert (found.layer, found.symptom) == (0, "frozen-layer")
    assert steps.unchanged_weights(given, stuck(given, _0=still, _2=still, _4=still)) is None  # nothing moves: the rate
    sometimes = [reading(given, 0, 0.6, _0=still), reading(given, 5, 0.5), reading(given, 20, 0.3, _0=still)]
    assert steps.unchanged_weights(given, trace(given, readings=sometimes)) is None


def test_nan_loss_names_layer_and_step():
    given = problem()
    broken = Reading(3, 23, math.nan, math.nan, (), nonfinite="output of layer 2 (Dense)")
    found = steps.nan_loss(
        given, trace(given, [0.7, 0.9, math.nan], [reading(given, 0, 0.7), broken], stopped=diverged(2))
    )
    assert (found.layer, found.figures["step"], found.severity) == (2, 24.0, "critical")


@pytest.mark.parametrize(
    "ill",
    [
        {"_2": {"update_ratio": 0.2}},
        {"_0": {"update_ratio": 0.08}, "_2": {"update_ratio": 0.08}},
    ],
)
def test_rate_too_high_by_the_size_of_steps(ill):
    given = problem()
    assert steps.large_steps(given, stuck(given, **ill)).symptom == "learning-rate-too-high"


def test_rate_too_high_by_a_loss_that_rises():
    given = problem()
    losses = [0.6, 0.3, 0.2, *np.linspace(0.2, 0.6, 17)]
    assert "rose" in steps.large_steps(given, trace(given, losses)).measured


def test_a_loss_that_swings_a_little_is_no_high_rate():
    given = problem()
    losses = [0.3 + 0.003 * (-1) ** i for i in range(20)]
    assert steps.large_steps(given, trace(given, losses)) is None


def test_rate_too_low():
    given = problem()
    slow = {"update_ratio": 1e-7}
    found = steps.small_steps(given, stuck(given, _0=slow, _2=slow, _4=slow))
    assert found.figures["update_ratio"] == pytest.approx(1e-7)
    done = [reading(given, e, 0.01, _0=slow, _2=slow, _4=slow) for e in (0, 1, 20)]
    assert steps.small_steps(given, trace(given, list(np.geomspace(0.5, 0.01, 20)), done)) is None


def test_oscillating_loss():
    given = problem()
    assert steps.oscillating_loss(given, trace(given, [0.4 + 0.1 * (-1) ** i for i in range(20)])) is not None
    assert steps.oscillating_loss(given, trace(given, [0.4 + 0.001 * (-1) ** i for i in range(20)])) is None
    with pytest.raises(NotApplicable, match="eight epochs"):
        steps.oscillating_loss(given, trace(given, [0.5, 0.4], [reading(given, 0, 0.5)]))


@pytest.mark.parametrize(("limit", "fires"), [(0.1, True), (100.0, False)])
def test_clipping_too_tight(limit, fires):
    given = problem(clip=ClipNorm(limit))
    assert (steps.many_clipped_steps(given, trace(given, norms=np.linspace(1, 3, 20))) is not None) == fires


@pytest.mark.parametrize(("size", "rule"), [(1, "batch-too-small"), (200, "batch-too-large"), (32, None)])
def test_batch_size(size, rule):
    given = problem(batch_size=size, n=640 if size == 32 else 200)
    seen = trace(given)
    found = [f.symptom for f in (steps.batch_too_small(given, seen), steps.batch_too_large(given, seen)) if f]
    assert found == ([rule] if rule else [])


def test_over_regularized():
    given = problem(penalty=Penalty(l2=0.1))
    assert steps.over_regularized(given, stuck(given)) is not None
    assert steps.over_regularized(given, trace(given)) is None
    assert steps.over_regularized(problem(), stuck(problem())) is None


@pytest.mark.parametrize(
    ("schedule", "fires"), [(Exponential(k=3.0), True), (Cosine(), False), (Exponential(k=0.05), False)]
)
def test_schedule_too_early(schedule, fires):
    given = problem(schedule=schedule)
    assert (steps.decayed_rate(given, trace(given)) is not None) == fires


def test_a_plateau_schedule_is_judged_by_the_rates_it_took():
    given = problem(schedule=ReduceOnPlateau())
    fast = [0.01 * 0.5 ** min(3 * i, 40) for i in range(20)]
    assert steps.decayed_rate(given, trace(given, BAD, rate=fast)) is not None
    assert steps.decayed_rate(given, trace(given)) is None


def test_vanishing_gradient_only_where_training_has_not_worked():
    given = problem()
    faint = {"gradient_rms": 1e-6}
    assert flow.vanishing_gradient(given, stuck(given, _1=faint)).figures["ratio"] == pytest.approx(1e-6)
    done = trace(given, readings=[reading(given, e, 0.05, _1=faint) for e in (0, 1, 20)])
    assert flow.vanishing_gradient(given, done) is None
    assert flow.vanishing_gradient(given, stuck(given)) is None


def test_exploding_gradient():
    given = problem()
    assert flow.exploding_gradient(given, stuck(given, _1={"gradient_rms": 500.0})) is not None
    assert flow.exploding_gradient(given, stuck(given)) is None
    spikes = [1.0] * 20 + [50.0] * 3
    assert flow.exploding_gradient(given, replace(stuck(given), step_norms=np.array(spikes))).figures["spikes"] == 3


def test_dead_units_are_those_that_are_silent_throughout_the_window():
    given = problem()
    dead, other = np.array([True, True, True, False]), np.array([False, False, False, True])
    found = flow.dead_units(given, stuck(given, _1={"silent": dead}))
    assert (found.severity, found.figures["share"], found.layer) == ("critical", 0.75, 1)
    taking_turns = [reading(given, e, 0.69, _1={"silent": dead if e % 2 else other}) for e in (0, 1, 2, 3)]
    assert flow.dead_units(given, trace(given, BAD, taking_turns)) is None
    healthy = trace(given, readings=[reading(given, e, 0.05, _1={"silent": dead}) for e in (0, 1, 2, 3)])
    assert flow.dead_units(given, healthy).severity == "info"


def test_saturated_units():
    given = problem([Dense(4), Activation("tanh"), Dense(2)])
    assert flow.saturated_units(given, stuck(given, _1={"saturation": np.full(4, 0.01)})) is not None
    assert flow.saturated_units(given, stuck(given, _1={"saturation": np.array([0.01, 0.5, 0.5, 0.5])})) is None


def test_activation_drift():
    given = problem()
    assert flow.activation_drift(given, stuck(given, _3={"drift": 40.0})).layer == 3
    assert flow.activation_drift(given, stuck(given, _3={"drift": 4.0})) is None


def test_update_ratio_between_layers():
    given = problem()
    assert flow.update_ratio(given, stuck(given, _0={"update_ratio": 1e-7})).layer == 0
    assert flow.update_ratio(given, stuck(given)) is None


def test_batch_norm_statistics():
    given = problem([Dense(4), BatchNorm(), Activation("relu"), Dense(2)])
    apart = trace(given, readings=[reading(given, e, 2.0, training_loss=0.1) for e in (0, 20)])
    assert norms.batch_norm_statistics(given, apart).severity == "critical"
    assert norms.batch_norm_statistics(given, trace(given)) is None
    assert norms.batch_norm_statistics(problem(), trace(problem(), readings=apart.readings)) is None


class Restless(Dropout):
    """Drops in inference too."""

    def forward(self, p, buffers, A, ctx):
        mask = (np.arange(A.size).reshape(A.shape) % 3) > 0
        return A * mask, {"M": mask}, buffers


def test_train_eval_gap():
    given = problem([Dense(4), Activation("relu"), Restless(0.1), Dense(2)])
    seen = trace(given)
    assert norms.train_eval_gap(given, seen).symptom == "train-eval-gap"
    sound = problem([Dense(4), Activation("relu"), Dropout(0.1), Dense(2)])
    assert norms.train_eval_gap(sound, trace(sound)) is None


def test_not_decreasing():
    given = problem()
    assert convergence.not_decreasing(given, stuck(given)).severity == "critical"
    assert convergence.not_decreasing(given, trace(given)) is None


def test_undertrained():
    given = problem()
    assert convergence.undertrained(given, trace(given, list(np.linspace(0.69, 0.3, 60)))).figures["fall"] > 0.02
    assert convergence.undertrained(given, trace(given, [0.6, 0.5], [reading(given, 2, 0.5)])).figures["steps"] == 20
    assert convergence.undertrained(given, trace(given)) is None


def test_underfitting():
    given = problem()
    assert convergence.underfitting(given, stuck(given)).severity == "warning"
    assert convergence.underfitting(given, trace(given)) is None


def test_loss_metric_disagreement():
    given = problem()
    slow = list(np.linspace(0.69, 0.5, 20))
    against = trace(given, slow, scores=list(np.linspace(0.7, 0.5, 20)))
    assert convergence.loss_metric_disagreement(given, against).figures["correlation"] < 0
    assert convergence.loss_metric_disagreement(given, trace(given, slow)) is None


def fitted(n, held, noise, hidden=64):
    """A network trained long on few rows of a noisy task; held-out rows are clean of its noise."""
    rng = np.random.default_rng(1)
    recipe = Recipe(mlp(5, [hidden], 1), MeanSquaredError(), batch_size=16, dtype="float64")
    X = rng.normal(size=(n + held, 5))
    y = X[:, 0] + noise * rng.normal(size=n + held)
    rows, validation = Rows.of(recipe, X[:n], y[:n]), Rows.of(recipe, X[n:], y[n:])
    given = TrainingProblem(recipe, rows, TrainConfig(200 if noise else 40, 0.01), validation, "auto")
    return given, record_training(given)


def test_overfitting():
    given, seen = fitted(40, 200, noise=1.0)
    assert convergence.overfitting(given, seen).figures["validation"] > 0.5
    given, seen = fitted(300, 200, noise=0.0)
    assert convergence.overfitting(given, seen) is None
    with pytest.raises(NotApplicable, match="validation"):
        convergence.overfitting(replace(given, validation=None), seen)


def test_suspicious_validation():
    given, seen = fitted(300, 200, noise=0.5, hidden=4)
    assert convergence.suspicious_validation(given, seen) is None
    easy = replace(given.validation, Y=seen_by(given, seen))
    assert convergence.suspicious_validation(replace(given, validation=easy), seen) is not None
    few = Rows(easy.X[:12], easy.Y[:12], easy.c[:12])
    assert convergence.suspicious_validation(replace(given, validation=few), seen) is None


def seen_by(given, trace):
    net, state = given.recipe.net, trace.final
    return net(state, given.validation.X)


def test_no_validation():
    assert convergence.no_validation(problem(validation=False), None).symptom == "no-validation"
    assert convergence.no_validation(problem(), None) is None


def test_figures_of_a_diverged_run_can_be_read():
    given = problem()
    losses = [0.69, 1e12, 1e150]
    seen = trace(given, losses, [reading(given, e, losses[max(e - 1, 0)]) for e in (0, 1, 3)])
    for rule in training.RULES:
        try:
            finding = rule.check(given, seen)
        except NotApplicable:
            continue
        if finding is not None:
            assert len(str(finding)) < 700, finding
            assert not re.search(r"-\d+ %|nan %|inf", str(finding)), finding
    short = convergence.undertrained(given, seen)
    assert short.title == "Training was short: 30 steps"
    assert "raised the training loss by over 1000 %" in short.measured
