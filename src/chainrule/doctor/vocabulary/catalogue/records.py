"""Define the two kinds of catalogue entries: a symptom that a rule can report and a remedy that a trial can test.

In: nothing. Out: `Symptom`, `Remedy`, and the enumerations that describe them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(Enum):
    """The part that a symptom plays in a diagnosis; the value orders findings."""

    CAUSE = "something to correct; it may explain everything below it"
    MECHANISM = "the way in which a cause shows itself inside or after the training"
    OUTCOME = "how the training ended; every confirmed cause comes first"
    EVIDENCE = "a fault of the evaluation: it explains no other finding and no other explains it"


class Area(Enum):
    """What a symptom is about."""

    DATA = "Data"
    NETWORK = "Network and loss"
    CODE = "Custom layers and losses"
    SETTINGS = "Training settings"
    LAYERS = "Inside the layers"
    RESULT = "Result and evaluation"


class Fallback(Enum):
    """When a symptom becomes the answer although no remedy helped."""

    NEVER = "never"
    TRAINING_FAILED = "the network did not learn its training rows"
    POOR_GENERALIZATION = "the network learned its training rows only"


class Cost(Enum):
    """Whether monitoring can afford the rule."""

    CHEAP = "checked after every monitored training"
    SLOW = "checked last, while time remains"
    SLOW_IF_FAILED = "checked last, and only if the training did not work"


class FromProblem:
    """Mark a setting whose value must be read from the changed training problem."""

    def __repr__(self) -> str:
        return "FROM_PROBLEM"


FROM_PROBLEM = FromProblem()
"""The value of a setting that depends on the training problem, such as ten times the present learning rate."""


@dataclass(frozen=True)
class Symptom:
    """Everything the doctor knows about one symptom.

    Parameters
    ----------
    name : str
        The name that findings carry and that `suppress` accepts.
    kind : Kind
        Cause, mechanism, outcome or evidence.
    area : Area
        What the symptom is about.
    summary : str
        One sentence that says what it means.
    remedies : tuple of str
        Remedies that trials test, in order.
    untested : tuple of str
        Remedies that only a repair tests, because the finding needs no trial.
    where_narrow : tuple of str
        Joined remedies that a repair tests first where a hidden layer is narrow: each alone would leave it so, or as deep.
    rank : int
        Position in the order of root causes, set by the catalogue: a lower rank explains a higher one.
    self_evident : bool
        A measurement or a count that needs no trial.
    certain : bool
        No other cause can explain it.
    fit_possible : bool
        A fact about the data that does not keep a network from fitting the rows.
    static : bool
        Follows from the settings and the targets alone: if critical, it stays a cause whatever a trial of its remedy says,
        since another fault may hide the gain, unless the network does well nevertheless.
    always_reported : bool
        Tested even as information, and kept whatever the trial says: class weights cannot replace rows, and
        units that start equal are never wanted.
    problem_specific : bool
        A cause of its own even if a general remedy helps.
    short_run_only : bool
        A cause of its own if the training had few steps.
    judged_by_recall : bool
        A warning if rare classes are recognized much less often than frequent ones.
    small_is_noise : bool, default=False
        Whether a small share of it cannot be distinguished from noise of the data.
    judged_by_share : bool
        A warning if a large share of the columns is affected.
    judged_by_mistakes : bool
        Where the network is as good as quick models, and its loss on other rows no worse than a constant prediction's, a
        warning only if a remedy is proven to remove mistakes: a loss may rise by a few predictions that are too sure.
    clear_untested : bool
        A warning without trials if its own figures are clear enough.
    rate_change : int
        +1 if the learning rate should rise, -1 if it should fall.
    fallback : Fallback
        When it becomes the answer although no remedy helped.
    cost : Cost
        Whether monitoring can afford its rule.
    slow_order : int
        Position among the slow rules.
    during_training : bool
        Whether its rule can judge an unfinished training.
    draws_weights : bool
        Whether its rule must draw the initial weights itself.
    checks_custom_code : bool
        Whether its preflight check always runs for layers, losses and optimizers written by the user.
    is_told : bool
        Commands say it even where it is information: single values or columns that the user alone can put right.
    yields_to_proof : bool
        A check that many causes fail: a cause that a trial confirms comes first, and a network that does well passes it.
    is_background : bool
        A fact about the rows with which most trainings succeed: where one failed, a cause that a trial confirms comes first.
    by_rule : bool
        Whether a rule reports it; the diagnosis itself does otherwise.
    """

    name: str
    kind: Kind
    area: Area
    summary: str
    remedies: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    where_narrow: tuple[str, ...] = ()
    rank: int = -1
    self_evident: bool = False
    certain: bool = False
    fit_possible: bool = False
    static: bool = False
    always_reported: bool = False
    problem_specific: bool = False
    short_run_only: bool = False
    judged_by_recall: bool = False
    small_is_noise: bool = False
    judged_by_share: bool = False
    judged_by_mistakes: bool = False
    clear_untested: bool = False
    rate_change: int = 0
    fallback: Fallback = Fallback.NEVER
    cost: Cost = Cost.CHEAP
    slow_order: int = 0
    during_training: bool = False
    draws_weights: bool = False
    checks_custom_code: bool = False
    is_told: bool = False
    yields_to_proof: bool = False
    is_background: bool = False
    by_rule: bool = True

    @property
    def is_cause(self) -> bool:
        """Whether it is something to correct."""
        return self.kind is Kind.CAUSE

    @property
    def is_outcome(self) -> bool:
        """Whether it says how the training ended."""
        return self.kind is Kind.OUTCOME

    @property
    def is_evidence(self) -> bool:
        """Whether it is a fault of the evaluation."""
        return self.kind is Kind.EVIDENCE

    @property
    def explains_failure(self) -> bool:
        """Whether it may be the reason for a failed training."""
        return not (self.is_outcome or self.is_evidence)

    @property
    def is_slow(self) -> bool:
        """Whether its rule takes long for wide layers and many rows."""
        return self.cost is not Cost.CHEAP

    @property
    def order(self) -> tuple[int, int]:
        """Sort key of findings: causes by rank, then outcomes, then evidence."""
        return 2 if self.is_evidence else 1 if self.is_outcome else 0, self.rank


@dataclass(frozen=True)
class Remedy:
    """Everything the doctor knows about one remedy.

    Parameters
    ----------
    name : str
        The name that trials and fixes carry.
    summary : str
        One sentence that says what it changes.
    settings : mapping of str to object
        The settings of `chainrule.pipeline.Settings` (and `class_weight`) that have the same effect, with their values;
        `FROM_PROBLEM` where the value depends on the training problem. Empty if no setting has this effect.
    problem_specific : bool
        Removes something peculiar to this training problem. Other remedies help many trainings a little, healthy ones too;
        if both help as much, the peculiarity is the cause.
    safe : bool
        Corrects what no training needs to be wrong: it need not help, only do no harm.
    may_be_intended : bool
        Although safe, someone may want what it removes.
    changes_units : bool
        Losses mean something else afterwards, so only mistakes can be compared.
    learning_only : bool
        Changes how a network learns and not how much it can learn.
    reweights_classes : bool
        Judged with every class counting the same.
    lowers_rate : bool
        Divides the learning rate.
    lengthens : bool
        Trains for more epochs.
    fixes_tiny_norm_batch : bool
        Gives batch norm more rows, or replaces it.
    joins_others : bool
        May take part in a joint trial although it is not specific to this problem.
    helps_any : bool
        Most networks gain a little by it, sound ones too: beside noise it must win more.
    screens_for : str
        The symptom that is reported if this remedy helps a bad training without any suspicion; "" if it is not tested then.
    """

    name: str
    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem_specific: bool = False
    safe: bool = False
    may_be_intended: bool = False
    changes_units: bool = False
    learning_only: bool = False
    reweights_classes: bool = False
    lowers_rate: bool = False
    lengthens: bool = False
    fixes_tiny_norm_batch: bool = False
    joins_others: bool = False
    helps_any: bool = False
    screens_for: str = ""

    @property
    def corrects_error(self) -> bool:
        """Whether it corrects what cannot have been intended."""
        return self.safe and not self.may_be_intended
