"""`chainrule lr-find`: a learning rate for a source, and the command that trains with it.

In: a source and options. Out: lines (or JSON), and a picture on request.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli import options as o
from chainrule.cli.doctor_report import command_line
from chainrule.cli.problem import load_problem
from chainrule.errors import InvalidValueError, must_be
from chainrule.report import matplotlib
from chainrule.train import RangeTest, find_learning_rate
from chainrule.train.range_test import RangeResult


def lr_find(
    source: o.Source,
    target: o.Target = None,
    task: o.TaskName = None,
    columns: o.Columns = None,
    drop: o.Drop = None,
    missing: o.Missing = None,
    separator: o.Separator = None,
    decimal: o.Decimal = None,
    header: o.Header = None,
    encoding: o.Encoding = None,
    keep_classes: o.KeepClasses = None,
    hidden: o.Hidden = "100",
    activation: o.ActivationName = "relu",
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    loss: o.LossName = "squared_error",
    link: o.Link = None,
    optimizer: o.Optimizer = "adam",
    batch_size: o.BatchSize = "auto",
    scaling: o.Scaling = None,
    engine: o.EngineName = "auto",
    seed: o.Seed = 0,
    low: Annotated[float, typer.Option(help="Smallest rate to try.")] = 1e-7,
    high: Annotated[float, typer.Option(help="Largest rate to try.")] = 10.0,
    steps: Annotated[int, typer.Option(max=10**6, help="Number of rates to try.")] = 100,
    picture: Annotated[Path | None, typer.Option(help="Write the curve to this .png file.")] = None,
    as_json: o.Json = False,
) -> None:
    """Suggest a learning rate for SOURCE: train at rising rates and take a tenth of the one with the lowest loss."""
    if picture is not None and picture.suffix != ".png":
        raise InvalidValueError(must_be("lr-find", "--picture", "a .png file", str(picture)))
    o.check_folder("lr-find", picture)
    options = o.TrainOptions(
        target=target,
        task=task,
        columns=columns,
        drop=drop,
        missing=missing,
        separator=separator,
        decimal=decimal,
        header=header,
        encoding=encoding,
        keep_classes=keep_classes,
        hidden=hidden,
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
        loss=loss,
        link=link,
        optimizer=optimizer,
        batch_size=batch_size,
        scaling=scaling,
        engine=engine,
        seed=seed,
        test_fraction=0.0,
        validation_fraction=0.0,
    )
    loaded = load_problem(source, options, "lr-find", quiet=True)
    result = find_learning_rate(loaded.problem, RangeTest(low, high, steps))
    if as_json:
        curve = {"rates": result.rates.tolist(), "losses": result.losses.tolist()}
        o.print_json({"suggestion": result.suggestion, **curve})
    else:
        _show_rate(source, options, result)
    if picture is not None:
        o.write_drawn("lr-find", picture, lambda: matplotlib.png(matplotlib.rate_curve(result)))


def _show_rate(source: str, options: o.TrainOptions, result: RangeResult) -> None:
    """Print what a range test found, and the command that trains with it."""
    out = o.console()
    out.print(f"suggested learning rate: {result.suggestion:.2g}")
    out.print(f"tried {len(result.rates)} rates from {result.rates[0]:.1e} to {result.rates[-1]:.1e}")
    defaults = o.TrainOptions()
    shares = {name: getattr(defaults, name) for name in ("test_fraction", "validation_fraction")}
    out.print(command_line(source, replace(options, lr=f"{result.suggestion:.2g}", **shares)), markup=False)
