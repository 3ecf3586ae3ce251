"""The plan: a network as flat tables of operations, for an engine without Python inside.

In: a recipe. Out: its `Plan`, or why it has none.
"""

from chainrule.engines.plan.features import FeatureGroup, FeatureKind
from chainrule.engines.plan.lowering import (
    ClipKind,
    LossKind,
    Memory,
    OptimizerKind,
    Phase,
    PhaseKind,
    Plan,
    lower,
    memory,
    obstacles,
)
from chainrule.engines.plan.stages import ActivationKind, DerivativeSource, FusedStage, Norm

__all__ = [
    "ActivationKind",
    "ClipKind",
    "DerivativeSource",
    "FeatureGroup",
    "FeatureKind",
    "FusedStage",
    "LossKind",
    "Memory",
    "Norm",
    "OptimizerKind",
    "Phase",
    "PhaseKind",
    "Plan",
    "lower",
    "memory",
    "obstacles",
]
