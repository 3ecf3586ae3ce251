"""The options that commands share, so that one means the same in every command.

In: what the user typed. Out: typed options, settings, a place to print.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import typer

from chainrule.cli.console import console as console  # (every command prints through it)
from chainrule.cli.console import echo
from chainrule.cli.option_values import (
    batch_size,
    epochs,
    hidden_sizes,
    learning_rate,
    levels,
    linked_loss,
    pairs,
    patience,
    with_settings,
)
from chainrule.constraints import Checked, faults
from chainrule.data.table import ReadOptions
from chainrule.data.table.shell import listed
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.errors import ChainruleError, InvalidValueError, MissingError, did_you_mean, must_be, raise_all
from chainrule.io import write_atomically
from chainrule.nn.initializers import INITIALIZERS
from chainrule.pipeline import OPTIMIZERS, REGRESSION_LOSSES, SCHEDULES, Settings
from chainrule.pipeline.option_names import option_name

Record = TypeVar("Record", bound=Checked)

_DATA = "Data"
_NETWORK = "Network"
_TRAINING = "Training"

_option = functools.partial(typer.Option, rich_help_panel=_TRAINING)
_network = functools.partial(typer.Option, rich_help_panel=_NETWORK)
_data = functools.partial(typer.Option, rich_help_panel=_DATA)
table_option = functools.partial(typer.Option, rich_help_panel="Tables")
"""An option of the preset for tables."""

SOURCE = typer.Argument(
    metavar="SOURCE",
    help="A built-in name (digits, circles, mnist, ...), a table (.csv, .tsv, .txt, .parquet, .xlsx, each also .gz), "
    "an .npz file, or a folder with IDX files.",
)
Source = Annotated[str, SOURCE]
Target = Annotated[str | None, _data(help="Column to predict; required for tables.")]
TaskName = Annotated[
    str | None, _data("--task", help="classification or regression; derived from the target by default.")
]
Columns = Annotated[
    str | None, _data(metavar="NAME=KIND,...", help="Kinds of columns: number, category, boolean, date, text or id.")
]
Drop = Annotated[str | None, _data(metavar="NAME,...", help="Columns to leave out.")]
Missing = Annotated[
    str | None,
    _data(metavar="NAME=VALUE,...", help="Values of columns that mean a missing cell, such as age=-999."),
]
Separator = Annotated[str | None, _data(help="Character between cells of a text table; found out by default.")]
Decimal = Annotated[str | None, _data(help="Decimal mark of a text table, . or , ; found out by default.")]
Header = Annotated[
    bool | None,
    _data("--header/--no-header", help="Whether the first line of a table has the names; found out by default."),
]
Encoding = Annotated[str | None, _data(help="Encoding of a text table, such as cp1250; found out by default.")]
Group = Annotated[str | None, _data(metavar="COLUMN", help="Column whose groups of rows are held out together.")]
Time = Annotated[str | None, _data("--time", metavar="COLUMN", help="Column by which the latest rows are held out.")]
ValidationRows = Annotated[
    str | None,
    _data("--validation", metavar="FILE", help="Rows that choose the best epoch, in place of a random part."),
]
TestRows = Annotated[
    str | None, _data("--test", metavar="FILE", help="Rows for the final scores, in place of a random part.")
]
TestFraction = Annotated[float, _data(help="Fraction of the rows held out for the final scores.")]
ValidationFraction = Annotated[
    float, _data(help="Fraction of the remaining rows used to choose the best epoch; 0 for none.")
]
Scaling = Annotated[str | None, _data(help="columns, shared or none; by default columns, and shared for pixels.")]
ClassWeight = Annotated[str | None, _data(help="'balanced' weights each class inversely to its frequency.")]
Hidden = Annotated[str, _network(help="Units of each hidden layer, such as 128,64; 'none' for no hidden layer.")]
ActivationName = Annotated[str, _network("--activation", help="Activation of the hidden layers.")]
Initializer = Annotated[
    str | None, _network(help="Rule for the initial weights; by default the one that suits the activation.")
]
BatchNorm = Annotated[bool, _network("--batch-norm", help="Batch norm after every hidden dense layer.")]
LayerNorm = Annotated[bool, _network("--layer-norm", help="Layer norm after every hidden dense layer.")]
Dropout = Annotated[float, _network(help="Fraction dropped after every hidden layer.")]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="PATTERN", help="Parquet files by a pattern, such as 'part-*.parquet', in place of SOURCE."
    ),
]
MaxMemory = Annotated[
    str | None,
    _data(
        metavar="SIZE",
        help="Stream Parquet files: keep at most this much of the rows in memory, such as 1GB. A pattern is always "
        "streamed, by default with 256MB.",
    ),
]
KeepClasses = Annotated[
    str | None, _data(metavar="LABEL,...", help="Classes to learn; rows of other classes are left out.")
]
LossName = Annotated[
    str, _option("--loss", help="For regression: squared_error, absolute_error, huber, poisson, quantile.")
]
Link = Annotated[
    str | None,
    _option(
        help="Output function of a regression: identity, relu for values >= 0, tanh for values in (-1, 1), exp, ..."
    ),
]
Quantiles = Annotated[
    str | None, _option(metavar="LEVEL,...", help="Levels of --loss quantile; by default 0.05,0.5,0.95.")
]
Optimizer = Annotated[
    str,
    _option(
        metavar="NAME[:SETTING=VALUE,...]",
        help="sgd, sgd_momentum, ema_momentum, nesterov, rmsprop, adagrad, adam, adamw; with settings as in "
        "adam:beta1=0.8,beta2=0.99.",
    ),
]
Rate = Annotated[str, _option("--lr", help="Learning rate, or 'find' to use the range test's suggestion.")]
ScheduleName = Annotated[
    str,
    _option(
        "--schedule",
        metavar="NAME[:SETTING=VALUE,...]",
        help="constant, step, exponential, cosine, one_cycle, plateau, ...; with settings as in step:every=5,drop=0.3.",
    ),
]
Epochs = Annotated[
    str,
    _option(help="Maximum number of epochs; auto: 100, and more for few rows (2000 steps; 1000 without validation)."),
]
BatchSize = Annotated[str, _option(help="Rows per step: a number, 'auto', or 'full'.")]
Alpha = Annotated[float, _option(help="Strength of the L2 penalty.")]
L1 = Annotated[float, _option("--l1", help="Strength of the L1 penalty.")]
MaxNorm = Annotated[float | None, _option(help="Maximum norm of each unit's incoming weights.")]
EmaDecay = Annotated[
    float | None, _option(help="Predict with a running mean of the weights that keeps this share at each step.")
]
Accumulate = Annotated[int, _option(help="Number of batches whose gradients make one step.")]
ClipNorm = Annotated[float | None, _option(help="Maximum norm of the gradient.")]
LabelSmoothing = Annotated[float, _option(help="Fraction of each target spread over all classes.")]
Patience = Annotated[
    str,
    _option(
        help="Stop after this many epochs without a better loss; auto: 20 epochs and 500 steps of a smoothed loss; 0: never."
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(help="For two classes: predict the second from this probability on; 0.5 by default."),
]
EngineName = Annotated[str, _option("--engine", help="auto, or an engine's name (see chainrule info).")]
Dtype = Annotated[str, _option(help="float32 or float64.")]
Seed = Annotated[int, _option(help="Seed of the split, initial weights, shuffles and masks.")]
DataSeed = Annotated[int, _data("--seed", min=0, help="Seed of generated data (circles, moons, blobs, spirals).")]
Suppress = Annotated[
    list[str] | None,
    typer.Option(metavar="SYMPTOM=REASON", help="Suppress a finding and record why. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def checked(command: str, **values: Any) -> Settings:
    """Return settings from options; raise one error with every fault."""
    settings = Settings(**values)
    named = list(_unknown_names(command, values))
    others = [fault for fault in settings.faults(command, option_name) if not _about(fault, named)]
    raise_all([*named, *others])
    return settings


_NAMED: Mapping[str, tuple[str, Iterable[str]]] = {
    "optimizer": ("an optimizer's name", OPTIMIZERS),
    "schedule": ("a schedule's name", SCHEDULES),
    "loss": ("a loss's name", REGRESSION_LOSSES),
    "initializer": ("an initializer's name", INITIALIZERS),
}
"""Settings that the command line takes by name only, though Python takes objects or None too."""


def _unknown_names(command: str, values: Mapping[str, Any]) -> Iterator[str]:
    for setting, (allowed, known) in _NAMED.items():
        value = values.get(setting)
        if isinstance(value, str) and value not in known:
            yield must_be(command, option_name(setting), allowed, value, did_you_mean(value, known))


def _about(fault: str, faults: Iterable[str]) -> bool:
    """Check whether a fault is about an option that one of the other faults is about."""
    return any(fault.startswith(other.split(" must be ")[0] + " must be ") for other in faults)


def checked_record(command: str, kind: type[Record], **values: Any) -> Record:
    """Return a record whose fields carry constraints, from options; raise one error with every fault."""
    allowed = {option_name(field.name): field.metadata["constraint"] for field in fields(cast(Any, kind))}
    raise_all(faults(command, {option_name(name): value for name, value in values.items()}, allowed))
    return kind(**values)


def check_page(command: str, out: Path | None) -> None:
    """Raise `InvalidValueError` for a page that would not be an .html file."""
    if out is not None and out.suffix != ".html":
        raise InvalidValueError(must_be(command, "--out", "an .html file", str(out)))
    check_folder(command, out)


def check_folder(command: str, path: Path | None) -> None:
    """Raise `MissingError`, before any work, for a file whose folder does not exist."""
    if path is not None and not path.parent.is_dir():
        raise MissingError(f"{command}: folder {str(path.parent)!r} must exist. Create it first.")


def write_drawn(command: str, path: Path, drawn: Callable[[], bytes]) -> None:
    """Write a picture or a page after its results were printed; warn where it cannot be drawn.

    Raises `WriteError` where it was drawn and the disk does not take it.
    """
    try:
        data = drawn()
    except Exception as error:
        warn_of_picture(path.name, error, "The results are complete.")
        return
    write_atomically(path, data, command)


def print_json(value: Any) -> None:
    """Print one JSON object, on one line, last on standard output; figures that are not finite become null."""
    echo(json.dumps(finite(value), allow_nan=False))


def finite(value: Any) -> Any:
    """Return plain data in which figures that are not finite are None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value


