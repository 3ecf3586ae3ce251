"""Why: one place that knows which engines there are and which one "auto" takes.

In: an engine's name and a recipe. Out: the engine, and in words why another was not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chainrule.engines.base import Engine, Rows, Session, never, refuse
from chainrule.engines.reference import ReferenceEngine
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.nn.step import Recipe

__all__ = ["ENGINES", "Engine", "Rows", "Session", "choose", "never"]

ENGINES: Mapping[str, Callable[[], Engine]] = {"reference": ReferenceEngine}
"""Every engine by name, each imported when it is first asked for."""

_AUTO = ("reference",)
"""What "auto" tries, the fastest first."""


def choose(name: str, recipe: Recipe) -> tuple[Engine, tuple[str, ...]]:
    """The engine of that name, or for "auto" the first that can run the recipe; and why faster ones were passed over.

    Raises `InvalidValueError` for an unknown name, and for a named engine that cannot run the recipe.
    """
    if name == "auto":
        return _first_able(recipe)
    if name not in ENGINES:
        allowed = ["auto", *ENGINES]
        raise InvalidValueError(must_be("fit", "engine", "an engine's name", name, did_you_mean(name, allowed)))
    engine = ENGINES[name]()
    refuse(engine, recipe)
    return engine, ()


def _first_able(recipe: Recipe) -> tuple[Engine, tuple[str, ...]]:
    passed_over: list[str] = []
    for name in _AUTO:
        engine = ENGINES[name]()
        reasons = engine.supports(recipe)
        if not reasons:
            return engine, tuple(passed_over)
        passed_over += [f"{name}: {reason}" for reason in reasons]
    raise InvalidValueError(must_be("fit", "engine", "able to run this network", "auto", " ".join(passed_over)))
