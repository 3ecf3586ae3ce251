"""Why: symptoms come in crowds; what is wanted is the one cause, borne out by an experiment, and silence on sound networks.

In: suspicions, and a laboratory to try remedies in. Out: findings, the primary one first, with what each explains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from chainrule.doctor.remedies.apply import APPLY
from chainrule.doctor.rules.data.labels import too_few
from chainrule.doctor.rules.finding import make_finding, percent, places
from chainrule.doctor.rules.training.readings import hurting
from chainrule.doctor.trials.joint import together
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import codes as codes_of
from chainrule.doctor.trials.scoring import error_of_mean
from chainrule.doctor.vocabulary.catalogue import (
    ADD_BIAS,
    LONGER,
    MATCHING_LOSS,
    OUTPUT_LOSS_MISMATCH,
    OVERFITTING,
    SCREENING,
    TOO_LITTLE_DATA,
    UNDERFITTING,
    Area,
    Fallback,
    remedy,
)
from chainrule.doctor.vocabulary.records import SEVERITIES, Finding, Fix, Trace, Trial
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.nn.layers import BatchNorm, Dense, LayerNorm
from chainrule.nn.losses import LOSSES
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


def rank(finding: Finding) -> tuple[int, int]:
    """The place in the order of root causes; how a training ended comes last but for what spoils evidence."""
    return finding.entry.order


def merged(suspicions: Iterable[Finding]) -> list[Finding]:
    """One finding for each symptom, the most severe, in the order of root causes."""
    by_symptom: dict[str, Finding] = {}
    for finding in suspicions:
        held = by_symptom.get(finding.symptom)
        if held is None or SEVERITIES.index(finding.severity) > SEVERITIES.index(held.severity):
            by_symptom[finding.symptom] = finding
    return sorted(by_symptom.values(), key=rank)


@dataclass
class TrialBudget:
    """Tries remedies while there is money left."""

    lab: TrialRunner | None
    money: float = USUAL.trial_budget

    def try_all(self, finding: Finding) -> Finding:
        """The finding with the trials of its remedies, and whether one of them helped."""
        names = () if finding.entry.self_evident else (finding.fix.remedy, *finding.entry.remedies)
        trials = [trial for name in dict.fromkeys(names) if name and (trial := self.trial(name, True)) is not None]
        if not trials:
            return finding
        best = max(trials, key=lambda trial: (trial.helped, trial.gain))
        return replace(finding, confirmed=best.helped, trials=_best_first(trials, best))

    def second(self, first: Finding, finding: Finding) -> Finding | None:
        """The finding as a second cause, where its remedy helps on top of the first one's; else None.

        A second peculiarity may show only when the first is out of the way, so those that no trial bore out are asked too.
        """
        known = (
            first.fix.remedy if first.confirmed is None and first.fix.remedy and remedy(first.fix.remedy).safe else ""
        )
        base = next((trial.change for trial in first.trials if trial.helped), known)
        own = [trial for trial in finding.trials if remedy(trial.change).case_specific and trial.change != base]
        if self.lab is None or not base or not own:
            return None
        for trial in own:
            if self.money <= 0:
                return None
            self.money -= self.lab.cost
            if self.lab.adds(base, trial.change):
                severity = "warning" if finding.severity == "info" else finding.severity
                return replace(finding, severity=severity, confirmed=True, trials=_best_first(finding.trials, trial))
        return None

    def trial(self, change: str, suspected: bool = False) -> Trial | None:
        """One trial, if it is affordable or already made."""
        if self.lab is None:
            return None
        if not self.lab.made(change):
            if self.money <= 0:
                return None
            self.money -= self.lab.cost
        return self.lab.trial(change, suspected)


def _best_first(trials: Sequence[Trial], best: Trial) -> tuple[Trial, ...]:
    return (best, *(trial for trial in trials if trial is not best))


def diagnose(
    problem: TrainingProblem, trace: Trace, suspicions: Iterable[Finding], lab: TrialRunner | None
) -> tuple[Finding, ...]:
    """Findings, the primary one first.

    A suspicion that a trial bears out stays; one that it does not is information at most. Without trials the gate alone
    decides: suspicions count where training has not worked. Among confirmed causes whose remedies take away about as
    much, the one earliest in the order of root causes is the primary; it explains the others.
    """
    bench = TrialBudget(lab)
    harmed = _harmed(problem, trace, lab)
    suspicions = [_by_recall(finding, lab) for finding in suspicions]
    known = merged([*([] if harmed else _without_bias(problem)), *suspicions, *_own_loss(problem, harmed)])
    tried = [bench.try_all(f) if f.severity != "info" or f.entry.always_reported else f for f in known]
    judged = [_gated(f, harmed, lab is not None) for f in tried]
    if lab is not None and harmed and not any(f.confirmed for f in judged):
        joint = together(lab, [f for f in tried if f.severity != "info"])
        judged = merged([*(replace(f, severity="critical") for f in joint), *judged])
    confirmed = [f for f in judged if f.confirmed]
    if lab is not None and _poor(lab) and not any(_gain(f) >= USUAL.comparable and _early(f) for f in confirmed):
        judged = merged([*_screened(bench, harmed, judged), *judged])
    if not any(f.severity != "info" and f.entry.explains_failure for f in judged):
        judged = _at_a_loss(judged, harmed)
    if lab is not None and not harmed and all(f.severity == "info" or f.entry.is_evidence for f in judged):
        judged = _hungry(lab, judged)
    return tuple(_ordered(judged, bench))


def _own_loss(problem: TrainingProblem, harmed: bool) -> list[Finding]:
    """A loss of the user's own, where training has not worked, is compared with the library's."""
    if type(problem.recipe.loss) in LOSSES.values() or not harmed:
        return []
    name = type(problem.recipe.loss).__name__
    suspicion = make_finding(
        OUTPUT_LOSS_MISMATCH,
        "warning",
        f"The loss {name} does not go with this output",
        meaning="A loss and the function before it belong together: cross-entropy here takes logits.",
        measured=f"{name} is not one of this library's losses",
        usual="SoftmaxCrossEntropy, BinaryCrossEntropy or MeanSquaredError on bare logits",
        fix=Fix("Use the library's loss for these targets.", remedy=MATCHING_LOSS),
    )
    return [suspicion]


def _without_bias(problem: TrainingProblem) -> list[Finding]:
    """Layers without a bias, where no norm layer brings its own: a harm too small for a network to look underfitted."""
    bare = [
        i
        for i, (layer, after) in enumerate(pairwise([*problem.recipe.net.layers, None]))
        if isinstance(layer, Dense) and not layer.bias and not isinstance(after, BatchNorm | LayerNorm)
    ]
    if not bare:
        return []
    suspicion = make_finding(
        UNDERFITTING,
        "warning",
        f"Layers have no bias ({places(bare)})",
        meaning="Without one every unit turns at zero, and the network can only answer an input of zeros in one way.",
        measured=f"{len(bare)} Dense layers without a bias",
        usual="a bias in each, unless a norm layer follows",
        fix=Fix("Give them one.", code="Dense(32, bias=True)", remedy=ADD_BIAS),
        layer=bare[0],
    )
    return [suspicion]


def _at_a_loss(findings: Sequence[Finding], harmed: bool) -> list[Finding]:
    """No remedy helps. Where training has not worked, what is known of its rows comes forward, else that it underfits.

    Where it has worked on its own rows only, by far, that comes forward: too few rows, or overfitting.
    """
    there: dict[str, Finding] = {f.symptom: f for f in findings}
    if harmed:
        of_rows = [
            f.symptom for f in findings if f.entry.area is Area.DATA and not f.entry.fit_possible and not f.trials
        ]
        forward = [*of_rows, *(f.symptom for f in findings if f.entry.fallback is Fallback.TRAINING_FAILED)][:1]
    else:
        over = there.get(OVERFITTING)
        validation = 0.0 if over is None else over.figures["validation"]
        wide = over is not None and validation > max(USUAL.gap, USUAL.gap_ratio * over.figures["train"])
        closest = [f.symptom for f in findings if f.entry.fallback is Fallback.POOR_GENERALIZATION]
        forward = sorted(closest, reverse=True)[:1] if wide else []
    return [replace(f, severity="warning", confirmed=None) if f.symptom in forward else f for f in findings]


def _hungry(lab: TrialRunner, findings: Sequence[Finding]) -> list[Finding]:
    """Nothing is wrong with the training. Rows are too few where half of them do much worse, so that twice may do better.

    They also are where a network is worth much on its own rows and next to nothing on others.
    """
    n, codes = len(lab.problem.rows), codes_of(lab.problem.rows)
    typical = math.inf if codes is None else float(np.median(np.bincount(codes)[np.bincount(codes) > 0]))
    fallen = _chasm(lab)
    if fallen:
        trained, held, when = fallen
        told = f"{percent(trained)} of a constant's mistakes on the {n} rows it learned from"
        measured = f"{told}, {percent(held)} on others{when}"
        return merged(
            [too_few(n, typical, "warning", measured), *(f for f in findings if f.symptom != TOO_LITTLE_DATA)]
        )
    trial = lab.more_rows()
    if trial is None or not trial.helped:
        return list(findings)
    measured = (
        f"from half of the {n} rows to all, {percent(trial.gain)} of the mistakes on held-out rows go, from three seeds"
    )
    few = replace(too_few(n, typical, "warning", measured), confirmed=True, trials=(trial,))
    return merged([few, *(f for f in findings if f.symptom != TOO_LITTLE_DATA)])


def _chasm(lab: TrialRunner) -> tuple[float, float, str] | None:
    """Mistakes on the rows learned from, and on others, where these are far more; after a longer training, that nobody asked
    for, twice as far.
    """
    judged = [(lab.actual.trained.mistake, lab.not_seen, USUAL.chasm, "")]
    longer = lab.outcome(LONGER) if lab.made(LONGER) else None
    if longer is not None:
        judged.append((longer.trained.mistake, longer.held_out.mistakes, 2.0 * USUAL.chasm, " when trained longer"))
    for trained, mistakes, far, when in judged:
        held = float(mistakes.mean())
        if held - trained >= max(far, 2.0 * error_of_mean(mistakes)):
            return trained, held, when
    return None


def _harmed(problem: TrainingProblem, trace: Trace, lab: TrialRunner | None) -> bool:
    """Whether training has not worked on its own rows: by its loss, and by its mistakes where those can be counted.

    A loss may stay high while every answer is right, as behind a squashed output.
    """
    if lab is None or trace.stopped:
        return hurting(problem, trace)
    mistakes = lab.actual.trained.mistake
    return mistakes > USUAL.hurting or (mistakes > 0.6 * USUAL.hurting and hurting(problem, trace))


def _by_recall(finding: Finding, lab: TrialRunner | None) -> Finding:
    """Class imbalance is a warning where rare classes, taken together, are found much less often than frequent ones."""
    if not finding.entry.judged_by_recall or finding.severity != "info" or lab is None:
        return finding
    rare, frequent = lab.recalls()
    gap = float(frequent.mean() - rare.mean()) if len(rare) and len(frequent) else 0.0
    if gap < USUAL.recall_gap or gap < 2.0 * math.hypot(error_of_mean(rare), error_of_mean(frequent)):
        return finding
    told = f"{percent(rare.mean())} of rare, {percent(frequent.mean())} of frequent classes"
    return replace(finding, severity="warning", measured=f"{finding.measured}; found of rows not seen: {told}")


def _early(finding: Finding) -> bool:
    """Whether it is a cause, and not one of the ways in which a cause shows."""
    return finding.entry.is_cause or _peculiar(finding)


def _poor(lab: TrialRunner) -> bool:
    """Whether there is anything to be gained."""
    return lab.actual.diverged or lab.actual.held_out.mistake > USUAL.good_enough


def _gain(finding: Finding) -> float:
    return max((trial.gain for trial in finding.trials if trial.helped), default=0.0)


def _gated(finding: Finding, harmed: bool, tried: bool) -> Finding:
    """Its severity, by what the trials or the gate say."""
    if not finding.entry.explains_failure:
        return finding
    if finding.confirmed:
        return replace(finding, severity="critical" if harmed else "warning")
    if finding.severity == "info":
        share = finding.figures.get("count", 0.0) / max(finding.figures.get("columns", 1.0), 1.0)
        empty = finding.entry.judged_by_share and share >= USUAL.constant_columns
        return replace(finding, severity="warning") if empty else finding
    if finding.confirmed is False and not finding.entry.always_reported:
        return replace(finding, severity="info")
    if finding.entry.self_evident or finding.entry.always_reported:
        return replace(finding, confirmed=None)
    return finding if harmed and not tried else replace(finding, severity="info")


def _screened(bench: TrialBudget, harmed: bool, known: Sequence[Finding]) -> list[Finding]:
    """Causes that only a trial shows: everything usual is tried once; what helps most gives its name."""
    assert bench.lab is not None
    bench.money = max(bench.money, USUAL.trial_budget / 3)
    borne_out = {trial.change for finding in known if finding.confirmed for trial in finding.trials}
    trials = [trial for entry in SCREENING if (trial := bench.trial(entry.name)) is not None]
    return [_shown(trial, harmed) for trial in trials if trial.helped and trial.change not in borne_out]


def _shown(trial: Trial, harmed: bool) -> Finding:
    """What a trial alone shows, as a finding."""
    finding = make_finding(
        remedy(trial.change).screens_for,
        "critical" if harmed else "warning",
        f"The change {trial.change!r} makes this training much better",
        meaning="No single measurement stands out, but the same training from the same seeds does better with it.",
        measured=f"it takes away {100 * trial.gain:.0f} % of what was wrong on held-out rows, from two seeds",
        usual="nothing usual helps a sound training by that much",
        fix=Fix(f"Make the change {trial.change!r}.", remedy=trial.change),
        gain=trial.gain,
    )
    return replace(finding, confirmed=True, trials=(trial,))


def _ordered(findings: Sequence[Finding], bench: TrialBudget) -> list[Finding]:
    """The primary finding, what it does not explain, and information; each in the order of root causes.

    A second cause is one whose remedy still helps when that of the primary is already made.
    """
    ill = [f for f in findings if f.severity != "info"]
    infos = [f for f in findings if f.severity == "info"]
    causes = [f for f in ill if f.entry.explains_failure]
    if not ill:
        return sorted(infos, key=rank)
    most = max((_gain(f) for f in causes), default=0.0)
    strong = [f for f in causes if f.confirmed is None or _gain(f) >= USUAL.comparable * most]
    primary = min(strong or ill, key=lambda f: (not _peculiar(f), rank(f)))
    if primary.entry.is_evidence:
        return [*sorted(ill, key=rank), *sorted(infos, key=rank)]
    apart = [f for f in ill if f is not primary and f.entry.is_evidence] + _beside(primary, findings, bench)
    kept = {f.symptom for f in apart}
    follows = tuple(f.symptom for f in sorted(ill, key=rank) if f is not primary and f.symptom not in kept)
    infos = [f for f in infos if f.symptom not in kept]
    ruled = tuple(f.symptom for f in infos if f.confirmed is False)
    primary = replace(primary, explains=follows, ruled_out=ruled, fix=_proven(primary, bench.lab))
    return [primary, *sorted(apart, key=rank), *sorted(infos, key=rank)]


def _beside(primary: Finding, findings: Sequence[Finding], bench: TrialBudget) -> list[Finding]:
    """Causes beside the primary: certain ones, those borne out together with it, those whose remedies help on top of its.

    Of findings with one remedy the first stands for the others.
    """
    bench.money = max(bench.money, USUAL.trial_budget / 3)
    others = [f for f in sorted(findings, key=rank) if f is not primary and not f.entry.is_evidence]
    beside = [
        replace(f, fix=_proven(f, bench.lab)) if _joint(f) else f
        for f in others
        if _joint(f) or (f.entry.certain and f.severity != "info" and not primary.entry.certain)
    ]
    told = {f.symptom for f in beside}
    taken = {f.trials[0].change for f in (primary, *beside) if f.trials and f.trials[0].helped}
    for finding in others:
        second = None if finding.symptom in told else bench.second(primary, finding)
        if second is not None and second.trials[0].change not in taken:
            beside.append(second)
            taken.add(second.trials[0].change)
    return beside


def _joint(finding: Finding) -> bool:
    """Whether it was borne out together with others, and so is a cause beside them."""
    return any(trial.joint for trial in finding.trials)


def _peculiar(finding: Finding) -> bool:
    """Whether it needs no trial, or the change that helped takes away something peculiar to the case."""
    if finding.confirmed is None:
        return not finding.entry.is_outcome
    tiny = finding.entry.case_specific
    short = finding.entry.short_run_only and finding.figures.get("steps", math.inf) < USUAL.few_steps
    return tiny or short or any(trial.helped and remedy(trial.change).case_specific for trial in finding.trials)


def _proven(finding: Finding, lab: TrialRunner | None) -> Fix:
    """The fix with the change that helped most; where that is another rate, with this rate."""
    change = next((trial.change for trial in finding.trials if trial.helped), "")
    if lab is None or change not in APPLY:
        return finding.fix
    fix, changed = replace(finding.fix, remedy=change), APPLY[change](lab.problem)
    if changed is None or changed.recipe != lab.problem.recipe or changed.config.epochs != lab.problem.config.epochs:
        return fix
    rate = changed.config.learning_rate
    own = rate != lab.problem.config.learning_rate
    return replace(fix, settings=(Setting("learning_rate_init", rate),)) if own else fix
