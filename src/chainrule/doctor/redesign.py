"""Why: many remedies are another network: other layers, other functions, other first weights.

In: a case. Out: the case with other layers, or None where there is nothing to change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chainrule.doctor.found import head, is_affine, is_softmax
from chainrule.doctor.records import Case
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from chainrule.nn.losses import MeanSquared
from chainrule.nn.net import Net


def with_recipe(case: Case, **settings: Any) -> Case:
    """The case with settings of its recipe replaced; a start of another size is left out."""
    recipe = replace(case.recipe, **settings)
    start = case.start if recipe.net == case.recipe.net and recipe.optimizer == case.recipe.optimizer else None
    return replace(case, recipe=recipe, start=start)


def with_layers(case: Case, layers: Sequence[Layer]) -> Case | None:
    """The case with other layers; groups that no longer name anything are left out. None where nothing is different."""
    net = Net(case.recipe.net.inputs, layers)
    if net == case.recipe.net:
        return None
    kept = {pattern: value for pattern, value in case.recipe.groups.items() if _names(net, pattern)}
    return with_recipe(case, net=net, groups=kept)


def _names(net: Net, pattern: str) -> bool:
    try:
        net.multipliers({pattern: 1.0})
    except ValueError:
        return False
    return True


def he_init(case: Case) -> Case | None:
    """First weights by the rule that suits each activation."""
    net = case.recipe.net
    layers = [replace(f, initializer=None) if isinstance(f, Dense) else f for f in net.layers]
    return with_layers(replace(case, start=None), layers)


def linked(loss: Any) -> Any:
    """The loss with the identity for its link; squared error where it has none."""
    return replace(loss, link="identity") if hasattr(loss, "link") else MeanSquared()


def _hidden(net: Net) -> list[int]:
    """Activations with an affine map behind them."""
    last = max((i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)), default=0)
    return [i for i, layer in enumerate(net.layers[:last]) if isinstance(layer, Activation)]


def activations(function: str, case: Case) -> Case | None:
    """Another function in every hidden activation, and first weights that suit it."""
    hidden = set(_hidden(case.recipe.net))
    layers: list[Layer] = []
    for i, layer in enumerate(case.recipe.net.layers):
        fresh = replace(layer, initializer=None) if isinstance(layer, Dense) else layer
        layers.append(Activation(function) if i in hidden else fresh)
    same = all(getattr(case.recipe.net.layers[i], "function", None) == function for i in hidden)
    return None if same or not hidden else with_layers(replace(case, start=None), layers)


def no_hidden_softmax(case: Case) -> Case | None:
    """relu where a softmax stands between layers."""
    net, hidden = case.recipe.net, _hidden(case.recipe.net)
    bad = [i for i in hidden if isinstance(net.layers[i], Activation) and is_softmax(net.layers[i])]  # type: ignore[arg-type]
    layers = [Activation("relu") if i in bad else layer for i, layer in enumerate(net.layers)]
    return with_layers(case, layers) if bad else None


def no_hidden_sigmoid(case: Case) -> Case | None:
    """tanh, which is a sigmoid with mean 0 and four times the slope, where a sigmoid stands between layers."""
    net, hidden = case.recipe.net, _hidden(case.recipe.net)
    bad = [i for i in hidden if getattr(net.layers[i], "function", "") == "sigmoid"]
    layers = [Activation("tanh") if i in bad else layer for i, layer in enumerate(net.layers)]
    return with_layers(case, layers) if bad else None


def add_nonlinearity(case: Case) -> Case | None:
    """relu behind every hidden affine map that has nothing non-linear behind it, with first weights that suit it."""
    layers: list[Layer] = []
    net = case.recipe.net
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Activation) and is_affine(layer) and i < dense[-1]:
            continue
        layers.append(layer)
        after = next((j for j in dense if j > i), None)
        if i in dense and after is not None and all(_linear(f) for f in net.layers[i + 1 : after]):
            layers[-1] = replace(layer, initializer=None)  # type: ignore[type-var]
            layers.append(Activation("relu"))
    return with_layers(replace(case, start=None), layers)


def _linear(layer: Layer) -> bool:
    return isinstance(layer, BatchNorm | Dropout) or (isinstance(layer, Activation) and is_affine(layer))


def no_head(case: Case) -> Case | None:
    """No function between the last affine map and the loss; a link that targets do not fit goes too."""
    last = head(case.recipe.net)
    if last is not None:
        return with_layers(case, [f for i, f in enumerate(case.recipe.net.layers) if i != last[0]])
    loss = case.recipe.loss
    return None if getattr(loss, "link", "identity") == "identity" else with_recipe(case, loss=linked(loss))


def add_bias(case: Case) -> Case | None:
    """A bias in every Dense that has no norm layer behind it."""
    layers = list(case.recipe.net.layers)
    for i, layer in enumerate(layers):
        normed = i + 1 < len(layers) and isinstance(layers[i + 1], BatchNorm)
        if isinstance(layer, Dense) and not layer.bias and not normed:
            layers[i] = replace(layer, bias=True)
    return with_layers(case, layers)


def one_activation(case: Case) -> Case | None:
    """The first only of activations that follow one another."""
    layers = case.recipe.net.layers
    kept = [f for i, f in enumerate(layers) if not (i and _both(layers[i - 1], f))]
    return with_layers(case, kept)


def _both(first: Layer, second: Layer) -> bool:
    return isinstance(first, Activation) and isinstance(second, Activation)


def batch_norm(case: Case) -> Case | None:
    """Batch norm before every hidden activation that follows an affine map."""
    if case.recipe.batch_size < 8 or len(case.rows) < 16:
        return None
    hidden = set(_hidden(case.recipe.net))
    layers: list[Layer] = []
    for i, layer in enumerate(case.recipe.net.layers):
        if i in hidden and isinstance(case.recipe.net.layers[i - 1], Dense):
            layers.append(BatchNorm())
        layers.append(layer)
    return with_layers(case, layers)


def layer_norm(case: Case) -> Case | None:
    """Layer norm where batch norm stands."""
    return with_layers(case, [LayerNorm() if isinstance(f, BatchNorm) else f for f in case.recipe.net.layers])


def fresh_statistics(case: Case) -> Case | None:
    """Batch norm as the library has it, with its usual memory."""
    return with_layers(case, [BatchNorm() if isinstance(f, BatchNorm) else f for f in case.recipe.net.layers])


def no_dropout(case: Case) -> Case | None:
    """No dropout at all."""
    return with_layers(case, [f for f in case.recipe.net.layers if not isinstance(f, Dropout)])


def library_layers(case: Case) -> Case | None:
    """The library's own layer in place of every layer that was derived from one."""
    return with_layers(case, [_own(layer) for layer in case.recipe.net.layers])


def _own(layer: Any) -> Any:
    for kind in (Dense, Activation, BatchNorm, LayerNorm, Dropout):
        if isinstance(layer, kind) and type(layer) is not kind:
            return kind(**{name: getattr(layer, name) for name in kind.__dataclass_fields__})
    return layer


def width(factor: float, case: Case) -> Case | None:
    """Hidden layers so many times as wide; never below 2 units, and at least 32 where they grow."""
    layers = list(case.recipe.net.layers)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    for i in dense[:-1]:
        units = math.ceil(layers[i].units * factor)  # type: ignore[attr-defined]
        layers[i] = replace(layers[i], units=max(units, 32 if factor > 1 else 2))  # type: ignore[type-var]
    return with_layers(case, layers)


def fewer_layers(case: Case) -> Case | None:
    """Two hidden layers of a deeper network."""
    net = case.recipe.net
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    if len(dense) <= 3:
        return None
    return with_layers(replace(case, start=None), [*net.layers[: dense[2]], *net.layers[dense[-1] :]])
