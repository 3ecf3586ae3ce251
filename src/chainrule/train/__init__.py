"""Training: the loop over epochs, the monitors that watch it, checkpoints, and the learning-rate range test.

In: a `TrainingProblem`. Out: epoch records while it runs, a `Run` at the end.
"""

from chainrule.train.loop import fit, train
from chainrule.train.monitors import BestWeights, Decision, EarlyStopping, Monitor, Progress
from chainrule.train.problem import TrainConfig, TrainingProblem
from chainrule.train.range_test import RangeTest, find_learning_rate, range_test
from chainrule.train.records import Epoch, Run, Stop, StopReason

__all__ = [
    "BestWeights",
    "Decision",
    "EarlyStopping",
    "Epoch",
    "Monitor",
    "Progress",
    "RangeTest",
    "Run",
    "Stop",
    "StopReason",
    "TrainConfig",
    "TrainingProblem",
    "find_learning_rate",
    "fit",
    "range_test",
    "train",
]
