"""Why: a network that does not learn says nothing; the doctor trains it, looks, tries remedies, and says what it is.

In: a recipe with rows, or arguments like `fit`'s. Out: a `Report` with findings, each with evidence and a fix.
"""

from chainrule.doctor.examine import examine, examine_and_repair, examine_case
from chainrule.doctor.monitor import Watch, Watcher, case_of, watched
from chainrule.doctor.records import Case, Finding, Fix, Report
from chainrule.doctor.repair import repair

__all__ = [
    "Case",
    "Finding",
    "Fix",
    "Report",
    "Watch",
    "Watcher",
    "case_of",
    "examine",
    "examine_and_repair",
    "examine_case",
    "repair",
    "watched",
]
