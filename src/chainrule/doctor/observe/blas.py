"""Why: a look multiplies small matrices once in a while; to wake the BLAS library's threads for that costs more than it.

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

ALONE = 2**18
"""Multiplications in one product of matrices up to which OpenBLAS keeps to one thread anyway."""

_TURN = threading.Lock()


@cache
def _pools() -> Any:
    """The BLAS libraries of this process, looked for once."""
    return ThreadpoolController().select(user_api="blas")


def per_row(net: Net) -> int:
    """Multiplications of one row with the largest of a network's matrices.

    >>> from chainrule import mlp
    >>> per_row(mlp(64, [100], 10))
    6400
    """
    return max([*(slot.size for slot in net.parameters.slots), 1])


@contextmanager
def one_thread(multiplications: float) -> Iterator[None]:
    """Products of so many multiplications, on one thread; where the library does that anyway, nothing is touched.

    One thread of the program at a time, since the limit is one of the whole process.
    """
    if multiplications <= ALONE:
        yield
        return
    with _TURN, _pools().limit(limits=1):
        yield
