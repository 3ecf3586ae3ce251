"""Why: fixtures that more than one test module needs. In: nothing. Out: a generator; JAX in 64 bits, for one test only."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Two workers whose products use two threads each wait for one another more than they work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit JAX inside one test; other tests keep JAX's own default."""
    import jax

    with jax.enable_x64(True):
        yield
