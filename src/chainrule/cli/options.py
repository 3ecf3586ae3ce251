"""Why: an option means the same in every command that has it.

In: what the user typed. Out: typed options, settings, a place to print.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import typer

from chainrule.constraints import Checked, faults
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.pipeline import Settings
from chainrule.pipeline.option_names import option_name

Record = TypeVar("Record", bound=Checked)

_NETWORK = "Network"
_TRAINING = "Training"

Source = Annotated[
    str,
    typer.Argument(help="A built-in name (digits, circles, mnist, ...), a .csv, .parquet or .npz file, an IDX folder."),
]
Target = Annotated[str | None, typer.Option(help="Column to predict; needed for .csv and .parquet.")]
TaskName = Annotated[
    str | None, typer.Option("--task", help="classification or regression; by the target if not given.")
]
Hidden = Annotated[str, typer.Option(help="Units of each hidden layer, as 128,64; 'none' for no hidden layer.")]
ActivationName = Annotated[str, typer.Option("--activation", help="Activation of the hidden layers.")]
Initializer = Annotated[str | None, typer.Option(help="Rule for first weights; follows the activation if not given.")]
BatchNorm = Annotated[bool, typer.Option("--batch-norm", help="Batch norm after every hidden affine map.")]
LayerNorm = Annotated[bool, typer.Option("--layer-norm", help="Layer norm after every hidden affine map.")]
Dropout = Annotated[float, typer.Option(help="Fraction dropped after every hidden layer.")]
LossName = Annotated[
    str, typer.Option("--loss", help="For a regression: squared_error, absolute_error, huber, poisson.")
]
Optimizer = Annotated[
    str, typer.Option(help="sgd, momentum, classical_momentum, nesterov, rmsprop, adagrad, adam, adamw.")
]
Rate = Annotated[str, typer.Option("--lr", help="Learning rate, or 'find' to take the range test's suggestion.")]
ScheduleName = Annotated[
    str, typer.Option("--schedule", help="constant, step, exponential, cosine, one_cycle, plateau, ...")
]
Epochs = Annotated[int, typer.Option(help="Epochs at most.")]
BatchSize = Annotated[str, typer.Option(help="Rows per step: a number, 'auto', or 'full'.")]
Alpha = Annotated[float, typer.Option(help="Factor of the L2 penalty.")]
ClipNorm = Annotated[float | None, typer.Option(help="Largest length of the gradient.")]
LabelSmoothing = Annotated[float, typer.Option(help="Share of each target given to all classes alike.")]
ClassWeight = Annotated[str | None, typer.Option(help="'balanced' to weight classes by their rarity.")]
Patience = Annotated[
    int, typer.Option(min=0, help="Stop after so many epochs without a better validation loss; 0 never stops.")
]
TestFraction = Annotated[float, typer.Option(help="Share of rows held out for the final figures.")]
ValidationFraction = Annotated[
    float, typer.Option(help="Share of the other rows to choose the best epoch by; 0 for none.")
]
Scaling = Annotated[str | None, typer.Option(help="columns, shared or none; pixels share one scale if not given.")]
EngineName = Annotated[str, typer.Option("--engine", help="auto, or an engine's name (see chainrule info).")]
Dtype = Annotated[str, typer.Option(help="float32 or float64.")]
Seed = Annotated[int, typer.Option(help="Fixes the split, first weights, shuffles and masks.")]
Suppress = Annotated[
    list[str] | None,
    typer.Option(metavar="SYMPTOM=REASON", help="A finding not to be told, and why; may be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def hidden_sizes(command: str, text: str) -> tuple[int, ...]:
    """Whole numbers from "128,64"; "none" is no hidden layer.

    >>> hidden_sizes("train", "128,64"), hidden_sizes("train", "none")
    ((128, 64), ())

    Raises `InvalidValueError` for anything else.
    """
    if text.strip().lower() in ("none", ""):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidValueError(must_be(command, "--hidden", "whole numbers as 128,64, or none", text)) from None


def batch_size(command: str, text: str) -> int | str | None:
    """A number of rows, "auto", or None for "full".

    Raises `InvalidValueError` for anything else.
    """
    if text in ("auto", "full"):
        return {"auto": "auto", "full": None}[text]
    if not text.lstrip("-").isdigit():
        raise InvalidValueError(must_be(command, "--batch-size", "a whole number, 'auto' or 'full'", text))
    return int(text)


def learning_rate(command: str, text: str) -> float | None:
    """A number, or None for "find".

    Raises `InvalidValueError` for anything else.
    """
    if text == "find":
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidValueError(must_be(command, "--lr", "a number or 'find'", text)) from None


def checked(command: str, **values: Any) -> Settings:
    """Settings from options; every fault in one error."""
    settings = Settings(**values)
    settings.check(command, option_name)
    return settings


def stated(command: str, kind: type[Record], **values: Any) -> Record:
    """A record whose fields carry constraints, from options; every fault in one error, in the words of the command line."""
    allowed = {option_name(field.name): field.metadata["constraint"] for field in fields(cast(Any, kind))}
    raise_all(faults(command, {option_name(name): value for name, value in values.items()}, allowed))
    return kind(**values)


def print_json(value: Any) -> None:
    """One JSON object, on one line, last on standard output; figures that are no numbers become null."""
    typer.echo(json.dumps(finite(value), allow_nan=False))


def finite(value: Any) -> Any:
    """Plain data in which figures that are no numbers are None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value


