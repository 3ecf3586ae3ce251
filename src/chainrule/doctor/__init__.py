"""Diagnose trainings: record one, suspect what may be wrong with it, test remedies in trials, and report the cause.

The rooms read from the bottom: `vocabulary` (records, the catalogue of symptoms and remedies, thresholds), `observe`
(probes and recordings), `remedies` (changes of a problem), `trials` (paired experiments), `rules` (suspicions), `diagnosis`
(from suspicions to the cause), then `examine` (the one call), `monitoring` and `monitor` (beside a training).

In: a recipe with rows, or arguments like those of `fit`. Out: a `Report` with findings, each with evidence and a fix.
"""

from chainrule.doctor.examine import examine, examine_and_repair, examine_problem
from chainrule.doctor.monitor import DoctorMonitor, report
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.records import Finding, Fix, Report
from chainrule.train.problem import TrainingProblem

__all__ = [
    "DoctorMonitor",
    "Finding",
    "Fix",
    "Report",
    "TrainingProblem",
    "examine",
    "examine_and_repair",
    "examine_problem",
    "repair",
    "report",
]
