"""Keep small matrix products on one thread: waking the BLAS threads for a probe would cost more than the probe.

In: how large the products are. Out: a context in which they are computed on one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

from chainrule.nn.net import Net

SINGLE_THREAD_LIMIT = 2**18
"""Multiplications in one matrix product up to which OpenBLAS uses one thread anyway."""

_LOCK = threading.RLock()


@cache
def _pools() -> Any:
    """Return the BLAS libraries of this process, found once."""
    return ThreadpoolController().select(user_api="blas")


def per_row(net: Net) -> int:
    """Return the multiplications of one row with the largest matrix of a network.

    >>> from chainrule import mlp
    >>> per_row(mlp(64, [100], 10))
    6400
    """
    return max([*(slot.size for slot in net.parameters.slots), 1])


@contextmanager
def one_thread(multiplications: float) -> Iterator[None]:
    """Compute products of this size on one thread, unless the library does so anyway.

    One thread of the program at a time, since the limit applies to the whole process; it may ask again within.
    """
    if multiplications <= SINGLE_THREAD_LIMIT:
        yield
        return
    with _LOCK, _pools().limit(limits=1):
        yield
