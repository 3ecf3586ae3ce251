"""Add what only the whole diagnosis can see.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import dataclass, replace

import numpy as np
from doctor_trials import diagnosed, evidence, finding, plane

from chainrule import Activation, Dense
from chainrule.doctor.diagnosis.collect import collect
from chainrule.nn.layers import BatchNorm
from chainrule.nn.losses import BinaryCrossEntropy


def test_missing_biases_are_suspected_where_no_norm_brings_its_own():
    bare = plane([Dense(16, bias=False), Activation("relu"), Dense(16, bias=False), BatchNorm(), Dense(1, bias=False)])
    found, _ = diagnosed([], {"add-bias": 0.4}, 0.3, bare)
    assert [(f.symptom, f.confirmed, f.fix.remedy) for f in found] == [("underfitting", True, "add-bias")]
    assert "layers 0, 4" in found[0].title
    assert diagnosed([], {"add-bias": 0.1}, 0.3, bare)[0][0].severity == "info"
    assert diagnosed([], {"add-bias": 0.4}, 0.3)[0] == ()


def test_biases_are_not_suspected_if_the_training_failed():
    bare = replace(evidence(failed=True), problem=plane([Dense(16, bias=False), Activation("relu"), Dense(1)]))
    assert collect((), bare) == ()
    assert [found.symptom for found in collect((), replace(bare, failed=False))] == ["underfitting"]


@dataclass(frozen=True)
class OwnLoss(BinaryCrossEntropy):
    """A loss of the user's own."""


def test_a_custom_loss_is_suspected_if_the_training_failed():
    own = replace(evidence(failed=True), problem=plane(loss=OwnLoss()))
    assert [found.symptom for found in collect((), own)] == ["output-loss-mismatch"]
    assert collect((), replace(own, failed=False)) == ()


def test_class_imbalance_is_a_warning_if_rare_classes_are_missed():
    imbalance = finding("class-imbalance", "info")
    known = evidence({})
    known.runner.recalls = lambda: (np.repeat([0.0, 1.0], 50), np.ones(100))
    assert collect((imbalance,), known)[0].severity == "warning"
    known.runner.recalls = lambda: (np.ones(100), np.ones(100))
    assert collect((imbalance,), known)[0].severity == "info"
    assert collect((imbalance,), evidence())[0].severity == "info"
