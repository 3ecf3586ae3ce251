"""Why: whoever makes one mistake may make two, and a doctor that names one of them has done half of its work.

In: test scores of single faults. Out: pairs of faults that hurt alone, and how often one, or both, of a pair are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from doctor.fault import Outcome
from doctor.faults import FAULTS, composed
from doctor.hosts import Subject, make
from doctor.tables import TOOLS, Results, said_by, share, sorts, split, verdicts

FIGURES = ("detected", "first names one", "names both", "both, or folds the other")
"""Of each tool; the last counts a second cause, too, that another message claims to explain."""


def drawn(
    scores: Mapping[str, Any], seeds: Iterable[int], hosts: Iterable[str], number: int
) -> list[tuple[str, str, str]]:
    """So many pairs for each host, as fault, level, host: "F12+F29", "x30+He x 5", "H1".

    Both faults hurt the host alone by the kill test, neither takes rows or labels away, no diagnosis is accepted for both,
    the host has a place for both, and neither undoes the other.
    """
    judged, found = verdicts(scores, seeds), []
    for host in hosts:
        alone = sorted(
            (FAULTS[fault].number, level)
            for fault, level, where in judged
            if where == host and fault in FAULTS and judged[fault, level, where].killed and not FAULTS[fault].lost
        )
        rng, healthy, own = np.random.default_rng([number, int(host[1])]), make(host, 0), set()
        for _ in range(100 * number if len(alone) > 1 else 0):
            (a, first), (b, second) = (alone[i] for i in np.sort(rng.choice(len(alone), 2, replace=False)))
            if len(own) == number or FAULTS[f"F{a}"].accepted & FAULTS[f"F{b}"].accepted:
                continue
            fault, level = f"F{a}+F{b}", f"{first}+{second}"
            both = composed(fault).inject(healthy, level)
            singles = FAULTS[f"F{a}"].inject(healthy, first), FAULTS[f"F{b}"].inject(healthy, second)
            if isinstance(both, Subject) and not any(_alike(both, single) for single in singles):
                own.add((fault, level, host))
        found += sorted(own)
    return found


def _alike(one: Subject, other: Outcome) -> bool:
    """Whether two networks are trained in the same way on the same rows."""
    settings = isinstance(other, Subject) and (one.recipe, one.config) == (other.recipe, other.config)
    return settings and np.array_equal(one.rows.X, other.rows.X) and np.array_equal(one.rows.Y, other.rows.Y)


def figures(names: Sequence[str], results: Results, seeds: Iterable[int]) -> dict[str, dict[str, Any]]:
    """For each tool, `FIGURES` of the pairs that hurt."""
    sort, found = sorts(names, results, seeds), {}
    faulty = [name for name in names if sort[name] == "faulty"]
    for tool in TOOLS:
        told = {name: said for name in faulty if (said := said_by(tool, name, results)) is not None}
        count: Counter[str] = Counter()
        for name, said in told.items():
            accepted = [FAULTS[fault].accepted for fault in split(name)[0].split("+")]
            slugs = [slugs for _, slugs, _ in said]
            more = [*slugs, _folded(name, results)] if tool == "doctor" else slugs
            count["detected"] += bool(slugs)
            count["first names one"] += any(slugs[0] & each for each in accepted) if slugs else False
            count["names both"] += all(any(named & each for named in slugs) for each in accepted)
            count["both, or folds the other"] += all(any(named & each for named in more) for each in accepted)
        found[tool] = {figure: share(count[figure], len(told)) for figure in FIGURES}
    return found


def _folded(name: str, results: Results) -> frozenset[str]:
    """Symptoms that the doctor's messages claim to explain."""
    told = results["doctor"][name]["findings"]
    return frozenset(symptom for finding in told if finding["severity"] != "info" for symptom in finding["explains"])
