"""`chainrule explain` and `chainrule gradcheck`: what a network computes and whether its gradients are right.

In: a model, a source, or an architecture such as 64-32-10. Out: its derivation; its gradient check.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.console import echo
from chainrule.cli.explain_preset import is_preset, show_preset
from chainrule.cli.source_rows import read_model
from chainrule.cli.unused import refuse, source_facts
from chainrule.data import load
from chainrule.engines import plan as plans
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.model import Model
from chainrule.nn import gradcheck as checker
from chainrule.nn.layers import BatchNorm, all_layers
from chainrule.nn.losses import LOSSES, BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, TargetKind
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe
from chainrule.pack import Pack
from chainrule.pipeline import Settings, Situation, classification, regression, scaler, unused
from chainrule.pipeline.option_names import option_name
from chainrule.prediction import Predictor
from chainrule.random import Purpose, Stream
from chainrule.report import explain as derivations
from chainrule.table_model import TableModel

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

_ARCHITECTURE = re.compile(r"\d{1,7}(-\d{1,7})+")


@dataclass(frozen=True)
class Subject:
    """A network with a loss, its parameters if it was trained, and rows to run it on."""

    net: Net
    loss: Loss
    X: Array
    Y: Array
    w: Array | None = None
    buffers: Array | None = None


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
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown with LaTeX.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the phases that the native engine runs and the memory it takes.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Print a network's derivation: forward and backward equations, shapes, parameters, operations, cached bytes."""
    refuse("explain", _facts(subject) | {"text": not (as_json or plan)})
    if is_preset(subject):
        show_preset(subject, as_json, markdown, rows)
        return
    settings = _network_settings("explain", hidden, activation, batch_norm, layer_norm, dropout)
    chosen = _subject("explain", subject, target, settings, head, rows)
    if plan:
        _show_plan(plans.lower(Recipe(chosen.net, chosen.loss, batch_size=rows)), as_json)
        return
    derivation = derivations.explain(chosen.net, chosen.loss, rows)
    if as_json:
        o.print_json(derivation.plain())
    else:
        echo(derivations.to_markdown(derivation) if markdown else derivations.to_text(derivation))


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
    chosen = _subject("gradcheck", subject, target, settings, head, rows, seed)
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
    given = _ARCHITECTURE.fullmatch(subject) is not None
    model = not given and _is_model(subject)
    table = not given and not model and source_facts(subject)["table"]
    return {"network": not is_preset(subject), "source": not (given or model), "untrained": not model, "table": table}


def _is_model(subject: str) -> bool:
    return subject.endswith(".safetensors") or (Path(subject) / "model.safetensors").exists()


def _network_settings(
    command: str, hidden: str, activation: str, batch_norm: bool, layer_norm: bool, dropout: float
) -> Settings:
    return o.checked(
        command,
        hidden_layer_sizes=o.hidden_sizes(command, hidden),
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
    )


def _subject(
    command: str, subject: str, target: str | None, settings: Settings, head: str | None, rows: int, seed: int = 0
) -> Subject:
    if _ARCHITECTURE.fullmatch(subject):
        return _from_architecture(command, subject, settings, head, rows, seed)
    if head is not None:
        raise InvalidValueError(must_be(command, "--head", "omitted unless SUBJECT is an architecture", head))
    if _is_model(subject):
        net, loss, w, buffers = _network_of(read_model(subject))
        X, Y = _random_rows(net, loss, rows, seed)
        return Subject(net, loss, X, Y, w, buffers)
    if subject[:1].isdigit() and not Path(subject).suffix and not Path(subject).exists():
        raise InvalidValueError(must_be(command, "SUBJECT", "widths such as 64-32-10, a source or a model", subject))
    raise_all(unused(command, settings, Situation(), option_name))
    return _from_source(subject, target, settings, rows, seed)


def _network_of(model: Predictor) -> tuple[Net, Loss, Array, Array]:
    """Return the network of a model with its numbers; of a pack, the one that counts most."""
    core = model.core if isinstance(model, TableModel) else model
    if isinstance(core, Pack):
        member = max(core.members, key=lambda each: each.weight)
        return member.net, core.loss, member.w, member.buffers
    assert isinstance(core, Model)
    return core.net, core.loss, core.w, core.buffers


def _from_architecture(
    command: str, subject: str, settings: Settings, head: str | None, rows: int, seed: int
) -> Subject:
    inputs, *hidden, outputs = (int(part) for part in subject.split("-"))
    settings = replace(settings, hidden_layer_sizes=tuple(hidden))
    raise_all(unused(command, settings, Situation(), option_name))
    net = settings.network(inputs, outputs)
    if head is not None and head not in LOSSES:
        raise InvalidValueError(must_be(command, "--head", "a loss", head, did_you_mean(head, LOSSES)))
    usual: Loss = BinaryCrossEntropy() if outputs == 1 else SoftmaxCrossEntropy()
    loss = usual if head is None else LOSSES[head]()
    return Subject(net, loss, *_random_rows(net, loss, rows, seed))


def _from_source(source: str, target: str | None, settings: Settings, rows: int, seed: int) -> Subject:
    dataset = load(source, target, seed=seed)
    targets = (classification if dataset.task == "classification" else regression)(dataset.y, settings)
    net = settings.network(dataset.X.shape[1], targets.outputs)
    take = Stream.from_seed(seed).fold(Purpose.SPLIT).permutation(np, len(dataset.X))[:rows]
    X = scaler(dataset.X, "shared" if dataset.shared_unit else "columns").apply(dataset.X[take])
    return Subject(net, targets.loss, X, targets.encode(dataset.y[take]))


def _random_rows(net: Net, loss: Loss, rows: int, seed: int) -> tuple[Array, Array]:
    """Draw standard normal inputs and targets that fit the loss."""
    stream = Stream.from_seed(seed).fold(Purpose.SPLIT)
    X = stream.fold(1).normal(rows * net.inputs).reshape(rows, net.inputs)
    u = stream.fold(2).uniform(rows * net.outputs).reshape(rows, net.outputs)
    if loss.targets is TargetKind.CLASSES:
        return X, np.argmax(u, axis=1)
    if loss.targets is TargetKind.LABELS:
        return X, (u > 0.5).astype(float)
    return X, np.floor(4.0 * u) if loss.targets is TargetKind.COUNTS else 2.0 * u - 1.0
