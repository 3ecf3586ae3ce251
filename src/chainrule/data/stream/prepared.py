"""Streamed rows without a scaling, for loops of the user's own.

In: a `StreamedDataset`. Out: `StreamRows` in the files' units.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.data.scaling import Standardizer
from chainrule.data.stream.dataset import StreamedDataset
from chainrule.data.stream.design import Design, NumberDesign, TableDesign
from chainrule.data.stream.parts import Shares
from chainrule.data.stream.rows import Cut, StreamRows
from chainrule.data.stream.survey import count
from chainrule.data.stream.targets import target_of


def raw_rows(dataset: StreamedDataset) -> StreamRows:
    """Return all rows of a data set that have a target, in the files' units."""
    design: Design = TableDesign(dataset.schema) if dataset.is_table else NumberDesign(dataset.inputs)
    target = target_of(dataset.source.name, dataset.source, dataset.target, dataset.task)
    cut = Cut(dataset.source, target, Shares(seed=dataset.seed), dataset.key)
    counted = count(dataset.source.name, cut, wild=False, memory=dataset.max_memory // 2)
    order = dataset.order(counted.sizes, 8 * (len(design.names) + 2))

    def encode(y: Array) -> tuple[Array, Array]:
        return (y if target.classes is None else target.classes[y]), np.ones(len(y))

    scaling = Standardizer.identity(len(design.names))
    return StreamRows(cut, design, scaling, encode, order, "float64", dataset.window, dataset.fingerprint())
