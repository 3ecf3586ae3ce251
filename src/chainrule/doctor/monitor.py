"""Why: every training can be watched, so cheaply that nobody turns it off: a few looks inside, rules at its end, no trials.

In: a case, and the epochs of its training as `train` shows them to monitors. Out: a `Report` when it ends; on the way,
what is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.doctor.examine import checked_suppressions
from chainrule.doctor.monitoring import current_problem, monitoring_report, nan_finding
from chainrule.doctor.observe.blas import SINGLE_THREAD_LIMIT, per_row
from chainrule.doctor.observe.probe import Probe
from chainrule.doctor.observe.recorder import Recorder, broken_reading
from chainrule.doctor.rules.selection import subsample
from chainrule.doctor.vocabulary.records import Finding, Reading, Report, Trace
from chainrule.doctor.vocabulary.targets import baseline_loss
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError
from chainrule.nn.step import State
from chainrule.pipeline import Job
from chainrule.pipeline.option_names import ESTIMATOR, FIT
from chainrule.train.monitors import Decision, Monitor
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Run, spent

FEWEST = 32
"""Rows that a look takes at least; more, up to `Thresholds.quick_probe_rows`, where that costs no second thread."""

AGAIN = 0.5
"""Seconds of training that may be gone through again to find the step at which a run broke."""

Changed = Callable[[Finding, int], None]
"""Is told a finding, and the epoch behind which it was made."""


def problem_of(job: Job) -> TrainingProblem:
    """The case of a prepared job: what an estimator or the command line is about to train."""
    classes = job.target.classes
    return TrainingProblem(
        job.recipe,
        job.rows,
        job.config(),
        job.held_out,
        job.settings.engine,
        job.start,
        job.feature_names,
        None if isinstance(classes, tuple) else classes,
    )


@dataclass
class WatchState:
    """What a watch remembers of one run: looks, epochs, the symptoms that stood at the last look and those told."""

    book: Recorder
    first: State
    base: float
    began: float
    epochs: list[Epoch] = field(default_factory=list)
    stood: frozenset[str] = frozenset()
    told: set[str] = field(default_factory=set)
    broke: Reading | None = None

    @property
    def stopped(self) -> str:
        """Why the run ended in numbers that are not finite; nothing where it did not."""
        last = None if self.broke is None else self.epochs[-1].number
        return "" if last is None else f"diverged: the loss in epoch {last} is not a finite number"


@dataclass(frozen=True)
class DoctorMonitor:
    """A monitor that watches only: it reads a few moments of a run and gives its report to `tell` at the end.

    It needs the case beforehand, since an epoch's record carries numbers and not the network or its rows: make it with
    `problem_of(job)`, or by hand for `train`. It never stops a run and keeps no weights, takes about
    `Thresholds.overhead` of the time, and tries no remedies; `examine_case` does.

    `on_change` is told during the run what is wrong, with the epoch: a loss that is no number at once; else what stood at
    two looks in a row while the loss did not get on, each symptom once. `suppress` maps symptoms not to be told to the
    reason why.

    >>> from chainrule.doctor import DoctorMonitor
    >>> from chainrule.train.problem import TrainingProblem
    >>> from chainrule.engines import Rows
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.step import Recipe
    >>> from chainrule.train import TrainConfig
    >>> from chainrule.train.loop import train
    >>> recipe, X = Recipe(mlp(1, [4], 1), MeanSquaredError()), np.linspace(-1, 1, 40)[:, None]
    >>> rows, held_out = Rows.of(recipe, X, X), Rows.of(recipe, X[::3] + 0.01, X[::3])
    >>> problem = TrainingProblem(recipe, rows, TrainConfig(80, 0.01), held_out)
    >>> watch = DoctorMonitor(problem, lambda report: print(report.verdict))
    >>> run = train(recipe, problem.rows, problem.config, validation=problem.validation, monitors=[watch])
    healthy
    """

    problem: TrainingProblem
    tell: Callable[[Report], None]
    on_change: Changed | None = None
    suppress: Mapping[str, str] = field(default_factory=dict)
    interface: str = FIT

    def __post_init__(self) -> None:
        checked_suppressions(self.suppress)

    def start(self, epochs: int) -> WatchState:
        """A first look, at the numbers that the run begins with."""
        began = time.perf_counter()
        problem = self.problem
        first = problem.recipe.start() if problem.start is None else problem.start
        rows = min(max(FEWEST, SINGLE_THREAD_LIMIT // per_row(problem.recipe.net)), USUAL.quick_probe_rows)
        book = Recorder(Probe(problem, rows), USUAL.overhead / 2)
        book.take(first, self._epoch(first), problem.config.learning_rate)
        base = baseline_loss(problem.recipe, subsample(problem.rows))
        book.seconds = time.perf_counter() - began
        return WatchState(book, first, base, began)

    def observe(self, memory: WatchState, epoch: Epoch) -> tuple[WatchState, Decision]:
        """Look, when it is time to. Epochs of an earlier process, whose numbers are gone, are passed over."""
        memory.epochs.append(epoch)
        if not epoch.finite:
            self._breaks(memory, epoch)
        elif epoch.complete and epoch.number >= memory.book.due:
            self._may_look(memory, epoch)
        return memory, Decision()

    def end(self, memory: WatchState) -> None:
        """The last look, and the report."""
        epochs = tuple(replace(epoch, state=spent) for epoch in memory.epochs)
        self.tell(self.report(memory, _last(memory), epochs, time.perf_counter() - memory.began))

    def report(self, notes: WatchState, final: State, epochs: Sequence[Epoch], seconds: float) -> Report:
        """The report on a run of so many seconds that ended with these numbers."""
        began, problem = time.perf_counter(), self.problem
        number = max(epochs[-1].number, 1) if epochs else 1
        problem = replace(problem, config=replace(problem.config, epochs=number))
        readings = self._readings(notes, final, epochs)
        looking = notes.book.seconds
        trace = self._trace(notes, final, epochs, readings, seconds, looking)
        left = USUAL.overhead * seconds - looking - (time.perf_counter() - began)
        report = monitoring_report(problem, trace, notes.first, dict(self.suppress), left)
        took = looking + time.perf_counter() - began
        overhead = took / max(seconds - looking, 1e-9)
        return replace(report, seconds=took, overhead=overhead, interface=self.interface)

    def _readings(self, notes: WatchState, final: State, epochs: Sequence[Epoch]) -> tuple[Reading, ...]:
        """Looks up to the numbers that are kept, one at these, and the step that broke."""
        readings = [reading for reading in notes.book.readings if reading.step <= int(final.step)]
        if epochs and readings[-1:] and readings[-1].step != int(final.step):
            number = self._epoch(final)
            rates = [epoch.learning_rate for epoch in epochs if epoch.number <= max(number, 1)]
            rate = rates[-1] if rates else self.problem.config.learning_rate
            readings.append(notes.book.read(final, number, rate))
        return (*readings, *(() if notes.broke is None else (notes.broke,)))

    def _trace(
        self,
        notes: WatchState,
        state: State,
        epochs: Sequence[Epoch],
        readings: Sequence[Reading],
        seconds: float,
        looking: float,
    ) -> Trace:
        nothing, snapshots = np.zeros(0), notes.book.snapshots
        return Trace(
            tuple(epochs),
            tuple(readings),
            nothing,
            nothing,
            snapshots,
            notes.base,
            state,
            notes.stopped,
            seconds,
            looking,
            self.problem.config.epochs,
        )

    def _epoch(self, state: State) -> int:
        """Epochs done at this state."""
        return int(state.step) // len(self.problem.recipe.batches(len(self.problem.rows)))

    def _may_look(self, notes: WatchState, epoch: Epoch) -> None:
        """A look if the time allows it, and whether what it shows is to be told."""
        began, before = time.perf_counter(), len(notes.book.readings)
        try:
            state = epoch.state()
        except InvalidValueError:
            return
        trained = began - notes.began - notes.book.seconds
        notes.book.epoch_ends(state, epoch.number, epoch.learning_rate, trained)
        looked = time.perf_counter()
        if len(notes.book.readings) > before and self.on_change is not None:
            self._compare(notes, state, epoch.number)
            notes.book.seconds += time.perf_counter() - looked

    def _compare(self, notes: WatchState, state: State, number: int) -> None:
        """Tell what stands now and stood at the look before."""
        trace = self._trace(notes, state, notes.epochs, notes.book.readings, 0.0, 0.0)
        found = current_problem(self.problem, trace, self.suppress)
        stood, notes.stood = notes.stood, frozenset() if found is None else found[1]
        if found is not None and found[0].symptom in stood:
            self._say(notes, found[0], number)

    def _say(self, notes: WatchState, finding: Finding, number: int) -> None:
        if self.on_change is not None and finding.symptom not in {*notes.told, *self.suppress}:
            notes.told.add(finding.symptom)
            self.on_change(finding, number)

    def _breaks(self, notes: WatchState, epoch: Epoch) -> None:
        """Where it broke, and word of it at once."""
        began, state = time.perf_counter(), _sound(notes)
        notes.broke = broken_reading(self.problem, state, notes.epochs, AGAIN)
        notes.book.seconds += time.perf_counter() - began
        readings = (*notes.book.readings, notes.broke)
        finding = nan_finding(self.problem, self._trace(notes, state, notes.epochs, readings, 0.0, 0.0))
        if finding is not None:
            self._say(notes, finding, epoch.number)


@dataclass(frozen=True)
class DoctorCallback:
    """A callback of the estimators: a `DoctorMonitor` on each network that `fit` trains, whose report goes to `tell`.

    By default the report is printed. `on_change` and `suppress` are those of `DoctorMonitor`; rows that nobody holds
    out are passed over in any case, since cross-validation holds them out around the estimator.

    >>> from chainrule import NetClassifier
    >>> from chainrule.data import load
    >>> circles = load("circles")
    >>> watcher = DoctorCallback(lambda report: print(report.verdict))
    >>> fitted = NetClassifier(random_state=0, callbacks=[watcher]).fit(circles.X, circles.y)
    healthy
    """

    tell: Callable[[Report], None] = print
    on_change: Changed | None = None
    suppress: Mapping[str, str] = field(default_factory=dict)

    def for_job(self, job: Job) -> DoctorMonitor:
        """The monitor of one network."""
        outside = {"no-validation": "rows are held out around the estimator"}
        suppress = outside | dict(self.suppress)
        return DoctorMonitor(problem_of(job), self.tell, self.on_change, suppress, ESTIMATOR)


def _sound(notes: WatchState) -> State:
    """The last finite numbers that were looked at."""
    return notes.book.snapshots[max(notes.book.snapshots)]


def _last(notes: WatchState) -> State:
    """The numbers that the run ended with; the last ones known where they are not finite, or gone."""
    if not notes.epochs or notes.broke is not None:
        return _sound(notes)
    try:
        return notes.epochs[-1].state()
    except InvalidValueError:
        return _sound(notes)


def watched(
    problem: TrainingProblem,
    run: Callable[[Monitor], Run],
    *,
    on_change: Changed | None = None,
    suppress: Mapping[str, str] | None = None,
) -> tuple[Run, Report]:
    """What `run` trains under a monitor that it is given, and the report on the weights that it kept."""
    watch = DoctorMonitor(problem, lambda report: None, on_change, checked_suppressions(suppress))
    left_open = _LeftOpen(watch, [])
    ended = run(left_open)
    notes = left_open.memories[-1]
    return ended, watch.report(notes, ended.state, ended.epochs, ended.seconds)


@dataclass(frozen=True)
class _LeftOpen:
    """A watch without its end: that comes when it is known which weights the run kept."""

    watch: DoctorMonitor
    memories: list[WatchState]

    def start(self, epochs: int) -> WatchState:
        """The watch's own start, remembered."""
        self.memories.append(self.watch.start(epochs))
        return self.memories[-1]

    def observe(self, memory: WatchState, epoch: Epoch) -> tuple[WatchState, Decision]:
        """The watch's own."""
        return self.watch.observe(memory, epoch)

    def end(self, memory: WatchState) -> None:
        """Nothing yet."""
