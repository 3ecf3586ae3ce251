"""Why: whether this package is fast here, and where a step's time goes, anyone can ask of their own machine.

In: workloads and peers, or an architecture. Out: timings side by side; a step's parts against the roofline.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from chainrule.bench import figure as drawing
from chainrule.bench import machine, measure, peers, tables, workers, workloads
from chainrule.bench import profile as profiles
from chainrule.cli import facts
from chainrule.cli import options as o
from chainrule.engines import ENGINES, Rows, available
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.io import write_atomically
from chainrule.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from chainrule.pipeline import Settings
from chainrule.report import matplotlib

_KEYS = {"native": "native", "reference": "reference", "jax": "chainrule-jax"}

_QUICK = measure.Settings(repeats=3, seconds=0.02)

Threads = Annotated[int | None, typer.Option(help="Processors to use; all if not given.")]


def bench(
    workload: Annotated[
        list[str] | None, typer.Option("--workload", help="A workload's name; may be given again. All if not given.")
    ] = None,
    engine: o.EngineName = "auto",
    taking_part: Annotated[
        str, typer.Option("--peers", help=f"Keys, as torch,jax-scan; all if not given: {', '.join(peers.PEERS)}.")
    ] = "",
    repeats: Annotated[
        int | None, typer.Option(help="Repeats of every peer, which take turns; 7, or 3 in a quick run.")
    ] = None,
    threads: Threads = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small workloads and short repeats: a look, not a result.")
    ] = False,
    as_json: o.Json = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write tables to this page, between its marks if it has them.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the ratios' picture to this .png file.")] = None,
) -> None:
    """Time this package and its peers side by side: µs per step, ratios, share of the machine's peak."""
    if repeats is not None and repeats < 1:
        raise InvalidValueError(must_be("bench", "--repeats", "at least 1", repeats))
    ours = our_key(engine)
    work = workloads.chosen(workload or (), quick)
    part = peers.chosen([key for key in taking_part.split(",") if key], ours)
    count = processors(threads)
    settings = _QUICK if quick else measure.Settings()
    settings = settings if repeats is None else replace(settings, repeats=repeats)
    talk = o.console(stderr=True)
    head = machine_facts(count)
    with workers.restricted(count):
        peak = machine.peak(count, 0.1 if quick else 1.0)
        results = []
        for result in measure.side_by_side(work, part, ours, settings, count, lambda name: talk.print(f"{name} ...")):
            results.append(result)
            if not as_json:
                o.console().print(tables.terminal(result, peak))
    report = tables.Report(head, peak, settings, tuple(results))
    _write(report, markdown, figure)
    if as_json:
        o.print_json(tables.plain(report))
    else:
        _show_goals(report)


def our_key(engine: str) -> str:
    """The peer that stands for an engine; "auto" is the native engine where it is there.

    Raises `InvalidValueError` for a name that is none.
    """
    if engine == "auto":
        return "reference" if available("native") else "native"
    if engine not in ENGINES:
        allowed = ["auto", *ENGINES]
        raise InvalidValueError(must_be("bench", "--engine", "an engine's name", engine, did_you_mean(engine, allowed)))
    return _KEYS[engine]


def processors(threads: int | None) -> int:
    """The number asked for, or all.

    Raises `InvalidValueError` for more than there are.
    """
    there = workers.processors()
    if threads is not None and not 1 <= threads <= there:
        raise InvalidValueError(must_be("bench", "--threads", f"in 1..{there}", threads))
    return threads or there


def machine_facts(count: int) -> dict[str, Any]:
    """What the machine is, what is installed and how busy it was before, for the head of a report."""
    known = facts.gather()
    wanted = {name: known[name] for name in ("chainrule", "python", "instructions", "blas")}
    return {**machine.facts(), **wanted, "processors used": count, "processes running before": machine.load()}


def _write(report: tables.Report, page: Path | None, picture: Path | None) -> None:
    if page is not None:
        before = page.read_text() if page.exists() else ""
        write_atomically(page, tables.replaced(before, tables.markdown(report)).encode())
    if picture is not None:
        write_atomically(picture, matplotlib.png(drawing.ratios(report.results)))


def _show_goals(report: tables.Report) -> None:
    out = o.console()
    products = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in report.peak.products.items())
    out.print(f"peak: matrix product {products} GFLOP/s; memory {report.peak.memory / 1e9:.1f} GB/s")
    for result in report.results:
        for family, least, ratio in tables.goals(result):
            met = "met" if ratio.median >= least else "missed"
            out.print(f"{result.workload.name}: {ratio.median:.2f} times {family}'s speed, goal {least:g}: {met}")


def profile(
    architecture: Annotated[str, typer.Argument(help="Widths from inputs to outputs, as 784-256-128-10.")],
    batch_size: Annotated[int, typer.Option(help="Rows of a step.")] = 128,
    activation: o.ActivationName = "relu",
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    optimizer: o.Optimizer = "adam",
    dtype: o.Dtype = "float32",
    engine: o.EngineName = "auto",
    seconds: Annotated[float, typer.Option(help="Seconds of measuring.")] = 1.0,
    threads: Threads = None,
    as_json: o.Json = False,
) -> None:
    """Show where the time of a training step goes, part by part, and how far each is from the machine's limit."""
    if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)+", architecture):
        raise InvalidValueError(must_be("profile", "ARCHITECTURE", "widths as 784-256-128-10", architecture))
    if batch_size < 1:
        raise InvalidValueError(must_be("profile", "--batch-size", "at least 1", batch_size))
    inputs, *hidden, outputs = (int(part) for part in architecture.split("-"))
    settings = o.checked(
        "profile",
        hidden_layer_sizes=tuple(hidden),
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
        optimizer=optimizer,
        dtype=dtype,
        batch_size=batch_size,
    )
    recipe, rows = _case(settings, inputs, outputs, batch_size)
    count = processors(threads)
    with workers.restricted(count):
        found = profiles.profile(recipe, rows, engine, seconds)
        peak = machine.peak(count, min(seconds, 0.5))
    if as_json:
        o.print_json(profiles.plain(found, peak))
        return
    out = o.console()
    out.print(profiles.table(found, peak))
    used = "" if found.threads is None else f" on {found.threads} thread{'s' if found.threads > 1 else ''}"
    parts = sum(line.seconds for line in found.lines)
    out.print(
        f"a step takes {1e6 * found.step:.2f} µs with the {found.engine} engine{used}; its parts {1e6 * parts:.2f} µs"
    )
    least = sum(line.floor(peak) for line in found.lines)
    out.print(
        f"least by the roofline: {1e6 * least:.2f} µs ({peak.product / 1e9:.0f} GFLOP/s, {peak.memory / 1e9:.1f} GB/s)"
    )


def _case(settings: Settings, inputs: int, outputs: int, batch: int) -> tuple[Any, Rows]:
    """A recipe and random rows for a few batches."""
    loss: Loss = BinaryCrossEntropy() if outputs == 1 else SoftmaxCrossEntropy()
    n = batch * max(2, min(64, 2**22 // max(batch * inputs, 1)))
    recipe = settings.recipe(settings.network(inputs, outputs), loss, n)
    generator = np.random.default_rng(0)
    y = generator.integers(max(outputs, 2), size=n)
    return recipe, Rows.of(recipe, generator.standard_normal((n, inputs), np.float32), y)
