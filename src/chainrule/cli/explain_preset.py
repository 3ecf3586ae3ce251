"""`chainrule explain table`: a preset for tables as text, or as JSON to edit and to train with.

In: the name or the file of a preset. Out: each part with its value and what it means.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

from chainrule.cli.console import echo
from chainrule.data.table.shell import command_text
from chainrule.tabular import Preset, presets

_PART = re.compile(r"^(\w+) : [^\n]+\n((?:    [^\n]+\n)+)", re.MULTILINE)


def is_preset(subject: str) -> bool:
    """Return whether a subject names a preset: by its name, or a .json file.

    Parameters
    ----------
    subject : str
        What the user typed.

    Returns
    -------
    bool
    """
    return subject in presets.PRESETS or Path(subject).suffix == ".json"


def show_preset(subject: str, as_json: bool) -> None:
    """Print a preset.

    Parameters
    ----------
    subject : str
        Its name or file.
    as_json : bool
        Whether to print JSON, which --preset takes after editing.
    """
    plain = presets.to_plain(presets.get(subject))
    if as_json:
        echo(json.dumps(plain, indent=2))
        return
    width = max(len(json.dumps(value)) for value in plain.values())
    meanings = _meanings()
    for name, value in plain.items():
        echo(f"{name:16} {json.dumps(value):{width}}  {meanings[name]}")
    echo("")
    line = command_text("explain", [subject], ["--json"])
    echo(f"To change it: {line} > mine.json, edit, and train with --preset mine.json.")


def _meanings() -> dict[str, str]:
    """Return the meaning of each part: the first sentence about it in the docstring."""
    text = inspect.cleandoc(Preset.__doc__ or "")
    parts = text[text.index("Parameters") :] + "\n"
    return {name: " ".join(body.split()).partition(";")[0].rstrip(".") + "." for name, body in _PART.findall(parts)}
