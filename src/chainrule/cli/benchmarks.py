"""`chainrule bench` and `chainrule profile`: how fast the package is on this machine, and where a step's time goes.

In: workloads and peers, or an architecture. Out: timings side by side; a step's parts against the roofline.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from chainrule.bench import embeddings, instructions, machine, measure, peers, tables, workers, workloads
from chainrule.bench import figure as drawing
from chainrule.bench import profile as profiles
from chainrule.cli import info
from chainrule.cli import options as o
from chainrule.cli.console import echo
from chainrule.engines import ENGINES, Rows, why_unavailable
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.io import write_atomically
from chainrule.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from chainrule.pipeline import Settings, Situation, unused
from chainrule.pipeline.option_names import option_name
from chainrule.report import matplotlib

_KEYS = {"native": "native", "reference": "reference", "jax": "chainrule-jax"}

_QUICK = measure.MeasureSettings(repeats=3, seconds=0.02)

Threads = Annotated[int | None, typer.Option(help="Number of processors to use; default: all.")]


def bench(
    workload: Annotated[
        list[str] | None, typer.Option("--workload", help="Name of a workload. Repeatable; default: all.")
    ] = None,
    engine: o.EngineName = "auto",
    peer_keys: Annotated[
        str,
        typer.Option(
            "--peers", help=f"Libraries to compare, such as torch,jax-scan; default: all of {', '.join(peers.PEERS)}."
        ),
    ] = "",
    repeats: Annotated[
        int | None, typer.Option(help="Repeats per peer, interleaved; default: 7, or 3 with --quick.")
    ] = None,
    threads: Threads = None,
    isa: Annotated[
        str | None,
        typer.Option(
            help=f"Keep all libraries to one set of instructions: {' (AVX2) or '.join(instructions.NAMES)} (AVX-512); "
            "default: each library's choice."
        ),
    ] = None,
    interpreter: Annotated[
        list[str] | None,
        typer.Option(
            "--interpreter",
            metavar="PEER=PYTHON",
            help="Run a peer in another Python, which has its version of a library, and this package. Repeatable.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small workloads and short repeats, for a first impression only.")
    ] = False,
    layers: Annotated[
        bool,
        typer.Option("--layers", help="Instead, count the parameters of each embedding and time a step behind it."),
    ] = False,
    as_json: o.Json = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the tables to this Markdown page, between its markers if it has them.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Write a chart of the ratios to this .png file.")] = None,
) -> None:
    """Time this package and other libraries side by side: µs per step, ratios, share of the machine's peak."""
    if repeats is not None and repeats < 1:
        raise InvalidValueError(must_be("bench", "--repeats", "at least 1", repeats))
    ours = our_key(engine)
    if layers:
        names = {"--workload": workload, "--peers": peer_keys, "--isa": isa, "--interpreter": interpreter}
        given = {**names, "--markdown": markdown, "--figure": figure}
        raise_all(f"bench: {name} must be left out beside --layers." for name, value in given.items() if value)
        chosen = _QUICK if quick else measure.MeasureSettings()
        _show_layers(engine, replace(chosen, repeats=repeats or chosen.repeats), processors("bench", threads), as_json)
        return
    selected = workloads.chosen(workload or (), quick)
    participants = peers.chosen([key for key in peer_keys.split(",") if key], ours)
    count = processors("bench", threads)
    settings = _QUICK if quick else measure.MeasureSettings()
    settings = settings if repeats is None else replace(settings, repeats=repeats)
    progress = o.console(stderr=True)
    pythons = _pythons(interpreter or (), [peer.key for peer in participants])
    with instructions.kept(isa), workers.restricted(count):
        machine_info = machine_facts(count)
        peak = machine.peak(count, 0.1 if quick else 1.0)
        results = []

        def announce(name: str) -> None:
            progress.print(f"{name} ...", markup=False)

        for result in measure.side_by_side(selected, participants, ours, settings, count, announce, pythons):
            results.append(result)
            if not as_json:
                o.console().print(tables.terminal(result, peak))
    report = tables.BenchReport(machine_info, peak, settings, tuple(results))
    _write(report, markdown, figure)
    if as_json:
        o.print_json(tables.plain(report))
    else:
        _show_goals(report)


def _pythons(given: Sequence[str], taking_part: Sequence[str]) -> dict[str, str]:
    """Return the Python of each peer that has one of its own, from texts like peer=python."""
    pairs = [text.partition("=") for text in given]
    problems = [
        must_be(
            "bench", "--interpreter", "PEER=PYTHON with a peer that takes part", text, did_you_mean(key, taking_part)
        )
        for text, (key, _, path) in zip(given, pairs, strict=True)
        if key not in taking_part or not path
    ]
    missing = [
        must_be("bench", "--interpreter", "PEER=PYTHON with a program", path)
        for key, _, path in pairs
        if path and shutil.which(path) is None
    ]
    raise_all([*problems, *missing])
    if pairs and os.name != "posix":
        raise InvalidValueError("bench: --interpreter needs a POSIX system.")
    return {key: path for key, _, path in pairs}