def warn_of_picture(name: str, error: Exception, saved: str) -> None:
    """Say on standard error that a picture or page is missing, and that the results are not."""
    fault = str(error) if isinstance(error, ChainruleError) else f"{name}: {type(error).__name__}: {error}"
    console(stderr=True).print(f"warning: not drawn: {fault.splitlines()[0]} {saved}")


@dataclass(frozen=True)
class TrainOptions:
    """The options that `train` and `doctor` share, as they were typed."""

    target: Target = None
    task: TaskName = None
    columns: Columns = None
    drop: Drop = None
    missing: Missing = None
    separator: Separator = None
    decimal: Decimal = None
    header: Header = None
    encoding: Encoding = None
    group: Group = None
    time: Time = None
    validation: ValidationRows = None
    test: TestRows = None
    max_memory: MaxMemory = None
    hidden: Hidden = "100"
    activation: ActivationName = "relu"
    initializer: Initializer = None
    batch_norm: BatchNorm = False
    layer_norm: LayerNorm = False
    dropout: Dropout = 0.0
    loss: LossName = "squared_error"
    link: Link = None
    quantiles: Quantiles = None
    optimizer: Optimizer = "adam"
    lr: Rate = "0.001"
    schedule: ScheduleName = "constant"
    epochs: Epochs = "auto"
    batch_size: BatchSize = "auto"
    accumulate: Accumulate = 1
    alpha: Alpha = 0.0
    l1: L1 = 0.0
    max_norm: MaxNorm = None
    ema_decay: EmaDecay = None
    max_grad_norm: ClipNorm = None
    label_smoothing: LabelSmoothing = 0.0
    class_weight: ClassWeight = None
    keep_classes: KeepClasses = None
    patience: Patience = "auto"
    test_fraction: TestFraction = 0.2
    validation_fraction: ValidationFraction = Settings.validation_fraction
    scaling: Scaling = None
    engine: EngineName = "auto"
    dtype: Dtype = "float32"
    seed: Seed = 0

    def settings(self, command: str) -> Settings:
        """Return checked settings; a rate and a scaling that depend on the data come later."""
        raise_all([*self._faults(command), *self.split_faults(command)])
        held_out = self.validation is not None or self.validation_fraction > 0
        return checked(
            command,
            hidden_layer_sizes=hidden_sizes(command, self.hidden),
            activation=self.activation,
            initializer=self.initializer,
            batch_norm=self.batch_norm,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
            loss=linked_loss(command, self.loss, self.link, levels(command, self.quantiles)),
            quantiles=levels(command, self.quantiles if self.link is None else None),
            optimizer=with_settings(command, "--optimizer", self.optimizer, OPTIMIZERS),
            learning_rate_init=learning_rate(command, self.lr),
            schedule=with_settings(command, "--schedule", self.schedule, SCHEDULES),
            batch_size=batch_size(command, self.batch_size),
            max_iter=epochs(command, self.epochs),
            accumulate_grad_batches=self.accumulate,
            alpha=self.alpha,
            l1_alpha=self.l1,
            max_weight_norm=self.max_norm,
            ema_decay=self.ema_decay,
            max_grad_norm=self.max_grad_norm,
            label_smoothing=self.label_smoothing,
            early_stopping=held_out,
            validation_fraction=self.validation_fraction or Settings.validation_fraction,
            n_iter_no_change=patience(command, self.patience),
            scaling=self.scaling or "columns",
            engine=self.engine,
            dtype=self.dtype,
            seed=self.seed,
        )

    def reading(self, command: str) -> ReadOptions:
        """Return what was typed about the columns and the form of a table."""
        kinds, codes = pairs(self.columns), pairs(self.missing)
        given = {"--columns": ("KIND", kinds, self.columns), "--missing": ("VALUE", codes, self.missing)}
        raise_all(
            must_be(command, option, f"NAME={what}, several separated by commas", text)
            for option, (what, found, text) in given.items()
            if not all(name and value for name, value in found)
        )
        missing = {name: [value for other, value in codes if other == name] for name, _ in codes}
        separator = {"\\t": "\t", "tab": "\t", "space": " "}.get(self.separator or "", self.separator)
        return ReadOptions(separator, self.decimal, dict(kinds), listed(self.drop), self.header, self.encoding, missing)

    def split_faults(self, command: str) -> Iterator[str]:
        """Yield a sentence for each option that contradicts another about how rows are held out."""
        given = {"--test": self.test, "--validation": self.validation}
        shares = {"--test": self.test_fraction, "--validation": self.validation_fraction}
        usual = {"--test": TrainOptions.test_fraction, "--validation": TrainOptions.validation_fraction}
        for name, file in given.items():
            if file is not None and shares[name] != usual[name]:
                yield must_be(command, f"{name}-fraction", f"left out beside {name}", shares[name])
        if self.group is not None and self.time is not None:
            yield must_be(command, "--time", "left out beside --group", self.time, "Rows are split by one of them.")
        drawn = [name for name, file in given.items() if file is None and shares[name]]
        for name, column in (("--group", self.group), ("--time", self.time)):
            if column is not None and not drawn:
                yield must_be(command, name, "left out where no rows are drawn", column, "All parts are given.")

    def _faults(self, command: str) -> Iterator[str]:
        shares = {"--test-fraction": self.test_fraction, "--validation-fraction": self.validation_fraction}
        yield from (must_be(command, name, "in [0, 1)", share) for name, share in shares.items() if not 0 <= share < 1)
        if self.class_weight not in (None, "balanced"):
            yield must_be(command, "--class-weight", "'balanced'", self.class_weight)


