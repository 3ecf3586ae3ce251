"""Define what the stages of a diagnosis share: the problem, its trace, the trials, and whether the training failed.

In: a training problem, a trace, a trial runner or none. Out: `Evidence`, with a budget for trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.doctor.observe.readings import training_failed
from chainrule.doctor.trials.reachable import Comparison, compare
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import standard_error
from chainrule.doctor.vocabulary.catalogue import USUAL_RATE, find_remedy
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import SEVERITIES, Finding, RemedyTrial, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.train.problem import TrainingProblem

Findings = tuple[Finding, ...]
"""What a stage takes and returns."""


@dataclass
class TrialBudget:
    """Runs trials while there are seconds left; without a runner there are no trials."""

    runner: TrialRunner | None
    seconds: float = USUAL.trial_budget

    def top_up(self) -> None:
        """Grant the seconds that screening and second causes get in any case."""
        self.seconds = max(self.seconds, USUAL.reserve)

    def trial(self, remedy: str, suspected: bool = False, beyond: bool = False) -> RemedyTrial | None:
        """Return one trial, if it is affordable or was run before."""
        if self.runner is None or not (self.runner.was_tested(remedy) or self.seconds > 0):
            return None
        before = self.runner.spent
        trial = self.runner.trial(remedy, suspected, beyond)
        self._pay(self.runner, before)
        return trial

    def test_remedies(self, finding: Finding) -> Finding:
        """Return the finding with the trials of its remedies, and whether one of them helped."""
        names: tuple[str, ...] = (finding.fix.remedy, *finding.entry.remedies)
        if finding.entry.self_evident:
            names = ()
        elif finding.entry.rate_change:  # in the order of their size, or what is past cannot be told
            names = (*finding.entry.remedies, finding.fix.remedy)
        beyond = "excess" in finding.figures
        trials: list[RemedyTrial] = []
        for name in filter(None, dict.fromkeys(names)):
            past = _is_past(trials) and not (self._still_diverges(trials) or _is_above_bound(finding, trials[-1]))
            lost = beyond and not any(trial.helped and not _is_above_bound(finding, trial) for trial in trials)
            needs_usual = lost if finding.entry.rate_change < 0 else not past or _has_gained(trials)
            if finding.entry.rate_change and not (needs_usual if name == USUAL_RATE else not past):
                continue
            trial = self.trial(name, True, beyond)
            trials += [] if trial is None else [trial]
        if not trials:
            return finding
        best = max(trials, key=lambda trial: (trial.helped, not _is_above_bound(finding, trial), trial.gain))
        return replace(finding, confirmed=best.helped, trials=_best_first(trials, best))

    def second_cause(self, first: Finding, finding: Finding) -> Finding | None:
        """Return the finding as a second cause if its remedy helps on top of the first one's; else None.

        A second peculiarity may show only once the first is corrected, so those that no trial confirmed are tested too.
        Rare classes count only if weights are proven to recognize them.
        """
        safe_fix = first.fix.remedy if first.confirmed is None and find_remedy(first.fix.remedy).safe else ""
        base = next((trial.remedy for trial in first.trials if trial.helped), safe_fix)
        specific = [
            trial for trial in finding.trials if find_remedy(trial.remedy).problem_specific and trial.remedy != base
        ]
        if self.runner is None or not base:
            return None
        if finding.entry.judged_by_recall:
            specific = [trial for trial in specific if self.runner.proves(trial.remedy)]
        for trial in specific:
            if self.seconds <= 0:
                return None
            before = self.runner.spent
            helps = self.runner.helps_on_top(base, trial.remedy)
            self._pay(self.runner, before)
            if helps:
                severity = "warning" if finding.severity == "info" else finding.severity
                return replace(finding, severity=severity, confirmed=True, trials=_best_first(finding.trials, trial))
        return None

    def _still_diverges(self, trials: Sequence[RemedyTrial]) -> bool:
        """Check whether no trial has won anything for a training that diverged: then none can have gone too far."""
        return self.runner is not None and self.runner.actual.diverged and not any(trial.helped for trial in trials)

    def _pay(self, runner: TrialRunner, before: float) -> None:
        """Pay for the trainings after `before` seconds were spent, and for one at least."""
        self.seconds -= max(runner.spent - before, runner.cost)


@dataclass(frozen=True)
class Evidence:
    """What is known of one training besides its findings.

    `failed` says that the network did not learn its own rows although quick models explain more of rows that they have not
    seen, `matches` that it is about as good as they are on rows that none of them has seen.
    """

    problem: TrainingProblem
    trace: Trace
    budget: TrialBudget
    failed: bool
    comparison: Comparison | None = None

    @classmethod
    def of(cls, problem: TrainingProblem, trace: Trace, runner: TrialRunner | None, needed: bool = True) -> Evidence:
        """Return the evidence at the start of a diagnosis, with the full budget.

        The network is compared with quick models if `needed`: in a diagnosis without suspicions nothing depends on it.
        """
        failed = has_failed(problem, trace, runner)
        comparison = None
        if needed and not trace.stopped:
            comparison = compare(problem, trace.final, boosted=False) if runner is None else runner.comparison
        excused = comparison is not None and (comparison.matches or comparison.fits)
        return cls(problem, trace, TrialBudget(runner), failed and not excused, comparison)

    @property
    def matches(self) -> bool:
        """Whether the network is about as good as quick models."""
        return _matches(self.comparison)

    @property
    def beats_constant(self) -> bool:
        """Whether it matches them, and its loss on unseen rows is not clearly above a constant prediction's."""
        if not self.matches or self.runner is None:
            return self.matches
        losses = self.runner.actual.held_out.losses
        return float(losses.mean()) <= 1.0 + standard_error(losses)

    @property
    def fits(self) -> bool:
        """Whether the network fits its own rows about as well as quick models fit rows that they have not seen."""
        return self.comparison is not None and self.comparison.fits

    @property
    def separable(self) -> bool:
        """Whether a quick model tells the rarest class apart."""
        return self.comparison is not None and self.comparison.separable

    def accepts(self, finding: Finding) -> bool:
        """Check whether it is rare classes that quick models do not recognize either, and the network is as good."""
        if not (self.matches and finding.entry.judged_by_recall):
            return False
        return not (self.separable and finding.figures.get("recall", 1.0) < DATA_LIMITS.recall_missed)

    def is_slight(self, trial: RemedyTrial, suspected: bool = True) -> bool:
        """Check whether a network that does well gains little by a remedy from which most networks gain something.

        Unless a rule `suspected` its cause, that may be any remedy. Little is less than a twentieth of a constant's error,
        or a gain without proof: of a tenth where quick models leave some of it, else of a twentieth.
        """
        general = (find_remedy(trial.remedy).helps_any or not suspected) and not trial.joint
        if self.runner is None or not (self.matches and general):
            return False
        if self.runner.saves(trial.remedy) < USUAL.least_gain:
            return True
        return not self.runner.proves(trial.remedy, least=None if self.leaves_some else USUAL.least_gain)

    @property
    def noisy(self) -> bool:
        """Whether it is, and quick models leave much unexplained: then what remains is mostly noise of the data."""
        return self.matches and self.comparison is not None and self.comparison.remaining >= USUAL.noise

    @property
    def exceeds(self) -> bool:
        """Whether the network makes clearly fewer mistakes than quick models."""
        return self.comparison is not None and self.comparison.exceeds

    @property
    def is_useless(self) -> bool:
        """Whether it makes clearly more mistakes on unseen rows than a constant prediction."""
        if self.runner is None:
            return False
        mistakes = self.runner.unseen_mistakes
        return float(mistakes.mean()) > 1.0 + standard_error(mistakes)

    @property
    def leaves_some(self) -> bool:
        """Whether quick models leave so much unexplained that a small gain says little."""
        return self.comparison is not None and self.comparison.remaining >= LIMITS.some_noise

    @property
    def runner(self) -> TrialRunner | None:
        """The trial runner, if there are trials."""
        return self.budget.runner


