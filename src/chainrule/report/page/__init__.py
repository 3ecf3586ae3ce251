"""Why: what a training came to is kept as one file that opens anywhere: no network, no program, letters and pictures inside.

In: the doctor's reports, epochs, models with rows. Out: the text of HTML pages.
"""

from chainrule.report.page.html import Section, page
from chainrule.report.page.run import Shown, doctor_page, judge_model, run_page

__all__ = ["Section", "Shown", "doctor_page", "judge_model", "page", "run_page"]
