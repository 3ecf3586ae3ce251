"""Why: a repair that is not proven is a second fault; what is kept must be better from several seeds, and all is on record.

In: ill and healthy cases with reports. Out: mended cases and the record of tries.
"""

from dataclasses import replace

import pytest
from test_doctor_trials import ILL, plane

from chainrule.doctor.examine import examine_case
from chainrule.doctor.records import Finding, Fix, Report, Trial
from chainrule.doctor.repair import error, judged, proposals, repair
from chainrule.nn.penalties import Penalty
from chainrule.train import Course


def report(case, *findings):
    return Report("ill", findings, case)


def ill(symptom, *changes, safe=False, severity="warning"):
    trials = tuple(Trial(change, 10, (1.0,), (0.5,), True, 0.5) for change in changes)
    return Finding(symptom, severity, "", "", "", "", fix=Fix("", change=changes[0], safe=safe), trials=trials)


@pytest.mark.parametrize("name", ["no-penalty", "rate*100", "smaller-batch"])
def test_an_ill_training_is_mended(name):
    case = ILL[name]
    mended = repair(case, examine_case(case))
    assert mended.kept
    assert error(mended.case, 7) < error(case, 7) - 0.05
    assert all(len(each.before) == len(each.after) == 3 for each in mended.tries)
    assert any("kept" in line and "error" in line for line in mended.log)


def test_a_remedy_that_does_not_help_is_undone():
    case = plane(course=Course(60, 0.01))
    mended = repair(case, report(case, ill("dropout-too-high", "rate/100")))
    assert mended.case is case
    assert mended.kept == ()
    assert (mended.tries[0].change, mended.tries[0].kept) == ("rate/100", False)


def test_remedies_are_stacked_only_where_each_proves_itself():
    case = plane(penalty=Penalty(l2=1.0), course=Course(3, 1e-3))
    mended = repair(case, report(case, ill("over-regularised", "no-penalty"), ill("undertrained", "longer")))
    assert mended.case.course.epochs > 3 or "longer" not in mended.kept
    assert (mended.case.recipe.penalty == Penalty()) == ("no-penalty" in mended.kept)


def test_the_case_keeps_its_rows():
    case = replace(ILL["no-penalty"], validation=None)
    mended = repair(case, report(case, ill("over-regularised", "no-penalty")))
    assert mended.kept == ("no-penalty",)
    assert mended.case.rows is case.rows
    assert mended.case.validation is None


def test_proposals_come_in_order_of_proof():
    safe, proven, other = ill("doubled-activation", "one-activation", safe=True), ill("undertrained", "longer"), None
    other = replace(ill("overfitting", "shorter"), trials=())
    names = [change for _, change, _ in proposals(report(plane(), other, proven, safe))]
    assert names[:3] == ["one-activation", "longer", "one-activation"]
    assert names.index("longer") < names.index("shorter")


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ([0.3, 0.3, 0.3], [0.1, 0.1, 0.1], True),
        ([0.3, 0.3, 0.3], [0.295, 0.295, 0.295], False),
        ([0.3, 0.1, 0.5], [0.1, 0.3, 0.3], False),
        ([0.1, 0.1, 0.1], [0.3, 0.3, 0.3], False),
    ],
)
def test_more_than_a_point_and_more_than_chance(before, after, kept):
    assert judged(before, after, safe=False)[0] == kept


def test_a_safe_fix_is_kept_unless_it_harms():
    assert judged([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], safe=True)[0]
    assert not judged([0.1, 0.1, 0.1], [0.2, 0.2, 0.2], safe=True)[0]
