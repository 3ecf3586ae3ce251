"""Exceptions and messages: every mistake a user can make ends in one family with one form of message.

In: the object at fault, the argument, what is allowed, what was given. Out: exceptions whose text reads
`<Object>: <argument> must be <allowed>, got <value>. <cause or fix>`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from chainrule.display import printable

_LONGEST_LINE = 1500
"""Characters of a line of a message."""

_MOST_LINES = 60
"""Lines of a message."""

_LONGEST_VALUE = 600
"""Characters of a value in it."""


class ChainruleError(Exception):
    """Base of all errors that this package raises on purpose; control characters in their text are shown escaped."""

    def __str__(self) -> str:
        return _shown(super().__str__())


class InvalidValueError(ChainruleError, ValueError):
    """A value of an argument, a setting or the data that is not allowed."""


class FormatError(ChainruleError, ValueError):
    """A file that is not what it claims to be: damaged, of another format, or with unknown content."""


class MissingError(ChainruleError, FileNotFoundError):
    """A file, a data set or an optional package that is needed and not there."""

    def __str__(self) -> str:
        return _shown(str(self.args[0])) if self.args else ""


def _shown(text: str) -> str:
    """Return a message with control characters escaped; too many or overlong lines, which repeat a value, are cut."""
    if len(text) > _LONGEST_LINE:
        lines = text.split("\n")
        cut = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..." for line in lines[:_MOST_LINES]]
        more = [f"... and {len(lines) - _MOST_LINES:,} more."] if len(lines) > _MOST_LINES else []
        text = "\n".join([*cut, *more])
    return printable(text, lines=True)


class WriteError(ChainruleError, OSError):
    """A file or folder that the system could not write: the disk is full or faulty, or a permission is missing."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DataWarning(UserWarning):
    """Something about the data that the user should know: a column that tells the target, one that is left out."""


def must_be(owner: str, argument: str, allowed: str, got: Any, hint: str = "") -> str:
    """Return the standard sentence for a wrong value.

    Parameters
    ----------
    owner : str
        The object at fault: a class, a function or a file.
    argument : str
        The argument or part of it.
    allowed : str
        What it may be; follows "must be" in the sentence.
    got : object
        What was given.
    hint : str, default=""
        Cause or fix, a sentence.

    Returns
    -------
    str

    Examples
    --------
    >>> must_be("Dropout", "rate", "in [0, 1)", 1.0, "rate is the fraction dropped.")
    'Dropout: rate must be in [0, 1), got 1.0. rate is the fraction dropped.'
    """
    return f"{printable(owner)}: {printable(argument)} must be {allowed}, got {_text_of(got)}. {hint}".rstrip()


def _text_of(value: Any) -> str:
    """Return a value as Python writes it, shortened where it is very long."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return f"a value of type {type(value).__name__} that is too large to write"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} ..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list the known words.

    Parameters
    ----------
    word : str
        The unknown word.
    known : iterable of str
        Words to choose from.

    Returns
    -------
    str
        A sentence, empty where no word is known.

    Examples
    --------
    >>> did_you_mean("reLu", ["relu", "tanh"])
    "Did you mean 'relu'?"
    >>> did_you_mean("?", ["relu", "tanh"])
    'Known: relu, tanh.'
    """
    names = sorted(known)
    close = nearest(word, names)
    if close is not None:
        return f"Did you mean {close!r}?"
    return f"Known: {', '.join(names)}." if names else ""


def nearest(word: Any, known: Iterable[str]) -> str | None:
    """Return the shortest known word that begins with this one, else the most similar.

    Parameters
    ----------
    word : object
        The unknown word.
    known : iterable of str
        Words to choose from.

    Returns
    -------
    str or None
        None where no word is similar.

    Examples
    --------
    >>> nearest("acc", ["jaccard", "balanced_accuracy", "accuracy"]), nearest("reul", ["relu"]), nearest("?", ["relu"])
    ('accuracy', 'relu', None)
    """
    start = str(word).lower()
    lowered = {name.lower(): name for name in known}
    longer = sorted((name for name in lowered if name.startswith(start)), key=len) if len(start) > 2 else []
    close = longer or difflib.get_close_matches(start, list(lowered), n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def raise_all(faults: Iterable[str]) -> None:
    """Raise one `InvalidValueError` that lists every fault, or return when there is none."""
    found = list(faults)
    if found:
        raise InvalidValueError("\n".join(found))
