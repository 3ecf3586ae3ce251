"""Dense neural networks that work the first time, and show why when they don't.

With a table, start from `NetClassifier` or `NetRegressor`. With a loop or layers of your own, start from `Net` or `mlp`, the
layers, `fit`, and the pieces in `chainrule.losses`, `chainrule.optimizers` and `chainrule.schedules`. `save_model` and
`load_model` keep what was trained; `examine` says what is wrong with a training.

Importing this package imports nothing else. Layers, estimators, the doctor and the other modules are imported on first use;
those of a network of your own need NumPy only.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from chainrule import display

if TYPE_CHECKING:
    from chainrule import data, doctor, train
    from chainrule.data.stream import open_dataset
    from chainrule.doctor.examine import examine
    from chainrule.estimators import NetClassifier, NetRegressor, TableClassifier, TableRegressor
    from chainrule.exporters import export, from_keras, from_torch
    from chainrule.io import load_model, save_model
    from chainrule.nn import layers, losses, optimizers, schedules
    from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm
    from chainrule.nn.multilayer import mlp
    from chainrule.nn.net import Net
    from chainrule.train.loop import fit


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
    "TableClassifier",
    "TableRegressor",
    "data",
    "doctor",
    "examine",
    "export",
    "fit",
    "from_keras",
    "from_torch",
    "layers",
    "load_model",
    "losses",
    "mlp",
    "open_dataset",
    "optimizers",
    "save_model",
    "schedules",
    "train",
]

_FROM = {
    **dict.fromkeys(("Activation", "BatchNorm", "Dense", "Dropout", "LayerNorm"), "chainrule.nn.layers"),
    "Net": "chainrule.nn.net",
    "mlp": "chainrule.nn.multilayer",
    "fit": "chainrule.train.loop",
    "NetClassifier": "chainrule.estimators",
    "NetRegressor": "chainrule.estimators",
    "TableClassifier": "chainrule.estimators",
    "TableRegressor": "chainrule.estimators",
    "examine": "chainrule.doctor",
    "export": "chainrule.exporters",
    "from_keras": "chainrule.exporters",
    "from_torch": "chainrule.exporters",
    "load_model": "chainrule.io",
    "open_dataset": "chainrule.data.stream",
    "save_model": "chainrule.io",
}
"""Where the names that are imported on first use come from."""

_SHORT = {name: f"chainrule.nn.{name}" for name in ("layers", "losses", "optimizers", "schedules")}
"""Modules that also have a short name."""

_MODULES = (
    *("bench", "calibration", "callbacks", "cli", "data", "doctor", "engines", "ensemble", "errors"),
    *(
        "estimators",
        "exporters",
        "inspection",
        "io",
        "model",
        "nn",
        "pipeline",
        "report",
        "search",
        "sklearn",
        "studies",
        "tabular",
        "train",
    ),
)
"""Modules that an attribute imports on first use."""


def __getattr__(name: str) -> object:
    """Import what is not imported yet, or suggest the nearest name."""
    if name in _FROM:
        value: object = getattr(_import_module(_FROM[name]), name)
    elif name in _SHORT or name in _MODULES:
        value = _import_module(_SHORT.get(name, f"chainrule.{name}"))
    else:
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}{_suggestion(name)}")
    globals()[name] = value
    return value


def _suggestion(name: str) -> str:
    """Suggest the nearest public name, if there is one."""
    from chainrule.errors import nearest

    close = None if name.startswith("_") else nearest(name, {*__all__, *_MODULES})
    return "" if close is None else f". Did you mean {close!r}?"


def __dir__() -> list[str]:
    """List the public names and modules, for tab completion."""
    return sorted({*__all__, *_MODULES, *(name for name in globals() if name.startswith("__"))})