def console(stderr: bool = False) -> Any:
    """A rich console on standard output, or on standard error for talk."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Wanted:
    """What the user asks of a training: the options that `train` and `doctor` share, as they were typed."""

    target: Target = None
    task: TaskName = None
    hidden: Hidden = "100"
    activation: ActivationName = "relu"
    initializer: Initializer = None
    batch_norm: BatchNorm = False
    layer_norm: LayerNorm = False
    dropout: Dropout = 0.0
    loss: LossName = "squared_error"
    optimizer: Optimizer = "adam"
    lr: Rate = "0.001"
    schedule: ScheduleName = "constant"
    epochs: Epochs = 100
    batch_size: BatchSize = "auto"
    alpha: Alpha = 0.0
    max_grad_norm: ClipNorm = None
    label_smoothing: LabelSmoothing = 0.0
    class_weight: ClassWeight = None
    patience: Patience = 20
    test_fraction: TestFraction = 0.2
    validation_fraction: ValidationFraction = 0.1
    scaling: Scaling = None
    engine: EngineName = "auto"
    dtype: Dtype = "float32"
    seed: Seed = 0

    def settings(self, command: str) -> Settings:
        """Checked settings; every fault in one error. A rate and a scaling that depend on the data come later."""
        return checked(
            command,
            hidden_layer_sizes=hidden_sizes(command, self.hidden),
            activation=self.activation,
            initializer=self.initializer,
            batch_norm=self.batch_norm,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
            loss=self.loss,
            optimizer=self.optimizer,
            learning_rate_init=learning_rate(command, self.lr) or Settings.learning_rate_init,
            schedule=self.schedule,
            batch_size=batch_size(command, self.batch_size),
            max_iter=self.epochs,
            alpha=self.alpha,
            max_grad_norm=self.max_grad_norm,
            label_smoothing=self.label_smoothing,
            scaling=self.scaling or "columns",
            engine=self.engine,
            dtype=self.dtype,
            seed=self.seed,
            n_iter_no_change=max(self.patience, 1),
        )


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `wanted` is given on the command line as the options of `Wanted`."""
    hints = get_type_hints(Wanted, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    asked = [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(Wanted)]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += asked if parameter.name == "wanted" else [parameter.replace(kind=keyword)]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        wanted = Wanted(**{f.name: given.pop(f.name) for f in fields(Wanted)})
        command(wanted=wanted, **given)

    signature = inspect.Signature(parameters)
    run.__dict__["__signature__"] = signature
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def suppressed(command: str, texts: list[str] | None) -> dict[str, str]:
    """Symptoms and reasons from `SYMPTOM=REASON`.

    >>> suppressed("doctor", ["no-validation=a demonstration"])
    {'no-validation': 'a demonstration'}

    Raises `InvalidValueError` for a symptom that does not exist, and where no reason is given.
    """
    pairs = [(text, *text.partition("=")[::2]) for text in texts or ()]
    raise_all(_silence_fault(command, *pair) for pair in pairs if pair[1] not in SYMPTOMS or not pair[2].strip())
    return {symptom: reason.strip() for _, symptom, reason in pairs}


def _silence_fault(command: str, text: str, symptom: str, reason: str) -> str:
    hint = "Give a reason." if symptom in SYMPTOMS else did_you_mean(symptom, SYMPTOMS)
    return must_be(command, "--suppress", "SYMPTOM=REASON with a symptom that the doctor knows", text, hint)
