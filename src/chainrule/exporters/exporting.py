"""Export of a trained model to a file for another place, checked before it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from chainrule.errors import must_be, raise_all
from chainrule.exporters.check import Check, check
from chainrule.exporters.lower import lower
from chainrule.exporters.registry import FORMATS, Exporter, ExportOptions, exporter
from chainrule.io.files import remove, write_atomically
from chainrule.io.model_file import model_of

_OTHERS = "Export its last step alone and apply the others before."
_C_WORDS = (
    "auto break case char class const continue default do double else enum extern float for goto if inline int long \
main register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while"
)


@dataclass(frozen=True)
class Exported:
    """A written file.

    Parameters
    ----------
    paths : tuple of Path
        The files, the main file first.
    size : int
        Bytes of all files.
    to : str
        The format.
    check : Check
        How it compares with the model.
    """

    paths: tuple[Path, ...]
    size: int
    to: str
    check: Check

    def __str__(self) -> str:
        """Return file, size and check in one line."""
        took = "" if self.check.missing else f", {1e6 * self.check.seconds:.3g} µs per row"
        return f"{self.paths[0]}: {self.size:,} bytes, {self.check.sentence()}{took}"


def export(model: Any, path: str | Path, to: str, *, opset: int | None = None, int8: bool = False) -> Exported:
    """Write a trained model as a file that runs without this package.

    The file is run on 1,000 rows and compared with the model before it is written; where they differ, nothing is written.

    Parameters
    ----------
    model : NetClassifier, NetRegressor, TableClassifier, TableRegressor or model
        A fitted estimator, or its ``model_``, or what `load_model` returns.
    path : str or Path
        The file; its ending is that of the format: .py for "numpy" and "torch", .onnx, .h for "c", .mjs for "js". A file of
        this name is replaced.
    to : {"numpy", "onnx", "c", "js", "torch"}
        The format: a Python file that needs NumPy only, an ONNX graph, a C99 header, an ES module, or a PyTorch module with
        its weights beside it.
    opset : int, default=None
        Version of the operators, for "onnx"; None is 18.
    int8 : bool, default=False
        Whether weights are stored in eight bits, for "c": a quarter of the size, and less exact.

    Returns
    -------
    Exported
        The files, their size, and the result of the check; printed, it is one line.

    Raises
    ------
    InvalidValueError
        For an unknown format, options that the format has no use for, anything in the model that it cannot say (named), and
        for a file that does not answer as the model does.
    MissingError
        For a folder that does not exist, and for a package that the format is written with.
    WriteError
        Where the system cannot write the file; an older file of this name stays as it was.

    Examples
    --------
    >>> import tempfile
    >>> from chainrule import NetClassifier, export
    >>> network = NetClassifier((4,), max_iter=2, random_state=0).fit([[0.0], [1.0]] * 20, ["no", "yes"] * 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = export(network, folder + "/model.py", "numpy")
    >>> done.check.rows, done.check.difference < 1e-6
    (1000, True)
    """
    chosen = exporter(to)
    place = Path(path)
    options = ExportOptions(identifier(place.stem), opset, int8)
    raise_all([*path_faults(chosen, place), *option_faults(chosen, options)])
    trained = model_of(model, "export", _OTHERS)
    plan = lower(trained)
    raise_all(chosen.faults(plan, options))
    files = chosen.write(plan, options)
    found = check(trained, plan, chosen, options, files)
    paths = _write(place, files, chosen.suffix)
    return Exported(paths, sum(len(data) for data in files.values()), to, found)


def identifier(stem: str) -> str:
    """Return the name of a model in its file: a file's stem with "_" for all that C and Python do not allow.

    Parameters
    ----------
    stem : str
        Name of the file without its ending.

    Returns
    -------
    str

    Examples
    --------
    >>> identifier("my model-2"), identifier("3d"), identifier("float")
    ('my_model_2', '_3d', 'float_')
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", stem) or "model"
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if name in _C_WORDS.split() else name


def path_faults(chosen: Exporter, path: Path) -> Iterator[str]:
    """Yield what is wrong with the name of the file."""
    if path.suffix != chosen.suffix or not path.stem:
        yield must_be("export", "path", f"a name that ends with {chosen.suffix}", str(path))


def option_faults(chosen: Exporter, options: ExportOptions) -> Iterator[str]:
    """Yield the options that the format has no use for."""
    for each in fields(ExportOptions):
        value = getattr(options, each.name)
        if each.name != "name" and each.name not in chosen.options and value != each.default:
            users = [name for name, form in FORMATS.items() if each.name in form.options]
            hint = f"It is an option of {' and '.join(users)}." if users else ""
            yield must_be("export", each.name, f"left out for {chosen.name!r}", value, hint)


def _write(path: Path, files: Mapping[str, bytes], suffix: str) -> tuple[Path, ...]:
    """Write all files, the main file last, so that it is never there without the others."""
    places = {ending: path if ending == suffix else path.with_suffix(ending) for ending in files}
    new = [place for place in places.values() if not place.exists()]
    try:
        for ending in sorted(files, key=lambda ending: ending == suffix):
            write_atomically(places[ending], files[ending], "export")
    except BaseException:
        for place in new:
            remove(place)
        raise
    return tuple(places[ending] for ending in sorted(files, key=lambda ending: ending != suffix))
