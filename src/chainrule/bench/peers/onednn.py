"""oneDNN from a program in C++: the same step without Python, a framework or a graph around it.

In: a workload; a C++ compiler, and oneDNN with its headers. Out: a runner of epochs.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.bench.peers import Runner, Skipped, one_or_all
from chainrule.bench.workloads import LEARNING_RATE, Workload

_SOURCE = Path(__file__).with_name("onednn_step.cpp")

_LEVELS = {"AVX2": "x86-64-v3", "AVX512_CORE": "x86-64-v4"}
"""What the compiler calls the sets of instructions that `instructions` keeps oneDNN to."""


class Training:
    """A network in the C++ program, compiled for this process.

    Parameters
    ----------
    workload : Workload
        A training without batch norm and dropout.
    """

    def __init__(self, workload: Workload) -> None:
        self._library = _compiled()
        self._X, self._y = workload.data()
        self._widths = np.array(workload.widths, np.int64)
        new = self._library.training_new
        self._handle = new(
            self._widths.ctypes.data,
            len(self._widths),
            workload.batch,
            workload.rows,
            self._X.ctypes.data,
            self._y.ctypes.data,
            workload.activation == "tanh",
        )
        if not self._handle:
            raise Skipped("oneDNN has no such products here")
        weakref.finalize(self, self._library.training_delete, self._handle)
        self.size = int((self._widths[:-1] * self._widths[1:] + self._widths[1:]).sum())

    def limit(self, threads: int) -> None:
        """Use this many threads; Adam's vectors start anew."""
        self._library.training_limit(self._handle, threads)

    def epochs(self, count: int, rate: float) -> float:
        """Train some epochs and return the mean loss of the last."""
        return float(self._library.training_epochs(self._handle, count, rate))

    def read(self) -> Array:
        """Return all parameters: W and b of each layer in turn."""
        w = np.empty(self.size, np.float32)
        self._library.training_read(self._handle, w.ctypes.data)
        return w

    def write(self, w: Array) -> None:
        """Replace all parameters."""
        w = np.ascontiguousarray(w, np.float32)
        self._library.training_write(self._handle, w.ctypes.data, len(w))


def prepare(workload: Workload, variant: str, threads: int) -> Runner:
    """Compile the program and set up a network; one thread and all of them are tried."""
    if workload.batch_norm or workload.dropout:
        raise Skipped("its program has neither batch norm nor dropout")
    training = Training(workload)

    def run(units: int) -> None:
        for _ in range(units * workload.epochs):
            training.epochs(1, LEARNING_RATE)

    return Runner(run, one_or_all(threads), training.limit)


def _compiled() -> Any:
    """Return the compiled program; the library and the compiler are looked for at each call."""
    root, compiler = _root(), shutil.which(os.environ.get("CXX") or "c++")
    if compiler is None:
        raise Skipped("it needs a C++ compiler")
    return _loaded(root, compiler, _LEVELS.get(os.environ.get("ONEDNN_MAX_CPU_ISA", ""), "native"))


@cache
def _loaded(root: Path, compiler: str, level: str) -> Any:
    """Compile the program in a folder of its own and load it, once in a process."""
    flags = ["-std=c++17", "-O3", f"-march={level}", "-ffast-math", "-fopenmp", "-shared", "-fPIC"]
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/onednn_step.so"
        places = [f"-I{root / 'include'}", f"-L{root / 'lib'}", f"-Wl,-rpath,{root / 'lib'}"]
        command = [compiler, *flags, str(_SOURCE), *places, "-ldnnl", "-o", target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise Skipped(f"the C++ compiler failed: {lines[0][:200]}")
        try:
            library = ctypes.CDLL(target)
        except OSError as error:
            raise Skipped(f"oneDNN cannot be loaded ({error})") from error
    return _typed(library)


def _typed(library: Any) -> Any:
    """Declare what the program's functions take."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.training_new.argtypes = [pointer, number, number, number, pointer, pointer, ctypes.c_int]
    library.training_new.restype = pointer
    library.training_delete.argtypes = [pointer]
    library.training_delete.restype = None
    library.training_limit.argtypes = [pointer, ctypes.c_int]
    library.training_epochs.argtypes = [pointer, number, ctypes.c_float]
    library.training_epochs.restype = ctypes.c_double
    library.training_read.argtypes = [pointer, pointer]
    library.training_write.argtypes = [pointer, pointer, number]
    return library


def _root() -> Path:
    """Return the folder that oneDNN is installed in."""
    for place in _places():
        if (place / "include" / "oneapi" / "dnnl" / "dnnl.hpp").is_file():
            return place
    raise Skipped(
        "oneDNN's headers are not installed. Install them with: pip install onednn-cpu-gomp onednn-devel-cpu-gomp"
    )


def _places() -> list[Path]:
    """Return the folders to look in: that of `DNNLROOT`, of this Python, of the system."""
    names = (os.environ.get("DNNLROOT", ""), sys.prefix, "/usr/local", "/usr")
    return [Path(name) for name in names if name]
