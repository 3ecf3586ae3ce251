"""Builds the engine for web pages: native/ as one WebAssembly file, by the compiler of the package ziglang.

In: a folder. Out: chainrule.wasm in it; the same bytes each time. `python docs/tools/wasm.py FOLDER` does the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

NAME = "chainrule.wasm"
NATIVE = Path(__file__).parents[2] / "native"
SOURCES = (
    "arena.cpp",
    "border.cpp",
    "order.cpp",
    "stop_clock.cpp",
    "kernels/native_trainer.cpp",
    "wasm/engine.cpp",
    "wasm/failure.cpp",
    "wasm/team.cpp",
)
FLAGS = (
    *("-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-std=c++20", "-O2", "-s"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections"),
    *("-Wl,--gc-sections", "-DCHAINRULE_ISA=simd128", "-DCHAINRULE_PAGE", "-Wno-bitwise-conditional-parentheses"),
)


def why_not() -> str:
    """Return why the engine cannot be built here; empty if it can."""
    return "" if find_spec("ziglang") else "ziglang is not installed (pip install ziglang)"


def build(folder: Path) -> Path:
    """Compile the engine into a folder, and return the file. The first build of a machine compiles the C++ library too."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder.resolve() / NAME
    made = target.with_name(f".{NAME}.{os.getpid()}")
    command = [sys.executable, "-m", "ziglang", "c++", *FLAGS, "-o", str(made), *SOURCES]
    subprocess.run(command, cwd=NATIVE, check=True)
    made.replace(target)
    return target


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
