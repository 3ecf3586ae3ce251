"""Why: every claim of the lecture is an experiment that anyone can run, with an answer that may be no.

In: a study's name and a setting. Out: records, a conclusion made from them, pictures, a page.
"""

from collections.abc import Mapping

from chainrule.studies import dropout
from chainrule.studies.runner import run
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study

STUDIES: Mapping[str, Study] = {module.STUDY.name: module.STUDY for module in (dropout,)}
"""Every study by name, in the order of the lecture."""

__all__ = ["STUDIES", "Cell", "Conclusion", "Results", "Setting", "Study", "run"]
