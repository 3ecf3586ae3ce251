"""The driver of a search: one process decides and writes, others only train; if any dies, each trial still ends once.

In: data, a space, a budget, an executor. Out: a `SearchResult`, and a folder from which the same call resumes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chainrule.constraints import COUNT
from chainrule.data import Dataset
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.io import load_model, save_model
from chainrule.pipeline import Settings, evaluate
from chainrule.search.executor import Executor, ProcessExecutor
from chainrule.search.halving import last_hope, promoted
from chainrule.search.results import Final, RungScore, SearchResult, Trial, best_of
from chainrule.search.rungs import RungResult, RungTask, SearchData, forget
from chainrule.search.sampling import RandomSampler, Sampler, TreeSampler, importance
from chainrule.search.space import Space
from chainrule.search.spec import SearchBudget, SearchSpec, plan_search
from chainrule.search.store import Store, opened
from chainrule.table_model import TableModel
from chainrule.train.interrupts import interruptible


@dataclass(frozen=True)
class SearchStatus:
    """State of a running search, for progress displays.

    Parameters
    ----------
    trials : tuple of Trial
        All trials so far.
    under_way : frozenset of int
        Numbers of the trials being trained now.
    planned : int or None
        Number of trials to try; None if only the time is limited.
    metric : str
        Score that trials are compared by.
    seconds : float
        Time since the call began.
    finals : int, default=0
        Final trainings done.
    seeds : int, default=0
        Final trainings planned.
    """

    trials: tuple[Trial, ...]
    under_way: frozenset[int]
    planned: int | None
    metric: str
    seconds: float
    finals: int = 0
    seeds: int = 0


Watch = Callable[["SearchStatus"], None]

WORKERS = 2
"""Processes of a search that names no number."""


def search(
    source: str | Path | Dataset,
    space: Space | Mapping[str, Any] | None = None,
    *,
    out: str | Path,
    budget: SearchBudget | None = None,
    settings: Settings | None = None,
    workers: int = WORKERS,
    executor: Callable[[SearchData], Executor] | None = None,
    watch: Watch = lambda status: None,
    target: str | None = None,
    task: str | None = None,
    test_fraction: float = 0.2,
    validation_fraction: float = Settings.validation_fraction,
) -> SearchResult:
    """Search for the best configuration of a network.

    With one worker a search gives the same trials every time, interrupted and resumed or not. With several, which values
    are tried depends on which trial finishes first (not for "random"); each single trial can always be repeated.

    Parameters
    ----------
    source : str, Path or Dataset
        A built-in name, a file, or a data set.
    space : Space or mapping, default=None
        Names of settings (and `width`, `depth`) with `{low, high, log, step}`, `{choices}`, or a fixed value; None takes
        `default_space`.
    out : str or Path
        Folder of the search; the same call on the same folder resumes it.
    budget : SearchBudget, default=None
        Method, number of trials, time and seeds; None takes the defaults.
    settings : Settings, default=None
        Settings that the space does not vary.
    workers : int, default=2
        Processes on this machine, one thread each.
    executor : callable, default=None
        From `SearchData` to an executor that trains the rungs instead of processes on this machine.
    watch : callable
        Called with a `SearchStatus` at every change.
    target : str, default=None
        Column to predict; None takes the last one.
    task : {"classification", "regression"}, default=None
        None decides by the target.
    test_fraction : float, default=0.2
        Share of the rows for the final test.
    validation_fraction : float, default=0.2
        Share of the other rows by which trials are compared.

    Returns
    -------
    SearchResult
        The best configuration, all trials, and what mattered.

    Raises
    ------
    InvalidValueError
        Names all faults of the space; or the folder belongs to another search, or no trial completed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     budget = SearchBudget("random", trials=2, seeds=1)
    ...     result = search("iris", {"width": {"low": 4, "high": 8}}, out=folder, budget=budget, workers=1)
    >>> len(result.trials), result.best.state
    (2, 'complete')
    """
    raise_all([] if COUNT.allows(workers) else [must_be("search", "workers", str(COUNT), workers)])
    if executor is not None and workers != WORKERS:
        hint = "The executor has its own."
        raise InvalidValueError(must_be("search", "workers", "left out beside an executor", workers, hint))
    spec = plan_search(
        source,
        space,
        settings or Settings(),
        budget or SearchBudget(),
        target=target,
        task=task,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
    )
    return run_search(spec, Path(out), executor or (lambda data: ProcessExecutor(data, workers)), watch)


def run_search(
    spec: SearchSpec, out: Path, executor: Callable[[SearchData], Executor], watch: Watch = lambda status: None
) -> SearchResult:
    """Run a search that was planned, or resume it."""
    began = time.monotonic()
    with (
        opened(out, spec.fingerprint(), spec.plain()) as store,
        interruptible(signal.SIGINT, signal.SIGTERM) as interrupted,
        closing(executor(spec.data)) as workers,
    ):
        return Driver(spec, out, store, workers, interrupted, watch, began).run()


class Driver:
    """The one process that decides and writes. Everything it holds can be rebuilt from its store."""

    def __init__(
        self,
        spec: SearchSpec,
        folder: Path,
        store: Store,
        executor: Executor,
        interrupted: Callable[[], bool],
        watch: Watch,
        began: float,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._store = store
        self._executor = executor
        self._interrupted = interrupted
        self._watch = watch
        self._began = began
        self._trials = {trial.number: trial for trial in store.trials()}
        self._sampler = _sampler(spec)
        for trial in self._trials.values():
            self._sampler.begun(trial)
        self._orphans = [t.number for t in self._trials.values() if t.state == "running" and not t.rungs]
        self._busy: dict[str, int] = {}
        self._finals: dict[int, Final] = {}

    def run(self) -> SearchResult:
        """Run all trials, then train the best configuration with several seeds."""
        self._loop(self._next)
        if not self._interrupted():
            self._end_waiting()
            self._train_best()
        self._show()
        return self._result()

    def _loop(self, following: Callable[[], RungTask | None]) -> None:
        """Keep the executor busy until no task follows or a signal arrives."""
        while not self._interrupted():
            while len(self._busy) < self._executor.slots and (task := following()) is not None:
                self._executor.submit(task)
            if not self._busy:
                return
            self._show()
            for result in self._executor.wait(0.25):
                number = self._busy.pop(result.name)
                if not result.interrupted:
                    (self._take if result.name.startswith("trial") else self._take_final)(number, result)

    def _next(self) -> RungTask | None:
        """Return the next rung: of a trial left by an earlier process, a promoted trial, or a new one."""
        if self._orphans:
            return self._task(self._trials[self._orphans.pop(0)])
        if self._over():
            return None
        trials = tuple(self._trials.values())
        busy = set(self._busy.values())
        metric = self._spec.metric
        trial = promoted(trials, len(self._spec.rungs), busy, metric)
        if trial is None:
            trial = self._new() or (None if busy else last_hope(trials, busy, metric))
        return None if trial is None else self._task(trial)

    def _over(self) -> bool:
        """Return whether the time is over."""
        seconds = self._spec.budget.seconds
        return seconds is not None and time.monotonic() - self._began > seconds

    def _new(self) -> Trial | None:
        number = len(self._trials)
        planned = self._spec.budget.trials
        if planned is not None and number >= planned:
            return None
        trial = Trial(number, self._sampler.propose(number))
        self._store.begin(number, trial.values)
        self._trials[number] = trial
        return trial

    def _task(self, trial: Trial) -> RungTask:
        """Return a trial's next rung."""
        name = f"trial-{trial.number:05}"
        ends = self._spec.rungs
        settings = self._spec.settings(trial)
        rung = len(trial.rungs)
        last = rung >= len(ends) - 1
        end = settings.max_iter if last else ends[rung]
        self._busy[name] = trial.number
        return RungTask(name, settings, str(self._run_folder(name)), trial.epochs, end, last)

    def _run_folder(self, name: str) -> Path:
        return self._folder / "runs" / name

    def _take(self, number: int, result: RungResult) -> None:
        """Record the result of a rung; the trial has ended with it, or waits."""
        trial = self._trials[number]
        fault = result.fault
        state = "pruned" if fault else "complete" if result.ended else "running"
        rungs = trial.rungs if fault else (*trial.rungs, _rung(result))
        with self._store.together():
            if not fault:
                self._store.reach(number, len(trial.rungs), rungs[-1])
            if state != "running":
                self._store.end(number, state, fault)
        self._trials[number] = replace(trial, rungs=rungs, state=state, reason=fault)
        if state != "running":
            self._ended(number)

    def _ended(self, number: int) -> None:
        self._sampler.ended(self._trials[number])
        forget(self._run_folder(f"trial-{number:05}"))

    def _end_waiting(self) -> None:
        """Prune the trials that wait for a rung they will not get."""
        for trial in [t for t in self._trials.values() if t.state == "running"]:
            reason = f"not among the best at epoch {trial.epochs}"
            self._store.end(trial.number, "pruned", reason)
            self._trials[trial.number] = replace(trial, state="pruned", reason=reason)
            self._ended(trial.number)

    def _train_best(self) -> None:
        """Train the best configuration with several seeds, except those that an earlier process trained."""
        best = best_of(tuple(self._trials.values()), self._spec.metric)
        if best is None:
            return
        for index, plain in self._store.finals().items():
            if plain["trial"] == best.number and (index > 0 or self._model_file.is_file()):
                self._finals[index] = Final(**{k: v for k, v in plain.items() if k != "trial"})
        missing = [index for index in range(self._spec.budget.seeds) if index not in self._finals]
        self._loop(lambda: self._final_task(best, missing.pop(0)) if missing else None)

    @property
    def _model_file(self) -> Path:
        return self._folder / "model.safetensors"

    def _final_task(self, best: Trial, index: int) -> RungTask:
        settings = self._spec.settings(best)
        name = f"final-{best.number:05}-{index}"
        self._busy[name] = index
        settings = replace(settings, seed=settings.seed + index)
        return RungTask(name, settings, str(self._run_folder(name)), 0, settings.max_iter, model=True)

    def _take_final(self, index: int, result: RungResult) -> None:
        """Record a final training; the first is the search's model. Only here are the test rows used."""
        parts = self._spec.parts
        model = result.model
        if result.fault or model is None or parts.validation is None:
            raise InvalidValueError(f"search: the final training of the best configuration failed: {result.fault}.")
        validation = evaluate(model, parts.validation.X, parts.validation.y)
        test = None if parts.test is None else evaluate(model, parts.test.X, parts.test.y)
        final = Final(self._spec.budget.seed + index, validation, test, result.epochs, result.seconds)
        if index == 0:
            schema = parts.train.schema
            save_model(model if schema is None else TableModel(schema, model), self._model_file)
        self._store.keep_final(index, {**vars(final), "trial": int(result.name.split("-")[1])})
        self._finals[index] = final
        forget(self._run_folder(result.name))

    def _show(self) -> None:
        trials = frozenset(n for name, n in self._busy.items() if name.startswith("trial"))
        self._watch(
            SearchStatus(
                tuple(self._trials.values()),
                trials,
                self._spec.budget.trials,
                self._spec.metric,
                time.monotonic() - self._began,
                len(self._finals),
                self._spec.budget.seeds,
            )
        )

    def _result(self) -> SearchResult:
        spec = self._spec
        trials = tuple(self._trials.values())
        interrupted = self._interrupted()
        best = best_of(trials, spec.metric)
        if best is None and not interrupted:
            reasons = "; ".join(dict.fromkeys(t.reason for t in trials if t.reason)) or "the time was over before that"
            raise InvalidValueError(f"search: no trial completed. {reasons}")
        finals = tuple(self._finals[index] for index in sorted(self._finals))
        shares = importance(spec.space, trials, spec.metric, spec.budget.seed % 2**32) if not interrupted else {}
        return SearchResult(
            spec.budget.method,
            spec.metric,
            spec.space,
            trials,
            None if best is None else spec.settings(best),
            finals,
            shares,
            load_model(self._model_file) if finals and not interrupted else None,
            time.monotonic() - self._began,
            self._folder,
            interrupted,
        )


def _rung(result: RungResult) -> RungScore:
    return RungScore(
        end=result.end,
        score=result.score,
        loss=result.loss,
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        curve=result.curve,
    )


def _sampler(spec: SearchSpec) -> Sampler:
    """Return the sampler that proposes values."""
    if spec.budget.method == "tpe":
        return TreeSampler(spec.space, spec.budget.seed, spec.metric)
    return RandomSampler(spec.space, spec.budget.seed)
