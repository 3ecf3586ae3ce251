"""Define the records of the doctor: what it measured and what it says, as values to read, print or compare.

In: readings of a training, findings. Out: frozen records: `Trace`, `RemedyTrial`, `Finding`, `Rule`, `Report`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.display import HtmlDisplay
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS, Symptom
from chainrule.errors import ChainruleError
from chainrule.nn.step import State
from chainrule.pipeline.option_names import COMMAND_LINE, FIT, Setting, render
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Stop, StopReason

VERDICTS = ("healthy", "ill")
"""What a report says in one word."""

SEVERITIES = ("info", "warning", "critical")
"""Worth knowing; makes the training worse; ruins it."""


class NotApplicable(ChainruleError):
    """A rule cannot judge this problem; the text says why."""


@dataclass(frozen=True, eq=False)
class LayerReading:
    """One layer at one moment, over the probed rows.

    `mean`, `rms` and `peak` (largest magnitude) are of its output. `silent` (k) marks units whose output is exactly zero for
    every row; `saturation` (k) is a unit's mean slope over the function's largest slope (1 free, 0 saturated); both are None
    if the layer has no such thing. `gradient_rms` is that of dL/dA behind this layer, times the number of rows.
    `weight_norm` ‖w‖, `gradient_norm` ‖dw‖ and `update_ratio` ‖Δw‖ / ‖w‖ per step exist for layers with parameters.
    `drift` is `rms` over that of the first reading.
    """

    layer: int
    kind: str
    mean: float
    rms: float
    peak: float
    silent: Array | None = None
    saturation: Array | None = None
    gradient_rms: float = 0.0
    weight_norm: float | None = None
    gradient_norm: float | None = None
    update_ratio: float | None = None
    drift: float | None = None


@dataclass(frozen=True, eq=False)
class Reading:
    """The network at one moment, over the probed rows.

    `epoch` and `step` are the numbers done. `loss` is in inference mode, `training_loss` in training mode on the same rows.
    `penalty_ratio` is ‖gradient of the penalty‖ / ‖gradient of the data's loss‖. `nonfinite` names the first tensor that is
    not finite, in the order of the forward and then of the backward pass.
    """

    epoch: int
    step: int
    loss: float
    training_loss: float
    layers: tuple[LayerReading, ...]
    penalty_ratio: float = 0.0
    nonfinite: str = ""


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded training.

    `step_losses` and `step_norms` are those of single steps at the start, followed by some at the end. `snapshots` are
    states by step. `baseline` is the loss of the best constant prediction on the training rows. `stopped` says why the
    training ended early with numbers that are not finite. `probe_seconds` of its `seconds` went into probes. `planned` is
    the number of epochs that it should have had; 0 if only such numbers could end it early. `kept` is the epoch of `final`;
    0 if that is the last one.
    """

    epochs: tuple[Epoch, ...]
    readings: tuple[Reading, ...]
    step_losses: Array
    step_norms: Array
    snapshots: Mapping[int, State]
    baseline: float
    final: State
    stopped: Stop | None = None
    seconds: float = 0.0
    probe_seconds: float = 0.0
    planned: int = 0
    kept: int = 0

    def __repr__(self) -> str:
        return f"Trace({len(self.epochs)} epochs, {len(self.readings)} readings)"

    @property
    def kept_epochs(self) -> tuple[Epoch, ...]:
        """The epochs up to the one whose weights were kept."""
        return tuple(epoch for epoch in self.epochs if not self.kept or epoch.number <= self.kept)

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping ended it before the last epoch that was asked for."""
        return self.planned > len(self.epochs) and self.stopped is None

    @property
    def diverged(self) -> bool:
        """Whether it ended in numbers that are not finite."""
        return self.stopped is not None and self.stopped.reason is StopReason.DIVERGED


OTHERS = "with the other remedies alone"
"""The training in which all remedies but one are applied."""


@dataclass(frozen=True)
class RemedyTrial:
    """The same training with one remedy: losses on the same held-out rows, in inference, without and with it.

    `gain` is the share of the loss or the mistakes above the noise that the remedy removes: 0 nothing; below 0 it harms.
    `removed` is the share of all of it, noise included; None where that is the gain. `steps` are those with the remedy,
    `steps_before` those without it (0 if there are as many), `before` describes the latter. `trade` says which score of the
    held-out rows is worse with the remedy while another is better.
    """

    remedy: str
    steps: int
    unchanged: tuple[float, ...]
    changed: tuple[float, ...]
    helped: bool
    gain: float
    steps_before: int = 0
    before: str = "as it was"
    trade: str = ""
    removed: float | None = None

    @property
    def share(self) -> float:
        """Share of the loss or the mistakes that is gone: at most 1, below 0 where there are more."""
        return self.gain if self.removed is None else self.removed

    @property
    def joint(self) -> bool:
        """Whether other remedies were applied as well, with it and without it."""
        return self.before == OTHERS

    @property
    def name(self) -> str:
        """The remedy in words: "no-penalty", or "no-penalty beside the other remedies"."""
        return f"{self.remedy} beside the other remedies" if self.joint else self.remedy


@dataclass(frozen=True)
class Fix:
    """What to do about a finding.

    Parameters
    ----------
    text : str
        The advice in words, which must make sense alone.
    settings : tuple of Setting, default=()
        The settings to change, and their new values.
    code : str, default=""
        A line of Python, for advice that is not a setting, such as dropping a column.
    remedy : str, default=""
        The name of the remedy whose trial tells whether this helps.
    safe : bool, default=False
        Whether the fix cannot do harm.
    """

    text: str
    settings: tuple[Setting, ...] = ()
    code: str = ""
    remedy: str = ""
    safe: bool = False

    def line(self, interface: str = FIT) -> str:
        """Return what to type: the settings as this interface calls them, else the code if it is Python.

        Parameters
        ----------
        interface : str, default="fit"
            One of `chainrule.pipeline.option_names.INTERFACES`.

        Returns
        -------
        str
            Options or arguments; "" if there is nothing to type.

        Examples
        --------
        >>> fix = Fix("Standardize the inputs.", (Setting("scaling", "columns"),), "X = Standardizer.fit(X).apply(X)")
        >>> fix.line("command line"), fix.line("fit")
        ('--scaling columns', 'X = Standardizer.fit(X).apply(X)')
        """
        return render(self.settings, interface) or ("" if interface == COMMAND_LINE else self.code)


@dataclass(frozen=True)
class Finding(HtmlDisplay):
    """One thing that the doctor found.

    Parameters
    ----------
    symptom : str
        Its name in the catalogue.
    severity : str
        "info", "warning" or "critical".
    title : str
        The finding in a line.
    meaning : str
        One sentence on why it matters.
    measured : str
        What was measured.
    usual : str
        What is common instead.
    figures : mapping of str to float, default={}
        The numbers behind it.
    layer : int, default=None
        Index of the layer, if it concerns one.
    fix : Fix, default=Fix("")
        What to do.
    seen : tuple of int, default=()
        The epochs it was seen in.
    confirmed : bool, default=None
        Whether a trial confirmed it; None without a trial.
    trials : tuple of RemedyTrial, default=()
        The trials of its remedies, the best first.
    ruled_out : tuple of str, default=()
        Symptoms that trials contradicted.
    explains : tuple of str, default=()
        Symptoms that follow from this one.
    """

    symptom: str
    severity: str
    title: str
    meaning: str
    measured: str
    usual: str
    figures: Mapping[str, float] = field(default_factory=dict)
    layer: int | None = None
    fix: Fix = Fix("")
    seen: tuple[int, ...] = ()
    confirmed: bool | None = None
    trials: tuple[RemedyTrial, ...] = ()
    ruled_out: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()

    @property
    def entry(self) -> Symptom:
        """What the catalogue says about its symptom."""
        return SYMPTOMS[self.symptom]

    def __str__(self) -> str:
        return self.describe()

    def describe(self, interface: str = FIT) -> str:
        """Return the finding in words, with the fix as one interface spells it.

        Parameters
        ----------
        interface : str, default="fit"
            One of `chainrule.pipeline.option_names.INTERFACES`.

        Returns
        -------
        str
            Several lines: title, meaning, measurement, fix and what it explains.
        """
        sign = {True: ", confirmed by a trial", False: ", not confirmed", None: ""}[self.confirmed]
        advice = "  ".join(filter(None, (self.fix.text, self.fix.line(interface))))
        fix = f"\n  fix: {advice}" if advice else ""
        follows = f"\n  explains: {', '.join(self.explains)}" if self.explains else ""
        return (
            f"{self.severity}: {self.title} [{self.symptom}{sign}]\n  {self.meaning}\n"
            f"  measured: {self.measured} (usual: {self.usual}){fix}{follows}"
        )


@dataclass(frozen=True)
class Rule:
    """A pure function of a problem and its trace, and what it needs: "recipe", "rows" or "trace"."""

    symptom: str
    check: Callable[[TrainingProblem, Trace | None], Finding | None]
    needs: str = "trace"


@dataclass(frozen=True, eq=False)
class Report(HtmlDisplay):
    """What the doctor says about a training.

    Parameters
    ----------
    verdict : str
        "ill" if a finding is a warning or critical, else "healthy".
    findings : tuple of Finding
        The findings, the primary one first.
    problem : TrainingProblem
        What was examined.
    trace : Trace, default=None
        The recorded training.
    skipped : tuple of str, default=()
        Rules that do not apply, with the reasons.
    suppressed : mapping of str to str, default={}
        Symptoms that the user left out of the verdict, with the reasons.
    notes : tuple of str, default=()
        What was done for the examination.
    seconds : float, default=0.0
        Seconds that the examination took.
    overhead : float, default=0.0
        Time of the probes as a share of the training's time.
    interface : str, default="fit"
        How the user called the doctor, one of `chainrule.pipeline.option_names.INTERFACES`; fixes are printed in its words.
    watched_only : bool, default=False
        Whether no remedies were tested and the data were not checked.
    """

    verdict: str
    findings: tuple[Finding, ...]
    problem: TrainingProblem
    trace: Trace | None = None
    skipped: tuple[str, ...] = ()
    suppressed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    overhead: float = 0.0
    interface: str = FIT
    watched_only: bool = False

    def __repr__(self) -> str:
        return f"Report({self.verdict}: {', '.join(finding.symptom for finding in self.findings) or 'no findings'})"

    @property
    def primary(self) -> Finding | None:
        """The first finding, if the training is ill."""
        return self.findings[0] if self.findings and self.verdict == "ill" else None

    @property
    def healthy(self) -> bool:
        """Whether nothing makes the training worse."""
        return self.verdict == "healthy"

    def plain(self) -> dict[str, Any]:
        """Return the report as plain data for JSON: no NaN, no arrays, no rows.

        Returns
        -------
        dict
            Verdict, findings, skipped rules, suppressed symptoms, notes, seconds and overhead; see
            `chainrule.doctor.vocabulary.schema.report_schema`.
        """
        return {
            "verdict": self.verdict,
            "findings": [self._plain(finding) for finding in self.findings],
            "skipped": list(self.skipped),
            "suppressed": dict(self.suppressed),
            "notes": list(self.notes),
            "seconds": plain(self.seconds),
            "overhead": plain(self.overhead),
        }

    def _plain(self, finding: Finding) -> dict[str, Any]:
        """Return a finding as plain data, its fix with the line that the caller can type."""
        data: dict[str, Any] = plain(finding)
        return {**data, "fix": {**data["fix"], "line": finding.fix.line(self.interface)}}

    def __str__(self) -> str:
        lines = [finding.describe(self.interface) for finding in self.findings]
        lines += [f"skipped {reason}" for reason in self.skipped]
        lines += [f"suppressed: {symptom} ({reason})" for symptom, reason in self.suppressed.items()]
        return "\n".join([self.verdict, *lines, *(f"note: {note}" for note in self.notes)])


def plain(value: Any) -> Any:
    """Return dictionaries, lists, strings and finite numbers from records; numbers that are not finite become None.

    >>> plain(RemedyTrial("clip", 2, (1.0, math.inf), (0.5, 0.25), True, 0.5))["unchanged"]
    [1.0, None]
    """
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return {"evidence": named.pop("figures"), **named} if isinstance(value, Finding) else named
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
