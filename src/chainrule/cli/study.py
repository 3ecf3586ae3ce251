"""`chainrule study`: claims of the lecture and of papers, tested as experiments on this machine.

In: a study's name, or all, papers or list; the data and how much of it. Out: sentences, tables, a folder with a page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.unused import refuse, source_facts
from chainrule.errors import did_you_mean, must_be, raise_all


def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of a study, several separated by commas, 'all', 'papers', or 'list'."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, mnist, or any classification source that `train` takes; default: digits, mnist for papers."
        ),
    ] = None,
    target: o.Target = None,
    seeds: Annotated[int, typer.Option(help="Runs per variant, each with its own split and initial weights.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use fewer rows and epochs; all studies take minutes.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Parallel processes; default: one per core.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for records, figures and the page; default: studies/DATA.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Test claims of the lecture or of papers by experiment; finished runs are reused next time."""
    from chainrule.studies import PAPERS, STUDIES, StudyConfig, run
    from chainrule.studies.presenting import plain, write

    refuse("study", {"experiment": name != "list", "table": source_facts(data or "digits")["table"]})
    if name == "list":
        _list(as_json)
        return
    known = {**STUDIES, **PAPERS}
    names = list({"all": STUDIES, "papers": PAPERS}.get(name, name.split(",")))
    raise_all(_faults(names, known, data, seeds, workers))
    source = data or ("mnist" if names[0] in PAPERS else "digits")
    studies = [known[each] for each in names]
    config = StudyConfig(source, target, seeds, quick)
    folder = out or Path("studies") / f"{Path(source).stem}{'-quick' if quick else ''}"
    began = time.perf_counter()
    with _progress(quiet=as_json) as progress:
        results = run(studies, config, folder, workers, progress)
    page = _page(lambda: write(studies, results, config, folder))
    seconds = time.perf_counter() - began
    if as_json:
        conclusions = {each.name: plain(each, results[each.name]) for each in studies}
        o.print_json({"studies": conclusions, "page": page, "seconds": seconds})
        return
    for each in studies:
        _show(each, results[each.name])
    count = f"{len(studies)} {'study' if len(studies) == 1 else 'studies'} in {seconds:.0f} s"
    o.console().print(f"{count}: {page or folder / 'records.jsonl'}", markup=False)


def _page(write: Callable[[], Path]) -> str | None:
    """Write the page and return where it is; warn and return None where that fails, since the records are there."""
    try:
        return str(write())
    except Exception as error:
        o.warn_of_picture("the page", error, "The records are saved.")
        return None


_NAMES = "a study's name, 'all', 'papers' or 'list'"


def _faults(names: list[str], known: Any, data: str | None, seeds: int, workers: int | None) -> list[str]:
    from chainrule.studies import PAPERS

    faults = [
        must_be("study", "name", _NAMES, each, did_you_mean(each, (*known, "all", "papers", "list")))
        for each in names
        if each not in known
    ]
    if data is None and len({name in PAPERS for name in names if name in known}) == 2:
        hint = "By default the lecture's run on digits, the papers' on mnist."
        faults.append(
            must_be("study", "--data", "given if studies of the lecture and of papers run together", None, hint)
        )
    faults += [must_be("study", "--seeds", "a whole number >= 1", seeds)] if seeds < 1 else []
    if workers is not None and workers < 1:
        faults.append(must_be("study", "--workers", "a whole number >= 1", workers))
    return faults


def _list(as_json: bool) -> None:
    from rich.text import Text

    from chainrule.studies import PAPERS, STUDIES

    known = {**STUDIES, **PAPERS}
    if as_json:
        o.print_json({name: {"title": s.title, "claim": s.claim, "source": s.source} for name, s in known.items()})
        return
    out = o.console()
    for name, each in known.items():
        out.print(Text.assemble((f"{name:16}", "bold"), f" {each.claim}"))


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Any, int, int], None]]:
    """Show a progress bar over the cells on standard error, except with JSON."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:32}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=o.console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(cell: Any, done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, description=f"{cell.study}: {cell.arm}"[:32])

        yield progress


def _show(each: Any, results: Any) -> None:
    from rich.table import Table
    from rich.text import Text

    from chainrule.studies.presenting import VERDICTS

    conclusion = each.conclude(results)
    out = o.console()
    out.print(Text(f"\n{each.title}: {VERDICTS[conclusion.holds]}", style="bold"))
    out.print(f"Claim: {each.claim}", markup=False)
    out.print(conclusion.sentence, markup=False)
    for header, rows in (conclusion.criteria_table(), (conclusion.header, conclusion.rows)):
        table = Table(*header, box=None, header_style="dim")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        if rows:
            out.print(table)
