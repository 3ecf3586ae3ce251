"""Provide a training as a command: its rows as .csv files, its settings as options, run in this process.

In: a `Training`. Out: what `chainrule doctor` or `chainrule train` prints as JSON, or what it refuses.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.pipeline.option_names import OPTION_NAMES, Setting, as_options, options
from doctor.noisy_hosts import Training, constant_error, log_losses


class Refused(Exception):
    """The command ended with a usage error; the text is its message."""


class NoOption(Exception):
    """No option of the command line has this effect."""


@dataclass(frozen=True)
class Source:
    """A training as words of a command line: the file, and the options but for the command's own."""

    file: str
    words: tuple[str, ...]


@contextlib.contextmanager
def source_of(training: Training) -> Iterator[Source]:
    """Write the rows of a training, and remove them at the end."""
    words = option_words(training)
    with TemporaryDirectory(prefix="chainrule-noise-") as name:
        folder = Path(name)
        _write(folder / "rows.csv", training.X, training.y)
        _write(folder / "test.csv", training.X_test, training.y_test)
        words += ["--test", str(folder / "test.csv")]
        if training.X_val is not None:
            assert training.y_val is not None
            _write(folder / "validation.csv", training.X_val, training.y_val)
            words += ["--validation", str(folder / "validation.csv")]
        yield Source(str(folder / "rows.csv"), tuple(words))


def _write(path: Path, X: Array, y: Array) -> None:
    import polars as pl

    pl.DataFrame({**{f"x{j}": column for j, column in enumerate(X.T)}, "y": y}).write_csv(path)


def option_words(training: Training) -> list[str]:
    """The options that have the effect of an estimator's settings; `NoOption` where one has none.

    What is at its default stays at the command's: it holds rows out unless early stopping was turned off on purpose.
    """
    if training.beyond is not None:
        raise NoOption("the network has no option")
    settings = dict(training.settings)
    early = settings.pop("early_stopping", True)
    for name in settings:
        if not OPTION_NAMES[name].option:
            raise NoOption(name)
    fields = options([Setting(name, value) for name, value in settings.items()])
    fields |= {"target": "y", "task": training.task, "seed": training.seed}
    if not early and training.X_val is None:
        fields["validation_fraction"] = 0.0
    return as_options({"target": fields.pop("target"), **fields})


def run(words: Sequence[str]) -> tuple[dict[str, Any], str]:
    """What a command prints as JSON, and on standard error; `Refused` for exit code 2."""
    from chainrule.cli import run as run_command

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(list(words))
    if code not in (0, 1):
        raise Refused(err.getvalue().strip()[-400:])
    return json.loads(out.getvalue().splitlines()[-1]), err.getvalue()


def examined(source: Source, changed: Sequence[str] = ()) -> dict[str, Any]:
    """The report of `chainrule doctor`, with options added that replace earlier ones."""
    return run(["doctor", source.file, *replaced(source.words, changed), "--json"])[0]


def trained(source: Source, changed: Sequence[str] = (), level: str = "off") -> dict[str, Any]:
    """The summary of `chainrule train`, with the doctor at a level."""
    with TemporaryDirectory(prefix="chainrule-noise-") as folder:
        return _trained(source, changed, level, folder)


def _trained(source: Source, changed: Sequence[str], level: str, folder: str) -> dict[str, Any]:
    words = [*replaced(source.words, changed), "--preset", "plain", "--doctor", level]
    return run(["train", source.file, *words, "--out", f"{folder}/run", "--json"])[0]


def errors(source: Source, training: Training, changed: Sequence[str] = ()) -> Array:
    """Errors by test row of the model that `chainrule train` writes, as shares of a constant's mean error."""
    import polars as pl

    from chainrule.io import load_model

    with TemporaryDirectory(prefix="chainrule-noise-") as folder:
        model: Any = load_model(_trained(source, changed, "off", folder)["model"])
        rows = pl.DataFrame({f"x{j}": column for j, column in enumerate(training.X_test.T)})
        if training.task == "regression":
            return (model.predict(rows) - training.y_test) ** 2 / constant_error(training)
        P = np.zeros((len(training.X_test), max(training.classes, int(training.y_test.max()) + 1)))
        P[:, np.asarray(model.classes, int)] = model.predict_proba(rows)
    return log_losses(P, training.y_test) / constant_error(training)


def refuse_if_prevented(source: Source, training: Training, sound: Training) -> None:
    """Raise `Refused` where reading the file leaves out the column that the fault has added, as it does with row numbers."""
    from chainrule.data import load

    added = [f"x{j}" for j in range(sound.X.shape[1], training.X.shape[1])]
    if not added:
        return
    names = load(source.file, "y", task=training.task).feature_names
    gone = [column for column in added if not any(name == column or name.startswith(f"{column}=") for name in names)]
    if gone:
        raise Refused(f"{', '.join(gone)} is left out when the file is read")


def replaced(words: Sequence[str], changed: Sequence[str]) -> list[str]:
    """The words with those that change an option in place of it, as a user edits a command; switches stay."""
    new = {word for word in changed if word.startswith("--")}
    kept, skip = [], False
    for i, word in enumerate(words):
        if word in new:
            skip = i + 1 < len(words) and not words[i + 1].startswith("--")
        elif not skip:
            kept.append(word)
        else:
            skip = False
    return [*kept, *changed]


def judged(summary: dict[str, Any], training: Training) -> tuple[float, float]:
    """Error on the test rows as a share of a constant's, and score (accuracy or R²), from what `train` prints."""
    test = summary["test"]
    if training.task == "regression":
        score = float(-1e6 if test["r2"] is None else test["r2"])
        return 1.0 - score, max(-1.0, score)
    loss = float(1e6 if test["loss"] is None else test["loss"])
    return loss / constant_error(training), float(test["accuracy"])
