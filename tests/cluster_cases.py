"""Ray clusters for tests: real processes on this machine, with a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Yield a cluster of one node of one core, to which tests add others."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "ab" * 32)
    patch.setenv("RAY_health_check_period_ms", "1000")  # a killed node counts as lost after five checks
    patch.setenv("JAX_PLATFORMS", "cpu")
    import ray

    nodes = _started()
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()
        patch.undo()


def added(nodes: Any) -> Any:
    """Add a node of one core to a cluster and return it."""
    return _patiently(lambda: nodes.add_node(num_cpus=1))


def _started() -> Any:
    from ray.cluster_utils import Cluster  # reads the environment once

    head = {"num_cpus": 1, "include_dashboard": False}
    return _patiently(lambda: Cluster(initialize_head=True, head_node_args=head))


def _patiently(start: Callable[[], Any], attempts: int = 4) -> Any:
    """Start a node; again where a busy machine does not start it within Ray's half a minute."""
    for attempt in range(attempts):
        try:
            return start()
        except Exception:
            if attempt == attempts - 1:
                raise
    raise AssertionError
