"""Why: one list of all faults, in order.

In: nothing. Out: F1 to F48 by name, and every case that they and the healthy variants make: operator, level, host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from doctor import faults_data, faults_network, faults_training
from doctor.fault import Fault
from doctor.hosts import HOSTS
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


def cases(hosts: tuple[str, ...] = tuple(HOSTS)) -> Iterator[tuple[str, str, str]]:
    """Operator, level and host of every case."""
    for name, operator in OPERATORS.items():
        for level, _ in operator.levels:
            for host in hosts:
                yield name, level, host
