"""The table of commands.

In: the modules that hold them. Out: the application.
"""

from __future__ import annotations

from typing import Annotated

import typer

import chainrule
from chainrule.cli import benchmarks, compare, doctor, evaluate, explain, info, predict, search, study, training
from chainrule.cli.console import echo

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


app.command("train")(training.train)
app.command("doctor")(doctor.doctor)
app.command("compare")(compare.compare)
app.command("lr-find")(training.lr_find)
app.command("search")(search.search)
app.command("study")(study.study)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("gradcheck")(explain.gradcheck)
app.command("bench")(benchmarks.bench)
app.command("profile")(benchmarks.profile)
app.command("info")(info.info)
