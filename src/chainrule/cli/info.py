"""`chainrule info`: what is installed and what the machine can do, for reports of problems.

In: nothing. Out: versions, engines, processor, linear algebra, and advice if NumPy does not use all of the processor.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata, util
from pathlib import Path
from typing import Any

import chainrule
from chainrule.cli import options as o
from chainrule.cli.console import echo
from chainrule.engines import ENGINES, why_unavailable

_PACKAGES = ("numpy", "scikit-learn", "polars", "safetensors")
_OPTIONAL = {
    "jax": "jax",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "fastexcel": "excel",
    "pyarrow": "parquet",
    "optuna": "search",
    "ray": "cluster",
    "starlette": "lab",
    "uvicorn": "lab",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
}
"""Packages that only some users need, and the extras that install them."""

_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}),
    ("x86-64-v3", {"avx2", "fma", "bmi2", "f16c"}),
    ("x86-64-v2", {"sse4_2", "ssse3", "popcnt"}),
)
"""Levels of the x86-64 instruction set with the processor flags they need, the highest first."""

_NARROW = {"haswell", "zen", "sandybridge", "nehalem", "excavator", "barcelona"}
"""OpenBLAS kernels that use vectors of at most 256 bits."""


def info(as_json: o.Json = False) -> None:
    """Show versions, engines and the machine."""
    facts = gather()
    if as_json:
        o.print_json(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        echo(f"{name:12} {shown}")


def gather() -> dict[str, Any]:
    """Return the facts as plain data."""
    level = instruction_set()
    kernel = blas_kernel()
    facts = {
        "chainrule": chainrule.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instructions": level,
        "blas": kernel,
        "engines": {name: why_unavailable(name) or "ready" for name in ENGINES},
        "packages": {
            **{name: metadata.version(name) for name in _PACKAGES},
            **{name: _version(name, extra) for name, extra in _OPTIONAL.items()},
        },
    }
    advice = below_processor(level, kernel)
    return facts | ({"advice": advice} if advice else {})


def instruction_set() -> str:
    """Return the highest level of the processor: x86-64-v2 to -v4, or the machine's name elsewhere."""
    flags = _processor_flags()
    return next((level for level, needed in _LEVELS if needed <= flags), platform.machine())


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())


def blas_kernel() -> str:
    """Return the library that NumPy multiplies matrices with, and the kernel it chose for this processor."""
    if util.find_spec("threadpoolctl") is None:
        return "unknown"
    import numpy  # noqa: F401  (loads its library)
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        if pool.get("user_api") == "blas":
            parts = (pool.get("internal_api"), pool.get("version"), pool.get("architecture"))
            return " ".join(str(part) for part in parts if part)
    return "unknown"


def below_processor(level: str, kernel: str) -> str:
    """Return advice if the linear algebra library uses only half of the processor's vectors; otherwise nothing.

    >>> below_processor("x86-64-v4", "openblas 0.3.31 Haswell")[:30]
    'NumPy multiplies matrices with'
    >>> below_processor("x86-64-v3", "openblas 0.3.31 Haswell")
    ''
    """
    if level != "x86-64-v4" or not kernel or kernel.split()[-1].lower() not in _NARROW:
        return ""
    return (
        f"NumPy multiplies matrices with kernels for {kernel.split()[-1]}, though the processor has AVX-512. "
        "Try OPENBLAS_CORETYPE=SkylakeX in the environment; the native engine does not depend on it."
    )


def _version(name: str, extra: str) -> str:
    """Return the version of an optional package, or how it is installed."""
    return metadata.version(name) if util.find_spec(name) else f"not installed (pip install 'chainrule[{extra}]')"
