"""Why: the right learning rate, width and regularization are found by trying, and trying is a machine's work.

In: data and a space of settings. Out: the best configuration, how sure that is, and what mattered.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.search.results import Final, Interval, RungScore, SearchResult, Trial
from chainrule.search.space import Dimension, Space, default_space

if TYPE_CHECKING:
    from chainrule.search.driver import SearchStatus, search
    from chainrule.search.spec import SearchBudget

__all__ = [
    "Dimension",
    "Final",
    "Interval",
    "RungScore",
    "SearchBudget",
    "SearchResult",
    "SearchStatus",
    "Space",
    "Trial",
    "default_space",
    "search",
]

_PLACES = {"SearchStatus": "driver", "SearchBudget": "spec", "search": "driver"}
"""Names that bring all of the package with them, imported on first use: a worker needs none of them."""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"chainrule.search.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'chainrule.search' has no attribute {name!r}")
