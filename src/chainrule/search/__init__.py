"""Hyper-parameter search: find a good learning rate, width and regularization by training many configurations.

In: data and a space of settings. Out: the best configuration, how certain it is, and which settings mattered.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.intervals import ConfidenceInterval
from chainrule.search.results import Final, RungScore, SearchResult, Trial
from chainrule.search.space import Dimension, Space, default_space

if TYPE_CHECKING:
    from chainrule.search.driver import SearchStatus, search
    from chainrule.search.spec import SearchBudget

__all__ = [
    "ConfidenceInterval",
    "Dimension",
    "Final",
    "RungScore",
    "SearchBudget",
    "SearchResult",
    "SearchStatus",
    "Space",
    "Trial",
    "default_space",
    "search",
]

_LAZY = {"SearchStatus": "driver", "SearchBudget": "spec", "search": "driver"}
"""Names that import all of the package, loaded on first use: a worker needs none of them."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"chainrule.search.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'chainrule.search' has no attribute {name!r}")
