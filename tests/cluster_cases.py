"""Ray clusters for tests: real processes on this machine, with a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Yield a cluster of one node of one core, to which tests add others."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "ab" * 32)
    import ray

    nodes = _started()
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()
        patch.undo()


def _started(attempts: int = 3) -> Any:
    """Start the first node; again where a busy machine does not start it within Ray's half a minute."""
    from ray.cluster_utils import Cluster  # reads the environment once

    for attempt in range(attempts):
        try:
            return Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        except Exception:
            if attempt == attempts - 1:
                raise
    raise AssertionError
