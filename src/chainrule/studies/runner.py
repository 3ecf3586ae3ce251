"""Run the cells of studies in processes, each engine on one thread, and lose nothing when interrupted.

In: studies, a configuration, a folder. Out: one line of records.jsonl for every cell, as they are done; results by study.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from chainrule.errors import ChainruleError, FormatError, must_be
from chainrule.io.files import append, locked, make_folder, shorten
from chainrule.processes import end, receive, send, serve, start
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
    make_folder(folder, "study")
    with locked(folder, must_be("study", "out", "a free folder", str(folder), "Another process works in it."), "study"):
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
    with closing(_work(missing, workers or os.cpu_count() or 1)) as work:
        for done, (cell, record) in enumerate(work, 1):
            known[cell.key] = record
            append(journal, (json.dumps({"key": cell.key, "record": record}) + "\n").encode(), "study")
            progress(cell, done, len(missing))
    return known


def _read(journal: Path) -> Iterator[tuple[str, Record]]:
    """Yield the whole lines of a journal; a last line cut off by a crash is removed from it."""
    if not journal.exists():
        return
    whole = journal.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        shorten(journal, end, "study")
    for number, line in enumerate(whole[:end].splitlines(), 1):
        try:
            entry = json.loads(line)
            key, record = entry["key"], dict(entry["record"])
        except (ValueError, KeyError, TypeError, RecursionError):
            fault = f"{journal}: line {number} must be a record of a study, got something else."
            raise FormatError(f"{fault} Remove the line to run that part again.") from None
        yield key, record


def _work(cells: Sequence[Cell], workers: int) -> Generator[tuple[Cell, Record], None, None]:
    """Yield each cell with its record, as they are done: in this process, or in several that end with this one."""
    if workers == 1 or len(cells) < 2:
        yield from ((cell, run_cell(cell)) for cell in cells)
        return
    done: queue.SimpleQueue[tuple[Cell, Record] | Exception] = queue.SimpleQueue()
    waiting: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
    for cell in (*cells, *[None] * workers):
        waiting.put(cell)
    processes = [start("from chainrule.studies.runner import main\nmain()") for _ in range(min(workers, len(cells)))]
    threads = [threading.Thread(target=_feed, args=(process, waiting, done), daemon=True) for process in processes]
    try:
        for thread in threads:
            thread.start()
        for _ in cells:
            result = done.get()
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        for process in processes:
            process.kill()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        for process in processes:
            end(process)


def _feed(
    process: subprocess.Popen[bytes],
    waiting: queue.SimpleQueue[Cell | None],
    done: queue.SimpleQueue[tuple[Cell, Record] | Exception],
) -> None:
    """Send cells to a process, one after another, until none is left or one fails."""
    while (cell := waiting.get()) is not None:
        try:
            send(process, cell)
            answer = receive(process)
        except (EOFError, OSError, pickle.UnpicklingError):
            fault = f"study: the process that ran {cell.study}, {cell.arm}, seed {cell.seed} died (out of memory?)."
            answer = ChainruleError(f"{fault} Records so far are kept; run it again to resume.")
        done.put(answer if isinstance(answer, Exception) else (cell, answer))
        if isinstance(answer, Exception):
            return


def main() -> None:
    """Run cells in a process of their own until there are no more."""
    serve(lambda cells: map(_record_or_error, cells))


def _record_or_error(cell: Cell) -> Record | Exception:
    """Return a cell's record, or its error in a form that another process can read."""
    try:
        return run_cell(cell)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return ChainruleError(f"{type(error).__name__}: {error}")
        return error


def run_cell(cell: Cell) -> dict[str, Any]:
    """Run one cell, and add the seconds that it took."""
    from chainrule.studies import PAPERS, STUDIES

    began = time.perf_counter()
    record = {**STUDIES, **PAPERS}[cell.study].run(cell)
    return {**record, "wall_seconds": round(time.perf_counter() - began, 3)}
