"""Why: every fault is the same kind of thing: a name, levels, a change of a healthy subject, and the names it may be called.

In: a healthy `Subject` (a network with its rows) or `Training` (an estimator's settings with its rows), a level, a
generator. Out: the broken one, or why there is none.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.errors import InvalidValueError
from chainrule.nn.layers import Layer
from chainrule.nn.net import Net
from doctor.hosts import HOSTS, Subject
from doctor.noisy_hosts import Training


@dataclass(frozen=True)
class Impossible:
    """This host has no place for the fault."""

    reason: str


@dataclass(frozen=True)
class Prevented:
    """The library refuses the fault, or makes it right, by construction: with what words."""

    message: str


Outcome = Subject | Training | Impossible | Prevented
Change = Callable[[Any, Any, np.random.Generator], Outcome]

METRIC = "metric"
EVIDENCE = "evidence"


@dataclass(frozen=True)
class Fault:
    """A fault operator.

    `levels` are its strengths by label. `preferred` is the diagnosis that names the cause; `accepted` are all that name it
    or name a mechanism whose usual remedy repairs it. `harm` says how it is shown to hurt: "metric" by the kill test on
    the test score, "evidence" by construction, since it spoils what is known of a network and not the network. `lost` says
    that it takes away rows, labels or columns, or drowns them in noise: no change of the training brings those back.
    """

    number: int
    text: str
    levels: Sequence[tuple[str, Any]]
    change: Change
    preferred: str
    accepted: frozenset[str]
    harm: str = METRIC
    lost: bool = False

    @property
    def id(self) -> str:
        """As "F12"."""
        return f"F{self.number}"

    def inject(self, subject: Subject | Training, level: str) -> Any:
        """The broken subject; its randomness depends on host, seed and fault alone."""
        rng = np.random.default_rng([subject.seed, place(subject.host), self.number])
        try:
            return self.change(subject, dict(self.levels)[level], rng)
        except InvalidValueError as error:
            return Prevented(str(error).splitlines()[0])


def place(host: str) -> int:
    """A number that depends on the host's name alone."""
    return int(host[1]) if host in HOSTS else zlib.crc32(host.encode())


def fault(
    number: int,
    text: str,
    levels: Sequence[tuple[str, Any]],
    change: Change,
    preferred: str,
    also: str = "",
    harm: str = METRIC,
    lost: bool = False,
) -> Fault:
    """A fault whose further accepted diagnoses are words of one string."""
    return Fault(number, text, tuple(levels), change, preferred, frozenset([preferred, *also.split()]), harm, lost)


def with_recipe(subject: Subject, **changes: Any) -> Subject:
    """The same with settings of its recipe replaced."""
    return replace(subject, recipe=replace(subject.recipe, **changes))


def with_course(subject: Subject, **changes: Any) -> Subject:
    """The same with settings of its course replaced."""
    return replace(subject, config=replace(subject.config, **changes))


def with_layers(subject: Subject, layers: Sequence[Layer], own: bool = False) -> Subject:
    """The same with other layers; `own` ones are run by the reference engine."""
    changed = with_recipe(subject, net=Net(subject.recipe.net.inputs, layers))
    return replace(changed, engine="reference") if own else changed
