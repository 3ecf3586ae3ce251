"""`chainrule compare`: which settings differ between runs, and how that changed the results.

In: run folders. Out: the settings that differ, the results, a page with overlaid curves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.recorded import part_of, read_config, read_epochs
from chainrule.errors import InvalidValueError, MissingError, must_be
from chainrule.report import terminal
from chainrule.report.compare import Comparison, RecordedRun, compare_page
from chainrule.report.compare import compare as compare_runs


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN ...", help="Run folders written by `train`.")],
    out: Annotated[Path | None, typer.Option(help="Write curves and tables to this .html file.")] = None,
    as_json: o.Json = False,
) -> None:
    """Compare runs with the first one: which settings differ and how the results change."""
    o.check_page("compare", out)
    if len(runs) < 2:
        raise InvalidValueError(must_be("compare", "RUN", "at least two run folders", len(runs)))
    recorded = [_read(Path(place), name) for place, name in zip(runs, _names(runs), strict=True)]
    comparison = compare_runs(recorded)
    if as_json:
        o.print_json(comparison.plain())
    else:
        _show(comparison)
    if out is not None:
        o.write_drawn("compare", out, lambda: compare_page(recorded).encode(errors="replace"))


def _names(places: list[str]) -> list[str]:
    """Name folders by their last part if those differ, otherwise by their paths; number a repeated folder."""
    short = [Path(place).name or place for place in places]
    names = short if len(set(short)) == len(short) else list(places)
    return [name if names.count(name) == 1 else f"{name} [{i + 1}]" for i, name in enumerate(names)]


def _read(folder: Path, name: str) -> RecordedRun:
    """Read a run from its folder; raises `MissingError` without a run, `FormatError` if its files are damaged."""
    if not (folder / "config.json").is_file():
        raise MissingError(f"compare: RUN must be a run folder, got {str(folder)!r}. It has no config.json.")
    config = read_config(folder)
    return RecordedRun(
        name, part_of(folder, config, "settings"), part_of(folder, config, "result"), read_epochs(folder)
    )


def _show(comparison: Comparison) -> None:
    out = o.console()
    settings: list[list[Any]] = [[name, *values] for name, values in comparison.settings.items()]
    out.print(terminal.plain_table(["setting", *comparison.names], settings or [["no setting differs"]]))
    figures: list[list[Any]] = [[name, *values] for name, values in comparison.figures.items()]
    out.print(terminal.plain_table(["result", *comparison.names], figures))
    for note in comparison.notes:
        out.print(note, markup=False)
