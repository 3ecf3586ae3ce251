"""Test several remedies together: two causes at once hide each other, so that neither remedy helps alone.

In: suspicions that no trial confirmed, and a trial runner. Out: those whose remedies the training needs, each confirmed by
leaving its remedy out while all others stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainrule.doctor.remedies.apply import APPLY, JOINED, effective_remedies
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.catalogue import USUAL_RATE, find_remedy
from chainrule.doctor.vocabulary.records import OTHERS, Finding, RemedyTrial
from chainrule.doctor.vocabulary.thresholds import USUAL


def joint_trials(runner: TrialRunner, suspicions: Sequence[Finding]) -> list[Finding]:
    """Return the suspicions that are confirmed because all remedies together help, from two seeds, and not without theirs.

    One remedy of each suspicion takes part, the first that removes something peculiar; the optimizer's usual rate stands
    for a rate that is too high or too low. As many take part as the budget for trials allows.
    """
    owners = _joint_remedies(runner, suspicions)
    most = int(USUAL.trial_budget / (2.0 * max(runner.cost, 1e-3))) - 1
    names = effective_remedies(runner.problem, list(owners)[: max(0, most)])
    everything = JOINED.join(names)
    new = runner.outcome(everything) if len(names) > 1 else None
    if new is None or not _improves(runner, "", everything):
        return []
    confirmed = []
    for name in names:
        rest = JOINED.join(other for other in names if other != name)
        old = runner.outcome(rest)
        if old is not None and _improves(runner, rest, everything):
            gain = 1.0 - new.held_out.mistake / max(old.held_out.mistake, 1e-12)
            trial = RemedyTrial(name, new.steps, old.curve, new.curve, True, gain, old.steps, OTHERS)
            confirmed.append(replace(owners[name], confirmed=True, trials=(trial, *owners[name].trials)))
    return confirmed if len(confirmed) > 1 else []


def _improves(runner: TrialRunner, old: str, new: str) -> bool:
    return all(runner.improves(old, new, seed_offset) for seed_offset in (0, 1))


def _joint_remedies(runner: TrialRunner, suspicions: Sequence[Finding]) -> dict[str, Finding]:
    """Return the remedy of each suspicion that has one, with the finding it belongs to: of several the first."""
    usual = APPLY[USUAL_RATE](runner.problem)
    higher = usual is not None and usual.config.learning_rate > runner.problem.config.learning_rate
    direction = 1 if higher else -1
    owners: dict[str, Finding] = {}
    for finding in suspicions:
        names = (finding.fix.remedy, *finding.entry.remedies)
        name = next((name for name in names if name and _may_join(name)), "")
        if finding.entry.rate_change:
            name = USUAL_RATE if finding.entry.rate_change == direction else ""
        if name:
            owners.setdefault(name, finding)
    return owners


def _may_join(name: str) -> bool:
    return find_remedy(name).problem_specific or find_remedy(name).joins_others
