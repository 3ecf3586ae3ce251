"""Why: `chainrule search` tries what a person would try by hand, on all cores, and says how to train what it found.

In: a source, a space, a number of trials or a time. Out: a live table, the best configuration, and the line that trains it.
"""

from __future__ import annotations

import inspect
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli import training
from chainrule.errors import InvalidValueError, must_be
from chainrule.io import write_atomically
from chainrule.pipeline import Settings
from chainrule.search import SearchBudget, SearchResult, SearchStatus, Space, Trial
from chainrule.search.driver import run_search
from chainrule.search.executor import Executor, ProcessExecutor
from chainrule.search.results import rank
from chainrule.search.rungs import Problem
from chainrule.search.space import shown
from chainrule.search.spec import SearchSpec, plan_search

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_PARAMETERS = {
    "hidden_layer_sizes": "hidden",
    "learning_rate_init": "lr",
    "max_iter": "epochs",
    "n_iter_no_change": "patience",
}
"""Names of the settings that `chainrule train` calls otherwise."""

_ROWS = 10
"""Trials in the table."""

_ENDLESS = 10_000
"""A console's width at which no table is cut."""


def search(
    source: o.Source,
    target: o.Target = None,
    task: o.TaskName = None,
    space: Annotated[Path | None, typer.Option(help="A .toml file of names and their ranges or choices.")] = None,
    trials: Annotated[int | None, typer.Option(help="Configurations to try; 30 if neither this nor --time.")] = None,
    time_limit: Annotated[str | None, typer.Option("--time", help="No new trial after 90s, 10m, 2h.")] = None,
    method: Annotated[str, typer.Option(help="tpe, random or asha (many short looks, few long ones).")] = "tpe",
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Processes, or tasks at a time on a cluster.")] = 2,
    cluster: Annotated[str | None, typer.Option(help="A Ray cluster: host:port, ray://host:port, or local.")] = None,
    insecure_cluster: Annotated[
        bool, typer.Option("--insecure-cluster", help="Take a cluster that asks for no token.")
    ] = False,
    epochs: o.Epochs = 100,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without a better validation loss that end a trial.")
    ] = 20,
    seeds: Annotated[int, typer.Option(help="Trainings of the best configuration at the end.")] = 5,
    test_fraction: o.TestFraction = 0.2,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the other rows by which trials are compared.")
    ] = Settings.validation_fraction,
    engine: o.EngineName = "auto",
    dtype: o.Dtype = "float32",
    seed: o.Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="The search's folder; follows from the question if not given.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Find good settings for SOURCE. The same line again goes on where it was ended."""
    if trials is None and time_limit is None:
        trials = SearchBudget.trials
    limit = None if time_limit is None else seconds(time_limit)
    plan = o.checked_record("search", SearchBudget, method=method, trials=trials, seconds=limit, seed=seed, seeds=seeds)
    settings = o.checked("search", max_iter=epochs, n_iter_no_change=patience, engine=engine, dtype=dtype, seed=seed)
    asked = plan_search(
        source,
        None if space is None else Space.read(space, settings),
        settings,
        plan,
        target=target,
        task=task,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
    )
    place = out or Path("runs") / f"search-{Path(source).stem}-{asked.fingerprint()[:8]}"
    with _watched(quiet=as_json) as watch:
        found = run_search(asked, place, _hands(cluster, workers, insecure_cluster), watch)
    if found.interrupted:
        _leave(found)
    assert found.settings is not None
    options = {
        "target": target,
        "task": task,
        "scaling": _scaling(asked, found.settings),
        "test_fraction": test_fraction,
        "validation_fraction": validation_fraction,
    }
    line, rest = train_line(source, found.settings, options)
    _write(found, line, source)
    if as_json:
        o.print_json(summary(found) | {"train": line, "without_option": rest})
    else:
        _show(found, line, rest)


def _scaling(asked: SearchSpec, settings: Settings) -> str | None:
    """The scaling of inputs, where it is not the one that the data alone would get."""
    usual = "shared" if asked.parts.train.shared_unit else "columns"
    return None if settings.scaling == usual else settings.scaling


def _hands(cluster: str | None, workers: int, insecure: bool) -> Callable[[Problem], Executor]:
    """Who does the work."""
    if cluster is None:
        return lambda problem: ProcessExecutor(problem, workers)
    from chainrule.search.ray_executor import RayExecutor, attach

    attach(cluster, insecure)
    return lambda problem: RayExecutor(problem, workers)


def seconds(text: str) -> float:
    """Seconds from a number with s, m or h behind it.

    >>> seconds("90"), seconds("10m"), seconds("1.5h")
    (90.0, 600.0, 5400.0)

    Raises `InvalidValueError` for anything else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([smh]?)\s*", text)
    if found is None or float(found[1]) == 0:
        raise InvalidValueError(must_be("search", "--time", "as 90s, 10m or 2h", text))
    return float(found[1]) * _UNITS[found[2]]


def train_line(source: str, settings: Settings, options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The line that trains these settings, and the settings that it has no option for. `options` are further ones, or they
    say otherwise; None leaves one out.

    >>> train_line("digits", Settings((64,), n_iter_no_change=20, dropout=0.1), {"scaling": None})[0]
    'chainrule train digits --hidden 64 --dropout 0.1'
    """
    known = inspect.signature(training.train).parameters
    words, rest, plain = ["chainrule", "train", source], {}, Settings()
    for f in fields(settings):
        if f.name in options:
            continue
        name, value = _PARAMETERS.get(f.name, f.name), getattr(settings, f.name)
        if name in known and (text := _option_text(f.name, value)) is not None:
            words += _option(name, text, known[name].default)
        elif value != getattr(plain, f.name):
            rest[f.name] = shown(value)
    for name, value in options.items():
        words += [] if value is None else _option(name, str(value), known[name].default)
    return shlex.join(words), rest


