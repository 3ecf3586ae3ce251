"""Why: a training that goes on anyway can be looked at on the way, without a second one.

In: a case, and the epochs of its training as `train` shows them to monitors. Out: a `Report` when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.doctor.examine import report_on
from chainrule.doctor.judging import baseline
from chainrule.doctor.probe import Probe
from chainrule.doctor.records import Case, Report, Trace
from chainrule.doctor.thresholds import USUAL
from chainrule.doctor.watch import Notebook, breaking_step
from chainrule.engines import choose
from chainrule.nn.step import State
from chainrule.pipeline import Job
from chainrule.train.monitors import Decision
from chainrule.train.records import Epoch, spent


def case_of(job: Job) -> Case:
    """The case of a prepared job: what an estimator or the command line is about to train."""
    classes = job.target.classes
    return Case(
        job.recipe,
        job.rows,
        job.course(),
        job.held_out,
        job.settings.engine,
        job.start,
        job.feature_names,
        None if isinstance(classes, tuple) else classes,
    )


@dataclass
class Notes:
    """What a watch remembers of one run."""

    book: Notebook
    began: float
    state: State
    epochs: list[Epoch] = field(default_factory=list)
    stopped: str = ""


@dataclass(frozen=True)
class Watch:
    """A monitor that watches only: it reads a few moments of a run and gives its report to `tell` at the end.

    It needs the case beforehand, since an epoch's record carries numbers and not the network or its rows: make it with
    `case_of(job)`, or by hand for `train`. It never stops a run and keeps no weights, takes about
    `Thresholds.overhead` of the time, and tries no remedies; `examine_case` does.

    >>> from chainrule.doctor import Watch
    >>> from chainrule.doctor.records import Case
    >>> from chainrule.engines import Rows
    >>> from chainrule import stack
    >>> from chainrule.nn.losses import MeanSquared
    >>> from chainrule.nn.step import Recipe
    >>> from chainrule.train import Course
    >>> from chainrule.train.loop import train
    >>> recipe, X = Recipe(stack(1, [4], 1), MeanSquared()), np.linspace(-1, 1, 40)[:, None]
    >>> case = Case(recipe, Rows.of(recipe, X, X), Course(80, 0.01), Rows.of(recipe, X[::3] + 0.01, X[::3]))
    >>> watch = Watch(case, lambda report: print(report.verdict))
    >>> run = train(recipe, case.rows, case.course, validation=case.validation, monitors=[watch])
    healthy
    """

    case: Case
    tell: Callable[[Report], None]

    def start(self, epochs: int) -> Notes:
        """A first reading."""
        state = self.case.start or self.case.recipe.start()
        book = Notebook(Probe(self.case, USUAL.glanced_rows), USUAL.overhead)
        book.look(state, 0, self.case.course.learning_rate)
        return Notes(book, time.perf_counter(), state)

    def observe(self, memory: Notes, epoch: Epoch) -> tuple[Notes, Decision]:
        """Look, when it is time to."""
        memory.epochs.append(replace(epoch, state=spent))
        if not epoch.finite:
            memory.stopped = f"diverged: the loss in epoch {epoch.number} is not a finite number"
            return memory, Decision()
        memory.state = epoch.state()
        trained = time.perf_counter() - memory.began - memory.book.seconds
        memory.book.epoch_ends(memory.state, epoch.number, epoch.learning_rate, trained)
        return memory, Decision()

    def end(self, memory: Notes) -> None:
        """The last reading, and the report."""
        book, state = memory.book, memory.state
        if memory.epochs and book.readings[-1].step != int(state.step):
            book.look(state, len(memory.epochs), memory.epochs[-1].learning_rate)
        if memory.stopped:
            session = choose(self.case.engine, self.case.recipe)[0].compile(self.case.recipe, self.case.rows)
            book.readings.append(breaking_step(self.case, session, state))
        trace = Trace(
            tuple(memory.epochs),
            tuple(book.readings),
            np.zeros(0),
            np.zeros(0),
            book.snapshots,
            baseline(self.case.recipe, self.case.rows),
            state,
            memory.stopped,
            time.perf_counter() - memory.began,
            book.seconds,
        )
        self.tell(report_on(self.case, trace))
