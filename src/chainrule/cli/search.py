"""`chainrule search`: try configurations on all cores and print the command that trains the best one.

In: a source, a space, a number of trials or a time. Out: a live table, the best configuration, and that command.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli import option_values, training
from chainrule.cli import options as o
from chainrule.cli.doctor_report import plain_preset
from chainrule.cli.unused import refuse, typed
from chainrule.data import load
from chainrule.data.table.shell import command_text, with_value
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.io import write_atomically
from chainrule.pipeline import Settings
from chainrule.search import SearchBudget, SearchResult, SearchStatus, Space, Trial
from chainrule.search.driver import run_search
from chainrule.search.executor import Executor, ProcessExecutor
from chainrule.search.results import rank
from chainrule.search.rungs import SearchData
from chainrule.search.sampling import usual_method
from chainrule.search.space import shown
from chainrule.search.spec import METHODS, SearchSpec, plan_search

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_PARAMETERS = {
    "hidden_layer_sizes": "hidden",
    "learning_rate_init": "lr",
    "max_iter": "epochs",
    "n_iter_no_change": "patience",
}
"""Settings whose options have other names in `chainrule train`."""

_ROWS = 10
"""Trials in the table."""

_ENDLESS = 10_000
"""Width of a console at which no table is cut."""


def search(
    source: o.Source,
    target: o.Target = None,
    task: o.TaskName = None,
    space: Annotated[
        Path | None, typer.Option(help="A .toml file with a range or choices for each hyper-parameter.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Configurations to try; default: 30 without --time.")] = None,
    time_limit: Annotated[
        str | None, typer.Option("--time", help="Start no new trial after this time: 90s, 10m, 2h.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="tpe, random, or asha (many short trainings, few long ones); default: tpe, or random without optuna."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Parallel processes, or tasks on a cluster.")] = 2,
    cluster: Annotated[str | None, typer.Option(help="A Ray cluster: host:port, ray://host:port, or local.")] = None,
    insecure_cluster: Annotated[
        bool, typer.Option("--insecure-cluster", help="Accept a cluster that requires no token.")
    ] = False,
    epochs: o.Epochs = "auto",
    patience: Annotated[
        str,
        typer.Option(
            help="Stop a trial after this many epochs without a better validation loss; "
            "auto: 20 epochs and 500 steps of a smoothed loss; 0: never."
        ),
    ] = "auto",
    seeds: Annotated[int, typer.Option(help="How often to retrain the best configuration.")] = 5,
    test_fraction: o.TestFraction = 0.2,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction of the remaining rows on which trials are compared.")
    ] = Settings.validation_fraction,
    engine: o.EngineName = "auto",
    dtype: o.Dtype = "float32",
    seed: o.Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Output folder; derived from the data and search settings by default.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Search hyper-parameters for SOURCE. Rerun the same command to resume."""
    refuse("search", {"cluster": cluster is not None})
    raise_all(_faults(space, test_fraction, validation_fraction))
    budget = _budget(method or _usual_method(quiet=as_json), trials, time_limit, seed, seeds)
    waited = option_values.patience("search", patience)
    most = option_values.epochs("search", epochs)
    settings = o.checked("search", max_iter=most, n_iter_no_change=waited, engine=engine, dtype=dtype, seed=seed)
    spec = plan_search(
        source,
        _space(space, settings),
        settings,
        budget,
        target=target,
        task=task,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
    )
    _refuse_fraction(source, target, task, seed)
    folder = out or Path("runs") / f"search-{Path(source).stem}-{spec.fingerprint()[:8]}"
    with _progress(quiet=as_json) as watch:
        result = run_search(spec, folder, _executor(cluster, workers, insecure_cluster), watch)
    if result.interrupted:
        _exit_interrupted(result)
    assert result.settings is not None
    shares = {"test_fraction": test_fraction, "validation_fraction": validation_fraction}
    options = {"target": target, "task": task, **shares, **_usual(spec, result.settings)}
    line, rest = train_line(source, result.settings, options)
    _write(result, line, source)
    if as_json:
        o.print_json(summary(result) | {"train": line, "without_option": rest})
    else:
        _show(result, line, rest)


def _budget(method: str, trials: int | None, time_limit: str | None, seed: int, repeats: int) -> SearchBudget:
    """Return how to search and for how long; without any limit as many trials as usual."""
    limit = None if time_limit is None else seconds(time_limit)
    count = SearchBudget.trials if trials is None and limit is None else trials
    return o.checked_record(
        "search", SearchBudget, method=method, trials=count, seconds=limit, seed=seed, seeds=repeats
    )


def _usual_method(quiet: bool) -> str:
    """Return the method where none is named; say in one line why it is not the best one."""
    if usual_method() == METHODS[0]:
        return METHODS[0]
    if not quiet:
        hint = "method tpe needs optuna, pip install 'chainrule[search]'"
        o.console(stderr=True).print(f"Method {usual_method()}: {hint}", markup=False)
    return usual_method()


