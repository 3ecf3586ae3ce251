"""Why: one list of all faults, in order.

In: nothing. Out: F1 to F48 by name, pairs of them, and every case that they and the healthy variants make: operator, level,
host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from doctor import faults_data, faults_network, faults_training
from doctor.fault import Fault, Outcome
from doctor.hosts import HOSTS, Subject
from doctor.variants import VARIANTS

FAULTS: Mapping[str, Fault] = {
    fault.id: fault
    for fault in sorted(
        (*faults_data.FAULTS, *faults_training.FAULTS, *faults_network.FAULTS), key=lambda fault: fault.number
    )
}
"""F1 to F48."""

OPERATORS: Mapping[str, Fault] = {**FAULTS, **VARIANTS}
"""All that is done to a healthy network: faults, and variants that are healthy too."""


def composed(name: str) -> Fault:
    """Two faults, one after the other, as one: "F12+F29", with every pair of levels, "x30+He x 5"."""
    first, second = (FAULTS[part] for part in name.split("+"))

    def change(subject: Subject, levels: tuple[str, str], rng: np.random.Generator) -> Outcome:
        once = first.inject(subject, levels[0])
        return second.inject(once, levels[1]) if isinstance(once, Subject) else once

    levels = tuple((f"{a}+{b}", (a, b)) for a, _ in first.levels for b, _ in second.levels)
    text = f"{first.text}; {second.text}"
    return Fault(first.number, text, levels, change, first.preferred, first.accepted | second.accepted)


def operator(name: str) -> Fault:
    """The fault, variant or pair of faults of that name."""
    return composed(name) if "+" in name else OPERATORS[name]


def cases(hosts: tuple[str, ...] = tuple(HOSTS)) -> Iterator[tuple[str, str, str]]:
    """Operator, level and host of every case."""
    for name, operator in OPERATORS.items():
        for level, _ in operator.levels:
            for host in hosts:
                yield name, level, host
