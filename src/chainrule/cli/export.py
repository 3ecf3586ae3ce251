"""`chainrule export`: a trained model as a file that runs without this package.

In: a model file or a run folder, and a format. Out: the file, compared with the model before it is written, and a table of
what the comparison found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.source_rows import ModelPath, read_model
from chainrule.cli.unused import refuse
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.exporters import Exported
from chainrule.exporters import export as export_model
from chainrule.exporters.check import ROWS
from chainrule.exporters.registry import FORMATS
from chainrule.report import terminal


def export(
    model: ModelPath,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"{', '.join(FORMATS)}.")],
    out: Annotated[Path | None, typer.Option(help="File to write; by default named after MODEL.")] = None,
    opset: Annotated[int | None, typer.Option(metavar="N", help="Version of ONNX's operators; 18 by default.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Store weights in eight bits (C only).")] = False,
    as_json: o.Json = False,
) -> None:
    """Write MODEL as a NumPy file, an ONNX graph, a C header, a JavaScript module or a PyTorch module.

    The file is run on 1,000 rows and compared with MODEL; where they differ, nothing is written.
    """
    if to not in FORMATS:
        hint = did_you_mean(to, FORMATS)
        raise InvalidValueError(must_be("export", "--to", f"one of {', '.join(FORMATS)}", to, hint))
    refuse("export", {name: name in FORMATS[to].options for name in ("opset", "int8")})
    path = _path(model, FORMATS[to].suffix, out)
    trained = read_model(model)
    if not as_json:
        o.console(stderr=True).print(f"writing {path.name} and comparing it with the model on {ROWS:,} rows")
    done = export_model(trained, path, to, opset=opset, int8=int8)
    if as_json:
        o.print_json(_plain(done))
    else:
        o.console().print(terminal.plain_table(*_table(done)))
        for sentence in [done.check.sentence()] if done.check.missing else done.check.notes():
            o.console().print(sentence)


def _path(model: str, suffix: str, out: Path | None) -> Path:
    """Return the file to write; one that is named after the model must not be there yet."""
    if out is not None:
        if out.suffix != suffix:
            raise InvalidValueError(must_be("export", "--out", f"a file that ends with {suffix}", str(out)))
        o.check_folder("export", out)
        return out
    given = Path(model)
    name = given.resolve().name if given.is_dir() else given.stem
    path = Path(f"{name or 'model'}{suffix}")
    if path.exists():
        hint = "A file of this name is there; name it to replace it."
        raise InvalidValueError(must_be("export", "--out", "given", str(path), hint))
    return path


def _table(done: Exported) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return a row for each file; the first has what the check found."""
    check = done.check
    names = ("rows checked", "difference", "time per row")
    figures = (f"{check.rows:,}", f"{check.difference:.1g}", f"{1e6 * check.seconds:.3g} µs")
    found = {} if check.missing else dict(zip(names, figures, strict=True))
    files = [(str(path), f"{path.stat().st_size:,}") for path in done.paths]
    blank = ("",) * len(found)
    rows: list[tuple[Any, ...]] = [(*files[0], *found.values()), *((*file, *blank) for file in files[1:])]
    return ("file", "bytes", *found), rows


def _plain(done: Exported) -> dict[str, Any]:
    """Return the result as plain data."""
    check = done.check
    return {
        "files": [str(path) for path in done.paths],
        "format": done.to,
        "bytes": done.size,
        "checked": not check.missing,
        "rows": check.rows,
        "largest_difference": check.difference,
        "tolerance": check.tolerance,
        "uncertain_rows": check.uncertain,
        "ties": check.ties,
        "microseconds_per_row": 1e6 * check.seconds,
    }
