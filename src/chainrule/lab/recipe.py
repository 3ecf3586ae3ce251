"""The settings that the page's controls change, read strictly from what it sends.

In: plain data of a stranger, the settings of the command line. Out: a `LabRecipe`, settings, a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from chainrule.constraints import SHARE, Constraint, Either, Interval, OneOf
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import INITIALIZERS
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from chainrule.nn.net import Net
from chainrule.pipeline import OPTIMIZERS, Settings

TASKS = ("binary", "multiclass", "regression")
"""What a network of the page can learn."""

MOST_PARAMETERS = 20_000_000
"""Parameters of a network in the lab; with Adam's vectors they take 240 MB."""

_MOST_LAYERS = 32
_UNITS = Interval(1, 65_536, "[]", whole=True)
_RATE = Interval(0, 1e6, "()")
_PENALTY = Interval(0, 1e6, "[]")
_SEED = Interval(0, 2**53, "[)", whole=True)
_ROWS = Interval(1, 2**31, "[)", whole=True)
_FLAG = OneOf((False, True))


@dataclass(frozen=True)
class HiddenLayer:
    """One hidden layer as the page describes it."""

    units: int
    activation: str = "relu"
    batch_norm: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class LabRecipe:
    """What the page's controls say, checked.

    Parameters
    ----------
    task : str
        One of `TASKS`.
    hidden : tuple of HiddenLayer
        The hidden layers in order.
    init : str, default="auto"
        Rule for first weights.
    optimizer : Optimizer, default=Adam()
        The update rule.
    learning_rate : float, default=0.001
        Base learning rate.
    batch_size : int or {"auto", "full"}, default="auto"
        Rows per step.
    alpha, l1 : float, default=0.0
        Factors of the penalties.
    seed : int, default=0
        Seed of first weights, shuffles and masks; of a table's split too.
    """

    task: str
    hidden: tuple[HiddenLayer, ...]
    init: str = "auto"
    optimizer: Any = OPTIMIZERS["adam"]
    learning_rate: float = 1e-3
    batch_size: int | str = "auto"
    alpha: float = 0.0
    l1: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, plain: Any) -> LabRecipe:
        """Read a recipe that the page sent.

        Parameters
        ----------
        plain : object
            Plain data.

        Returns
        -------
        LabRecipe

        Raises
        ------
        InvalidValueError
            With everything that is wrong.
        """
        content = _object(plain, "recipe", {f.name for f in fields(cls)} - {"learning_rate"})
        hidden = content.get("hidden", [])
        if not isinstance(hidden, list) or len(hidden) > _MOST_LAYERS:
            got = len(hidden) if isinstance(hidden, list) else hidden
            raise InvalidValueError(must_be("lab", "hidden", f"a list of at most {_MOST_LAYERS} layers", got))
        layers = tuple(_hidden_layer(layer) for layer in hidden)
        optimizer, rate = _optimizer(content.get("optimizer", {"kind": "adam"}))
        found: dict[str, Any] = {
            name: content[name] for name in ("task", "init", "batch_size", "alpha", "l1", "seed") if name in content
        }
        raise_all(_faults(found, _ALLOWED))
        if "task" not in found:
            raise InvalidValueError(must_be("lab", "task", f"{OneOf(TASKS)}", None))
        return cls(hidden=layers, optimizer=optimizer, learning_rate=rate, **found)

    @classmethod
    def from_settings(cls, settings: Settings, task: str) -> LabRecipe:
        """Return the recipe with which the page begins.

        Parameters
        ----------
        settings : Settings
            Those of the command line.
        task : str
            One of `TASKS`.

        Returns
        -------
        LabRecipe
        """
        count = len(settings.hidden_layer_sizes)
        functions = _each(settings.activation, count)
        rates = _each(settings.dropout, count)
        hidden = tuple(
            HiddenLayer(int(units), function, settings.batch_norm, float(rate))
            for units, function, rate in zip(settings.hidden_layer_sizes, functions, rates, strict=True)
        )
        optimizer = OPTIMIZERS[settings.optimizer] if isinstance(settings.optimizer, str) else settings.optimizer
        return cls(
            task,
            hidden,
            settings.initializer or "auto",
            optimizer,
            settings.learning_rate_init,
            settings.batch_size,
            settings.alpha,
            settings.l1_alpha,
            settings.seed,
        )

    def plain(self) -> dict[str, Any]:
        """Return the recipe as the page has it.

        Returns
        -------
        dict
        """
        values = {f.name: getattr(self.optimizer, f.name) for f in fields(self.optimizer)}
        return {
            "task": self.task,
            "hidden": [vars(layer) for layer in self.hidden],
            "init": self.init,
            "optimizer": {"kind": kind_of(self.optimizer), "learning_rate": self.learning_rate, **values},
            "batch_size": self.batch_size,
            "alpha": self.alpha,
            "l1": self.l1,
            "seed": self.seed,
        }

    def settings(self, base: Settings) -> Settings:
        """Return settings in which the controls have their say, and everything else is as it was.

        Parameters
        ----------
        base : Settings
            Those of the command line.

        Returns
        -------
        Settings
        """
        changed = replace(
            base,
            hidden_layer_sizes=tuple(layer.units for layer in self.hidden),
            activation=_folded([layer.activation for layer in self.hidden], base.activation),
            dropout=_folded([layer.dropout for layer in self.hidden], 0.0),
            batch_norm=bool(self.hidden) and all(layer.batch_norm for layer in self.hidden),
            layer_norm=base.layer_norm and not any(layer.batch_norm for layer in self.hidden),
            initializer=None if self.init == "auto" else self.init,
            optimizer=kind_of(self.optimizer) if self.optimizer in OPTIMIZERS.values() else self.optimizer,
            learning_rate_init=self.learning_rate,
            batch_size=self.batch_size,
            alpha=self.alpha,
            l1_alpha=self.l1,
            seed=self.seed,
        )
        changed.check("lab")
        return changed

    def network(self, settings: Settings, inputs: int, outputs: int) -> Net:
        """Return the network, as `mlp` would build it, with batch norm in each layer that has it.

        Parameters
        ----------
        settings : Settings
            Those of this recipe.
        inputs, outputs : int
            Columns and logits.

        Returns
        -------
        Net

        Raises
        ------
        InvalidValueError
            For more than `MOST_PARAMETERS` parameters.
        """
        widths = [inputs, *(layer.units for layer in self.hidden), outputs]
        size = sum((one + 1) * two for one, two in pairwise(widths))
        if size > MOST_PARAMETERS:
            allowed = f"at most {MOST_PARAMETERS:,}"
            raise InvalidValueError(
                must_be("lab", "the number of parameters", allowed, f"{size:,}", "Use fewer units.")
            )
        rule = settings.initializer
        layers: list[Layer] = []
        for layer in self.hidden:
            layers += [Dense(layer.units, bias=not layer.batch_norm, initializer=rule)]
            layers += [BatchNorm()] if layer.batch_norm else [LayerNorm()] if settings.layer_norm else []
            layers += [Activation(layer.activation), *([Dropout(layer.dropout)] if layer.dropout else [])]
        return Net(inputs, [*layers, Dense(outputs, initializer=rule)])


