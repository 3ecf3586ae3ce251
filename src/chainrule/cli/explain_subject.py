"""The network and rows that `chainrule explain` and `chainrule gradcheck` work on: architecture, source or model.

In: SUBJECT as it was typed, and the options around it. Out: a `Subject`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chainrule.arrays import Array
from chainrule.cli import recorded
from chainrule.cli.source_rows import core_of, read_model, rows_to_evaluate
from chainrule.data import Dataset, load
from chainrule.data.table import ReadOptions
from chainrule.errors import FormatError, InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.model import Model
from chainrule.nn.losses import LOSSES, BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, TargetKind
from chainrule.nn.net import Net
from chainrule.pack import Member, Pack
from chainrule.pipeline import Settings, Situation, classification, regression, scaler, unused
from chainrule.pipeline.option_names import option_name
from chainrule.random import Purpose, Stream
from chainrule.target import Target

ARCHITECTURE = re.compile(r"\d{1,7}(-\d{1,7})+")


@dataclass(frozen=True)
class Subject:
    """A network with a loss, its parameters if it was trained, and rows to run it on.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        Its loss.
    X : array of shape (n, d)
        Rows as the network takes them.
    Y : array of shape (n,) or (n, k)
        Targets as the loss takes them.
    w, buffers : array, default=None
        Parameters and running statistics of a trained network.
    place : int, default=0
        Place in X of the row that was asked for.
    """

    net: Net
    loss: Loss
    X: Array
    Y: Array
    w: Array | None = None
    buffers: Array | None = None
    place: int = 0


@dataclass(frozen=True)
class Asked:
    """What was typed about the subject.

    Parameters
    ----------
    command : str
        Name of the command.
    target : str or None
        Column to predict.
    settings : Settings
        The layers.
    head : str or None
        Name of the loss.
    rows : int
        Rows of the batch.
    seed : int, default=0
        Draws rows.
    row : int, default=None
        Number of the row whose numbers are wanted, counted from 0.
    data : str, default=None
        Where a model's rows come from.
    """

    command: str
    target: str | None
    settings: Settings
    head: str | None
    rows: int
    seed: int = 0
    row: int | None = None
    data: str | None = None


def is_model(subject: str) -> bool:
    """Check whether a subject names a model file or a run folder."""
    return subject.endswith(".safetensors") or (Path(subject) / "model.safetensors").exists()


def find_subject(subject: str, asked: Asked) -> Subject:
    """Return the network that a subject names, with rows.

    Parameters
    ----------
    subject : str
        An architecture, a model file, a run folder, or a source.
    asked : Asked
        What else was typed.

    Returns
    -------
    Subject

    Raises
    ------
    InvalidValueError
        For a subject that is none of these, and options that do not fit it.
    """
    if ARCHITECTURE.fullmatch(subject):
        return _from_architecture(subject, asked)
    if asked.head is not None:
        raise InvalidValueError(
            must_be(asked.command, "--head", "omitted unless SUBJECT is an architecture", asked.head)
        )
    if is_model(subject):
        return _from_model(subject, asked)
    if subject[:1].isdigit() and not Path(subject).suffix and not Path(subject).exists():
        allowed = "widths such as 64-32-10, a source or a model"
        raise InvalidValueError(must_be(asked.command, "SUBJECT", allowed, subject))
    raise_all(unused(asked.command, asked.settings, Situation(), option_name))
    return _from_source(subject, asked)


def _from_model(subject: str, asked: Asked) -> Subject:
    model = read_model(subject)
    core = core_of(model)
    if isinstance(core, Pack):
        member = max(core.members, key=lambda each: each.weight)
        net, w, buffers = member.net, member.w, member.buffers
    else:
        member = None
        net, w, buffers = core.net, core.w, core.buffers
    if asked.row is None:
        X, Y = _random_rows(net, core.loss, asked.rows, asked.seed)
        return Subject(net, core.loss, X, Y, w, buffers)
    rows = rows_to_evaluate(model, _source_of(subject, asked), ReadOptions(), asked.seed)
    assert rows.y is not None
    take, place = _window(asked, len(rows.X))
    X = _network_rows(core, member, rows.X[take])
    return Subject(net, core.loss, X, Target.of(model).encode(rows.y[take]), w, buffers, place)


def _network_rows(core: Model | Pack, member: Member | None, X: Array) -> Array:
    """Return rows as the network itself takes them."""
    if isinstance(core, Pack):
        assert member is not None
        return core.transforms[member.transform].apply(X, np.float64)
    return core.inputs.apply(X, np.float64)


def _source_of(subject: str, asked: Asked) -> str:
    """Return the source of a model's rows: the one that was typed, or the one that its folder records."""
    if asked.data is not None:
        return asked.data
    if not (Path(subject) / "config.json").is_file():
        hint = "A model file holds no rows."
        raise InvalidValueError(must_be(asked.command, "--data", "given with --row for a model file", None, hint))
    folder = Path(subject)
    source = recorded.part_of(folder, recorded.read_config(folder), "options").get("source")
    if not isinstance(source, str):
        raise FormatError(f"{folder / 'config.json'}: the file must be a run's settings with a source.")
    return source


def _window(asked: Asked, n: int) -> tuple[Array, int]:
    """Return the rows of the batch that begins with the row that was asked for."""
    assert asked.row is not None
    if asked.row >= n:
        allowed = f"a whole number from 0 to {n - 1}"
        raise InvalidValueError(must_be(asked.command, "--row", allowed, asked.row, "Rows are counted from 0."))
    return (asked.row + np.arange(min(asked.rows, n))) % n, 0


def _from_architecture(subject: str, asked: Asked) -> Subject:
    inputs, *hidden, outputs = (int(part) for part in subject.split("-"))
    settings = replace(asked.settings, hidden_layer_sizes=tuple(hidden))
    raise_all(unused(asked.command, settings, Situation(), option_name))
    net = settings.network(inputs, outputs)
    if asked.head is not None and asked.head not in LOSSES:
        hint = did_you_mean(asked.head, LOSSES)
        raise InvalidValueError(must_be(asked.command, "--head", "a loss", asked.head, hint))
    usual: Loss = BinaryCrossEntropy() if outputs == 1 else SoftmaxCrossEntropy()
    loss = usual if asked.head is None else LOSSES[asked.head]()
    row = asked.row or 0
    X, Y = _random_rows(net, loss, max(asked.rows, row + 1), asked.seed)
    return Subject(net, loss, X, Y, place=row)


def _from_source(source: str, asked: Asked) -> Subject:
    dataset: Dataset = load(source, asked.target, seed=asked.seed)
    settings = asked.settings
    targets = (classification if dataset.task == "classification" else regression)(dataset.y, settings)
    net = settings.network(dataset.X.shape[1], targets.outputs)
    if asked.row is None:
        stream = Stream.from_seed(asked.seed).fold(Purpose.SPLIT)
        take, place = stream.permutation(np, len(dataset.X))[: asked.rows], 0
    else:
        take, place = _window(asked, len(dataset.X))
    X = scaler(dataset.X, "shared" if dataset.shared_unit else "columns").apply(dataset.X[take])
    return Subject(net, targets.loss, X, targets.encode(dataset.y[take]), place=place)


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
