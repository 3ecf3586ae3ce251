"""Why: a repair that is not proven is a second fault; what is kept must be better from several seeds, and all is on record.

In: ill and healthy cases with reports. Out: repaired cases and the record of tries.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import ILL, plane

from chainrule import Activation, Dense
from chainrule.doctor.examine import examine_problem
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.proposals import contradictions, needs_repair, proposals
from chainrule.doctor.trials.repair import PairedComparison, decide, repair
from chainrule.doctor.trials.scoring import RowScores
from chainrule.doctor.vocabulary.records import OTHERS, Finding, Fix, RemedyTrial, Report
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.penalties import Penalty
from chainrule.train import TrainConfig


def report(problem, *findings):
    return Report("ill", findings, problem)


def ill(symptom, *remedies, safe=False, severity="warning"):
    trials = tuple(RemedyTrial(remedy, 10, (1.0,), (0.5,), True, 0.5) for remedy in remedies)
    return Finding(symptom, severity, "", "", "", "", fix=Fix("", remedy=remedies[0], safe=safe), trials=trials)


@pytest.mark.parametrize("name", ["no-penalty", "rate*100", "smaller-batch"])
def test_an_ill_training_is_mended(name):
    problem = ILL[name]
    repaired = repair(problem, examine_problem(problem))
    assert repaired.kept
    error = PairedComparison().error
    assert error(repaired.problem, 7, repaired.problem.config.epochs) < error(problem, 7, problem.config.epochs) - 0.05
    assert all(len(each.before) == len(each.after) and len(each.before) in (1, 3, 6) for each in repaired.attempts)
    assert any("kept" in line and "error" in line for line in repaired.log)


def test_a_remedy_that_does_not_help_is_undone():
    problem = plane(config=TrainConfig(60, 0.01))
    repaired = repair(problem, report(problem, ill("dropout-too-high", "rate/100")))
    assert repaired.problem is problem
    assert repaired.kept == ()
    assert (repaired.attempts[0].remedy, repaired.attempts[0].kept) == ("rate/100", False)


def test_remedies_are_stacked_only_where_each_proves_itself():
    problem = plane(penalty=Penalty(l2=1.0), config=TrainConfig(3, 1e-3))
    repaired = repair(problem, report(problem, ill("over-regularized", "no-penalty"), ill("undertrained", "longer")))
    assert repaired.problem.config.epochs > 3 or "longer" not in repaired.kept
    assert (repaired.problem.recipe.penalty == Penalty()) == ("no-penalty" in repaired.kept)


def test_a_symptom_that_was_cured_is_done_with():
    problem = plane(penalty=Penalty(l2=1.0), config=TrainConfig(30, 1e-2))
    cause = replace(ill("over-regularized", "no-penalty", "penalty/10"), explains=("undertrained",))
    repaired = repair(problem, report(problem, cause))
    assert [each.remedy for each in repaired.attempts] == ["no-penalty"]


def test_the_case_keeps_its_rows():
    problem = replace(ILL["no-penalty"], validation=None)
    repaired = repair(problem, report(problem, ill("over-regularized", "no-penalty")))
    assert repaired.kept == ("no-penalty",)
    assert repaired.problem.rows is problem.rows
    assert repaired.problem.validation is None


def test_remedies_that_help_together_alone_are_tried_together():
    problem = plane(config=TrainConfig(40, 1e-6), penalty=Penalty(l2=1.0))
    both = [
        replace(finding, trials=(replace(finding.trials[0], before=OTHERS), *finding.trials[1:]))
        for finding in (ill("over-regularized", "no-penalty"), ill("learning-rate-too-low", "usual-rate"))
    ]
    repaired = repair(problem, report(problem, *both))
    assert repaired.attempts[0].remedy == "no-penalty + usual-rate"
    assert repaired.kept[:2] == ("no-penalty", "usual-rate")
    assert repaired.problem.recipe.penalty == Penalty()
    assert repaired.problem.config.learning_rate >= 1e-3


def test_proposals_come_in_order_of_proof():
    safe, proven, other = ill("doubled-activation", "one-activation", safe=True), ill("undertrained", "longer"), None
    other = replace(ill("overfitting", "shorter"), trials=())
    names = [remedy for _, remedy, _ in proposals(report(plane(), other, proven, safe))]
    assert names[:3] == ["one-activation", "longer", "one-activation"]
    assert names.index("longer") < names.index("shorter")


def deep(width):
    layers = [layer for _ in range(6) for layer in (Dense(width), Activation("relu"))]
    base = plane(config=TrainConfig(30, 3e-3))
    return replace(base, recipe=replace(base.recipe, net=Net(2, [*layers, Dense(base.recipe.net.outputs)])))


@pytest.mark.parametrize(("width", "first"), [(4, "fewer-layers + larger-network"), (64, "batch-norm")])
def test_what_narrow_layers_need_together_comes_first(width, first):
    found = replace(ill("dead-units", "batch-norm"), explains=("vanishing-gradient",))
    assert next(remedy for _, remedy, _ in proposals(report(deep(width), found))) == first


def test_a_network_of_another_depth_may_have_the_epochs_that_were_planned():
    problem = deep(4)
    short = replace(problem, config=TrainConfig(1, 1e-4))
    found = replace(ill("dead-units", "batch-norm"), trials=())
    stopped = record_training(short)
    assert not repair(short, replace(report(short, found), trace=stopped), most=1).kept
    repaired = repair(short, replace(report(short, found), trace=replace(stopped, planned=60)), most=1)
    assert repaired.kept == ("fewer-layers", "larger-network")
    assert repaired.problem.config.epochs == 60


def test_what_contradicts_the_targets_is_put_right_where_a_network_does_well_nevertheless():
    found = replace(ill("wrong-loss", "matching-loss", severity="info"), trials=())
    problem = plane()
    healthy = replace(report(problem, found), verdict="healthy")
    assert contradictions(healthy) == [found]
    assert needs_repair(healthy)
    assert list(proposals(healthy)) == [("wrong-loss", "matching-loss", True)]
    other = replace(ill("undertrained", "longer", severity="info"), trials=())
    well = replace(report(problem, other), verdict="healthy")
    assert list(proposals(well)) == []
    assert not needs_repair(well)
    assert needs_repair(report(problem, ill("undertrained", "longer")))


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ([0.3, 0.3, 0.3], [0.1, 0.1, 0.1], True),
        ([0.3, 0.3, 0.3], [0.295, 0.295, 0.295], False),
        ([0.3, 0.1, 0.5], [0.1, 0.3, 0.3], False),
        ([0.1, 0.1, 0.1], [0.3, 0.3, 0.3], False),
        ([5.0, 0.73, 0.74], [0.68, 0.7, 0.69], True),
        ([5.0, 0.73, 0.74], [0.68, 0.725, 0.69], False),
    ],
)
def test_more_than_a_point_and_more_than_chance(before, after, kept):
    assert decide(before, after, safe=False)[0] == kept


def test_a_safe_fix_is_kept_unless_it_harms():
    assert decide([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], safe=True)[0]
    assert not decide([0.1, 0.1, 0.1], [0.2, 0.2, 0.2], safe=True)[0]


@pytest.fixture
def scripted(monkeypatch):
    """Errors by case and seed, as told, and losses; these are as large as the errors unless they are told."""

    def script(errors, losses=None):
        def error(self, problem, seed_offset, epochs, weighted=False):
            share = errors[problem][seed_offset]
            loss = (losses or errors)[problem][seed_offset]
            scores = RowScores(np.full(9, loss), np.full(9, share))
            self.outcomes[problem, seed_offset, epochs] = Outcome(scores, scores, (), 1)
            return share

        monkeypatch.setattr(PairedComparison, "error", error)

    return script


@pytest.mark.parametrize(("errors", "kept"), [([0.2, 0.21, 0.2], True), ([0.24, 0.25, 0.24], False)])
def test_a_lower_loss_is_worth_a_remedy_where_no_more_rows_are_wrong(scripted, errors, kept):
    old, new = plane(), plane()
    scripted({old: [0.2] * 3, new: errors}, {old: [0.6] * 3, new: [0.5, 0.51, 0.5]})
    assert PairedComparison().attempt(old, new, "batch-too-large", "smaller-batch").kept is kept
    assert not PairedComparison().attempt(old, new, "wrong-loss", "matching-loss").kept  # losses of other units


def test_three_more_seeds_decide_where_the_gain_is_large_and_the_seeds_disagree(scripted):
    old, new = plane(), plane()
    scripted({old: [0.5] * 6, new: [0.1, 0.5, 0.1, 0.1, 0.1, 0.1]})
    tried = PairedComparison().attempt(old, new, "vanishing-gradient", "relu")
    assert tried.kept
    assert len(tried.after) == 6
    scripted({old: [0.5] * 6, new: [0.1, 0.5, 0.1, 0.5, 0.5, 0.7]})
    assert not PairedComparison().attempt(old, new, "vanishing-gradient", "relu").kept


def test_a_pair_too_costly_is_shortened_alike(monkeypatch):
    old, new = plane(config=TrainConfig(40, 0.01)), plane(config=TrainConfig(120, 0.01))
    proof = PairedComparison()
    assert [proof.epochs(old, new, problem) for problem in (old, new)] == [40, 120]
    monkeypatch.setattr(sys.modules[PairedComparison.__module__], "epoch_seconds", lambda problem: 0.5)
    assert [proof.epochs(old, new, problem) for problem in (old, new)] == [7, 20]


def test_class_weights_are_judged_by_classes():
    rare = plane(n=400, task="sum")
    y = (rare.rows.X[:, :1] + rare.rows.X[:, 1:] > 1.0) * 1.0
    held = (rare.validation.X.sum(axis=1, keepdims=True) > 1.0) * 1.0
    recipe = replace(rare.recipe, loss=BinaryCrossEntropy())
    problem = replace(
        rare,
        recipe=recipe,
        rows=replace(rare.rows, Y=y.astype("float32")),
        config=TrainConfig(4, 0.003),
        validation=replace(rare.validation, Y=held.astype("float32")),
    )
    proof = PairedComparison()
    assert proof.error(problem, 0, 4) < 0.2
    assert proof.error(problem, 0, 4, weighted=True) > 0.5


def test_what_puts_a_network_right_need_not_prove_itself():
    broken = ill("linear-collapse", "add-nonlinearity")
    assert all(safe for _, remedy, safe in proposals(report(plane(), broken)) if remedy == "add-nonlinearity")
    assert not any(safe for *_, safe in proposals(report(plane(), ill("undertrained", "longer"))))