def _matches(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.matches


def has_failed(problem: TrainingProblem, trace: Trace, runner: TrialRunner | None) -> bool:
    """Check whether the training did not work on its own rows: by its loss, and by its mistakes if they can be counted.

    A loss may stay high while every prediction is right, as behind a squashed output.
    """
    if runner is None or trace.stopped:
        return training_failed(problem, trace)
    mistakes = runner.actual.trained.mistake
    unsure = mistakes > USUAL.surely_failed * USUAL.failed_share
    return mistakes > USUAL.failed_share or (unsure and training_failed(problem, trace))


def merge(findings: Sequence[Finding]) -> Findings:
    """Return one finding for each symptom, the most severe, in the order of root causes."""
    by_symptom: dict[str, Finding] = {}
    for finding in findings:
        held = by_symptom.get(finding.symptom)
        if held is None or SEVERITIES.index(finding.severity) > SEVERITIES.index(held.severity):
            by_symptom[finding.symptom] = finding
    return tuple(sorted(by_symptom.values(), key=rank))


def rank(finding: Finding) -> tuple[int, int]:
    """Return its place in the order of root causes; outcomes and evidence come last."""
    return finding.entry.order


def confirmed_gain(finding: Finding) -> float:
    """Return the largest gain among its trials that helped; 0 without any."""
    return max((trial.gain for trial in finding.trials if trial.helped), default=0.0)


def is_problem_specific(finding: Finding) -> bool:
    """Check whether it needs no trial, or the remedy that helped removes something peculiar to this problem.

    A learning rate above what any network tolerates is peculiar; longer training helps under such a rate by chance.
    """
    if finding.confirmed is None:
        return not finding.entry.is_outcome
    short = finding.entry.short_run_only and finding.figures.get("steps", float("inf")) < USUAL.few_steps
    removes = any(trial.helped and find_remedy(trial.remedy).problem_specific for trial in finding.trials)
    return finding.entry.problem_specific or short or removes or "excess" in finding.figures


def is_clear(finding: Finding) -> bool:
    """Check whether its own figures suffice where no trial was made."""
    return finding.entry.clear_untested and finding.confirmed is None and bool(finding.figures.get("clear"))


def _is_past(trials: Sequence[RemedyTrial]) -> bool:
    """Check whether the last learning rate went too far: it did clearly worse than the best before it, or than this one."""
    if not trials:
        return False
    best = max((trial.gain for trial in trials[:-1]), default=0.0)
    return not trials[-1].helped and trials[-1].gain < max(best, 0.0) - LIMITS.rate_past


def _is_above_bound(finding: Finding, trial: RemedyTrial) -> bool:
    """Check whether the rate of a trial is still one that no network of usual scale tolerates: what it did is chance."""
    divisor = trial.remedy.partition("/")[2]
    return bool(divisor) and float(divisor) <= finding.figures.get("excess", 0.0)


def _has_gained(trials: Sequence[RemedyTrial]) -> bool:
    """Check whether a rate before the last did better than this one: then the usual rate may lie between the two."""
    return max((trial.gain for trial in trials[:-1]), default=0.0) > LIMITS.rate_past


def _best_first(trials: Sequence[RemedyTrial], best: RemedyTrial) -> tuple[RemedyTrial, ...]:
    return (best, *(trial for trial in trials if trial is not best))
