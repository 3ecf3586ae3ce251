"""Why: one process decides and writes, many only train; whichever of them dies, every trial ends exactly once.

In: data, a space, a number of trials or a time, hands. Out: a `SearchResult`, and a folder from which the same call goes on.
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
from chainrule.search.rungs import Outcome, Problem, Work, forget
from chainrule.search.sampling import RandomSampler, Sampler, TreeSampler, importance
from chainrule.search.space import Space
from chainrule.search.spec import SearchBudget, SearchSpec, plan_search
from chainrule.search.store import Store, opened
from chainrule.train.interrupts import interruptible


@dataclass(frozen=True)
class SearchStatus:
    """How a search stands: for whoever watches. `under_way` are the numbers of the trials being trained now."""

    trials: tuple[Trial, ...]
    under_way: frozenset[int]
    wanted: int | None
    metric: str
    seconds: float
    finals: int = 0
    seeds: int = 0


Watch = Callable[["SearchStatus"], None]


def search(
    source: str | Path | Dataset,
    space: Space | Mapping[str, Any] | None = None,
    *,
    out: str | Path,
    plan: SearchBudget | None = None,
    settings: Settings | None = None,
    workers: int = 2,
    executor: Callable[[Problem], Executor] | None = None,
    watch: Watch = lambda board: None,
    target: str | None = None,
    task: str | None = None,
    test_fraction: float = 0.2,
    validation_fraction: float = Settings.validation_fraction,
) -> SearchResult:
    """Search for the best configuration of a network for `source`: a built-in name, a file, or a data set.

    space     names of settings (and `width`, `depth`) to `{low, high, log, step}` or `{choices}`, or a value held fixed
    out       the search's folder; the same call on the same folder goes on where an earlier one was ended
    settings  what the space does not touch
    workers   processes on this machine, of one thread each; or `executor` for whoever else does the work

    With one worker a search gives the same trials every time, ended and gone on with or not. With several, which values are
    tried depends on which trial is done first (not for "random"); each trial by itself can always be repeated.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plan = SearchBudget("random", trials=2, seeds=1)
    ...     found = search("iris", {"width": {"low": 4, "high": 8}}, out=folder, plan=plan, workers=1)
    >>> len(found.trials), found.best.state
    (2, 'complete')

    Raises `InvalidValueError` with all faults of the space; when the folder is of another search; and when no trial could
    be trained.
    """
    raise_all([] if COUNT.allows(workers) else [must_be("search", "workers", str(COUNT), workers)])
    asked = plan_search(
        source,
        space,
        settings or Settings(),
        plan or SearchBudget(),
        target=target,
        task=task,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
    )
    return run_search(asked, Path(out), executor or (lambda problem: ProcessExecutor(problem, workers)), watch)


def run_search(
    asked: SearchSpec, out: Path, executor: Callable[[Problem], Executor], watch: Watch = lambda board: None
) -> SearchResult:
    """Run a search that was checked, or go on with it."""
    began = time.monotonic()
    with (
        opened(out, asked.fingerprint(), asked.plain()) as store,
        interruptible(signal.SIGINT, signal.SIGTERM) as interrupted,
        closing(executor(asked.problem)) as workers,
    ):
        return Driver(asked, out, store, workers, interrupted, watch, began).run()


class Driver:
    """The one process that decides and writes. What it holds can be made again from its store."""

    def __init__(
        self,
        asked: SearchSpec,
        folder: Path,
        store: Store,
        executor: Executor,
        interrupted: Callable[[], bool],
        watch: Watch,
        began: float,
    ) -> None:
        self._asked, self._folder, self._store, self._hands = asked, folder, store, executor
        self._interrupted, self._watch, self._began = interrupted, watch, began
        self._trials = {trial.number: trial for trial in store.trials()}
        self._sampler = _sampler(asked)
        for trial in self._trials.values():
            self._sampler.begun(trial)
        self._orphans = [t.number for t in self._trials.values() if t.state == "running" and not t.rungs]
        self._busy: dict[str, int] = {}
        self._finals: dict[int, Final] = {}

    def run(self) -> SearchResult:
        """All trials, then the best once more."""
        self._loop(self._next)
        if not self._interrupted():
            self._end_waiting()
            self._train_best()
        self._show()
        return self._result()

    def _loop(self, following: Callable[[], Work | None]) -> None:
        """Keep the hands busy until nothing follows, or a signal comes."""
        while not self._interrupted():
            while len(self._busy) < self._hands.slots and (work := following()) is not None:
                self._hands.submit(work)
            if not self._busy:
                return
            self._show()
            for outcome in self._hands.wait(0.25):
                number = self._busy.pop(outcome.name)
                if not outcome.interrupted:
                    (self._take if outcome.name.startswith("trial") else self._take_final)(number, outcome)

    def _next(self) -> Work | None:
        """The next rung: what an earlier process left, a trial that goes on, a new trial."""
        if self._orphans:
            return self._work(self._trials[self._orphans.pop(0)])
        if self._over():
            return None
        trials, busy, metric = tuple(self._trials.values()), set(self._busy.values()), self._asked.metric
        found = promoted(trials, len(self._asked.rungs), busy, metric)
        if found is None:
            found = self._new() or (None if busy else last_hope(trials, busy, metric))
        return None if found is None else self._work(found)

    def _over(self) -> bool:
        """Whether the time is."""
        seconds = self._asked.plan.seconds
        return seconds is not None and time.monotonic() - self._began > seconds

    def _new(self) -> Trial | None:
        number, wanted = len(self._trials), self._asked.plan.trials
        if wanted is not None and number >= wanted:
            return None
        trial = Trial(number, self._sampler.propose(number))
        self._store.begin(number, trial.values)
        self._trials[number] = trial
        return trial

    def _work(self, trial: Trial) -> Work:
        """A trial's next rung."""
        name, ends = f"trial-{trial.number:05}", self._asked.rungs
        settings, rung = self._asked.settings(trial), len(trial.rungs)
        last = rung >= len(ends) - 1
        end = settings.max_iter if last else ends[rung]
        self._busy[name] = trial.number
        return Work(name, settings, str(self._place(name)), trial.epochs, end, last)

    def _place(self, name: str) -> Path:
        return self._folder / "runs" / name

    def _take(self, number: int, outcome: Outcome) -> None:
        """A rung is done; the trial has ended with it, or waits."""
        trial, fault = self._trials[number], outcome.fault
        state = "pruned" if fault else "complete" if outcome.ended else "running"
        rungs = trial.rungs if fault else (*trial.rungs, _rung(outcome))
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
        forget(self._place(f"trial-{number:05}"))

    def _end_waiting(self) -> None:
        """Trials that are waiting for a rung which they will not get."""
        for trial in [t for t in self._trials.values() if t.state == "running"]:
            reason = f"not among the best at epoch {trial.epochs}"
            self._store.end(trial.number, "pruned", reason)
            self._trials[trial.number] = replace(trial, state="pruned", reason=reason)
            self._ended(trial.number)

    def _train_best(self) -> None:
        """The best configuration with several seeds, those apart that an earlier process trained."""
        best = best_of(tuple(self._trials.values()), self._asked.metric)
        if best is None:
            return
        for place, plain in self._store.finals().items():
            if plain["trial"] == best.number and (place > 0 or self._model_file.is_file()):
                self._finals[place] = Final(**{k: v for k, v in plain.items() if k != "trial"})
        missing = [place for place in range(self._asked.plan.seeds) if place not in self._finals]
        self._loop(lambda: self._final_work(best, missing.pop(0)) if missing else None)

    @property
    def _model_file(self) -> Path:
        return self._folder / "model.safetensors"

    def _final_work(self, best: Trial, place: int) -> Work:
        settings = self._asked.settings(best)
        name = f"final-{best.number:05}-{place}"
        self._busy[name] = place
        settings = replace(settings, seed=settings.seed + place)
        return Work(name, settings, str(self._place(name)), 0, settings.max_iter, model=True)

    def _take_final(self, place: int, outcome: Outcome) -> None:
        """The first of them is the search's model; now the test rows are looked at."""
        parts, model = self._asked.parts, outcome.model
        if outcome.fault or model is None or parts.validation is None:
            raise InvalidValueError(f"search: the best configuration must be trained again, got {outcome.fault}.")
        validation = evaluate(model, parts.validation.X, parts.validation.y)
        test = None if parts.test is None else evaluate(model, parts.test.X, parts.test.y)
        final = Final(self._asked.plan.seed + place, validation, test, outcome.epochs, outcome.seconds)
        if place == 0:
            save_model(model, self._model_file)
        self._store.keep_final(place, {**vars(final), "trial": int(outcome.name.split("-")[1])})
        self._finals[place] = final
        forget(self._place(outcome.name))

    def _show(self) -> None:
        trials = frozenset(n for name, n in self._busy.items() if name.startswith("trial"))
        plan, seconds = self._asked.plan, time.monotonic() - self._began
        board = tuple(self._trials.values()), trials, plan.trials, self._asked.metric, seconds
        self._watch(SearchStatus(*board, len(self._finals), plan.seeds))

    def _result(self) -> SearchResult:
        asked, trials, interrupted = self._asked, tuple(self._trials.values()), self._interrupted()
        best = best_of(trials, asked.metric)
        if best is None and not interrupted:
            reasons = "; ".join(dict.fromkeys(t.reason for t in trials if t.reason)) or "the time was over before"
            raise InvalidValueError(f"search: one trial at least must be trained to its end, got none. {reasons}")
        finals = tuple(self._finals[place] for place in sorted(self._finals))
        found = importance(asked.space, trials, asked.metric, asked.plan.seed % 2**32) if not interrupted else {}
        return SearchResult(
            asked.plan.method,
            asked.metric,
            asked.space,
            trials,
            None if best is None else asked.settings(best),
            finals,
            found,
            load_model(self._model_file) if finals and not interrupted else None,
            time.monotonic() - self._began,
            self._folder,
            interrupted,
        )


def _rung(outcome: Outcome) -> RungScore:
    told = outcome.end, outcome.score, outcome.loss, outcome.epochs, outcome.best_epoch, outcome.seconds, outcome.curve
    return RungScore(*told)


def _sampler(asked: SearchSpec) -> Sampler:
    """Who proposes values."""
    if asked.plan.method == "tpe":
        return TreeSampler(asked.space, asked.plan.seed, asked.metric)
    return RandomSampler(asked.space, asked.plan.seed)
