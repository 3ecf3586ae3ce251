"""Weights of one byte: what a plan becomes by them, and how far its answers move.

Activations stay float32. Whole numbers there would need the ranges that training rows give to every layer, which a model
does not keep; and the weights are what fills the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.exporters.c_stages import quantized
from chainrule.exporters.draw import EDGES, draw_rows
from chainrule.exporters.evaluate import run
from chainrule.exporters.plan import Affine, InferencePlan, SideBySide, Stage

ROWS = 1000
"""Rows that are drawn to measure with."""

_SANE = 1e30


@dataclass(frozen=True)
class Moved:
    """How far weights of one byte move the answers on drawn rows, relative to max(1, |value|).

    Parameters
    ----------
    mean, most : float
        Mean and largest difference on rows like those of the training.
    labels : float
        Share of classes and labels that change there.
    far : float
        Largest difference on all rows, a fifth of which are far outside of the training.
    """

    mean: float
    most: float
    labels: float
    far: float


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


def int8_moved(plan: InferencePlan) -> Moved:
    """Return how far weights of one byte move a plan's answers.

    Parameters
    ----------
    plan : InferencePlan
        The plan with its own weights.

    Returns
    -------
    Moved
    """
    rows = draw_rows(plan, ROWS)
    exact, moved = run(plan, rows), run(int8_plan(plan), rows)
    with np.errstate(all="ignore"):
        far = np.abs(moved.numbers - exact.numbers) / np.maximum(1.0, np.abs(exact.numbers))
    far = np.where((np.abs(exact.numbers) < _SANE) & np.isfinite(far), far, 0.0)
    usual = slice(0, ROWS - int(EDGES * ROWS))
    changed = [np.mean((a != b)[usual]) for a, b in zip(moved.labels, exact.labels, strict=True)]
    near = far[usual]
    return Moved(float(near.mean()), float(near.max()), float(np.max(changed, initial=0.0)), float(far.max()))
