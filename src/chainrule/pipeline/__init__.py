"""From settings and data to a training problem: the one way that estimators, command line and search take.

In: `Settings`, rows X and targets y as the user has them. Out: a `TrainingProblem`, its monitors, figures of its model.
"""

from chainrule.pipeline.evaluation import (
    ClassScores,
    OneClass,
    PrecisionRecallCurve,
    ReliabilityCurve,
    RocCurve,
    ValueScores,
    class_scores,
    confusion_matrix,
    evaluate,
    labels_at,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
    value_scores,
)
from chainrule.pipeline.problem import build_problem, scaler
from chainrule.pipeline.settings import OPTIMIZERS, REGRESSION_LOSSES, SCHEDULES, Settings
from chainrule.pipeline.stopping import as_kept, stopped_run, stopping_monitors
from chainrule.pipeline.targets import class_weights, classification, regression, row_weights, target_tables
from chainrule.pipeline.unused import Situation, unused

__all__ = [
    "OPTIMIZERS",
    "REGRESSION_LOSSES",
    "SCHEDULES",
    "ClassScores",
    "OneClass",
    "PrecisionRecallCurve",
    "ReliabilityCurve",
    "RocCurve",
    "Settings",
    "Situation",
    "ValueScores",
    "as_kept",
    "build_problem",
    "class_scores",
    "class_weights",
    "classification",
    "confusion_matrix",
    "evaluate",
    "labels_at",
    "precision_recall_curve",
    "regression",
    "reliability_curve",
    "roc_curve",
    "row_weights",
    "scaler",
    "stopped_run",
    "stopping_monitors",
    "target_tables",
    "unused",
    "value_scores",
]
