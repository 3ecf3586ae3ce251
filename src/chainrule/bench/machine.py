"""The machine: what it is and the most it can do, since absolute timings differ from machine to machine.

In: a number of processors. Out: facts; float32 operations per second in a matrix product; bytes per second of memory.
"""

from __future__ import annotations

import os
import platform
import subprocess
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
from chainrule.engines import Rows, choose, why_unavailable
from chainrule.processes import python

PACKAGES = ("numpy", "scikit-learn", "torch", "jax", "mlx", "keras", "optax")
"""Timed packages, by the names of their distributions."""

KERNELS = ("", "SkylakeX", "Haswell")
"""Kernels forced on NumPy's OpenBLAS: first its own choice, which on some processors is not the fastest."""

_SIZES = (512, 1024, 2048)

_FAR, _NEAR = 2**27, 2**17
"""Bytes of a copy that fits in no cache, and of one that fits with its source in a core's second-level cache."""


@dataclass(frozen=True)
class Peak:
    """What the machine reached.

    Parameters
    ----------
    products : dict of str to float
        Operations per second in a float32 matrix product, by the library that multiplied.
    memory : float
        Bytes per second read from and written to memory.
    cache : float
        Bytes per second read from and written to the caches of the cores.
    """

    products: dict[str, float]
    memory: float
    cache: float

    @property
    def product(self) -> float:
        """Operations per second of the fastest product."""
        return max(self.products.values())


def facts() -> dict[str, str]:
    """Return the processor and the versions of the timed packages."""
    known = {"processor": _processor(), "system": f"{platform.system()} {platform.release()}"}
    return known | {name: metadata.version(name) for name in PACKAGES if _installed(name)}


def load() -> str:
    """Return the mean number of processes that ran or waited in the last minute; it should be near 0."""
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
    known = {key.strip(): value.strip() for key, _, value in pairs if key.strip() in wanted}
    name = known.get("model name", platform.machine())
    return f"{name} (family {known['cpu family']}, model {known['model']})" if "model" in known else name


def peak(count: int, seconds: float = 0.5) -> Peak:
    """Measure the peaks with `count` threads for copies, each figure the best of several tries within `seconds`."""
    products = {
        f"NumPy{f' ({kernel} kernel)' if kernel else ''}": _numpy_product(kernel, seconds) for kernel in KERNELS
    }
    products["native engine"] = _native_product(seconds)
    reached = {name: rate for name, rate in products.items() if rate}
    return Peak(reached, copy_rate(count, _FAR // count, 1, seconds), copy_rate(count, _NEAR, 500, seconds))


def product_rate(seconds: float) -> float:
    """Return the operations per second of NumPy's float32 product of square matrices, best size and try."""
    rates = []
    for n in _SIZES:
        A = np.ones((n, n), np.float32)
        B, C = A.copy(), A.copy()

        def product(A: Array = A, B: Array = B, C: Array = C) -> None:
            np.matmul(A, B, out=C)

        rates.append(2.0 * n**3 / fastest(product, seconds / len(_SIZES)))
    return max(rates)


def fastest(action: Callable[[], object], seconds: float) -> float:
    """Return the duration of the shortest call among those that fit into `seconds`, of at least three."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def _numpy_product(kernel: str, seconds: float) -> float:
    """Measure in a new process, since OpenBLAS chooses its kernel when loaded; 0 if that kernel cannot run here."""
    code = f"from chainrule.bench import machine; print(machine.product_rate({seconds}))"
    forced = {"OPENBLAS_CORETYPE": kernel} if kernel else {}
    done = subprocess.run(python(code), env=os.environ | forced, capture_output=True, text=True, check=False)
    return float(done.stdout) if done.returncode == 0 else 0.0


def _native_product(seconds: float) -> float:
    """Measure the native engine on the widest workload's network and rows; 0 if it is not available."""
    if why_unavailable("native"):
        return 0.0
    workload = WORKLOADS["1024-2048-2048-1000"]
    rows = Rows.of(workload.recipe, *workload.data())
    session = choose("native", workload.recipe)[0].compile(workload.recipe, rows)
    operations = sum(2 * len(rows) * d * k for d, k in pairwise(workload.widths))
    return operations / fastest(lambda: session.logits(rows.X), seconds)


def copy_rate(count: int, size: int, times: int, seconds: float = 0.5) -> float:
    """Return the bytes read and written per second by `count` threads that each copy `size` bytes `times` times."""
    parts = [(np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(count)]

    def copy(part: tuple[Array, Array]) -> None:
        for _ in range(times):
            np.copyto(part[1], part[0])

    with ThreadPoolExecutor(count) as pool:
        took = fastest(lambda: list(pool.map(copy, parts)), seconds)
    return 2.0 * size * times * count / took
