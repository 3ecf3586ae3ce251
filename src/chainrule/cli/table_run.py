"""`chainrule train` with the preset for tables: what is printed and written around the training.

In: a source and options. Out: tables (or JSON), and a folder with model, report, preset and records.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from chainrule.cli import distributed as d
from chainrule.cli import options as o
from chainrule.cli.run_folder import check_writable, draw_safely, encoded, new_run_folder
from chainrule.cli.table import TableOptions, train_table
from chainrule.cli.table_content import content_of
from chainrule.cluster import attach
from chainrule.data.row_sketch import RowSketch
from chainrule.io import save_model, write_atomically
from chainrule.report import table_terminal
from chainrule.report.page import table_page
from chainrule.report.table_run import TableRunContent
from chainrule.table_model import TableModel
from chainrule.tabular import TableFit

FILES = ("model.safetensors", "report.html", "networks.jsonl", "preset.json", "config.json")
"""What a run folder holds."""


def run_table(
    source: str, options: o.TrainOptions, table: TableOptions, out: Path | None, as_json: bool, shared: d.ProcessOptions
) -> None:
    """Train a pack on a table, print its scores, and write a run folder.

    Parameters
    ----------
    source : str
        The file.
    options : TrainOptions
        What was typed.
    table : TableOptions
        What was typed of the options for tables.
    out : Path or None
        The run folder; None makes a new one in runs.
    as_json : bool
        Whether to print one JSON object instead of tables.
    shared : ProcessOptions
        Whether a cluster trains the networks.
    """
    if shared.cluster is not None:
        attach("train", shared.cluster, shared.insecure)
    check_writable(out or Path("runs") / "run", empty=out is not None)
    with new_run_folder(source, out) as unfinished:
        trained = train_table(source, options, table, as_json, shared)
        place = unfinished.place
        save_model(_with_hashes(trained.fit), place / "model.safetensors")
        try:
            content = content_of(source, trained, options.seed)
        except BaseException:
            unfinished.finish()  # the model is worth more than its scores
            raise
        _write(place, content, options, table)
        try:
            draw_safely(place / "report.html", lambda: encoded(table_page(content)))
        finally:
            folder = unfinished.finish()
    if as_json:
        o.print_json(_plain(content, folder))
        return
    _show(content, folder)


def _show(content: TableRunContent, folder: Path) -> None:
    """Print how the columns were taken, the scores beside simple models, and what the pack rests on."""
    out = o.console()
    out.print(table_terminal.columns_table(content.columns))
    for warning in content.warnings:
        out.print(warning, markup=False)
    out.print(table_terminal.comparison_table(content))
    classes = table_terminal.class_table(content)
    if classes is not None:
        out.print(classes)
    out.print(table_terminal.importance_lines(content))
    for note in content.notes:
        out.print(note, markup=False)
    used = sum(network.weight > 0 for network in content.networks)
    out.print(
        f"Trained {len(content.networks)} networks in {content.seconds:.1f} s; {content.stopped}. {used} of them predict."
    )
    out.print(f"{folder}: {', '.join(FILES)}", markup=False)


def _write(folder: Path, content: TableRunContent, options: o.TrainOptions, table: TableOptions) -> None:
    """Write the records of a run beside its model."""
    lines = "".join(json.dumps(o.finite(asdict(line))) + "\n" for line in content.networks)
    write_atomically(folder / "networks.jsonl", lines.encode(), "train")
    write_atomically(folder / "preset.json", json.dumps(content.preset, indent=2).encode(), "train")
    config = {
        "options": {"source": content.source, **asdict(options), **asdict(table)},
        "columns": [list(column) for column in content.columns],
        "result": _result(content),
    }
    write_atomically(folder / "config.json", json.dumps(config, indent=2).encode(), "train")


def _result(content: TableRunContent) -> dict[str, Any]:
    scores = {name: o.finite(dict(figures)) for name, figures, _ in content.scores}
    return {
        "task": content.task,
        "rows": dict(content.rows),
        "scored_on": content.scored_on,
        "scores": scores,
        "importances": o.finite({name: rise for name, rise, _ in content.importances}),
        "networks": len(content.networks),
        "seconds": content.seconds,
        "stopped": content.stopped,
    }


def _plain(content: TableRunContent, folder: Path) -> dict[str, Any]:
    """Return what `--json` prints."""
    told = {"facts": list(content.facts), "target": content.target_sentence, "warnings": list(content.warnings)}
    where = {"run": str(folder), "model": str(folder / "model.safetensors")}
    return _result(content) | told | {"notes": list(content.notes)} | where


def _with_hashes(fit: TableFit) -> TableModel:
    """Return the model with hashes of the rows that it was trained on."""
    return replace(fit.model, core=replace(fit.model.core, trained_on=RowSketch.of(fit.E)))
