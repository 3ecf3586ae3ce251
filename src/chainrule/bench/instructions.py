"""One set of instructions for all libraries, so that a new processor can stand in for an older one.

In: a set by its name. Out: the environment variables by which this package and each peer keeps to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from chainrule.engines import why_unavailable
from chainrule.errors import InvalidValueError, must_be
from chainrule.processes import environment

_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "v3": {
        "CHAINRULE_ISA": "v3",
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "TORCHINDUCTOR_CPP_SIMDLEN": "256",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "v4": {
        "CHAINRULE_ISA": "v4",
        "OPENBLAS_CORETYPE": "SkylakeX",
        "ATEN_CPU_CAPABILITY": "avx512",
        "TORCHINDUCTOR_CPP_SIMDLEN": "512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
    },
}
_XLA = {"v3": "AVX2", "v4": "AVX512"}

NAMES = tuple(_VARIABLES)
"""Levels of x86-64 that can be asked for: v3 has AVX2, v4 has AVX-512."""


def available() -> tuple[str, ...]:
    """Return the levels that this processor has, as the native engine finds them."""
    if why_unavailable("native"):
        return ()
    from chainrule.engines._native import isas

    return tuple(name for name in NAMES if name in isas())


def kept(name: str | None) -> AbstractContextManager[None]:
    """Keep this process, and those that it starts, to a level of instructions; None leaves each library its choice.

    Raises `InvalidValueError` for a level that is unknown or that this processor lacks.
    """
    if name is None:
        return nullcontext()
    if name not in available():
        allowed = ", ".join(available()) or "left out (the native engine says what the processor has)"
        raise InvalidValueError(must_be("bench", "--isa", f"a level of this processor: {allowed}", name))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa={_XLA[name]}".strip()
    return environment({**_VARIABLES[name], "XLA_FLAGS": flags})
