"""Environment variables for processes that are about to start, so that processes that share the cores do not each take all.

In: environment variables. Out: a context in which new processes have them; this process keeps its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ONE_THREAD: Mapping[str, str] = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Variables by which libraries of arithmetic keep to one thread."""


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes that start inside the block.

    Parameters
    ----------
    values : mapping of str to str
        The variables; afterwards they have their old values.

    Yields
    ------
    None
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
