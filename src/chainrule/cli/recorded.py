"""What a run folder says about its run, checked as it is read: anybody may have written the files.

In: the folder. Out: settings, results and epochs as plain data; the options of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from chainrule.cli.options import TrainOptions
from chainrule.errors import FormatError
from chainrule.io import json_text

_LONGEST = 1_000_000_000
"""Bytes of the record of a run."""


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of config.json: an object of objects.

    Raises `FormatError` for anything else.
    """
    path = folder / "config.json"
    try:
        plain = json_text.parse("it", path.read_bytes(), finite=False)
    except FormatError as error:
        raise FormatError(f"{path}: the file must be a run's settings ({error})") from None
    if not isinstance(plain, dict):
        raise FormatError(f"{path}: the file must be a run's settings, got {type(plain).__name__}.")
    return plain


def part_of(folder: Path, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one part of a configuration, which must be an object."""
    part = config.get(name)
    if not isinstance(part, dict):
        fault = f"the file must be a run's settings with {name}, got {type(part).__name__}."
        raise FormatError(f"{folder / 'config.json'}: {fault}")
    return part


def read_epochs(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of run.jsonl, each an object of numbers; none where the file is not there."""
    path = folder / "run.jsonl"
    if not path.is_file():
        return []
    if path.stat().st_size > _LONGEST:
        raise FormatError(f"{path}: the record of a run must be at most {_LONGEST:,} bytes long.")
    epochs = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        where = f"{path}: line {number}"
        plain = json_text.parse(where, line, finite=False)
        if not isinstance(plain, dict) or not all(map(_is_figure, plain.values())) or not _counts(plain.get("epoch")):
            raise FormatError(f"{where} must be the record of an epoch, an object of numbers.")
        epochs.append(plain)
    return epochs


def options_of(folder: Path, config: Mapping[str, Any]) -> tuple[str, TrainOptions]:
    """Return the source and the options of a run; each option must be of its type."""
    options = dict(part_of(folder, config, "options"))
    source = options.pop("source", None)
    hints = get_type_hints(TrainOptions)
    unknown = [name for name in options if name not in hints]
    wrong = [name for name, value in options.items() if name in hints and not _fits(value, hints[name])]
    if unknown or wrong or not isinstance(source, str):
        raise FormatError(
            f"{folder / 'config.json'}: the file must be a run's settings, "
            f"got another value for {', '.join(repr(name)[:60] for name in (unknown + wrong or ['source'])[:5])}."
        )
    return source, TrainOptions(**options)


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(value, bool):
        return isinstance(True, hint) and hint is not int
    return isinstance(value, hint) or (type(value) is int and isinstance(0.0, hint))


def _is_figure(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300)


def _counts(value: Any) -> bool:
    return type(value) is int and value > 0
