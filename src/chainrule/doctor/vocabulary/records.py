"""Why: what the doctor looks at, what it measured and what it says are values that anyone can read, print or compare.

In: a recipe with its rows; readings of a training. Out: frozen records: `TrainingProblem`, `Trace`, `Finding`, `Report`.
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

SEVERITIES = ("info", "warning", "critical")
"""What is worth knowing; what costs something; what ruins the training."""


class NotApplicable(ChainruleError):
    """A rule cannot judge this case; its text says why."""


@dataclass(frozen=True, eq=False)
class LayerReading:
    """One layer at one moment, over the probed rows.

    `mean`, `rms` and `peak` (largest size) are of its output. `silent` (k) marks units whose output is exactly zero for
    every row, `saturation` (k) is a unit's mean slope over the function's largest slope (1 free, 0 saturated); both None
    where the layer has no such thing. `gradient_rms` is that of dL/dA behind this layer, times the number of rows.
    `weight_norm` ‖w‖, `gradient_norm` ‖dw‖ and `update_ratio` ‖Δw‖ / ‖w‖ per step are those of layers with parameters.
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

    `epoch` is the number of epochs done, `step` of steps. `loss` in inference mode, `training_loss` in training mode on
    the same rows. `penalty_ratio` is ‖gradient of the penalty‖ / ‖gradient of the data's loss‖. `nonfinite` names the
    first tensor that is not finite, in the order of the forward and then of the backward pass.
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
    """A training as the doctor saw it.

    `step_losses` and `step_norms` are those of single steps at the start, followed by some at the end. `snapshots` are
    states by step. `baseline` is the loss of the best constant prediction on the training rows. `stopped` says why it
    ended before its time in numbers that are not finite. `probe_seconds` of its `seconds` went into looking. `planned` is
    the number of epochs that it had; 0 where nothing but such numbers could end it sooner.
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

    @property
    def diverged(self) -> bool:
        """Whether it ended in numbers that are not finite."""
        return self.stopped is not None and self.stopped.reason is StopReason.DIVERGED


OTHERS = "with the other changes alone"
"""What a training is called where several changes are needed, and all but one are made."""


@dataclass(frozen=True)
class Trial:
    """The same training with one thing changed: losses on the same held-out rows, in inference, without and with it.

    `gain` is the share of the loss that the change takes away: 0 nothing, 1 all; below 0 it harms. `steps` are those with
    the change, `steps_before` those without it (0 for as many), `before` what the latter is called.
    """

    change: str
    steps: int
    unchanged: tuple[float, ...]
    changed: tuple[float, ...]
    helped: bool
    gain: float
    steps_before: int = 0
    before: str = "as it was"

    @property
    def joint(self) -> bool:
        """Whether other changes were made as well, with it and without it."""
        return self.before == OTHERS

    @property
    def name(self) -> str:
        """The change in words: "no-penalty", or "no-penalty beside the other changes"."""
        return f"{self.change} beside the other changes" if self.joint else self.change


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
        """Return what to type: the settings as this interface calls them, else the code where it is Python.

        >>> fix = Fix("Standardize the inputs.", (Setting("scaling", "columns"),), "X = Standardizer.fit(X).apply(X)")
        >>> fix.line("command line"), fix.line("fit")
        ('--scaling columns', 'X = Standardizer.fit(X).apply(X)')
        """
        return render(self.settings, interface) or ("" if interface == COMMAND_LINE else self.code)


@dataclass(frozen=True)
class Finding(HtmlDisplay):
    """One thing the doctor found.

    `meaning` says in a sentence why it matters, `measured` what was seen, `usual` what is common. `seen` are the epochs it
    was seen in. `confirmed` says whether a trial bore it out; None where nothing was tried. `ruled_out` are causes that
    trials spoke against, `explains` the symptoms that follow from this one.
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
    trials: tuple[Trial, ...] = ()
    ruled_out: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()

    @property
    def entry(self) -> Symptom:
        """What the catalogue says about its symptom."""
        return SYMPTOMS[self.symptom]

    def __str__(self) -> str:
        return self.describe()

    def describe(self, interface: str = FIT) -> str:
        """Return the finding in words, with the fix as one interface spells it."""
        sign = {True: ", confirmed by a trial", False: ", not confirmed", None: ""}[self.confirmed]
        advice = "  ".join(filter(None, (self.fix.text, self.fix.line(interface))))
        remedy = f"\n  fix: {advice}" if advice else ""
        follows = f"\n  explains: {', '.join(self.explains)}" if self.explains else ""
        return (
            f"{self.severity}: {self.title} [{self.symptom}{sign}]\n  {self.meaning}\n"
            f"  measured: {self.measured} (usual: {self.usual}){remedy}{follows}"
        )


@dataclass(frozen=True)
class Rule:
    """A pure function of a case and what was seen of it, and what it needs to look at: "recipe", "rows" or "trace"."""

    symptom: str
    call: Callable[[TrainingProblem, Trace | None], Finding | None]
    needs: str = "trace"


@dataclass(frozen=True, eq=False)
class Report(HtmlDisplay):
    """What the doctor says of a case: "healthy" or "ill", and its findings, the primary one first.

    A case is ill when a finding is a warning or critical. `skipped` names rules that could not look, with the reason;
    `suppressed` symptoms that were asked not to be told, with the reason given; `notes` what was done for the examination.
    `overhead` is the share of the training's time that looking took. `interface` names who asked, one of
    `chainrule.pipeline.option_names.INTERFACES`; fixes are printed in those words. `watched_only` says that no remedies
    were tested and the data were not checked.
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

    @property
    def primary(self) -> Finding | None:
        """The first finding, where the case is ill."""
        return self.findings[0] if self.findings and self.verdict == "ill" else None

    @property
    def healthy(self) -> bool:
        """Whether nothing costs the training anything."""
        return self.verdict == "healthy"

    def plain(self) -> dict[str, Any]:
        """The report as plain data for JSON: no NaN, no arrays, no rows."""
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
        told = [finding.describe(self.interface) for finding in self.findings]
        told += [f"skipped {reason}" for reason in self.skipped]
        told += [f"suppressed: {symptom} ({reason})" for symptom, reason in self.suppressed.items()]
        return "\n".join([self.verdict, *told, *(f"note: {note}" for note in self.notes)])


def plain(value: Any) -> Any:
    """Dictionaries, lists, strings and finite numbers from records; numbers that are not finite become None.

    >>> plain(Trial("clip", 2, (1.0, math.inf), (0.5, 0.25), True, 0.5))["unchanged"]
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
