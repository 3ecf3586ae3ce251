"""The results of a training as one HTML file that opens anywhere: no network, no program, text and pictures inside.

In: the doctor's reports, epochs, models with rows. Out: the text of HTML pages.
"""

from chainrule.report.page.html import Section, page
from chainrule.report.page.run import PageContent, doctor_page, judge_model, run_page
from chainrule.report.page.table_page import table_page

__all__ = ["PageContent", "Section", "doctor_page", "judge_model", "page", "run_page", "table_page"]
