"""Peers: other libraries, each set up as its users would for best speed; one that is not installed is skipped.

In: a peer's key and a workload. Out: a `Runner`, or `Skipped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from chainrule.bench.workloads import Workload
from chainrule.errors import did_you_mean, must_be, raise_all


class Skipped(Exception):
    """Raised with the reason why a peer does not take part in a workload."""


@dataclass(frozen=True)
class Runner:
    """A workload that is set up and warm.

    Parameters
    ----------
    run : callable
        `run(units)` does that many units and returns when the last has ended.
    threads : tuple of int, default=()
        Numbers of threads to try; empty if the library chooses itself.
    limit : callable
        `limit(n)` sets the number of threads.
    """

    run: Callable[[int], None]
    threads: tuple[int, ...] = ()
    limit: Callable[[int], None] = lambda n: None


@dataclass(frozen=True)
class Peer:
    """One library used in one way: `variant` is its module's name for that way, `family` the name that goals use.

    `requires` pins a distribution to a version, for a peer that is an old release.
    """

    key: str
    title: str
    family: str
    module: str
    variant: str
    kinds: tuple[str, ...] = ("training", "prediction")
    environment: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, str] | None = None

    @property
    def ours(self) -> bool:
        """Whether the peer is this package."""
        return self.family == "chainrule"


_EVERY = ("training", "prediction", "program")

_ALL = (
    Peer("native", "chainrule, native", "chainrule", "ours", "native", _EVERY),
    Peer("reference", "chainrule, reference", "chainrule", "ours", "reference", _EVERY),
    Peer("chainrule-jax", "chainrule, JAX engine", "chainrule", "ours", "jax"),
    Peer("estimator", "chainrule, estimator", "chainrule", "ours", "estimator", ("prediction",)),
    Peer("scikit-learn", "scikit-learn", "scikit-learn", "scikit", "", _EVERY),
    Peer("torch", "PyTorch eager", "pytorch", "pytorch", "eager", _EVERY),
    Peer("torch-compile", "PyTorch compiled", "pytorch compiled", "pytorch", "compiled"),
    Peer(
        "torch-autotune",
        "PyTorch, max-autotune",
        "pytorch compiled",
        "pytorch",
        "autotune",
        environment={"TORCHINDUCTOR_CPP_WRAPPER": "1"},
    ),
    Peer("jax-step", "JAX, jit per step", "jax", "jax_user", "step", _EVERY),
    Peer("jax-scan", "JAX, scanned epoch", "jax", "jax_user", "scan", ("training",)),
    Peer("jax-epochs", "JAX, scanned epochs", "jax without a record per epoch", "jax_user", "epochs", ("training",)),
    Peer(
        "jax-0.4.31",
        "JAX 0.4.31, scanned epoch",
        "jax",
        "jax_user",
        "scan",
        ("training",),
        {"XLA_FLAGS": ""},
        ("jax", "0.4.31"),
    ),
    Peer("mlx", "MLX, compiled", "mlx", "mlx_user", ""),
    Peer("onednn", "oneDNN from C++", "onednn", "onednn", "", ("training",)),
    Peer("keras", "Keras on JAX", "keras", "keras_user", "", environment={"KERAS_BACKEND": "jax"}),
    Peer("lecture", "the lecture's network", "lecture", "lecture", ""),
)

PEERS: Mapping[str, Peer] = {peer.key: peer for peer in _ALL}
"""Every peer by key, this package's engines first."""

PRODUCTS = ("float32", "tf32", "bf16")
"""How a GPU rounds the factors of products."""

GPU_WAYS: Mapping[str, str] = {
    "jax": "chainrule, JAX engine",
    "eager": "PyTorch eager",
    "compiled": "PyTorch compiled",
    "graphs": "PyTorch compiled, CUDA graphs",
    "captured": "PyTorch, whole step in a CUDA graph",
    "cpu": "chainrule, native engine, on the CPU",
}
"""Ways of training on a GPU, and the native engine beside them, with their titles."""

GPU_PEERS: Mapping[str, Peer] = {
    f"{products} {way}": Peer(
        f"{products} {way}",
        title,
        "chainrule" if way in ("jax", "cpu") else "pytorch",
        "gpu",
        f"{products} {way}",
        ("training",),
        {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},  # the peers share the GPU's memory
    )
    for products in PRODUCTS
    for way, title in GPU_WAYS.items()
    if way != "cpu" or products == "float32"
}
"""Every way of training on a GPU, with each rounding of products; and the native engine on the CPU."""


def chosen(keys: Sequence[str], ours: str) -> tuple[Peer, ...]:
    """Return the peers of these keys (all if there are none), always with the engine `ours`.

    Raises `InvalidValueError` for an unknown key.
    """
    raise_all(
        must_be("bench", "--peers", "known peers", key, did_you_mean(key, PEERS)) for key in keys if key not in PEERS
    )
    return tuple(peer for peer in PEERS.values() if not keys or peer.key in keys or peer.key == ours)


def prepare(key: str, workload: Workload, threads: int) -> Runner:
    """Set up a peer for a workload with `threads` processors, everything compiled and warm.

    Raises `Skipped` if the peer cannot or need not run it.
    """
    peer = {**PEERS, **GPU_PEERS}[key]
    if workload.kind not in peer.kinds:
        raise Skipped(f"does not take part in {workload.kind}")
    if peer.requires is not None:
        _check_version(peer, *peer.requires)
    if workload.kind == "program":
        runner: Runner = import_module("chainrule.bench.peers.programs").prepare(workload, peer)
    else:
        runner = import_module(f"chainrule.bench.peers.{peer.module}").prepare(workload, peer.variant, threads)
    runner.run(1)
    return runner


def _check_version(peer: Peer, distribution: str, version: str) -> None:
    """Raise `Skipped` where another version of a peer's library is installed, or none."""
    found = metadata.version(distribution) if find_spec(distribution) else "none"
    if found != version:
        raise Skipped(
            f"needs {distribution} {version}, found {found}. Name a Python that has it, and this package, with "
            f"--interpreter {peer.key}=PYTHON."
        )


def need(module: str) -> Any:
    """Import an optional package.

    Raises `Skipped` if it is not installed or cannot be loaded.
    """
    try:
        return import_module(module)
    except Exception as error:
        raise Skipped(
            f"{module} cannot be imported ({error}). Install it with: pip install 'chainrule[bench]'."
        ) from error


def numpy_threads(threads: int) -> tuple[tuple[int, ...], Callable[[int], None]]:
    """Return the choice between one thread and all for peers that multiply with NumPy's BLAS."""
    limits: list[Any] = []

    def limit(n: int) -> None:
        from threadpoolctl import threadpool_limits

        limits.append(threadpool_limits(n))

    return one_or_all(threads), limit


def one_or_all(threads: int) -> tuple[int, ...]:
    """Return the numbers of threads to try: one, which is often faster for small networks, and all.

    >>> one_or_all(1), one_or_all(8)
    ((1,), (1, 8))
    """
    return tuple(sorted({1, threads}))