def _space(file: Path | None, settings: Settings) -> Space | None:
    """Read the space; refuse options for settings that it has."""
    if file is None:
        return None
    space = Space.read(file, settings)
    named = (*space.fixed, *(dimension.name for dimension in space.dimensions))
    refuse("search", {f"free {name}": name not in named for name in ("max_iter", "n_iter_no_change", "dtype")})
    return space


def _refuse_fraction(source: str, target: str | None, task: str | None, seed: int) -> None:
    """Refuse a fraction of test rows for a source that has test rows of its own."""
    if "test_fraction" in typed():
        refuse("search", {"test rows": load(source, target, task=task, seed=seed).test is None})


def _faults(space: Path | None, test_fraction: float, validation_fraction: float) -> Iterator[str]:
    """Yield a sentence for each option outside what `search` allows, under the option's own name."""
    if space is not None and not space.is_file():
        yield must_be("search", "--space", "an existing .toml file", str(space))
    if not 0 <= test_fraction < 1:
        yield must_be("search", "--test-fraction", "in [0, 1)", test_fraction)
    if not 0 < validation_fraction < 1:
        hint = "Trials are compared on those rows."
        yield must_be("search", "--validation-fraction", "in (0, 1)", validation_fraction, hint)


def _usual(spec: SearchSpec, settings: Settings) -> dict[str, str | None]:
    """Return the scaling of inputs, None where the data alone would get it; with it None for the usual epochs."""
    usual = "shared" if spec.parts.train.shared_unit else "columns"
    scaling = {"scaling": None if settings.scaling == usual else settings.scaling}
    epochs = Settings().epochs(len(spec.parts.train.y), validated=True)
    return {**scaling, "max_iter": None} if settings.max_iter == epochs else scaling


def _executor(cluster: str | None, workers: int, insecure: bool) -> Callable[[SearchData], Executor]:
    """Return a factory of executors."""
    if cluster is None:
        return lambda data: ProcessExecutor(data, workers)
    from chainrule.cluster import attach
    from chainrule.search.ray_executor import RayExecutor

    attach("search", cluster, insecure)
    return lambda data: RayExecutor(data, workers)


def seconds(text: str) -> float:
    """Return the seconds in a number followed by s, m or h.

    >>> seconds("90"), seconds("10m"), seconds("1.5h")
    (90.0, 600.0, 5400.0)

    Raises `InvalidValueError` for anything else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([smh]?)\s*", text)
    if match is None or float(match[1]) == 0:
        raise InvalidValueError(must_be("search", "--time", "a time such as 90s, 10m or 2h", text))
    return float(match[1]) * _UNITS[match[2]]


def train_line(source: str, settings: Settings, options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the command that trains these settings, and the settings that have no option.

    `options` adds or overrides options; None omits one.

    >>> train_line("digits", Settings((64,), n_iter_no_change="auto", dropout=0.1), {"scaling": None})[0]
    'chainrule train digits --hidden 64 --dropout 0.1'
    """
    known = inspect.signature(training.train).parameters
    words: list[str] = []
    rest = {}
    plain = Settings()
    for f in fields(settings):
        if f.name in options:
            continue
        name = _PARAMETERS.get(f.name, f.name)
        value = getattr(settings, f.name)
        if name in known and (text := _option_text(f.name, value)) is not None:
            words += _option(name, text, known[name].default)
        elif value != getattr(plain, f.name):
            rest[f.name] = shown(value)
    for name, value in options.items():
        words += [] if value is None else _option(name, str(value), known[name].default)
    return command_text("train", [source], [*words, *plain_preset(source)]), rest


def _option_text(name: str, value: Any) -> str | bool | None:
    """Return a setting as the text of an option; None if the option cannot express it."""
    if name == "hidden_layer_sizes":
        return ",".join(map(str, value)) or "none"
    if name == "n_iter_no_change":
        return str(value or 0)
    if isinstance(value, bool):
        return value
    return "" if value is None else repr(value) if isinstance(value, float) else str(value) if _plain(value) else None


def _plain(value: Any) -> bool:
    return isinstance(value, str | int)


def _option(name: str, text: str | bool, default: Any) -> list[str]:
    """Return the words of an option; none if the value is the default."""
    flag = "--" + name.replace("_", "-")
    if isinstance(text, bool):
        return [flag] if text and not default else []
    same = text == str(default) or (text == "" and default is None) or _equal(text, default)
    return [] if same else with_value(flag, text)


def _equal(text: str, default: Any) -> bool:
    try:
        return float(text) == float(default)
    except (TypeError, ValueError):
        return False


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[SearchStatus], None]]:
    """Show a table on standard error that follows the search."""
    if quiet:
        yield lambda status: None
        return
    from rich.live import Live

    with Live(console=o.console(stderr=True), auto_refresh=False, transient=True) as live:
        last = [0.0]

        def watch(status: SearchStatus) -> None:
            if time.monotonic() - last[0] > 0.2:
                last[0] = time.monotonic()
                live.update(status_table(status), refresh=True)

        yield watch


