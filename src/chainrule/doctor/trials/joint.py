"""Why: two causes at once hide one another: neither remedy alone helps, but both together do.

In: suspicions that no trial bore out, and a laboratory. Out: those whose remedies the training needs, each proven by what it
comes to with all the others' remedies but not its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainrule.doctor.remedies.apply import APPLY, JOINED, effective_remedies
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.catalogue import USUAL_RATE, remedy
from chainrule.doctor.vocabulary.records import OTHERS, Finding, Trial
from chainrule.doctor.vocabulary.thresholds import USUAL


def together(lab: TrialRunner, suspicions: Sequence[Finding]) -> list[Finding]:
    """Suspicions as confirmed findings, where all remedies together help, from two seeds, and not without theirs.

    One remedy of each suspicion takes part, the first that takes away something peculiar; the optimizer's usual rate stands
    for a rate that is too high or too low. As many take part as the budget for trials allows.
    """
    taken = _remedies(lab, suspicions)
    most = int(USUAL.trial_budget / (2.0 * max(lab.cost, 1e-3))) - 1
    names = effective_remedies(lab.problem, list(taken)[: max(0, most)])
    whole = JOINED.join(names)
    new = lab.outcome(whole) if len(names) > 1 else None
    if new is None or not all(lab.improves("", whole, again) for again in (0, 1)):
        return []
    proven = []
    for name in names:
        rest = JOINED.join(other for other in names if other != name)
        old = lab.outcome(rest)
        if old is not None and all(lab.improves(rest, whole, again) for again in (0, 1)):
            gain = 1.0 - new.held_out.mistake / max(old.held_out.mistake, 1e-12)
            trial = Trial(name, new.steps, old.curve, new.curve, True, gain, old.steps, OTHERS)
            proven.append(replace(taken[name], confirmed=True, trials=(trial, *taken[name].trials)))
    return proven if len(proven) > 1 else []


def _remedies(lab: TrialRunner, suspicions: Sequence[Finding]) -> dict[str, Finding]:
    """The remedy of each suspicion that has one, and whose it is: of several the first, by root cause."""
    usual = APPLY[USUAL_RATE](lab.problem)
    higher = usual is not None and usual.config.learning_rate > lab.problem.config.learning_rate
    direction = 1 if higher else -1
    taken: dict[str, Finding] = {}
    for finding in suspicions:
        names = (finding.fix.remedy, *finding.entry.remedies)
        name = next((name for name in names if name and _may_join(name)), "")
        if finding.entry.rate_change:
            name = USUAL_RATE if finding.entry.rate_change == direction else ""
        if name:
            taken.setdefault(name, finding)
    return taken


def _may_join(name: str) -> bool:
    return remedy(name).case_specific or remedy(name).joins_others
