"""Dense neural networks that work the first time, and show why when they don't.

The pieces for who owns the loop: `Net`, layers, `fit`. For who has a table: `NetClassifier`, `NetRegressor`, which are
imported on first use, since they bring scikit-learn with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule import display
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm
from chainrule.nn.net import Net, mlp
from chainrule.train.loop import fit

if TYPE_CHECKING:
    from chainrule.estimators import NetClassifier, NetRegressor


def _html(shown: object) -> str | None:
    from chainrule.report.notebook import to_html

    return to_html(shown)


display.set_renderer(_html)

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "BatchNorm",
    "Dense",
    "Dropout",
    "LayerNorm",
    "Net",
    "NetClassifier",
    "NetRegressor",
    "fit",
    "mlp",
]


def __getattr__(name: str) -> Any:
    if name in {"NetClassifier", "NetRegressor"}:
        from chainrule import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
