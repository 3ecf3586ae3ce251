"""Engines, which run the mathematics, and the choice among them.

In: an engine's name and a recipe. Out: the engine, and the reasons why faster ones were passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines.base import Engine, RawPredictor, Rows, Session, never, refuse
from chainrule.engines.border import weight_faults
from chainrule.engines.reference import ReferenceEngine, logits
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

__all__ = [
    "ENGINES",
    "Engine",
    "RawPredictor",
    "Rows",
    "Session",
    "choose",
    "never",
    "predictor",
    "predictors",
    "raw_predictor",
    "standardized",
    "why_unavailable",
]


def _native_engine() -> Engine:
    from chainrule.engines.native import NativeEngine

    return NativeEngine()


def _jax_engine() -> Engine:
    from chainrule.engines.jax import JaxEngine

    return JaxEngine()


ENGINES: Mapping[str, Callable[[], Engine]] = {
    "native": _native_engine,
    "reference": ReferenceEngine,
    "jax": _jax_engine,
}
"""Every engine by name, each imported on first use."""

_REMEDY = {
    "native": "Reinstall the package with a C++ compiler on the path: the engine is built at installation.",
    "jax": "Install it with: pip install 'chainrule[jax]'.",
}

_WHY = {
    "native": "not built (no C++ compiler at installation)",
    "jax": "not installed (pip install 'chainrule[jax]')",
}
"""Why an engine that can be absent is."""

_AUTO = ("native", "reference")
"""What "auto" tries, the fastest first; JAX runs only on request."""


def why_unavailable(name: str) -> str:
    """Return the reason why an engine cannot run in this installation.

    Parameters
    ----------
    name : str
        A key of `ENGINES`.

    Returns
    -------
    str
        The reason in words; empty if the engine is available.
    """
    needs = {"native": "chainrule.engines._native", "jax": "jax"}.get(name)
    if needs is None or find_spec(needs) is not None:
        return ""
    return _WHY[name]


def predictor(net: Net, w: Array, buffers: Array) -> Callable[[Array], Array]:
    """Return a function that computes logits in inference with the fastest engine available.

    Parameters
    ----------
    net : Net
        The network.
    w : array of shape (P,)
        Parameters; copied.
    buffers : array of shape (B,)
        Running statistics; copied.

    Returns
    -------
    callable
        From rows X (n, d), in w's dtype, to logits Z (n, k).

    Raises
    ------
    InvalidValueError
        For weights or statistics of another network.
    """
    raise_all(weight_faults("predictor", net, w, buffers))
    if not why_unavailable("native"):
        from chainrule.engines import native

        compiled = native.predictor(net, w, buffers)
        if compiled is not None:
            return compiled
    return partial(logits, net, w.copy(), buffers.copy())


def raw_predictor(net: Net, w: Array, buffers: Array, mean: Array, scale: Array) -> RawPredictor | None:
    """Return a predictor for rows in the user's units, which scales and checks them on their way in.

    Parameters
    ----------
    net : Net
        The network.
    w : array of shape (P,)
        Parameters; copied.
    buffers : array of shape (B,)
        Running statistics; copied.
    mean : array of shape (d,)
        What is subtracted from each column, float64.
    scale : array of shape (d,)
        What each column is then divided by, float64.

    Returns
    -------
    RawPredictor or None
        None where only `predictor` can run the network, on rows that were scaled before.

    Raises
    ------
    InvalidValueError
        For weights or statistics of another network.
    """
    raise_all(weight_faults("predictor", net, w, buffers))
    if why_unavailable("native"):
        return None
    from chainrule.engines import native

    return native.raw_predictor(net, w, buffers, mean, scale)


def standardized(
    X: Array, mean: Array, scale: Array, dtype: Any, visited: Array | None = None, into: Array | None = None
) -> Array | None:
    """Return (X - mean) / scale of rows in one pass over memory, on all cores.

    Parameters
    ----------
    X : array of shape (n, d)
        Rows.
    mean : array of shape (d,)
        What is subtracted from each column.
    scale : array of shape (d,)
        What each column is then divided by.
    dtype : dtype
        Type of the result; it is computed in float64.
    visited : array of shape (m,), default=None
        Numbers of the rows to scale; None scales all.
    into : array of shape (n, d) or (m, d), default=None
        Contiguous array of this dtype that the result is written to; None makes one.

    Returns
    -------
    array of shape (n, d) or (m, d), or None
        None if a number is not finite or out of range, or where the compiled extension cannot compute it.
    """
    if why_unavailable("native"):
        return None
    from chainrule.engines import native

    return native.standardized(X, mean, scale, dtype, visited, into)


def predictors(networks: Sequence[tuple[Net, Array, Array, int]]) -> Callable[[Sequence[Array]], Array]:
    """Return a function that computes the logits of several networks together, as `predictor` does for one.

    Parameters
    ----------
    networks : sequence of (Net, array of shape (P,), array of shape (B,), int)
        Network, parameters and running statistics, and which of the kinds of rows it takes. All have equally many
        outputs and parameters of one dtype.

    Returns
    -------
    callable
        From the rows of each kind, arrays (n, d), to logits Z (networks, n, k).
    """
    if not why_unavailable("native"):
        from chainrule.engines import native

        compiled = native.predictors(networks)
        if compiled is not None:
            return compiled
    each = [(predictor(net, w, buffers), which) for net, w, buffers, which in networks]
    return lambda X: np.array([run(X[which]) for run, which in each])


def choose(name: str, recipe: Recipe) -> tuple[Engine, tuple[str, ...]]:
    """Choose the engine that runs a recipe.

    Parameters
    ----------
    name : {"auto", "native", "reference", "jax"}
        "auto" takes the first of native and reference that can run the recipe.
    recipe : Recipe
        The training to run.

    Returns
    -------
    engine : Engine
        The engine of that name, or the one that "auto" found.
    passed_over : tuple of str
        Why "auto" did not take a faster engine; empty for a named one.

    Raises
    ------
    InvalidValueError
        For an unknown name, and for a named engine that is not available or cannot run the recipe.

    Examples
    --------
    >>> from chainrule import Dense, Net
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> from chainrule.nn.step import Recipe
    >>> engine, passed_over = choose("reference", Recipe(Net(2, [Dense(1)]), MeanSquaredError()))
    >>> engine.name, passed_over
    ('reference', ())
    """
    if name == "auto":
        return _first_supported(recipe)
    if name not in ENGINES:
        allowed = ["auto", *ENGINES]
        raise InvalidValueError(must_be("fit", "engine", "an engine's name", name, did_you_mean(name, allowed)))
    if why_unavailable(name):
        raise InvalidValueError(f"fit: engine {name!r} is not available. {_REMEDY[name]}")
    engine = ENGINES[name]()
    refuse(engine, recipe)
    return engine, ()


def _first_supported(recipe: Recipe) -> tuple[Engine, tuple[str, ...]]:
    passed_over: list[str] = []
    for name in _AUTO:
        missing = why_unavailable(name)
        engine = None if missing else ENGINES[name]()
        reasons = (missing,) if engine is None else engine.supports(recipe)
        if engine is not None and not reasons:
            return engine, tuple(passed_over)
        passed_over += [f"{name} engine: {reason}" for reason in reasons]
    raise InvalidValueError(must_be("fit", "engine", "able to run this network", "auto", " ".join(passed_over)))
