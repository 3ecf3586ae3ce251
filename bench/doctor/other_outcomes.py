"""Provide tables of earlier sets of hosts with another outcome.

In: the entry of a table in an earlier set, a new outcome, columns that repeat it. Out: an entry that asks for the outcome.
The former outcome becomes an input unless it is such a column, and what the earlier entry drops stays dropped.
"""

from __future__ import annotations

from dataclasses import replace

from bench.tables.tables import Table, Task


def _other(task: Task, name: str, former: Table, target: str, drop: tuple[str, ...], why: str) -> Table:
    """Return a table of an earlier set with another outcome, without what is dropped there and what repeats the outcome."""
    reasons = [f"As in {former.name}: {former.why}" if former.why else "", why]
    return replace(
        former,
        name=name,
        target=target,
        task=task,
        drop=(*former.drop, *drop),
        why=" ".join(filter(None, reasons)),
        categories=tuple(column for column in former.categories if column not in drop),
    )


def asked_for_values(name: str, former: Table, target: str, drop: tuple[str, ...] = (), why: str = "") -> Table:
    """Return a table with another, continuous outcome."""
    return _other("regression", name, former, target, drop, why)


def asked_for_classes(name: str, former: Table, target: str, drop: tuple[str, ...] = (), why: str = "") -> Table:
    """Return a table with another outcome that has classes."""
    return _other("classification", name, former, target, drop, why)
