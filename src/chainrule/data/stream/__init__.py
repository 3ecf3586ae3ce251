"""Data larger than memory: row groups of files in a shuffled order, a window of them in memory at a time.

In: Parquet files, memory-mapped arrays, or batches from a function. Out: a `StreamedDataset`, which is described, scaled and
trained on in passes. Importing this costs no more than NumPy.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.data.stream.dataset import StreamedDataset, open_dataset

__all__ = ["StreamedDataset", "open_dataset"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(f"{__name__}.dataset"), name)
