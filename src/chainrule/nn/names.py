"""One rule for every place that takes an object or its name: losses, optimizers, schedules, activations, initializers.

In: what the user gave, the known names, what such an object must have. Out: the object, or one clear error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from chainrule.errors import InvalidValueError, did_you_mean, must_be


def resolve(
    kind: str, given: Any, known: Mapping[str, Any], needs: Collection[str], place: tuple[str, str] = ("fit", "")
) -> Any:
    """Return the object of that name, or the object itself, which must have the attributes that it `needs`.

    `place` is the owner and the argument that an error names.

    >>> resolve("schedule", "constant", {"constant": 1.0}, ["factor"])
    1.0

    Raises `InvalidValueError` for an unknown name, a class in place of an object, and anything else.
    """
    owner, argument = place[0], place[1] or kind
    article = "an" if kind[0] in "aeiou" else "a"
    if isinstance(given, str):
        if given in known:
            return known[given]
        hint = did_you_mean(given, known)
        raise InvalidValueError(must_be(owner, argument, f"the name of {article} {kind}", given, hint))
    missing = [name for name in needs if not hasattr(given, name)]
    if isinstance(given, type):
        hint = "" if missing else f"Write {given.__name__}(), with parentheses."
    elif not missing:
        return given
    else:
        own = len(missing) < len(needs)
        hint = f"It lacks {', '.join(missing)}." if own else f"Names: {', '.join(known)}."
    raise InvalidValueError(must_be(owner, argument, f"{article} {kind} or the name of one", given, hint))
