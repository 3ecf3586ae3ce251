"""Why: an engine without Python inside needs the network as a flat table: which operations, on which numbers, when.

In: a recipe. Out: its `Plan`, or why it has none.
"""

from chainrule.engines.plan.lowering import Line, Memory, Op, Plan, lower, memory, obstacles
from chainrule.engines.plan.stages import Norm, Slope, Stage

__all__ = ["Line", "Memory", "Norm", "Op", "Plan", "Slope", "Stage", "lower", "memory", "obstacles"]
