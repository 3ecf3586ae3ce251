"""Why: the loop over epochs, what watches it, and what tries learning rates.

In: a recipe, rows, a course. Out: epoch records while it runs, a `Run` at the end.
"""

from chainrule.train.loop import Epoch, Run, fit, train
from chainrule.train.monitors import BestWeights, Decision, EarlyStopping, Monitor, Progress
from chainrule.train.problem import TrainConfig
from chainrule.train.range_test import RangeTest, range_test

__all__ = [
    "BestWeights",
    "Decision",
    "EarlyStopping",
    "Epoch",
    "Monitor",
    "Progress",
    "RangeTest",
    "Run",
    "TrainConfig",
    "fit",
    "range_test",
    "train",
]
