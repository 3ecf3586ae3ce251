"""Why: fixtures that more than one test module needs.

In: nothing. Out: a generator; rows that estimators learn; JAX in 64 bits, for one test only; a process as it was; a cluster.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

# Two workers whose products use two threads each wait for one another more than they work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

# A shell lets its background jobs ignore Ctrl-C, and their children inherit that; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave the thousands of tests themselves out of every later search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """The search path, the environment and the working folder after each test as before it.

    Pages and benchmarks are programs of their own: run inside a test, they set these for themselves, and the next
    test of the same worker would meet them.
    """
    path = list(sys.path)
    variables = dict(os.environ)
    folder = os.getcwd()
    yield
    sys.path[:] = path
    if dict(os.environ) != variables:
        os.environ.clear()
        os.environ.update(variables)
    os.chdir(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def iris() -> tuple[np.ndarray, np.ndarray]:
    """Rows (150, 4) and three classes."""
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


@pytest.fixture
def halves() -> list[np.ndarray]:
    """Rows of six columns to learn from and to validate by, and their two classes: X, X_val, y, y_val."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    X, y = load_breast_cancer(return_X_y=True)
    return train_test_split(X[:, :6], y, test_size=0.4, random_state=0)


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit JAX inside one test; other tests keep JAX's own default."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray cluster of one node of one core; tests add nodes to it.

    Its start takes longer than most of what they do, so that all share it, and its processes what JAX has compiled.
    """
    from cluster_cases import two_nodes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        with two_nodes() as nodes:
            yield nodes