def _show_layers(engine: str, settings: measure.MeasureSettings, count: int, as_json: bool) -> None:
    """Print what each embedding costs, as a table in Markdown."""
    with workers.restricted(count):
        found = embeddings.costs(engine, settings)
    if as_json:
        o.print_json({"layers": embeddings.plain(found)})
    else:
        echo(embeddings.markdown(found), nl=False)


def our_key(engine: str) -> str:
    """Return the peer that stands for an engine; "auto" is the native engine if it is available.

    Raises `InvalidValueError` for an unknown name.
    """
    if engine == "auto":
        return "reference" if why_unavailable("native") else "native"
    if engine not in ENGINES:
        allowed = ["auto", *ENGINES]
        raise InvalidValueError(must_be("bench", "--engine", "an engine's name", engine, did_you_mean(engine, allowed)))
    return _KEYS[engine]


def processors(command: str, threads: int | None) -> int:
    """Return the number of processors requested, or all.

    Raises `InvalidValueError` for more than the machine has.
    """
    present = workers.processors()
    if threads is not None and not 1 <= threads <= present:
        raise InvalidValueError(
            must_be(command, "--threads", f"in [1, {present}]", threads, "It cannot exceed the number of processors.")
        )
    return threads or present


def machine_facts(count: int) -> dict[str, Any]:
    """Describe the machine, the installation and the load before the run, for the head of a report."""
    known = info.gather()
    chosen = {name: known[name] for name in ("chainrule", "python", "instructions", "blas")}
    return {**machine.facts(), **chosen, "processors used": count, "processes running before": machine.load()}


def _write(report: tables.BenchReport, page: Path | None, picture: Path | None) -> None:
    if page is not None:
        before = page.read_text() if page.exists() else ""
        write_atomically(page, tables.replaced(before, tables.markdown(report)).encode())
    if picture is not None:
        write_atomically(picture, matplotlib.png(drawing.ratios(report.results)))


def _show_goals(report: tables.BenchReport) -> None:
    out = o.console()
    products = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in report.peak.products.items())
    out.print(f"peak: matrix product {products} GFLOP/s; memory {report.peak.memory / 1e9:.1f} GB/s", markup=False)
    for result in report.results:
        for family, least, ratio in tables.goals(result):
            met = "met" if ratio.median >= least else "missed"
            text = f"{result.workload.name}: {ratio.median:.2f} times {family}'s speed, goal {least:g}: {met}"
            out.print(text, markup=False)


def profile(
    architecture: Annotated[
        str, typer.Argument(metavar="ARCHITECTURE", help="Widths from inputs to outputs, such as 784-256-128-10.")
    ],
    batch_size: Annotated[int, typer.Option(help="Rows of a step.")] = 128,
    activation: o.ActivationName = "relu",
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    optimizer: o.Optimizer = "adam",
    dtype: o.Dtype = "float32",
    engine: o.EngineName = "auto",
    seconds: Annotated[float, typer.Option(help="Seconds to measure for.")] = 1.0,
    threads: Threads = None,
    as_json: o.Json = False,
) -> None:
    """Show where the time of a training step goes and how far each part is from the machine's limit."""
    if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)+", architecture):
        raise InvalidValueError(must_be("profile", "ARCHITECTURE", "widths such as 784-256-128-10", architecture))
    if batch_size < 1:
        raise InvalidValueError(must_be("profile", "--batch-size", "at least 1", batch_size))
    if not 0 < seconds < float("inf"):
        raise InvalidValueError(must_be("profile", "--seconds", "in (0, inf)", seconds))
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
    raise_all(unused("profile", settings, Situation(), option_name))
    recipe, rows = _random_problem(settings, inputs, outputs, batch_size)
    count = processors("profile", threads)
    with workers.restricted(count):
        measured = profiles.profile(recipe, rows, engine, seconds)
        peak = machine.peak(count, min(seconds, 0.5))
    if as_json:
        o.print_json(profiles.plain(measured, peak))
        return
    out = o.console()
    out.print(profiles.table(measured, peak))
    threads_used = measured.threads
    used = "" if threads_used is None else f" on {threads_used} thread{'s' if threads_used > 1 else ''}"
    parts = 1e6 * sum(part.seconds for part in measured.parts)
    step = 1e6 * measured.step
    out.print(f"a step takes {step:.2f} µs with the {measured.engine} engine{used}; its parts take {parts:.2f} µs")
    least = 1e6 * sum(part.floor(peak) for part in measured.parts)
    peaks = f"{peak.product / 1e9:.0f} GFLOP/s, {peak.memory / 1e9:.1f} GB/s"
    out.print(f"roofline minimum: {least:.2f} µs ({peaks})")


def _random_problem(settings: Settings, inputs: int, outputs: int, batch: int) -> tuple[Any, Rows]:
    """Return a recipe and random rows for a few batches."""
    loss: Loss = BinaryCrossEntropy() if outputs == 1 else SoftmaxCrossEntropy()
    n = batch * max(2, min(64, 2**22 // max(batch * inputs, 1)))
    recipe = settings.recipe(settings.network(inputs, outputs), loss, n)
    generator = np.random.default_rng(0)
    y = generator.integers(max(outputs, 2), size=n)
    return recipe, Rows.of(recipe, generator.standard_normal((n, inputs), np.float32), y)
