"""Many small networks trained in the same calls of the compiled engine, over all cores.

Each network is trained as `train` would train it, bit for bit; what they share is the call, and the rows.
In: problems and monitors. Out: their runs.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

from chainrule.engines import Engine, Session, choose
from chainrule.engines.border import checked_state
from chainrule.engines.native import NativeEngine
from chainrule.nn.step import State, Sums, starts
from chainrule.train.blocks import InBlocks, block_bytes, suits, train_in_blocks
from chainrule.train.interrupts import interruptible
from chainrule.train.loop import knows_ahead, run_of, watched
from chainrule.train.monitors import Monitor
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Run, Snapshot

_BYTES = 2**28
"""Memory that the networks of one call may take; more networks are trained in several calls."""

_BYTES_PER_ROW = 24
"""Memory for a row in each session: its class, its place in the order of the epoch, and the words that it is sorted by."""


def train_many(
    problems: Sequence[TrainingProblem],
    monitors: Sequence[Sequence[Monitor]],
    threads: int,
    signals: Sequence[signal.Signals] = (signal.SIGINT,),
) -> list[Run] | None:
    """Train small networks side by side; None where one of them needs a loop or a process's threads of its own.

    Ctrl-C ends all between two batches. The runs of those that began are returned, which are the first.

    Parameters
    ----------
    problems : sequence of TrainingProblem
        What is trained.
    monitors : sequence of sequences of Monitor
        The monitors of each.
    threads : int
        Threads that train.
    signals : sequence of signals, default=(SIGINT,)
        Signals that end the training.

    Returns
    -------
    list of Run or None
    """
    ahead = all(knows_ahead(monitor) for each in monitors for monitor in each)
    if len(problems) < 2 or not ahead or not all(_alike(problem, problems[0]) for problem in problems):
        return None
    engine, notes = choose(problems[0].engine, problems[0].recipe)
    session = _session(engine, problems[0])
    if not suits(session, problems[0], _beginning(session)):
        return None
    size = _BYTES // (session.nbytes + _BYTES_PER_ROW * len(problems[0].rows) + block_bytes(session, problems[0]))
    if min(size, len(problems)) < threads and session.threads > 1:
        return None
    size = max(1, size)
    runs: list[Run] = []
    with interruptible(*signals) as interrupted:
        for start in range(0, len(problems), size):
            part = slice(start, start + size)
            trained = _trained(engine, problems[part], monitors[part], threads, interrupted)
            runs += [replace(run, notes=notes) for run in trained] if notes else trained
            if interrupted():
                break
    return runs


def _alike(one: TrainingProblem, other: TrainingProblem) -> bool:
    """Check whether what decides how one problem is run is true of the other as well."""
    a, b = one.recipe, other.recipe
    same = (a.batch_size == b.batch_size, a.dtype == b.dtype, type(a.optimizer) is type(b.optimizer))
    steps = [0 if each.start is None else int(each.start.step) for each in (one, other)]
    schedules = type(one.config.schedule) is type(other.config.schedule)
    return (
        all(same)
        and (a.net is b.net or a.net == b.net)
        and schedules
        and a.state_names == b.state_names
        and one.engine == other.engine
        and steps[0] == steps[1]
        and len(one.rows) == len(other.rows)
    )


def _session(engine: Engine, problem: TrainingProblem) -> Session:
    """Return a problem's session at its start."""
    session = engine.compile(problem.recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    return session


def _starts(problems: Sequence[TrainingProblem]) -> list[State]:
    """Return the state that each problem begins from; first weights are drawn for all seeds at once."""
    fresh = [problem.recipe.seed for problem in problems if problem.start is None]
    drawn = iter(starts(problems[0].recipe, fresh) if fresh else ())
    return [
        next(drawn) if each.start is None else checked_state(each.recipe, each.start, "Session") for each in problems
    ]


def _beginning(session: Session) -> Snapshot:
    return Snapshot(session.state, Sums(), (), None)


def _trained(
    engine: Engine,
    problems: Sequence[TrainingProblem],
    monitors: Sequence[Sequence[Monitor]],
    threads: int,
    interrupted: Callable[[], bool],
) -> list[Run]:
    """Train some networks in the same calls; after an interruption return the runs of those that began."""
    began = time.perf_counter()
    with ExitStack() as stack:
        watchers, trainings = [], []
        for problem, watching, start in zip(problems, monitors, _starts(problems), strict=True):
            session = cast(NativeEngine, engine).compile_at(problem.recipe, problem.rows, start)
            watchers.append(stack.enter_context(watched(problem, watching)))
            trainings.append(InBlocks(session, problem, Snapshot(start, Sums(), (), None), watchers[-1]))
        train_in_blocks(trainings, interrupted, threads)
        seconds = time.perf_counter() - began
        runs = []
        for training, watcher in zip(trainings, watchers, strict=True):
            if training.begun:
                watcher.run = run_of(training.end(), "native", (), seconds, watcher)
                runs.append(watcher.run)
    return runs
