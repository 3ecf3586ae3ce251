"""Scores of predictions on rows with known targets: numbers, curves, a confusion matrix.

In: a `Model` with rows and targets, or targets and predictions alone. Out: scores by name, frozen records. Metrics that
scikit-learn has are computed by scikit-learn, which is imported with the first score.
"""

from chainrule.pipeline.evaluation.curves import (
    PrecisionRecallCurve,
    ReliabilityCurve,
    RocCurve,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from chainrule.pipeline.evaluation.evaluate import confusion_matrix, evaluate, labels_at
from chainrule.pipeline.evaluation.scores import ClassScores, OneClass, ValueScores, class_scores, value_scores

__all__ = [
    "ClassScores",
    "OneClass",
    "PrecisionRecallCurve",
    "ReliabilityCurve",
    "RocCurve",
    "ValueScores",
    "class_scores",
    "confusion_matrix",
    "evaluate",
    "labels_at",
    "precision_recall_curve",
    "reliability_curve",
    "roc_curve",
    "value_scores",
]
