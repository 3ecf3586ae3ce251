"""Why: from a table to a trained model there is one way, which the estimators and the command line both take.

In: rows X, targets y as the user has them, `Settings`. Out: a `Model` and the `Run` that made it.
"""

from chainrule.pipeline.evaluation import confusion_matrix, evaluate
from chainrule.pipeline.settings import OPTIMIZERS, REGRESSION_LOSSES, SCHEDULES, Settings
from chainrule.pipeline.targets import (
    Target,
    class_weights,
    classification,
    regression,
    row_weights,
    target_of,
    target_tables,
)
from chainrule.pipeline.training import (
    Job,
    JobCallback,
    found_rate,
    prepare,
    run,
    run_kept,
    same_question,
    scaler,
    seeded,
    stopping,
    train_model,
)

__all__ = [
    "OPTIMIZERS",
    "REGRESSION_LOSSES",
    "SCHEDULES",
    "Job",
    "JobCallback",
    "Settings",
    "Target",
    "class_weights",
    "classification",
    "confusion_matrix",
    "evaluate",
    "found_rate",
    "prepare",
    "regression",
    "row_weights",
    "run",
    "run_kept",
    "same_question",
    "scaler",
    "seeded",
    "stopping",
    "target_of",
    "target_tables",
    "train_model",
]
