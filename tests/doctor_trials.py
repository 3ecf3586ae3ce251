"""Small problems with one known fault, findings, and a trial runner whose trials end as a test wants.

In: nothing. Out: problems and stubs for the tests of trials and of the stages of a diagnosis.
"""

import numpy as np

from chainrule import Activation, Dense, Net
from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.evidence import Evidence
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import RowScores
from chainrule.doctor.vocabulary.records import Finding, Fix, RemedyTrial
from chainrule.engines import Rows
from chainrule.nn.layers import Dropout
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError
from chainrule.nn.optimizers import SGD, Adam, SGDMomentum
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.step import Recipe
from chainrule.train import TrainConfig
from chainrule.train.problem import TrainingProblem


def plane(layers=None, n=300, loss=None, task="xor", config=None, seed=0, **settings):
    """Four quadrants of a square, two classes, as simple as a task can be that no linear network does."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n + 200, 2))
    y = (X[:, 0] * X[:, 1] > 0) * 1.0 if task == "xor" else X.sum(axis=1)
    loss = loss or (BinaryCrossEntropy() if task == "xor" else MeanSquaredError())
    net = Net(2, layers or [Dense(16), Activation("relu"), Dense(1)])
    recipe = Recipe(net, loss, settings.pop("optimizer", Adam()), batch_size=settings.pop("batch_size", 16), **settings)
    rows, validation = Rows.of(recipe, X[:n], y[:n]), Rows.of(recipe, X[n:], y[n:])
    return TrainingProblem(recipe, rows, config or TrainConfig(40, 0.01), validation)


def runner_of(problem):
    return TrialRunner(problem, record_training(problem))


ILL = {
    "rate*100": plane(config=TrainConfig(40, 1e-5)),
    "rate/100": plane(optimizer=SGD(), config=TrainConfig(40, 100.0)),
    "usual-settings": plane(optimizer=Adam(epsilon=30.0)),
    "no-clip": plane(optimizer=SGDMomentum(), clip=ClipNorm(1e-4)),
    "no-penalty": plane(penalty=Penalty(l2=1.0)),
    "unfreeze": plane(
        [Dense(2), Activation("relu"), Dense(16), Activation("relu"), Dense(1)],
        learning_rate_multipliers={"*": 0.0, "4.b": 1.0},
    ),
    "he-init": plane([Dense(16, initializer="zeros"), Activation("relu"), Dense(1, initializer="zeros")]),
    "add-nonlinearity": plane([Dense(16), Dense(1)]),
    "longer": plane(config=TrainConfig(2, 0.01)),
    "no-dropout": plane([Dense(16), Activation("relu"), Dropout(0.9), Dense(1)]),
    "larger-network": plane([Dense(2), Activation("relu"), Dense(1)]),
    "smaller-batch": plane(batch_size=300),
}


def finding(symptom, severity="warning", remedy="", **fields):
    return Finding(symptom, severity, symptom, "", "", "", fix=Fix("", remedy=remedy), **fields)


class StubRunner(TrialRunner):
    """A trial runner whose trials end with given gains."""

    rows = longer = comparison = None
    proven: frozenset[str] = frozenset()
    only_loss: frozenset[str] = frozenset()
    saved = 0.1

    def __init__(self, gains, mistake=0.8):
        self.gains, self.tested, self.cost, self.problem = gains, [], 0.0, PROBLEM
        verdict = RowScores(np.full(100, mistake), np.full(100, mistake))
        self._actual = Outcome(verdict, verdict, (), 1)

    @property
    def actual(self):
        return self._actual

    def outcome(self, remedy="", seed_offset=0, epochs=None):
        return {"": self._actual, "longer": self.longer}[remedy]

    def more_rows(self):
        return self.rows

    def helps_on_top(self, first, second):
        return (first, second) in self.gains

    def was_tested(self, remedy):
        return remedy in self.tested

    def proves(self, remedy, by_loss=True, least=None):
        return remedy in self.proven and (by_loss or remedy not in self.only_loss)

    def saves(self, remedy):
        return self.saved

    def trial(self, remedy, suspected=False, beyond=False):
        self.tested.append(remedy)
        gain = self.gains.get(remedy)
        return None if gain is None else RemedyTrial(remedy, 10, (1.0,), (1.0 - gain,), gain > 0.15, gain)


PROBLEM = plane(config=TrainConfig(30, 0.02))
TRACE = record_training(PROBLEM)


def diagnosed(suspicions, gains, mistake=0.8, problem=PROBLEM):
    """The findings of a whole diagnosis whose trials end with these gains, and the runner."""
    runner = StubRunner(gains, mistake)
    return diagnose(problem, TRACE, suspicions, runner), runner


def evidence(gains=None, mistake=0.8, failed=None):
    """The evidence of a training with so many mistakes; without gains there are no trials."""
    runner = None if gains is None else StubRunner(gains, mistake)
    found = Evidence.of(PROBLEM, TRACE, runner)
    return found if failed is None else Evidence(found.problem, found.trace, found.budget, failed)