def kind_of(optimizer: Any) -> str:
    """Return the name of an optimizer's rule, whatever its settings.

    >>> kind_of(OPTIMIZERS["adamw"])
    'adamw'
    """
    return next(name for name, usual in OPTIMIZERS.items() if type(usual) is type(optimizer))


_ALLOWED: Mapping[str, Constraint] = {
    "task": OneOf(TASKS),
    "init": OneOf(("auto", *INITIALIZERS)),
    "batch_size": Either(OneOf(("auto", "full")), _ROWS),
    "alpha": _PENALTY,
    "l1": _PENALTY,
    "seed": _SEED,
}
_LAYER: Mapping[str, Constraint] = {
    "units": _UNITS,
    "activation": OneOf(tuple(ACTIVATIONS)),
    "batch_norm": _FLAG,
    "dropout": SHARE,
}


def _faults(found: Mapping[str, Any], allowed: Mapping[str, Constraint]) -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, list | dict) or not allowed[name].allows(value):
            yield must_be("lab", name, f"{allowed[name]}", value)


def _object(plain: Any, name: str, known: set[str]) -> dict[str, Any]:
    """Return an object of the page's that has known names only."""
    if not isinstance(plain, dict):
        raise InvalidValueError(must_be("lab", name, "an object", plain))
    unknown = next((each for each in plain if each not in known), None)
    if unknown is not None:
        hint = did_you_mean(unknown, known)
        raise InvalidValueError(must_be("lab", name, f"an object of {', '.join(sorted(known))}", unknown, hint))
    return plain


def _hidden_layer(plain: Any) -> HiddenLayer:
    content = _object(plain, "hidden", set(_LAYER))
    raise_all(_faults(content, _LAYER))
    if "units" not in content:
        raise InvalidValueError(must_be("lab", "units", f"{_UNITS}", None))
    return HiddenLayer(**content)


def _optimizer(plain: Any) -> tuple[Any, float]:
    """Return an update rule and its learning rate."""
    if not isinstance(plain, dict):
        raise InvalidValueError(must_be("lab", "optimizer", "an object", plain))
    kind = plain.get("kind")
    if not isinstance(kind, str) or kind not in OPTIMIZERS:
        raise InvalidValueError(must_be("lab", "kind", f"{OneOf(tuple(OPTIMIZERS))}", kind))
    usual: Any = OPTIMIZERS[kind]
    content = _object(plain, "optimizer", {"kind", "learning_rate", *(f.name for f in fields(usual))})
    rate = content.get("learning_rate", 1e-3)
    raise_all(_faults({"learning_rate": rate}, {"learning_rate": _RATE}))
    own = {name: value for name, value in content.items() if name not in ("kind", "learning_rate")}
    raise_all(
        must_be("lab", name, "a number", value)
        for name, value in own.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e6
    )
    return replace(usual, **own), float(rate)


def _folded(values: list[Any], usual: Any) -> Any:
    """Return the one value of all layers, or a tuple where they differ."""
    if not values:
        return usual if isinstance(usual, str | int | float) else usual[0]
    return values[0] if len(set(values)) == 1 else tuple(values)


def _each(value: Any, count: int) -> list[Any]:
    return [value] * count if isinstance(value, str | int | float) else list(value)
