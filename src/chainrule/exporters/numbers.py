"""Numbers of a plan that single precision cannot hold, named before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from chainrule.exporters.plan import InferencePlan, SideBySide, Stage

_LARGEST = float(np.finfo(np.float32).max)


def number_faults(to: str, plan: InferencePlan) -> Iterator[str]:
    """Yield weights and scalings that are beyond float32, one line each."""
    for i, network in enumerate(plan.networks):
        for place, stage in enumerate(network.stages):
            most = _largest(stage)
            if not most <= _LARGEST:
                where = f"network {i + 1}, stage {place + 1} ({type(stage).__name__})"
                hint = "Export to numpy, which keeps float64."
                yield f"export to {to}: weights must be within float32, got {most:.3g} in {where}. {hint}"
    if plan.inputs[0].kind == "matrix":
        columns = plan.inputs[0].columns
        for transform in plan.transforms:
            for column, mean in zip(columns, getattr(transform, "mean", ()), strict=False):
                if not abs(mean) <= _LARGEST:
                    yield f"export to {to}: column {column!r} must have a mean within float32, got {mean:.3g}."


def _largest(stage: Stage) -> float:
    """Return the largest magnitude among a stage's numbers."""
    if isinstance(stage, SideBySide):
        return max((_largest(inner) for _, stages in stage.parts for inner in stages), default=0.0)
    values: list[Any] = [getattr(stage, each.name) for each in fields(stage)]
    arrays = [array for value in values for array in (value if isinstance(value, tuple) else (value,))]
    found = [np.abs(array).max(initial=0.0) for array in arrays if isinstance(array, np.ndarray)]
    return float(max(found, default=0.0))
