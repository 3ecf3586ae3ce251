"""Why: a network that does not learn says nothing; the doctor trains it, looks, tries remedies, and says what it is.

In: a recipe with rows, or arguments like `fit`'s. Out: a `Report` with findings, each with evidence and a fix.
"""

from chainrule.doctor.examine import examine, examine_and_repair, examine_case
from chainrule.doctor.monitor import DoctorCallback, DoctorMonitor, problem_of, watched
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.records import Finding, Fix, Report
from chainrule.train.problem import TrainingProblem

__all__ = [
    "DoctorCallback",
    "DoctorMonitor",
    "Finding",
    "Fix",
    "Report",
    "TrainingProblem",
    "examine",
    "examine_and_repair",
    "examine_case",
    "problem_of",
    "repair",
    "watched",
]
