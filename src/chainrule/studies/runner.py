"""Run the cells of studies in processes, each engine on one thread, and lose nothing when interrupted.

In: studies, a configuration, a folder. Out: one line of records.jsonl for every cell, as they are done; results by study.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chainrule.errors import must_be
from chainrule.io.files import locked
from chainrule.processes import ONE_THREAD, environment
from chainrule.studies.study import Cell, Record, Results, Study, StudyConfig

Progress = Callable[[Cell, int, int], None]
"""Called after each cell with the cell, the number of finished cells, and the number of all."""


def run(
    studies: Sequence[Study],
    config: StudyConfig,
    folder: Path,
    workers: int | None = None,
    progress: Progress = lambda cell, done, of: None,
) -> dict[str, Results]:
    """Run every cell that the folder has no record of.

    A cell that raises ends the run with its error; finished cells are kept, and the same call resumes from them.

    Parameters
    ----------
    studies : sequence of Study
        What to run.
    config : StudyConfig
        Data, seeds and size.
    folder : Path
        Where the records are kept, in `records.jsonl`.
    workers : int, default=None
        Processes at once; None takes as many as the machine has cores.
    progress : callable, default=does nothing
        Called after each cell with the cell, the number of finished cells, and the number of all.

    Returns
    -------
    results : dict of str to Results
        Records by name of the study.

    Raises
    ------
    InvalidValueError
        Where another process works in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, must_be("study", "out", "a free folder", str(folder), "Another process works in it.")):
        known = _do(folder / "records.jsonl", studies, config, workers, progress)
    cells = [cell for study in studies for cell in study.cells(config)]
    return {
        study.name: Results.of([(cell, known[cell.key]) for cell in cells if cell.study == study.name])
        for study in studies
    }


def _do(
    journal: Path, studies: Sequence[Study], config: StudyConfig, workers: int | None, progress: Progress
) -> dict[str, Record]:
    """Return every record by the key of its cell: those of the journal, and those that were missing there."""
    known = dict(_read(journal))
    missing = [cell for study in studies for cell in study.cells(config) if cell.key not in known]
    with journal.open("a") as log:
        for done, (cell, record) in enumerate(_work(missing, workers or os.cpu_count() or 1), 1):
            known[cell.key] = record
            log.write(json.dumps({"key": cell.key, "record": record}) + "\n")
            log.flush()
            progress(cell, done, len(missing))
    return known


def _read(journal: Path) -> Iterator[tuple[str, Record]]:
    """Yield the whole lines of a journal; a last line cut off by a crash is removed from it."""
    if not journal.exists():
        return
    whole = journal.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        os.truncate(journal, end)
    for line in whole[:end].decode().splitlines():
        entry = json.loads(line)
        yield entry["key"], entry["record"]


def _work(cells: Sequence[Cell], workers: int) -> Iterator[tuple[Cell, Record]]:
    if workers == 1 or len(cells) < 2:
        yield from ((cell, run_cell(cell)) for cell in cells)
        return
    with environment(ONE_THREAD), ProcessPoolExecutor(min(workers, len(cells)), get_context("spawn")) as pool:
        futures: dict[Future[Record], Cell] = {pool.submit(run_cell, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run one cell, and add the seconds that it took."""
    from chainrule.studies import PAPERS, STUDIES

    began = time.perf_counter()
    record = {**STUDIES, **PAPERS}[cell.study].run(cell)
    return {**record, "wall_seconds": round(time.perf_counter() - began, 3)}
