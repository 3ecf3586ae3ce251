"""Weights of one byte: what a plan becomes by them, and how far its answers move.

Activations stay float32. Whole numbers there would need the ranges that training rows give to every layer, which a model
does not keep; and the weights are what fills the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.exporters.answers import Rows
from chainrule.exporters.c_stages import quantized
from chainrule.exporters.draw import draw_rows
from chainrule.exporters.evaluate import run
from chainrule.exporters.plan import Affine, InferencePlan, SideBySide, Stage

_SANE = 1e30


@dataclass(frozen=True)
class Moved:
    """How far weights of one byte move the answers on rows drawn around the training.

    Parameters
    ----------
    most, mean : float
        Largest and mean difference, relative to max(1, |value|).
    labels : float
        Share of classes and labels that change.
    """

    most: float
    mean: float
    labels: float


def int8_plan(plan: InferencePlan) -> InferencePlan:
    """Return a plan whose affine maps have the weights that one byte leaves of theirs.

    Parameters
    ----------
    plan : InferencePlan
        The plan.

    Returns
    -------
    InferencePlan
    """
    networks = tuple(replace(network, stages=_rounded(network.stages)) for network in plan.networks)
    return replace(plan, networks=networks)


def _rounded(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    return tuple(_one(stage) for stage in stages)


def _one(stage: Stage) -> Stage:
    if isinstance(stage, SideBySide):
        return SideBySide(tuple((width, _rounded(stages)) for width, stages in stage.parts))
    if isinstance(stage, Affine):
        Q, s = quantized(stage.W)
        return Affine((Q * s).astype(stage.W.dtype), stage.b)
    return stage


def int8_moved(plan: InferencePlan, rows: Rows | None = None) -> Moved:
    """Return how far weights of one byte move a plan's answers.

    Parameters
    ----------
    plan : InferencePlan
        The plan with its own weights.
    rows : array or list of dict, default=None
        Rows to measure with; None draws a thousand.

    Returns
    -------
    Moved
    """
    rows = draw_rows(plan, 1000) if rows is None else rows
    exact, moved = run(plan, rows), run(int8_plan(plan), rows)
    with np.errstate(all="ignore"):
        far = np.abs(moved.numbers - exact.numbers) / np.maximum(1.0, np.abs(exact.numbers))
        far = far[(np.abs(exact.numbers) < _SANE) & np.isfinite(far)]
    changed = [np.mean(ours != theirs) for ours, theirs in zip(moved.labels, exact.labels, strict=True)]
    return Moved(
        float(far.max(initial=0.0)), float(np.mean(far)) if far.size else 0.0, float(np.max(changed, initial=0.0))
    )