def with_training_options(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """Return a command whose parameter `options` is given on the command line as the options of `TrainOptions`.

    Those in `without` keep their defaults.
    """
    hints = get_type_hints(TrainOptions, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name])
        for f in fields(TrainOptions)
        if f.name not in without
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += shared if parameter.name == "options" else [parameter.replace(kind=keyword)]

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        options = TrainOptions(**{f.name: arguments.pop(f.name) for f in fields(TrainOptions) if f.name not in without})
        command(options=options, **arguments)

    signature = inspect.Signature(parameters)
    run.__dict__["__signature__"] = signature
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def suppressed(command: str, texts: list[str] | None) -> dict[str, str]:
    """Return symptoms and reasons from `SYMPTOM=REASON`.

    >>> suppressed("doctor", ["no-validation=a demonstration"])
    {'no-validation': 'a demonstration'}

    Raises `InvalidValueError` for a symptom that does not exist, and where no reason is given.
    """
    pairs = [(text, *text.partition("=")[::2]) for text in texts or ()]
    raise_all(_suppress_fault(command, *pair) for pair in pairs if pair[1] not in SYMPTOMS or not pair[2].strip())
    return {symptom: reason.strip() for _, symptom, reason in pairs}


def _suppress_fault(command: str, text: str, symptom: str, reason: str) -> str:
    hint = "Give a reason." if symptom in SYMPTOMS else did_you_mean(symptom, SYMPTOMS)
    return must_be(command, "--suppress", "SYMPTOM=REASON with a known symptom", text, hint)
