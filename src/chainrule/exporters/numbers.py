"""Numbers of a plan that single precision cannot hold, named before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from chainrule.exporters.plan import InferencePlan, SideBySide, Stage, Standardize

_FARTHEST = 1e5
"""Beyond this many standard deviations from 0, rounding to float32 moves a column by more than half a percent of one."""

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
        yield from _column_faults(to, plan)


def _column_faults(to: str, plan: InferencePlan) -> Iterator[str]:
    """Yield the columns of a matrix whose numbers are all alike to float32."""
    hint = "float32 cannot tell its values from one another: subtract a constant from the column, and train again."
    for transform in plan.transforms:
        if isinstance(transform, Standardize):
            rows = zip(plan.inputs[0].columns, transform.mean, transform.scale, strict=True)
            for column, mean, scale in rows:
                if not abs(mean) <= min(_FARTHEST * scale, _LARGEST):
                    got = f"{mean:.3g} with deviation {scale:.3g}"
                    allowed = f"a mean within {_FARTHEST:,.0f} standard deviations of 0"
                    yield f"export to {to}: column {column!r} must have {allowed}, got {got}; {hint}"


def _largest(stage: Stage) -> float:
    """Return the largest magnitude among a stage's numbers."""
    if isinstance(stage, SideBySide):
        return max((_largest(inner) for _, stages in stage.parts for inner in stages), default=0.0)
    values: list[Any] = [getattr(stage, each.name) for each in fields(stage)]
    arrays = [array for value in values for array in (value if isinstance(value, tuple) else (value,))]
    found = [np.abs(array).max(initial=0.0) for array in arrays if isinstance(array, np.ndarray)]
    return float(max(found, default=0.0))
