"""Why: absolute figures move from machine to machine; what the machine is, and what it can do at most, stands beside them.

In: a number of processors. Out: facts; float32 operations per second in a matrix product; bytes per second of memory.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from itertools import pairwise
from pathlib import Path

import numpy as np

from chainrule.arrays import Array
from chainrule.bench.workloads import WORKLOADS
from chainrule.engines import Rows, available, choose

PACKAGES = ("numpy", "scikit-learn", "torch", "jax", "keras", "optax")
"""What is timed, by the names of distributions."""

KERNELS = ("", "SkylakeX", "Haswell")
"""Kernels that NumPy's OpenBLAS is told to take: its own choice first, which on some processors is not the fastest."""

_SIZES = (512, 1024, 2048)

_FAR, _NEAR = 2**27, 2**17
"""Bytes of a copy that no cache holds, and of one that a core's own second-level cache holds beside its source."""


@dataclass(frozen=True)
class Peak:
    """What the machine reached: operations per second by whoever multiplied (the best counts); bytes per second from and
    to memory, and from and to the caches of the cores.
    """

    products: dict[str, float]
    memory: float
    cache: float

    @property
    def product(self) -> float:
        """Operations per second of the fastest."""
        return max(self.products.values())


def facts() -> dict[str, str]:
    """Processor and versions of what is timed."""
    found = {"processor": _processor(), "system": f"{platform.system()} {platform.release()}"}
    return found | {name: metadata.version(name) for name in PACKAGES if _installed(name)}


def load() -> str:
    """Mean number of processes that ran or waited in the last minute; a bench wants it near 0."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _installed(distribution: str) -> bool:
    return util.find_spec({"scikit-learn": "sklearn"}.get(distribution, distribution)) is not None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "cpu family", "model")
    pairs = (line.partition(":") for line in lines)
    found = {key.strip(): value.strip() for key, _, value in pairs if key.strip() in wanted}
    name = found.get("model name", platform.machine())
    return f"{name} (family {found['cpu family']}, model {found['model']})" if "model" in found else name


def peak(count: int, seconds: float = 0.5) -> Peak:
    """Measured now with so many threads for copies, each figure the best of several tries in so many seconds."""
    products = {f"NumPy{f' told {kernel}' if kernel else ''}": _numpy_product(kernel, seconds) for kernel in KERNELS}
    products["native engine"] = _native_product(seconds)
    reached = {name: rate for name, rate in products.items() if rate}
    return Peak(reached, copy_rate(count, _FAR // count, 1, seconds), copy_rate(count, _NEAR, 500, seconds))


def product_rate(seconds: float) -> float:
    """Operations per second of NumPy's float32 product of square matrices, the best size and try."""
    found = []
    for n in _SIZES:
        A = np.ones((n, n), np.float32)
        B, C = A.copy(), A.copy()

        def product(A: Array = A, B: Array = B, C: Array = C) -> None:
            np.matmul(A, B, out=C)

        found.append(2.0 * n**3 / fastest(product, seconds / len(_SIZES)))
    return max(found)


def fastest(action: Callable[[], object], seconds: float) -> float:
    """Seconds of the shortest of the calls that fit into so many seconds, of at least three."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def _numpy_product(kernel: str, seconds: float) -> float:
    """In a process of its own, since OpenBLAS chooses when it is loaded; 0 where that kernel does not run here."""
    code = f"from chainrule.bench import machine; print(machine.product_rate({seconds}))"
    told = {"OPENBLAS_CORETYPE": kernel} if kernel else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | told, capture_output=True, text=True, check=False
    )
    return float(done.stdout) if done.returncode == 0 else 0.0


def _native_product(seconds: float) -> float:
    """The widest workload's network applied to its rows by the native engine, if that is there; else 0."""
    if available("native"):
        return 0.0
    workload = WORKLOADS["1024-2048-2048-1000"]
    rows = Rows.of(workload.recipe, *workload.data())
    session = choose("native", workload.recipe)[0].compile(workload.recipe, rows)
    operations = sum(2 * len(rows) * d * k for d, k in pairwise(workload.widths))
    return operations / fastest(lambda: session.logits(rows.X), seconds)


def copy_rate(count: int, size: int, times: int, seconds: float = 0.5) -> float:
    """Bytes read and written per second by copies of so many bytes, in as many threads at once, each so many times."""
    parts = [(np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(count)]

    def copy(part: tuple[Array, Array]) -> None:
        for _ in range(times):
            np.copyto(part[1], part[0])

    with ThreadPoolExecutor(count) as pool:
        took = fastest(lambda: list(pool.map(copy, parts)), seconds)
    return 2.0 * size * times * count / took
