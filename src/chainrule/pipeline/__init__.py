"""From settings and data to a training problem: the one way that estimators, command line and search take.

In: `Settings`, rows X and targets y as the user has them. Out: a `TrainingProblem`, its monitors, figures of its model.
"""

from chainrule.pipeline.evaluation import confusion_matrix, evaluate
from chainrule.pipeline.problem import build_problem, scaler
from chainrule.pipeline.settings import OPTIMIZERS, REGRESSION_LOSSES, SCHEDULES, Settings
from chainrule.pipeline.stopping import as_kept, stopping_monitors, with_kept_length
from chainrule.pipeline.targets import class_weights, classification, regression, row_weights, target_tables

__all__ = [
    "OPTIMIZERS",
    "REGRESSION_LOSSES",
    "SCHEDULES",
    "Settings",
    "as_kept",
    "build_problem",
    "class_weights",
    "classification",
    "confusion_matrix",
    "evaluate",
    "regression",
    "row_weights",
    "scaler",
    "stopping_monitors",
    "target_tables",
    "with_kept_length",
]