def _option_text(name: str, value: Any) -> str | bool | None:
    """A setting as an option takes it; None where it takes none of this kind."""
    if name == "hidden_layer_sizes":
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return value
    return "" if value is None else repr(value) if isinstance(value, float) else str(value) if _plain(value) else None


def _plain(value: Any) -> bool:
    return isinstance(value, str | int)


def _option(name: str, text: str | bool, default: Any) -> list[str]:
    """The words of an option; none where it says what is so without it."""
    flag = "--" + name.replace("_", "-")
    if isinstance(text, bool):
        return [flag] if text and not default else []
    same = text == str(default) or (text == "" and default is None) or _equal(text, default)
    return [] if same else [flag, text]


def _equal(text: str, default: Any) -> bool:
    try:
        return float(text) == float(default)
    except (TypeError, ValueError):
        return False


@contextmanager
def _watched(quiet: bool) -> Iterator[Callable[[SearchStatus], None]]:
    """A table on standard error that follows the search."""
    if quiet:
        yield lambda board: None
        return
    from rich.live import Live

    with Live(console=o.console(stderr=True), auto_refresh=False, transient=True) as live:
        last = [0.0]

        def watch(board: SearchStatus) -> None:
            if time.monotonic() - last[0] > 0.2:
                last[0] = time.monotonic()
                live.update(board_table(board), refresh=True)

        yield watch


def board_table(board: SearchStatus) -> Any:
    """The best trials, and those under way."""
    ended = sum(trial.state != "running" for trial in board.trials)
    title = f"{ended} of {board.wanted or 'so many'} trials ended in {board.seconds:.0f} s"
    if board.finals or (ended == len(board.trials) and not board.under_way):
        title += f"; the best once more: {board.finals} of {board.seeds} seeds"
    scored = sorted((t for t in board.trials if t.rungs), key=lambda t: rank(t, board.metric))
    return _table(scored[:_ROWS], board.metric, board.under_way, title)


class _Fitting:
    """The first of two tables where a console has room for it, else the second."""

    def __init__(self, wide: Any, narrow: Any) -> None:
        self._wide, self._narrow = wide, narrow

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        width = console.measure(self._wide, options=options.update(max_width=_ENDLESS)).maximum
        yield self._wide if width <= options.max_width else self._narrow


def _table(trials: list[Trial], metric: str, under_way: frozenset[int], title: str) -> Any:
    """A column for each setting where there is room for them, else one for all."""
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
) -> Any:
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


def summary(found: SearchResult) -> dict[str, Any]:
    """What a search came to, as plain data."""
    best, test = found.best, found.interval()
    assert best is not None
    assert found.settings is not None
    states = [trial.state for trial in found.trials]
    return {
        "method": found.method,
        "metric": found.metric,
        "trials": len(found.trials),
        "complete": states.count("complete"),
        "pruned": states.count("pruned"),
        "best": {
            "trial": best.number,
            "values": _plain_values(best.values),
            found.metric: best.score,
            "loss": best.loss,
        },
        "finals": [vars(final) for final in found.finals],
        "test": {"mean": test.mean, "half": test.half, "seeds": len(found.finals)},
        "importance": dict(found.importance),
        "seconds": found.seconds,
        "run": str(found.folder),
        "model": str(found.folder / "model.safetensors"),
    }


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _leave(found: SearchResult) -> None:
    ended = sum(trial.state != "running" for trial in found.trials)
    o.console(stderr=True).print(f"interrupted after {ended} trials; the same line goes on from {found.folder}")
    raise typer.Exit(130)


def _write(found: SearchResult, line: str, source: str) -> None:
    """The page beside the model."""
    from chainrule.search.page import search_page

    text = search_page(found, f"A search for {source}", line)
    write_atomically(found.folder / "search.html", text.encode())


def _show(found: SearchResult, line: str, rest: Mapping[str, str]) -> None:
    out = o.console()
    ended = f"{len(found.trials)} trials ({found.method}) in {found.seconds:.1f} s"
    out.print(_table(list(found.ranked[:_ROWS]), found.metric, frozenset(), ended))
    if found.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in list(found.importance.items())[:5])
        out.print(f"what mattered: {shares}")
    seeds = f"over {len(found.finals)} seeds"
    assert found.best is not None
    chosen = f"validation {found.metric} {found.best.score:.4f} when chosen"
    if found.finals and found.finals[0].test is not None:
        chosen = f"test {found.metric} {found.interval()} {seeds} (95 %; {chosen})"
    out.print(f"best: trial {found.best.number}, {chosen}")
    out.print(line, markup=False)
    if rest:
        out.print("the line has no option for " + ", ".join(f"{name} {value}" for name, value in rest.items()))
    out.print(f"{found.folder}: model.safetensors, search.html, search.db")
