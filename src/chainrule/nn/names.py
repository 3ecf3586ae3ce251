"""One rule for every place that takes an object or its name: losses, optimizers, schedules, activations, initializers.

In: what the user gave, the known names, what such an object must have. Out: the object, or one clear error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

from chainrule.errors import InvalidValueError, did_you_mean, must_be

T = TypeVar("T")


def resolve(
    kind: str, value: str | T, known: Mapping[str, T], needs: Collection[str], place: tuple[str, str] = ("fit", "")
) -> T:
    """Return the object of that name, or the object itself, which must have the attributes that it `needs`.

    `place` is the owner and the argument that an error names.

    >>> resolve("schedule", "constant", {"constant": 1.0}, ["factor"])
    1.0

    Raises `InvalidValueError` for an unknown name, a class in place of an object, and anything else.
    """
    owner = place[0]
    argument = place[1] or kind
    article = "an" if kind[0] in "aeiou" else "a"
    if isinstance(value, str):
        if value in known:
            return known[value]
        hint = did_you_mean(value, known)
        raise InvalidValueError(must_be(owner, argument, f"the name of {article} {kind}", value, hint))
    missing = [name for name in needs if not hasattr(value, name)]
    if isinstance(value, type):
        hint = "" if missing else f"Write {value.__name__}(), with parentheses."
    elif not missing:
        return value
    else:
        hint = f"It lacks {', '.join(missing)}." if len(missing) < len(needs) else f"Names: {', '.join(known)}."
    raise InvalidValueError(must_be(owner, argument, f"{article} {kind} or the name of one", value, hint))
