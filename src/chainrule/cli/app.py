"""The table of commands, each imported when it is called.

In: the arguments of a call. Out: the application, in which only the command that they name is more than a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

import chainrule
from chainrule.cli.console import echo

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "train": ("training", "train", "Train on SOURCE, print the scores, and write a run folder."),
    "doctor": (
        "doctor",
        "doctor",
        "Train SOURCE as `train` would, or repeat a RUN, probe the network, test remedies, and give a verdict.",
    ),
    "compare": (
        "compare",
        "compare",
        "Compare runs with the first one: which settings differ and how the results change.",
    ),
    "lab": (
        "lab",
        "lab",
        "Train SOURCE in a page of the browser: change settings, watch every layer, rewind, branch, ask the doctor.",
    ),
    "lr-find": (
        "lr_find",
        "lr_find",
        "Suggest a learning rate for SOURCE: train at rising rates and take a tenth of the one with the lowest loss.",
    ),
    "search": ("search", "search", "Search hyper-parameters for SOURCE. Rerun the same command to resume."),
    "study": (
        "study",
        "study",
        "Test claims of the lecture or of papers by experiment; finished runs are reused next time.",
    ),
    "evaluate": (
        "evaluate",
        "evaluate",
        "Evaluate MODEL on labeled data (the test split of SOURCE if it has one, otherwise all rows).",
    ),
    "predict": ("predict", "predict", "Predict the rows of SOURCE with MODEL and print CSV, one line per row."),
    "export": (
        "export",
        "export",
        "Write MODEL as a NumPy file, an ONNX graph, a C header, a JavaScript module or a PyTorch module.",
    ),
    "explain": (
        "explain",
        "explain",
        "Print a network's derivation: the chain rule from the loss to the first weight, with shapes, costs, numbers.",
    ),
    "gradcheck": (
        "explain",
        "gradcheck",
        "Check every gradient against central differences in float64; exit code 1 if one is wrong.",
    ),
    "bench": (
        "benchmarks",
        "bench",
        "Time this package and other libraries side by side: µs per step, ratios, share of the machine's peak.",
    ),
    "profile": (
        "benchmarks",
        "profile",
        "Show where the time of a training step goes and how far each part is from the machine's limit.",
    ),
    "info": ("info", "info", "Show versions, engines and the machine."),
}
"""For each command its module, its function, and the first paragraph of its docstring, which the list of commands shows."""


def command_of(name: str) -> Callable[..., Any]:
    """Import a command and return its function.

    >>> command_of("lr-find").__name__
    'lr_find'
    """
    module, function, _ = COMMANDS[name]
    command: Callable[..., Any] = getattr(import_module(f"chainrule.cli.{module}"), function)
    return command


def application(arguments: Sequence[str]) -> typer.Typer:
    """Return the application for a call: with the command that its first argument names, or the list of all."""
    return _with([arguments[0]]) if arguments and arguments[0] in COMMANDS else _with([])


def _with(names: Sequence[str]) -> typer.Typer:
    """Return the application with some commands imported; without any, all are names with a line of help."""
    app = typer.Typer(
        name="chainrule",
        help="Dense neural networks that work the first time, and show why when they don't.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback()(main)
    for name in names:
        from chainrule.cli.unused import watched

        app.command(name)(watched(command_of(name)))
    for name, (*_, summary) in () if names else COMMANDS.items():
        app.command(name, help=summary)(_named)
    return app


def _named() -> None:
    """Stand for a command in the list of all."""


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"chainrule {chainrule.__version__}")
        raise typer.Exit


def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Dense neural networks that work the first time, and show why when they don't."""


@cache
def whole() -> typer.Typer:
    """Return the application with all commands imported, for what reads their options."""
    return _with(list(COMMANDS))
