"""`chainrule train` on data larger than memory: Parquet files by a pattern, or with a limit on memory.

In: a pattern or a file, what was typed. Out: a `StreamedProblem`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.cli import options as o
from chainrule.cli.option_values import kept_labels
from chainrule.data import BUILTIN
from chainrule.data.stream.dataset import StreamedDataset, open_dataset
from chainrule.data.stream.parquet import files_of, is_glob
from chainrule.errors import FormatError, InvalidValueError, MissingError, must_be, raise_all
from chainrule.pipeline import Settings

if TYPE_CHECKING:
    from chainrule.pipeline.streaming import StreamedProblem

DEFAULT_MEMORY = "256MB"

WHY_PLAIN = "Preset plain: the preset for tables needs all rows in memory."


def source_of(command: str, source: str | None, data: str | None) -> str:
    """Return the source, which is SOURCE or --data."""
    if source is not None and data is not None:
        raise InvalidValueError(must_be(command, "--data", "left out beside SOURCE", data, "Name the data once."))
    found = source if source is not None else data
    if found is None:
        raise InvalidValueError(must_be(command, "SOURCE", "given", None, "Or name Parquet files with --data."))
    return found


def can_be_streamed(source: str) -> bool:
    """Check whether a source is of Parquet files.

    >>> can_be_streamed("part-*.parquet"), can_be_streamed("digits")
    (True, False)
    """
    return source not in BUILTIN and source.lower().endswith(".parquet")


def is_streamed(source: str, options: o.TrainOptions) -> bool:
    """Check whether a source is streamed: a pattern always is, a file with --max-memory."""
    return source not in BUILTIN and (is_glob(source) or (options.max_memory is not None and can_be_streamed(source)))


def check_streamed(
    options: o.TrainOptions, preset: str | None, seconds: float | None, doctor: str, several: bool
) -> None:
    """Refuse what streamed rows cannot be used for."""
    raise_all(_faults(options, preset, seconds, doctor, several))


def _faults(
    options: o.TrainOptions, preset: str | None, seconds: float | None, doctor: str, several: bool
) -> Iterator[str]:
    if preset not in (None, "plain"):
        hint = "A pack trains many networks on rows in memory."
        yield must_be("train", "--preset", "plain for streamed rows", preset, hint)
    if seconds is not None:
        yield must_be(
            "train", "--seconds", "left out for streamed rows", seconds, "It belongs to the preset for tables."
        )
    if doctor in ("advise", "fix"):
        hint = "Its trials need all rows in memory; train on a part of the files to have them."
        yield must_be("train", "--doctor", "off or watch for streamed rows", doctor, hint)
    if several:
        yield must_be(
            "train", "--distributed", "left out for streamed rows", "several processes", "One process streams."
        )
    if options.engine == "jax":
        yield must_be("train", "--engine", "auto, native or reference for streamed rows", options.engine)


def streamed_problem(source: str, options: o.TrainOptions, command: str, settings: Settings) -> StreamedProblem:
    """Open the files and make the problem.

    Parameters
    ----------
    source : str
        A file or a pattern.
    options : TrainOptions
        What was typed.
    command : str
        Name of the command.
    settings : Settings
        The same, checked.

    Returns
    -------
    StreamedProblem
    """
    from chainrule.data.stream.targets import target_of
    from chainrule.pipeline.streaming import HoldOut, build_streamed_problem

    if command != "train":
        first = Path(files_of(command, source)[0]).name
        hint = f"It needs all rows in memory: give it a sample, such as one of the files ({first})."
        raise InvalidValueError(must_be(command, "source", "one file for this command", source, hint))
    dataset = _opened(source, options)
    own = {"validation_rows": options.validation, "test_rows": options.test}
    parts = {name: None if file is None else _opened(file, options) for name, file in own.items()}
    only = None
    if options.keep_classes is not None:
        found = target_of(dataset.source.name, dataset.source, dataset.target, options.task)
        classes = [] if found.classes is None else found.classes.tolist()
        only = kept_labels(command, options.keep_classes, classes, found.task)
    shares = (options.validation_fraction, options.test_fraction)
    hold_out = HoldOut(*shares, parts["validation_rows"], parts["test_rows"], only)
    return build_streamed_problem(settings, dataset, hold_out, task=options.task, class_weight=options.class_weight)


def _opened(source: str, options: o.TrainOptions) -> StreamedDataset:
    reading = options.reading("train")
    if not can_be_streamed(source):
        hint = "Other tables are read into memory, without --max-memory and one at a time."
        raise InvalidValueError(must_be("train", "SOURCE", "Parquet files, to be streamed", Path(source).name, hint))
    try:
        return open_dataset(
            source,
            options.target,
            max_memory=options.max_memory or DEFAULT_MEMORY,
            seed=options.seed,
            task=options.task,
            columns=reading.kinds,
            drop=reading.drop,
            key=options.group,
            missing=reading.missing,
        )
    except (InvalidValueError, MissingError, FormatError) as error:
        raise type(error)(_as_typed(str(error))) from error


_FLAGS = {"source": "SOURCE", "target": "--target", "max_memory": "--max-memory", "key": "--group"}


def _as_typed(text: str) -> str:
    """Return a message about an argument of `open_dataset` as one about the option.

    >>> _as_typed("open_dataset: max_memory must be a size")
    'train: --max-memory must be a size'
    """
    for argument, flag in _FLAGS.items():
        text = text.replace(f"open_dataset: {argument} must", f"train: {flag} must")
    return text.replace("open_dataset: ", "train: ")
