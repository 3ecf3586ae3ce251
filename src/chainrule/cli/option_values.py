"""Values of options whose text means more than itself: widths, auto and full, names with settings, links, levels.

In: the text as it was typed. Out: a name, or the object that Python users would write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from chainrule.data.table.shell import listed
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.nn.losses import Loss
from chainrule.pipeline import REGRESSION_LOSSES, Settings


def hidden_sizes(command: str, text: str) -> tuple[int, ...]:
    """Return whole numbers from "128,64"; "none" is no hidden layer.

    >>> hidden_sizes("train", "128,64"), hidden_sizes("train", "none")
    ((128, 64), ())

    Raises `InvalidValueError` for anything else.
    """
    if text.strip().lower() in ("none", ""):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidValueError(must_be(command, "--hidden", "whole numbers as 128,64, or none", text)) from None


def batch_size(command: str, text: str) -> int | str:
    """Return a number of rows, "auto" or "full".

    Raises `InvalidValueError` for anything else.
    """
    if text in ("auto", "full"):
        return text
    if not text.lstrip("-").isdigit():
        raise InvalidValueError(must_be(command, "--batch-size", "a whole number, 'auto' or 'full'", text))
    return int(text)


def epochs(command: str, text: str) -> int | str:
    """Return a number of epochs or "auto".

    Raises `InvalidValueError` for anything else.
    """
    if text == "auto":
        return text
    if not text.lstrip("-").isdigit():
        raise InvalidValueError(must_be(command, "--epochs", "'auto' or a whole number >= 1", text))
    return int(text)


def patience(command: str, text: str) -> int | str | None:
    """Return a number of epochs, "auto", or None for 0, which never stops a run early.

    Raises `InvalidValueError` for anything else.
    """
    if text == "auto":
        return text
    if not text.isdigit():
        raise InvalidValueError(must_be(command, "--patience", "'auto' or a whole number >= 0", text))
    return int(text) or None


def learning_rate(command: str, text: str) -> float:
    """Return a number; "find" is the default until the range test has run.

    Raises `InvalidValueError` for anything else.
    """
    if text == "find":
        return Settings.learning_rate_init
    try:
        return float(text)
    except ValueError:
        raise InvalidValueError(must_be(command, "--lr", "a number or 'find'", text)) from None


def with_settings(command: str, option: str, text: str, known: Mapping[str, Any]) -> Any:
    """Return a name as it is, or the object that a name with settings means.

    >>> from chainrule.pipeline import SCHEDULES
    >>> with_settings("train", "--schedule", "step:every=5,drop=0.3", SCHEDULES)
    Step(every=5.0, drop=0.3)

    Raises `InvalidValueError` for unknown settings and for values that are no numbers or not allowed.
    """
    name, colon, rest = text.partition(":")
    if not colon or name not in known:
        return text if not colon else name
    usual = known[name]
    kinds = {f.name: type(getattr(usual, f.name)) for f in fields(usual)}
    kinds = {setting: kind for setting, kind in kinds.items() if kind in (int, float)}
    values: dict[str, float] = {}
    for pair in rest.split(","):
        setting, _, value = (part.strip() for part in pair.partition("="))
        if setting not in kinds:
            own = f"settings of {name} ({', '.join(kinds)})" if kinds else f"without settings: {name} has none"
            raise InvalidValueError(must_be(command, option, own, setting, did_you_mean(setting, kinds)))
        try:
            values[setting] = kinds[setting](value)
        except ValueError:
            kind = "a whole number" if kinds[setting] is int else "a number"
            raise InvalidValueError(must_be(command, option, f"given {kind} for {setting}", value)) from None
    return replace(usual, **values)


def linked_loss(command: str, name: str, link: str | None, levels: tuple[float, ...] = ()) -> str | Loss:
    """Return the name of a loss, or the loss with another output function; a quantile loss with these levels.

    >>> linked_loss("train", "squared_error", "relu")
    MeanSquaredError(link='relu')
    >>> linked_loss("train", "quantile", "exp", (0.1, 0.9))
    Quantile(levels=(0.1, 0.9), link='exp')

    Raises `InvalidValueError` for a link that the loss does not have.
    """
    if link is None or name not in REGRESSION_LOSSES:
        return name
    loss: Any = REGRESSION_LOSSES[name]
    if not loss.links:
        raise InvalidValueError(must_be(command, "--link", f"left out with --loss {name}", link, "Its link is fixed."))
    if link not in loss.links:
        allowed = f"one of {', '.join(loss.links)}"
        raise InvalidValueError(must_be(command, "--link", allowed, link, did_you_mean(link, loss.links)))
    own = {"levels": levels} if levels and name == "quantile" else {}
    linked: Loss = replace(loss, link=link, **own)
    return linked


def levels(command: str, text: str | None) -> tuple[float, ...]:
    """Return the levels of quantiles.

    >>> levels("train", "0.1,0.9"), levels("train", None)
    ((0.1, 0.9), (0.05, 0.5, 0.95))

    Raises `InvalidValueError` for text that is no number.
    """
    if text is None:
        return Settings.quantiles
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InvalidValueError(must_be(command, "--quantiles", "numbers in (0, 1) such as 0.1,0.9", text)) from None


def kept_labels(command: str, text: str, known: Any, task: str) -> list[str]:
    """Return the classes that are typed.

    Raises `InvalidValueError` for a regression, fewer than two classes, and classes that are not there.
    """
    labels = list(dict.fromkeys(listed(text)))
    if task != "classification":
        raise InvalidValueError(must_be(command, "--keep-classes", "left out for a regression", text))
    there = [str(label) for label in known]
    raise_all(
        must_be(command, "--keep-classes", "classes of the target", label, did_you_mean(label, there))
        for label in labels
        if label not in there
    )
    if len(labels) < 2:
        raise InvalidValueError(must_be(command, "--keep-classes", "at least two classes", text))
    return labels


def pairs(text: str | None) -> list[tuple[str, str]]:
    """Return names and values from NAME=VALUE,...; "" for one that is not there.

    >>> pairs("age=-999, zip = 0"), pairs("age")
    ([('age', '-999'), ('zip', '0')], [('', 'age')])
    """
    parts = [pair.rpartition("=") for pair in listed(text)]
    return [(name.strip(), value.strip()) for name, _, value in parts]
