"""Why: one place that knows which engines there are and which one "auto" takes.

In: an engine's name and a recipe. Out: the engine, and in words why another was not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec

from chainrule.arrays import Array
from chainrule.engines.base import Engine, Rows, Session, never, refuse
from chainrule.engines.reference import ReferenceEngine, logits
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

__all__ = ["ENGINES", "Engine", "Rows", "Session", "available", "choose", "never", "predictor"]


def _native() -> Engine:
    from chainrule.engines.native import NativeEngine

    return NativeEngine()


def _jax() -> Engine:
    from chainrule.engines.jax import JaxEngine

    return JaxEngine()


ENGINES: Mapping[str, Callable[[], Engine]] = {"native": _native, "reference": ReferenceEngine, "jax": _jax}
"""Every engine by name, each imported when it is first asked for."""

_AUTO = ("native", "reference")
"""What "auto" tries, the fastest first; JAX runs only when it is asked for."""


def available(name: str) -> str:
    """Why the engine of that name is not there on this machine; empty when it is."""
    needs = {"native": "chainrule.engines._native", "jax": "jax"}.get(name)
    if needs is None or find_spec(needs) is not None:
        return ""
    return {"native": "not built (no C++ compiler at installation)", "jax": "not installed (chainrule[jax])"}[name]


def predictor(net: Net, w: Array, buffers: Array) -> Callable[[Array], Array]:
    """A function from rows X (n, d) in w's dtype to logits Z (n, k) in inference, by the fastest engine there is.

    It holds its own copy of the numbers.
    """
    if not available("native"):
        from chainrule.engines import native

        compiled = native.predictor(net, w, buffers)
        if compiled is not None:
            return compiled
    return partial(logits, net, w.copy(), buffers.copy())


def choose(name: str, recipe: Recipe) -> tuple[Engine, tuple[str, ...]]:
    """The engine of that name, or for "auto" the first that can run the recipe; and why faster ones were passed over.

    Raises `InvalidValueError` for an unknown name, and for a named engine that cannot run the recipe or is not there.
    """
    if name == "auto":
        return _first_able(recipe)
    if name not in ENGINES:
        allowed = ["auto", *ENGINES]
        raise InvalidValueError(must_be("fit", "engine", "an engine's name", name, did_you_mean(name, allowed)))
    if available(name):
        raise InvalidValueError(must_be("fit", "engine", "one that is there", name, f"It is {available(name)}."))
    engine = ENGINES[name]()
    refuse(engine, recipe)
    return engine, ()


def _first_able(recipe: Recipe) -> tuple[Engine, tuple[str, ...]]:
    passed_over: list[str] = []
    for name in _AUTO:
        reasons: tuple[str, ...] = (available(name),) if available(name) else ()
        if not reasons:
            engine = ENGINES[name]()
            reasons = engine.supports(recipe)
            if not reasons:
                return engine, tuple(passed_over)
        passed_over += [f"{name} engine: {reason}" for reason in reasons]
    raise InvalidValueError(must_be("fit", "engine", "able to run this network", "auto", " ".join(passed_over)))
