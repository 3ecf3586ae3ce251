"""`chainrule explain` and `chainrule gradcheck`: what a network computes and whether its gradients are right.

In: a model, a source, or an architecture such as 64-32-10. Out: its derivation; its gradient check.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from chainrule.cli import options as o
from chainrule.cli.console import echo
from chainrule.cli.explain_preset import is_preset, show_preset
from chainrule.cli.explain_subject import ARCHITECTURE, Asked, Subject, find_subject, is_model
from chainrule.cli.option_values import hidden_sizes
from chainrule.cli.unused import refuse, source_facts
from chainrule.engines import plan as plans
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn import gradcheck as checker
from chainrule.nn.layers import BatchNorm, all_layers
from chainrule.nn.step import Recipe
from chainrule.pipeline import Settings
from chainrule.report import explain as derivations

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT",
        help="An architecture such as 64-32-10, a model file, a run folder, a source as for `train`, or a preset (table).",
    ),
]
Rows = Annotated[int, typer.Option(min=1, max=10**6, help="Rows of the batch.")]
HeadName = Annotated[
    str | None,
    typer.Option("--head", help="Loss for an architecture: SoftmaxCrossEntropy, MeanSquaredError, ..."),
]
RowNumber = Annotated[
    int | None,
    typer.Option(
        "--row", min=0, help="Show the numbers of this row, counted from 0, and check them by central differences."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="SOURCE", help="Rows for --row of a model; by default those of the run folder's source."
    ),
]


def explain(
    subject: SubjectArgument,
    target: o.Target = None,
    hidden: o.Hidden = "100",
    activation: o.ActivationName = "relu",
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    head: HeadName = None,
    rows: Rows = 32,
    row: RowNumber = None,
    data: Data = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown with LaTeX.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the phases that the native engine runs and the memory it takes.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Print a network's derivation: the chain rule from the loss to the first weight, with shapes, costs, numbers."""
    model = is_model(subject)
    given = {"row": row is not None, "model": model, "untrained": not model, "steps": not plan}
    refuse("explain", _facts(subject) | {"text": not (as_json or plan)} | given)
    if is_preset(subject):
        show_preset(subject, as_json, markdown, rows)
        return
    settings = _network_settings("explain", hidden, activation, batch_norm, layer_norm, dropout)
    chosen = find_subject(subject, Asked("explain", target, settings, head, rows, row=row, data=data))
    if plan:
        _show_plan(plans.lower(Recipe(chosen.net, chosen.loss, batch_size=rows)), as_json)
        return
    derivation = _derivation(chosen, rows, row)
    if as_json:
        o.print_json(derivation.plain())
    else:
        echo(derivations.to_markdown(derivation) if markdown else derivations.to_text(derivation))


def _derivation(chosen: Subject, rows: int, row: int | None) -> derivations.Explanation:
    """Return the derivation, with the numbers of a row under the number by which the user knows it."""
    if row is None:
        return derivations.explain(chosen.net, chosen.loss, rows)
    derivation = derivations.explain(
        chosen.net,
        chosen.loss,
        rows,
        X=chosen.X,
        Y=chosen.Y,
        row=chosen.place,
        w=chosen.w,
        buffers=chosen.buffers,
    )
    assert derivation.numbers is not None
    return replace(derivation, numbers=replace(derivation.numbers, row=row))


def _show_plan(plan: plans.Plan, as_json: bool) -> None:
    """Print the plan with Adam and float32, the defaults of `train`."""
    memory = asdict(plans.memory(plan))
    if as_json:
        phases = [asdict(phase) | {"kind": phase.kind.name.lower()} for phase in plan.phases]
        o.print_json({"phases": phases, "memory": memory})
        return
    echo(str(plan))
    parts = ", ".join(f"{name} {size / 1e3:,.1f}" for name, size in memory.items())
    echo(f"\nmemory in kB, with Adam in float32: {parts}; total {sum(memory.values()) / 1e3:,.1f}")


def gradcheck(
    subject: SubjectArgument,
    target: o.Target = None,
    hidden: o.Hidden = "100",
    activation: o.ActivationName = "relu",
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    head: HeadName = None,
    rows: Rows = 8,
    entries: Annotated[int, typer.Option(min=1, help="Randomly chosen entries to check per array.")] = 100,
    tolerance: Annotated[float, typer.Option(min=0.0, help="Largest relative error allowed.")] = 1e-6,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the rows, the weights and the entries checked.")] = 0,
    as_json: o.Json = False,
) -> None:
    """Check every gradient against central differences in float64; exit code 1 if one is wrong."""
    refuse("gradcheck", _facts(subject))
    settings = _network_settings("gradcheck", hidden, activation, batch_norm, layer_norm, dropout)
    chosen = find_subject(subject, Asked("gradcheck", target, settings, head, rows, seed))
    if len(chosen.X) < 2 and any(isinstance(layer, BatchNorm) for layer in all_layers(chosen.net.layers)):
        hint = "A single row has no variance, so batch norm outputs zeros, which lie on the kink of relu."
        raise InvalidValueError(must_be("gradcheck", "--rows", "at least 2 with batch norm", len(chosen.X), hint))
    report = checker.gradcheck(
        chosen.net, chosen.loss, chosen.X, chosen.Y, w=chosen.w, buffers=chosen.buffers, entries=entries, seed=seed
    )
    passed = report.passed(tolerance)
    if as_json:
        errors = {check.name: check.error for check in report.checks}
        o.print_json({"passed": passed, "errors": errors, "worst": str(report.worst)})
    else:
        _show(report, passed, tolerance)
    if not passed:
        raise typer.Exit(1)


def _show(report: checker.GradientReport, passed: bool, tolerance: float) -> None:
    for check in report.checks:
        echo(f"{check.name:12} relative error {check.error:.1e}")
    echo(f"worst        {report.worst}")
    echo(f"{'passed' if passed else 'FAILED'}: every relative error must be at most {tolerance:g}")


def _facts(subject: str) -> dict[str, bool]:
    """Return what decides which options a subject uses."""
    given = ARCHITECTURE.fullmatch(subject) is not None
    model = not given and is_model(subject)
    table = not given and not model and source_facts(subject)["table"]
    return {"network": not is_preset(subject), "source": not (given or model), "untrained": not model, "table": table}


def _network_settings(
    command: str, hidden: str, activation: str, batch_norm: bool, layer_norm: bool, dropout: float
) -> Settings:
    return o.checked(
        command,
        hidden_layer_sizes=hidden_sizes(command, hidden),
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
    )
