"""Why: runs are kept in folders, and what made the difference between them is asked in one line.

In: run folders. Out: the settings that differ, what they came to, a page with overlaid curves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.errors import FormatError, InvalidValueError, MissingError, must_be
from chainrule.io import write_atomically
from chainrule.report import terminal
from chainrule.report.compare import Comparison, RecordedRun, compare_page
from chainrule.report.compare import compare as compare_runs


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN ...", help="Run folders that `train` left.")],
    out: Annotated[Path | None, typer.Option(help="Write curves and tables to this .html file.")] = None,
    as_json: o.Json = False,
) -> None:
    """Show in which settings RUNs differ and what came of it, beside the first."""
    if len(runs) < 2:
        raise InvalidValueError(must_be("compare", "RUN", "two run folders or more", len(runs)))
    kept = [_read(Path(place), name) for place, name in zip(runs, _names(runs), strict=True)]
    found = compare_runs(kept)
    if out is not None:
        write_atomically(out, compare_page(kept).encode())
    if as_json:
        o.print_json(found.plain())
    else:
        _show(found)


def _names(places: list[str]) -> list[str]:
    """Folders by their last name where those differ, else by their paths; the same folder twice is numbered."""
    short = [Path(place).name or place for place in places]
    names = short if len(set(short)) == len(short) else list(places)
    return [name if names.count(name) == 1 else f"{name} [{i + 1}]" for i, name in enumerate(names)]


def _read(folder: Path, name: str) -> RecordedRun:
    """A run from its folder. Raises `MissingError` where there is none, `FormatError` where its files are damaged."""
    if not (folder / "config.json").is_file():
        raise MissingError(f"compare: RUN must be a run folder, got {str(folder)!r}. It has no config.json.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        log = (folder / "run.jsonl").read_text(encoding="utf-8") if (folder / "run.jsonl").is_file() else ""
        epochs = [dict(json.loads(line)) for line in log.splitlines()]
        return RecordedRun(name, dict(config["settings"]), dict(config["result"]), epochs)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{folder}: the files must be those of a run ({error}). They are damaged.") from None


def _show(found: Comparison) -> None:
    out = o.console()
    settings: list[list[Any]] = [[name, *values] for name, values in found.settings.items()]
    out.print(terminal.plain_table(["setting", *found.names], settings or [["none differs"]]))
    figures: list[list[Any]] = [[name, *values] for name, values in found.figures.items()]
    out.print(terminal.plain_table(["figure", *found.names], figures))
    for note in found.notes:
        out.print(note)
