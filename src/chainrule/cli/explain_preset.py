"""`chainrule explain table`: a preset for tables as text, or as JSON to edit and to train with.

In: the name or the file of a preset. Out: each part with its value and what it means; the equations of its networks.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chainrule.cli.console import echo
from chainrule.data.table.schema import FIRST_CODE
from chainrule.data.table.shell import command_text
from chainrule.data.transforms import FeatureTransform
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.report import explain as derivations
from chainrule.tabular import Preset, presets
from chainrule.tabular.members import network

_LEVELS = 20
_CLASSES = 3
_EXAMPLE = f"a table of two numbers (one with gaps), categories of 3 and of {_LEVELS} levels, and {_CLASSES} classes"

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


def show_preset(subject: str, as_json: bool, markdown: bool, rows: int) -> None:
    """Print a preset, and the derivation of its first network of each embedding.

    Parameters
    ----------
    subject : str
        Its name or file.
    as_json : bool
        Whether to print JSON, which --preset takes after editing.
    markdown : bool
        Whether to print the derivations as Markdown with LaTeX.
    rows : int
        Rows of a batch.
    """
    preset = presets.get(subject)
    plain = presets.to_plain(preset)
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
    for number, net in example_networks(preset):
        derivation = derivations.explain(net, SoftmaxCrossEntropy(), rows)
        echo(f"\nNetwork {number + 1} with seed 0: {preset.draw(number, 0)}; for {_EXAMPLE}.")
        echo(derivations.to_markdown(derivation) if markdown else derivations.to_text(derivation))


def example_networks(preset: Preset) -> Iterator[tuple[int, Net]]:
    """Yield the number and the network of the first member of each embedding, for a small table.

    Parameters
    ----------
    preset : Preset
        What members are drawn from.

    Yields
    ------
    tuple of int and Net
    """
    rows = np.arange(_LEVELS * 4)
    E = np.column_stack([rows, np.where(rows % 5, rows, np.nan), FIRST_CODE + rows % 3, FIRST_CODE + rows % _LEVELS])
    sizes = (0, 0, FIRST_CODE + 3, FIRST_CODE + _LEVELS)
    for number in range(len(dict.fromkeys(preset.embeddings))):
        settings = preset.draw(number, 0)
        transform = FeatureTransform.fit(E.astype(float), sizes, settings.transform)
        yield number, network(settings, preset, transform, _CLASSES)


def _meanings() -> dict[str, str]:
    """Return the meaning of each part: the first sentence about it in the docstring."""
    text = inspect.cleandoc(Preset.__doc__ or "")
    parts = text[text.index("Parameters") :] + "\n"
    return {name: " ".join(body.split()).partition(";")[0].rstrip(".") + "." for name, body in _PART.findall(parts)}
