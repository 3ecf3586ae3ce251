"""Watch a training with the doctor, cheaply enough to do so every time.

The monitor takes a few readings of the network, applies rules at the end, and tests no remedies.

In: the problem and the epochs of a training, as `train` passes them to monitors. Out: findings during it, a `Report` after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.doctor.examine import checked_suppressions, planned_epochs
from chainrule.doctor.monitoring import current_problem, monitoring_report, nan_finding
from chainrule.doctor.observe.blas import SINGLE_THREAD_LIMIT, per_row
from chainrule.doctor.observe.probe import Probe
from chainrule.doctor.observe.recorder import Recorder, broken_reading
from chainrule.doctor.rules.selection import subsample
from chainrule.doctor.vocabulary.records import Finding, Reading, Report, Trace
from chainrule.doctor.vocabulary.targets import baseline_loss
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.step import State
from chainrule.pipeline.option_names import ESTIMATOR
from chainrule.train.monitors import Decision
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Run, Stop, diverged

OnChange = Callable[[Finding, int], None]
"""A function of a finding and the epoch after which it was made."""

_FOR_ESTIMATORS = {"no-validation": "rows are held out around the estimator"}
"""What is suppressed for the trainings of estimators, which cross-validation and searches validate from outside."""


@dataclass
class WatchState:
    """What the doctor remembers of one run.

    `present` are the symptoms at the last probe, `reported` those that `on_change` got. `breaking` is the reading of the
    step at which the run diverged.
    """

    problem: TrainingProblem
    suppress: Mapping[str, str]
    recorder: Recorder
    first: State
    baseline: float
    began: float
    epochs: list[Epoch] = field(default_factory=list)
    present: frozenset[str] = frozenset()
    reported: set[str] = field(default_factory=set)
    breaking: Reading | None = None

    @property
    def stopped(self) -> Stop | None:
        """Why the run stopped, if it diverged."""
        return None if self.breaking is None else diverged(self.epochs[-1].number)

    @property
    def last_finite(self) -> State:
        """The last state that was probed, which is finite."""
        return self.recorder.snapshots[max(self.recorder.snapshots)]

    def epoch_of(self, state: State) -> int:
        """Return the number of epochs done at a state."""
        return int(state.step) // self.problem.steps_per_epoch

    def trace(
        self,
        final: State,
        epochs: Sequence[Epoch],
        readings: Sequence[Reading],
        seconds: float = 0.0,
        probe_seconds: float = 0.0,
        planned: int = 0,
    ) -> Trace:
        """Return what was recorded, up to a final state."""
        no_steps = np.zeros(0)
        return Trace(
            tuple(epochs),
            tuple(readings),
            no_steps,
            no_steps,
            self.recorder.snapshots,
            self.baseline,
            final,
            self.stopped,
            seconds,
            probe_seconds,
            planned,
            self.epoch_of(final),
        )


@dataclass(frozen=True)
class DoctorMonitor:
    """A monitor that watches a training for symptoms; `chainrule.doctor.report(run)` gives its report.

    It never stops a run, keeps no weights, tests no remedies, and takes about 2 % of the time (`Thresholds.overhead`).

    Parameters
    ----------
    on_report : callable or None, default=None
        Called with the `Report` at the end of each run, for example `print`; for trainings that return no run, such as an
        estimator's `fit`.
    on_change : callable or None, default=None
        Called during the run with a finding and the epoch: at once if the loss is not finite, else if a symptom was present
        at two probes in a row while the loss made no progress. Each symptom is reported once.
    suppress : mapping of str to str, default={}
        Symptoms not to report, with the reason why.

    Raises
    ------
    InvalidValueError
        For a symptom to suppress that does not exist.

    Examples
    --------
    >>> from chainrule import NetClassifier
    >>> from chainrule.data import load
    >>> circles = load("circles")
    >>> doctor = DoctorMonitor(on_report=lambda report: print(report.verdict))
    >>> fitted = NetClassifier(random_state=0, callbacks=[doctor]).fit(circles.X, circles.y)
    healthy
    """

    on_report: Callable[[Report], None] | None = None
    on_change: OnChange | None = None
    suppress: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_suppressions(self.suppress)

    def start(self, problem: TrainingProblem) -> WatchState:
        """Take a reading of the first state."""
        began = time.perf_counter()
        first = problem.recipe.start() if problem.start is None else problem.start
        rows = min(
            max(USUAL.fewest_probe_rows, SINGLE_THREAD_LIMIT // per_row(problem.recipe.net)), USUAL.quick_probe_rows
        )
        recorder = Recorder(Probe(problem, rows), USUAL.overhead / 2)
        suppress = (_FOR_ESTIMATORS if problem.interface == ESTIMATOR else {}) | dict(self.suppress)
        baseline = baseline_loss(problem.recipe, subsample(problem.rows))
        memory = WatchState(problem, suppress, recorder, first, baseline, began)
        recorder.take(first, memory.epoch_of(first), problem.config.learning_rate)
        recorder.seconds = time.perf_counter() - began
        return memory

    def observe(self, memory: WatchState, epoch: Epoch) -> tuple[WatchState, Decision]:
        """Record an epoch, and probe the network if a reading is due."""
        memory.epochs.append(epoch)
        if not epoch.finite:
            self._report_divergence(memory, epoch)
        elif epoch.complete and epoch.number >= memory.recorder.due:
            self._may_probe(memory, epoch)
        return memory, Decision()

    def end(self, memory: WatchState, run: Run | None) -> None:
        """Report on the state that the run keeps, if `on_report` is given."""
        if self.on_report is not None and run is not None:
            self.on_report(_final_report(memory, run))

    def _may_probe(self, memory: WatchState, epoch: Epoch) -> None:
        """Take a reading if the time allows it, and report a problem that persists."""
        began = time.perf_counter()
        before = len(memory.recorder.readings)
        try:
            state = epoch.state()
        except InvalidValueError:
            return
        trained = began - memory.began - memory.recorder.seconds
        memory.recorder.epoch_ends(state, epoch.number, epoch.learning_rate, trained)
        probed = time.perf_counter()
        if len(memory.recorder.readings) > before and self.on_change is not None:
            self._report_persistent(memory, state, epoch.number)
            memory.recorder.seconds += time.perf_counter() - probed

    def _report_persistent(self, memory: WatchState, state: State, number: int) -> None:
        """Report what is wrong now if it was wrong at the probe before, too."""
        trace = memory.trace(state, memory.epochs, memory.recorder.readings)
        found = current_problem(memory.problem, trace, memory.suppress)
        before = memory.present
        memory.present = frozenset() if found is None else found[1]
        if found is not None and found[0].symptom in before:
            self._report(memory, found[0], number)

    def _report_divergence(self, memory: WatchState, epoch: Epoch) -> None:
        """Find where the run broke, and report it at once."""
        began = time.perf_counter()
        state = memory.last_finite
        memory.breaking = broken_reading(memory.problem, state, memory.epochs, USUAL.replay_seconds)
        memory.recorder.seconds += time.perf_counter() - began
        trace = memory.trace(state, memory.epochs, (*memory.recorder.readings, memory.breaking))
        finding = nan_finding(memory.problem, trace)
        if finding is not None:
            self._report(memory, finding, epoch.number)

    def _report(self, memory: WatchState, finding: Finding, number: int) -> None:
        if self.on_change is not None and finding.symptom not in {*memory.reported, *memory.suppress}:
            memory.reported.add(finding.symptom)
            self.on_change(finding, number)


def report(run: Run) -> Report:
    """Report on a training that a `DoctorMonitor` watched.

    Parameters
    ----------
    run : Run
        What `train` returned; one of its monitors was a `DoctorMonitor`.

    Returns
    -------
    Report
        On the weights that the run kept. Remedies are not tested and the data are not checked; `examine_problem` does both.

    Raises
    ------
    InvalidValueError
        If no `DoctorMonitor` watched the run.

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.engines import Rows
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.step import Recipe
    >>> from chainrule.train import TrainConfig, train
    >>> recipe, X = Recipe(mlp(1, [4], 1), MeanSquaredError()), np.linspace(-1, 1, 40)[:, None]
    >>> rows, held_out = Rows.of(recipe, X, X), Rows.of(recipe, X[::3] + 0.01, X[::3])
    >>> run = train(TrainingProblem(recipe, rows, TrainConfig(80, 0.01), held_out), [DoctorMonitor()])
    >>> report(run).verdict
    'healthy'
    """
    memory = next((memory for memory in run.memories if isinstance(memory, WatchState)), None)
    if memory is None:
        hint = "Pass monitors=[DoctorMonitor()] to train."
        raise InvalidValueError(must_be("report", "run", "watched by a DoctorMonitor", "a run without one", hint))
    return _final_report(memory, run)


def _final_report(memory: WatchState, run: Run) -> Report:
    """Return the report on a run that is over."""
    began = time.perf_counter()
    final, epochs, seconds = run.state, run.epochs, run.seconds
    number = max(epochs[-1].number, 1) if epochs else 1
    problem = replace(memory.problem, config=replace(memory.problem.config, epochs=number))
    readings = _readings(memory, final, epochs)
    probing = memory.recorder.seconds
    trace = memory.trace(final, epochs, readings, seconds, probing, planned_epochs(memory.problem, run))
    remaining = USUAL.overhead * seconds - probing - (time.perf_counter() - began)
    result = monitoring_report(problem, trace, memory.first, dict(memory.suppress), remaining)
    took = probing + time.perf_counter() - began
    if memory.recorder.refused:
        skipped = (f"readings of the layers: {memory.recorder.refused}", *result.skipped)
        result = replace(result, skipped=skipped)
    return replace(result, seconds=took, overhead=took / max(seconds - probing, 1e-9), watched_only=True)


def _readings(memory: WatchState, final: State, epochs: Sequence[Epoch]) -> tuple[Reading, ...]:
    """Return the readings up to the final state, one of this state, and that of the step at which the run diverged."""
    readings = [reading for reading in memory.recorder.readings if reading.step <= int(final.step)]
    if epochs and readings and readings[-1].step != int(final.step):
        number = memory.epoch_of(final)
        rates = [epoch.learning_rate for epoch in epochs if epoch.number <= max(number, 1)]
        rate = rates[-1] if rates else memory.problem.config.learning_rate
        last = memory.recorder.read(final, number, rate)
        readings += [] if last is None else [last]
    return (*readings, *(() if memory.breaking is None else (memory.breaking,)))
