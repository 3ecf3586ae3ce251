"""The table of commands.

In: the modules that hold them. Out: the application.
"""

from __future__ import annotations

from typing import Annotated

import typer

import chainrule
from chainrule.cli import benchmarks, compare, doctor, evaluate, explain, export, info, predict, search, study, training
from chainrule.cli.console import echo
from chainrule.cli.unused import watched

app = typer.Typer(
    name="chainrule",
    help="Dense neural networks that work the first time, and show why when they don't.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"chainrule {chainrule.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Dense neural networks that work the first time, and show why when they don't."""


app.command("train")(watched(training.train))
app.command("doctor")(watched(doctor.doctor))
app.command("compare")(watched(compare.compare))
app.command("lr-find")(watched(training.lr_find))
app.command("search")(watched(search.search))
app.command("study")(watched(study.study))
app.command("evaluate")(watched(evaluate.evaluate))
app.command("predict")(watched(predict.predict))
app.command("export")(watched(export.export))
app.command("explain")(watched(explain.explain))
app.command("gradcheck")(watched(explain.gradcheck))
app.command("bench")(watched(benchmarks.bench))
app.command("profile")(watched(benchmarks.profile))
app.command("info")(watched(info.info))
