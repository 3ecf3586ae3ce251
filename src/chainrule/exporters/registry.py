"""The formats that a model can be exported to, one row per format, imported on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.plan import InferencePlan


@dataclass(frozen=True)
class ExportOptions:
    """What the user says about the file.

    Parameters
    ----------
    name : str, default="model"
        Name of the model in the file, a C identifier: the stem of the file, with "_" for other characters.
    opset : int, default=None
        Version of ONNX's operators; None is the format's default.
    int8 : bool, default=False
        Whether weights are stored in eight bits.
    """

    name: str = "model"
    opset: int | None = None
    int8: bool = False


@dataclass(frozen=True, eq=False)
class Ran:
    """What a written file answered.

    Parameters
    ----------
    answers : Answers
        Its predictions.
    seconds : float
        Time of the predictions alone, for all rows, without loading and compiling; the least of some repeats.
    """

    answers: Answers
    seconds: float


class Exporter(Protocol):
    """One format; a module's `EXPORTER` object. It writes nothing to disk itself."""

    name: str
    """What `to` names: "numpy", "onnx", ..."""
    suffix: str
    """Suffix of the main file, with its point."""
    options: tuple[str, ...]
    """Names of the fields of `ExportOptions` that it uses, besides `name`."""
    single_precision: bool
    """Whether the file takes matrix rows as float32, so that it is checked on rows that float32 holds."""
    runtime: str
    """What must be there to check a file, as a sentence names it: "onnxruntime", "gcc", "node"."""

    def tolerance(self, plan: InferencePlan, options: ExportOptions) -> float:
        """Return the largest allowed difference, relative to max(1, |value|): 1e-5, more for eight bits."""

    def faults(self, plan: InferencePlan, options: ExportOptions) -> Iterator[str]:
        """Yield what the format cannot say, one complete line each, naming the column or layer and what to do instead."""

    def write(self, plan: InferencePlan, options: ExportOptions) -> Mapping[str, bytes]:
        """Return the files by suffix, the main file (`suffix`) first; the same plan gives the same bytes."""

    def run(self, files: Mapping[str, bytes], plan: InferencePlan, options: ExportOptions, rows: Rows) -> Ran | None:
        """Return what the written files answer for rows; None if the runtime is not installed.

        Rows are an array (n, d) for a plan with a matrix, else dictionaries from column to cell: float or None for
        numbers; str, bool or None for categories, booleans and texts; `datetime.datetime` or None for dates.
        """


@dataclass(frozen=True)
class Format:
    """One row of the registry: what is known about a format without importing it.

    Parameters
    ----------
    module : str
        The module, which has an `EXPORTER`.
    suffix : str
        Ending of the main file.
    options : tuple of str, default=()
        Names of the fields of `ExportOptions` that it uses, besides `name`.
    """

    module: str
    suffix: str
    options: tuple[str, ...] = ()


FORMATS: Mapping[str, Format] = {
    "numpy": Format("chainrule.exporters.numpy_source", ".py"),
    "onnx": Format("chainrule.exporters.onnx_format", ".onnx", ("opset",)),
    "c": Format("chainrule.exporters.c_header", ".h", ("int8",)),
    "js": Format("chainrule.exporters.js_module", ".mjs"),
    "torch": Format("chainrule.exporters.torch_module", ".py"),
}
"""The formats by name."""


def exporter(name: str) -> Exporter:
    """Return the exporter of a format.

    Parameters
    ----------
    name : str
        One of `FORMATS`.

    Returns
    -------
    Exporter

    Raises
    ------
    InvalidValueError
        For another name, with the nearest one.
    """
    if name not in FORMATS:
        hint = did_you_mean(str(name), FORMATS)
        raise InvalidValueError(must_be("export", "to", f"one of {', '.join(FORMATS)}", name, hint))
    found: Any = import_module(FORMATS[name].module).EXPORTER
    return found  # type: ignore[no-any-return]
