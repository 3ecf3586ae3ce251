"""The check of an export: what a written file answers is compared with what the model answers, before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from chainrule.arrays import Array
from chainrule.display import printable
from chainrule.errors import InvalidValueError
from chainrule.exporters.answers import Answers, Rows, model_answers
from chainrule.exporters.draw import draw_rows, kept
from chainrule.exporters.evaluate import rounding, run
from chainrule.exporters.plan import InferencePlan
from chainrule.exporters.registry import Exporter, ExportOptions
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.prediction import Predictor
from chainrule.table_model import TableModel

ROWS = 1000
"""Rows that are drawn for a check."""

_DRAWS = 12
"""Draws of rounding for rows that differ by more than the tolerance; with few, a row may be drawn too well each time."""

_LARGEST = 1e30
"""Rows with larger predictions are left out: float32 ends there."""


@dataclass(frozen=True)
class Check:
    """What the comparison of a file with its model found.

    Parameters
    ----------
    rows : int
        Number of rows compared; 0 where the file could not be run.
    difference : float
        Largest difference of a probability or value, relative to max(1, |value|), without the uncertain rows.
    tolerance : float
        Largest difference that is allowed.
    uncertain : int
        Rows that differ by more, but no more than the rounding of float32 moves such an answer, the model's own included.
    ties : int
        Rows whose class differs because two classes are equally probable within the tolerance.
    seconds : float
        Time of the file per row.
    missing : str
        What would have to be installed to run the file; "" where it ran.
    """

    rows: int
    difference: float
    tolerance: float
    uncertain: int
    ties: int
    seconds: float
    missing: str = ""

    def sentence(self) -> str:
        """Return the result in one sentence.

        Returns
        -------
        str
        """
        if self.missing:
            return f"not checked: install {self.missing}"
        more = f"; {'; '.join(self.notes())}" if self.notes() else ""
        return f"{self.rows:,} rows checked, largest difference {self.difference:.1g}{more}"

    def notes(self) -> list[str]:
        """Return what else was found: rows that float32 leaves uncertain, and ties.

        Returns
        -------
        list of str
        """
        found = []
        if self.uncertain:
            rows = "1 row differs" if self.uncertain == 1 else f"{self.uncertain} rows differ"
            found.append(f"{rows} by more than {self.tolerance:.0e}, within the rounding of float32")
        if self.ties:
            rows = "1 row has two classes" if self.ties == 1 else f"{self.ties} rows have two classes"
            found.append(f"{rows} of equal probability, and another of them was taken")
        return found


def check(
    model: Predictor, plan: InferencePlan, exporter: Exporter, options: ExportOptions, files: Mapping[str, bytes]
) -> Check:
    """Compare what files answer with what the model answers, on rows like those of the training and at the edges.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model.
    plan : InferencePlan
        Its plan.
    exporter : Exporter
        The format.
    options : ExportOptions
        The options it was written with.
    files : mapping of str to bytes
        What it wrote.

    Returns
    -------
    Check

    Raises
    ------
    InvalidValueError
        Where answers differ by more than the format's tolerance and more than rounding explains.
    """
    tolerance = exporter.tolerance(plan, options)
    rows, reference = checked_rows(model, plan, single=exporter.single_precision)
    ran = exporter.run(files, plan, options, rows)
    if ran is None:
        return Check(0, 0.0, tolerance, 0, 0, 0.0, exporter.runtime)
    if ran.answers.numbers.shape != reference.numbers.shape:
        found, wanted = ran.answers.numbers.shape, reference.numbers.shape
        raise _refusal(exporter, f"answers of shape {found} instead of {wanted}")
    far = differences(ran.answers.numbers, reference.numbers)
    over = np.flatnonzero((far > tolerance).any(axis=1))
    allowed = np.full(far.shape, tolerance)
    if len(over):
        doubtful = kept(rows, np.isin(np.arange(len(far)), over))
        uncertain = _uncertainty(model, plan, doubtful, reference.numbers[over])
        allowed[over] = np.maximum(tolerance, uncertain / np.maximum(1.0, np.abs(reference.numbers[over])))
    wrong = np.argwhere(~(far <= allowed))
    if len(wrong):
        i, j = wrong[0]
        got, wanted = ran.answers.numbers[i, j], reference.numbers[i, j]
        raise _refusal(exporter, f"{got:.9g} instead of {wanted:.9g} for a row of the check{_row(rows, int(i))}")
    ties = _ties(plan, exporter, ran.answers, reference, allowed)
    certain = np.delete(far, over, axis=0)
    largest = float(certain.max(initial=0.0))
    return Check(len(far), largest, tolerance, len(over), ties, ran.seconds / max(1, len(far)))


def checked_rows(
    model: Predictor, plan: InferencePlan, n: int = ROWS, seed: int = 0, single: bool = False
) -> tuple[Rows, Answers]:
    """Return rows to check with, and what the model answers for them.

    Rows whose predictions no float32 holds, which the model itself may refuse, are left out.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model.
    plan : InferencePlan
        Its plan.
    n : int, default=1000
        Rows to draw.
    seed : int, default=0
        Seed of the draw.
    single : bool, default=False
        Whether the numbers of a matrix are rounded to float32, for a format that takes no others.

    Returns
    -------
    rows : array of shape (n, d) or list of dict
    answers : Answers
    """
    rows = draw_rows(plan, n, seed)
    if single and isinstance(rows, np.ndarray):
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32).astype(np.float64)
        rows = rows[~np.isinf(rows).any(axis=1)]
    sane = (np.abs(run(plan, rows).numbers) < _LARGEST).all(axis=1)
    rows = kept(rows, sane)
    return rows, model_answers(model, plan, rows)


def in_double(model: Predictor) -> Predictor:
    """Return a model whose networks compute in float64.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model.

    Returns
    -------
    Predictor
        With the same numbers.
    """
    if isinstance(model, TableModel):
        return TableModel(model.schema, cast("Model | Pack", in_double(model.core)))
    if isinstance(model, Pack):
        members = [replace(each, w=_double(each.w), buffers=_double(each.buffers)) for each in model.members]
        return replace(model, members=tuple(members))
    assert isinstance(model, Model)
    others = tuple((_double(w), _double(buffers)) for w, buffers in model.others)
    return replace(model, w=_double(model.w), buffers=_double(model.buffers), others=others)


def _double(numbers: Array) -> Array:
    return numbers.astype(np.float64)


def _uncertainty(model: Predictor, plan: InferencePlan, rows: Rows, reference: Array) -> Array:
    """Return how far float32 moves the answers: by the rounding of each step, and as it moved the model's own.

    The second counts what rounding does to every program alike, such as the loss of a probability's digits beside 1. It
    compares the model with itself, so that a fault of the plan is not taken for rounding.
    """
    own = np.abs(model_answers(in_double(model), plan, rows).numbers - reference)
    return rounding(plan, rows, _DRAWS) + np.where(np.isfinite(own), own, 0.0)


def differences(numbers: Array, reference: Array) -> Array:
    """Return |a - b| / max(1, |b|) for each number, infinity where one is NaN."""
    with np.errstate(invalid="ignore"):
        far = np.abs(np.asarray(numbers, np.float64) - reference) / np.maximum(1.0, np.abs(reference))
    return np.where(np.isnan(far), np.inf, far)


def _ties(plan: InferencePlan, exporter: Exporter, answers: Answers, reference: Answers, allowed: Array) -> int:
    """Count rows whose class differs because two are equally probable; refuse other differences."""
    tied = np.zeros(len(allowed), bool)
    for k, (found, wanted) in enumerate(zip(answers.labels, reference.labels, strict=True)):
        if found.shape != wanted.shape or found.dtype.kind != wanted.dtype.kind:
            raise _refusal(exporter, f"classes of type {found.dtype} instead of {wanted.dtype}")
        differs = found != wanted
        real = differs & (_margins(plan, k, reference.numbers) > _twice(plan, k, allowed))
        if real.any():
            i = int(np.argwhere(real)[0][0])
            raise _refusal(exporter, f"class {found[i]!r} instead of {wanted[i]!r} for a row of the check")
        tied |= differs.reshape(len(differs), -1).any(axis=1)
    return int(tied.sum())


def _block(plan: InferencePlan, k: int) -> slice:
    """Return the columns of the probabilities of a target's classes."""
    start, end = plan.output.blocks[k]
    return slice(0, 2) if plan.output.kind == "binary" else slice(start, end)


def _margins(plan: InferencePlan, k: int, P: Array) -> Array:
    """Return by how much the chosen class is ahead of the next; for labels the distance from 1/2."""
    if plan.output.kind == "labels":
        return 2.0 * np.abs(P - 0.5)
    ordered = np.sort(P[:, _block(plan, k)], axis=1)
    return ordered[:, -1] - ordered[:, -2] if ordered.shape[1] > 1 else np.ones(len(P))


def _twice(plan: InferencePlan, k: int, allowed: Array) -> Array:
    return 2.0 * (allowed if plan.output.kind == "labels" else allowed[:, _block(plan, k)].max(axis=1))


def _refusal(exporter: Exporter, what: str) -> InvalidValueError:
    text = f"export: the {exporter.name} file must answer as the model does, got {what}."
    return InvalidValueError(f"{text} Nothing was written. Please report this.")


def _row(rows: Rows, i: int) -> str:
    shown = rows[i].tolist() if isinstance(rows, np.ndarray) else rows[i]
    text = printable(str(shown))
    return f": {text if len(text) <= 200 else text[:200] + ' ...'}"
