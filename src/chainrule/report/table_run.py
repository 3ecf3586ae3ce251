"""What there is to show of a training on a table, as data: how it was read, how good the pack is, what it rests on.

The terminal and the page show the same content; so both are tested without a training.

In: what the command line knows at the end of a run. Out: `TableRunContent`, its columns in groups, its scores as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.arrays import Array

PACK = "chainrule"
"""Name of the pack among the models that are compared."""

LEFT_OUT = ("id", "constant", "duplicate")
"""Kinds of columns that no model learns from."""

SCORES = {"classification": ("loss", "accuracy", "f1", "roc_auc"), "regression": ("rmse", "mae", "r2")}
"""Scores that are shown, by task; the first is the one that pictures compare."""

_NAMES = {"loss": "log loss", "roc_auc": "ROC AUC", "f1": "F1", "r2": "R²", "rmse": "RMSE", "mae": "MAE"}
_SMALLER_IS_BETTER = ("loss", "rmse", "mae")
_IN_UNITS = ("rmse", "mae")
_KINDS = ("number", "category", "boolean", "date", "text")


@dataclass(frozen=True)
class NetworkLine:
    """One network of a pack.

    Parameters
    ----------
    number : int
        Its number in the pack.
    settings : str
        What was drawn for it, such as "128 x 3, cosine 16 (2.1), dropout 0.14, lr 0.0018".
    weight : float
        Its weight in the mean; 0 for a network that was left out.
    loss : float
        Mean loss of the rows that it held out.
    epochs, best_epoch : int
        How long it trained, and the epoch that was kept.
    seconds : float
        What it took.
    """

    number: int
    settings: str
    weight: float
    loss: float
    epochs: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True, eq=False)
class TableRunContent:
    """Everything that the end of a training on a table shows.

    Parameters
    ----------
    title : str
        The heading.
    source : str
        Where the table came from.
    target : str
        Name of the target.
    task : {"classification", "regression"}
        What was learned.
    target_sentence : str
        Why the target is taken as it is.
    facts : tuple of str
        How the file was read.
    columns : tuple of (str, str, str)
        Name, kind and reason of each column.
    warnings : tuple of str
        What the user should know about the table.
    rows : mapping of str to int
        Number of rows of each part.
    scores : tuple of (str, mapping of str to float, float or None)
        Name, scores and seconds of each model on the same rows; the pack first. A model that failed has no scores.
    scored_on : str
        What these rows are called: "test" or "held-out".
    importances : tuple of (str, float, float)
        Column, mean rise of the loss when it is shuffled, standard error of that mean (NaN where unknown); descending.
    networks : tuple of NetworkLine
        The networks of the pack.
    classes : tuple of str or None
        Labels; None for a regression.
    confusion : array of shape (K, K) or None
        Rows of each true class by predicted class.
    y, predicted : array of shape (n,)
        True and predicted class numbers, or values, of the scored rows.
    probabilities : array of shape (n, K) or None
        Probabilities of the classes.
    seconds : float
        What the training took.
    stopped : str
        Why it ended.
    seed : int
        Seed of everything that was drawn.
    preset : mapping of str to object
        What the networks were drawn from.
    notes : tuple of str, default=()
        What else should be known, such as rows that a reference left out.
    """

    title: str
    source: str
    target: str
    task: str
    target_sentence: str
    facts: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]
    rows: Mapping[str, int]
    scores: tuple[tuple[str, Mapping[str, float], float | None], ...]
    scored_on: str
    importances: tuple[tuple[str, float, float], ...]
    networks: tuple[NetworkLine, ...]
    classes: tuple[str, ...] | None
    confusion: Array | None
    y: Array
    predicted: Array
    probabilities: Array | None
    seconds: float
    stopped: str
    seed: int
    preset: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def score_names(self) -> tuple[str, ...]:
        """Scores of this task that at least one model has, in the order to show them."""
        return tuple(name for name in SCORES[self.task] if any(name in scores for _, scores, _ in self.scores))


@dataclass(frozen=True)
class ColumnGroups:
    """The columns of a table in a few groups.

    Parameters
    ----------
    used : mapping of str to tuple of str
        Names of the columns of each kind.
    single : tuple of (str, str, tuple of str)
        Kind, reason and names of the columns that the user overruled, and then of those that are left out.
    """

    used: Mapping[str, tuple[str, ...]]
    single: tuple[tuple[str, str, tuple[str, ...]], ...]


def column_groups(columns: Iterable[tuple[str, str, str]]) -> ColumnGroups:
    """Group columns by kind, and by kind and reason where the user should see the reason.

    >>> column_groups([("age", "number", "numbers"), ("no", "id", "counts the rows"), ("fare", "number", "numbers")])
    ColumnGroups(used={'number': ('age', 'fare')}, single=(('id', 'counts the rows', ('no',)),))
    """
    used: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    single: dict[tuple[str, str], list[str]] = {}
    for name, kind, reason in columns:
        if _is_single(kind, reason):
            single.setdefault((kind, reason), []).append(name)
        else:
            used.setdefault(kind, []).append(name)
    ordered = sorted(single.items(), key=lambda item: is_left_out(*item[0]))
    return ColumnGroups(
        {kind: tuple(names) for kind, names in used.items() if names},
        tuple((kind, reason, tuple(names)) for (kind, reason), names in ordered),
    )


def is_left_out(kind: str, reason: str) -> bool:
    """Check whether no model learns from a column."""
    return kind in LEFT_OUT or reason.endswith("left out as asked (--drop)")


def _is_single(kind: str, reason: str) -> bool:
    return is_left_out(kind, reason) or reason.startswith("asked for") or reason.endswith("the only column")


def listing(names: Sequence[str], most: int) -> str:
    """Return the first names that fit into a number of letters, and how many others there are.

    >>> listing(["age", "fare"], 20), listing(["age", "fare", "deck", "port"], most=20)
    ('age, fare', 'age, fare and 2 more')
    """
    shown: list[str] = []
    length = 0
    for i, name in enumerate(names):
        others = f" and {len(names) - i:,} more"
        length += len(name) + 2 * bool(shown)
        if shown and length + len(others) * (i + 1 < len(names)) > most:
            return ", ".join(shown) + others
        shown.append(name if len(name) <= most else name[: most - 1] + "…")
        length = min(length, most)
    return ", ".join(shown)


def score_name(name: str) -> str:
    """Return a score's name for people."""
    return _NAMES.get(name, name)


def score_text(name: str, value: float | None) -> str:
    """Return a score as text: four decimals, or four digits of one that has the target's unit; a dash for none.

    >>> score_text("accuracy", 0.87), score_text("rmse", 48212.7), score_text("mae", 0.0123456), score_text("r2", None)
    ('0.8700', '48,213', '0.01235', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if name not in _IN_UNITS or not math.isfinite(value):
        return f"{value:.4f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def best_text(content: TableRunContent, name: str) -> str | None:
    """Return the best of a score as its text; None where fewer than two models have it."""
    known = [s[name] for _, s, _ in content.scores if name in s and not math.isnan(s[name])]
    if len(known) < 2:
        return None
    return score_text(name, min(known) if is_smaller_better(name) else max(known))


def is_smaller_better(name: str) -> bool:
    """Check whether a score is an error."""
    return name in _SMALLER_IS_BETTER
