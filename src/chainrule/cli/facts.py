"""Why: a report of a problem starts with what is installed and what the machine can do.

In: nothing. Out: versions, engines, processor, optional packages.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata, util
from typing import Any

import numpy as np
import typer

import chainrule
from chainrule.cli import options as o
from chainrule.engines import ENGINES

_PACKAGES = ("numpy", "scikit-learn", "polars", "safetensors", "typer", "rich", "matplotlib", "jax")


def info(as_json: o.Json = False) -> None:
    """Show versions, engines and the machine."""
    facts = gather()
    if as_json:
        o.print_json(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{name:12} {shown}")


def gather() -> dict[str, Any]:
    """The facts as plain data."""
    return {
        "chainrule": chainrule.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "engines": ", ".join(ENGINES),
        "blas": _blas(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _blas() -> str:
    """The linear algebra library that NumPy was built with."""
    settings: Any = np.show_config(mode="dicts")
    blas = settings.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _version(name: str) -> str:
    known = {"scikit-learn": "sklearn"}
    return metadata.version(name) if util.find_spec(known.get(name, name)) else "not installed"