def status_table(status: SearchStatus) -> _Fitting:
    """Return a table of the best trials and of those being trained."""
    ended = sum(trial.state != "running" for trial in status.trials)
    title = f"{ended} of {status.planned or '?'} trials done in {status.seconds:.0f} s"
    if status.finals or (ended == len(status.trials) and not status.under_way):
        title += f"; final trainings: {status.finals} of {status.seeds} seeds"
    scored = sorted((t for t in status.trials if t.rungs), key=lambda t: rank(t, status.metric))
    return _table(scored[:_ROWS], status.metric, status.under_way, title)


class _Fitting:
    """The first of two tables if the console has room for it, otherwise the second."""

    def __init__(self, wide: Table, narrow: Table) -> None:
        self._wide, self._narrow = wide, narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        width = console.measure(self._wide, options=options.update(max_width=_ENDLESS)).maximum
        yield self._wide if width <= options.max_width else self._narrow


def _table(trials: list[Trial], metric: str, under_way: frozenset[int], title: str) -> _Fitting:
    """Return a table with a column for each setting if there is room, otherwise with one for all."""
    names = list(trials[0].values) if trials else []
    texts = [[shown(trial.values[name]) for name in names] for trial in trials]
    together = [[", ".join(f"{name} {text}" for name, text in zip(names, row, strict=True))] for row in texts]
    return _Fitting(
        _columns(trials, metric, under_way, title, [name.replace("_", "\n") for name in names], texts),
        _columns(trials, metric, under_way, title, ["settings"], together),
    )


def _columns(
    trials: list[Trial],
    metric: str,
    under_way: frozenset[int],
    title: str,
    settings: list[str],
    texts: list[list[str]],
) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in ("trial", metric, "loss", "epochs", *settings, "state"):
        words = name in ("settings", "state")
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "settings")
    for trial, row in zip(trials, texts, strict=True):
        state = "training" if trial.number in under_way else "waiting" if trial.state == "running" else trial.state
        table.add_row(str(trial.number), f"{trial.score:.4f}", f"{trial.loss:.4f}", str(trial.epochs), *row, state)
    return table


def summary(result: SearchResult) -> dict[str, Any]:
    """Return the result of a search as plain data."""
    best = result.best
    test = result.interval()
    assert best is not None
    assert result.settings is not None
    states = [trial.state for trial in result.trials]
    return {
        "method": result.method,
        "metric": result.metric,
        "trials": len(result.trials),
        "complete": states.count("complete"),
        "pruned": states.count("pruned"),
        "best": {
            "trial": best.number,
            "values": _plain_values(best.values),
            result.metric: best.score,
            "loss": best.loss,
        },
        "finals": [vars(final) for final in result.finals],
        "test": {"mean": test.mean, "half": test.half, "seeds": len(result.finals)},
        "importance": dict(result.importance),
        "seconds": result.seconds,
        "run": str(result.folder),
        "model": str(result.folder / "model.safetensors"),
    }


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _exit_interrupted(result: SearchResult) -> None:
    ended = sum(trial.state != "running" for trial in result.trials)
    o.console(stderr=True).print(
        f"Interrupted after {ended} trials. Rerun the same command to resume from {result.folder}.", markup=False
    )
    raise typer.Exit(130)


def _write(result: SearchResult, line: str, source: str) -> None:
    """Write the page next to the model; a fault costs the page, not the search."""
    from chainrule.search.page import search_page

    try:
        text = search_page(result, f"A search for {source}", line)
        write_atomically(result.folder / "search.html", text.encode(errors="replace"), "search")
    except Exception as error:
        o.warn_of_picture("search.html", error, "The model and all trials are saved.")


def _show(result: SearchResult, line: str, rest: Mapping[str, str]) -> None:
    out = o.console()
    ended = f"{len(result.trials)} trials ({result.method}) in {result.seconds:.1f} s"
    out.print(_table(list(result.ranked[:_ROWS]), result.metric, frozenset(), ended))
    if result.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in list(result.importance.items())[:5])
        out.print(f"what mattered: {shares}", markup=False)
    seeds = f"over {len(result.finals)} seeds"
    assert result.best is not None
    chosen = f"validation {result.metric} {result.best.score:.4f} when selected"
    if result.finals and result.finals[0].test is not None:
        chosen = f"test {result.metric} {result.interval()} {seeds} (95 %; {chosen})"
    out.print(f"best: trial {result.best.number}, {chosen}")
    out.print(line, markup=False)
    if rest:
        out.print(
            "Settings without an option in this command: "
            + ", ".join(f"{name} {value}" for name, value in rest.items()),
            markup=False,
        )
    out.print(f"{result.folder}: model.safetensors, search.html, search.db", markup=False)
