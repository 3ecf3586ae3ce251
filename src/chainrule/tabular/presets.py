"""Presets by name or from a file: data that a user prints, edits and saves.

In: a name or the path of a .json file. Out: a `Preset`; or JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from chainrule.errors import FormatError, InvalidValueError, MissingError, did_you_mean, must_be, raise_all
from chainrule.io import json_text
from chainrule.tabular.preset import Preset

PRESETS: Mapping[str, Preset] = {"table": Preset()}
"""Presets by the name that users write."""

_LONGEST = 1_000_000
"""Bytes of a preset's file."""


def get(preset: str | Path | Preset | Mapping[str, Any]) -> Preset:
    """Return a preset by name, from a .json file, or as given.

    Parameters
    ----------
    preset : str, Path, Preset or mapping
        "table", a path that ends in .json, a preset, or the parts that differ from the defaults.

    Returns
    -------
    Preset

    Raises
    ------
    InvalidValueError
        For an unknown name, and for values outside their limits.
    MissingError
        For a file that does not exist.
    FormatError
        For a file that is no preset.

    Examples
    --------
    >>> get("table").members
    24
    """
    if isinstance(preset, Preset):
        return preset
    if isinstance(preset, Mapping):
        return from_plain("preset", dict(preset))
    text = str(preset)
    if text in PRESETS:
        return PRESETS[text]
    if not text.endswith(".json"):
        allowed = "the name of a preset, or a .json file"
        raise InvalidValueError(must_be("preset", "name", allowed, text, did_you_mean(text, PRESETS)))
    path = Path(text)
    if not path.is_file():
        raise MissingError(must_be("preset", "file", "an existing .json file", text))
    with path.open("rb") as file:
        content = file.read(_LONGEST + 1)
    return from_plain(path.name, json_text.parse(path.name, content, _LONGEST))


def to_plain(preset: Preset) -> dict[str, Any]:
    """Return a preset as data that JSON can hold.

    Parameters
    ----------
    preset : Preset
        The preset.

    Returns
    -------
    dict
    """
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(preset).items()}


def from_plain(owner: str, plain: Any) -> Preset:
    """Return the preset that `to_plain` wrote; what is left out keeps its default.

    Parameters
    ----------
    owner : str
        What messages name.
    plain : mapping
        Names and values.

    Returns
    -------
    Preset

    Raises
    ------
    FormatError
        For anything but an object.
    InvalidValueError
        For unknown names, and values outside their limits.
    """
    if not isinstance(plain, dict):
        raise FormatError(f"{owner}: a preset must be a JSON object, got {type(plain).__name__}.")
    known = [f.name for f in fields(Preset)]
    raise_all(
        f"{owner}: {name!r} is not a part of a preset. {did_you_mean(str(name), known)}"
        for name in plain
        if name not in known
    )
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    return Preset(**values)
