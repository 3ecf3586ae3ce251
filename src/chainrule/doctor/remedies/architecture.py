"""Why: many remedies are another network: other layers, other functions, other first weights.

In: a case. Out: the case with other layers, or None where there is nothing to change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chainrule.doctor.vocabulary.network import head, is_affine, is_softmax
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.train.problem import TrainingProblem


def with_recipe(problem: TrainingProblem, **settings: Any) -> TrainingProblem:
    """The case with settings of its recipe replaced; a start of another size is left out."""
    recipe = replace(problem.recipe, **settings)
    start = problem.start if recipe.net == problem.recipe.net and recipe.optimizer == problem.recipe.optimizer else None
    return replace(problem, recipe=recipe, start=start)


def with_layers(problem: TrainingProblem, layers: Sequence[Layer]) -> TrainingProblem | None:
    """The case with other layers; groups that no longer name anything are left out. None where nothing is different."""
    net = Net(problem.recipe.net.inputs, layers)
    if net == problem.recipe.net:
        return None
    kept = {
        pattern: value for pattern, value in problem.recipe.learning_rate_multipliers.items() if _names(net, pattern)
    }
    return with_recipe(problem, net=net, learning_rate_multipliers=kept)


def _names(net: Net, pattern: str) -> bool:
    try:
        net.multipliers({pattern: 1.0})
    except ValueError:
        return False
    return True


def he_init(problem: TrainingProblem) -> TrainingProblem | None:
    """First weights by the rule that suits each activation."""
    net = problem.recipe.net
    layers = [replace(f, initializer=None) if isinstance(f, Dense) else f for f in net.layers]
    return with_layers(replace(problem, start=None), layers)


def linked(loss: Any) -> Any:
    """The loss with the identity for its link; squared error where it has none."""
    return replace(loss, link="identity") if loss.links else MeanSquaredError()


def _hidden(net: Net) -> list[int]:
    """Activations with an affine map behind them."""
    last = max((i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)), default=0)
    return [i for i, layer in enumerate(net.layers[:last]) if isinstance(layer, Activation)]


def activations(function: str, problem: TrainingProblem) -> TrainingProblem | None:
    """Another function in every hidden activation, and first weights that suit it."""
    hidden = set(_hidden(problem.recipe.net))
    layers: list[Layer] = []
    for i, layer in enumerate(problem.recipe.net.layers):
        fresh = replace(layer, initializer=None) if isinstance(layer, Dense) else layer
        layers.append(Activation(function) if i in hidden else fresh)
    same = all(getattr(problem.recipe.net.layers[i], "function", None) == function for i in hidden)
    return None if same or not hidden else with_layers(replace(problem, start=None), layers)


def no_hidden_softmax(problem: TrainingProblem) -> TrainingProblem | None:
    """relu where a softmax stands between layers."""
    net, hidden = problem.recipe.net, _hidden(problem.recipe.net)
    bad = [i for i in hidden if isinstance(net.layers[i], Activation) and is_softmax(net.layers[i])]  # type: ignore[arg-type]
    layers = [Activation("relu") if i in bad else layer for i, layer in enumerate(net.layers)]
    return with_layers(problem, layers) if bad else None


def no_hidden_sigmoid(problem: TrainingProblem) -> TrainingProblem | None:
    """tanh, which is a sigmoid with mean 0 and four times the slope, where a sigmoid stands between layers."""
    net, hidden = problem.recipe.net, _hidden(problem.recipe.net)
    bad = [i for i in hidden if getattr(net.layers[i], "function", "") == "sigmoid"]
    layers = [Activation("tanh") if i in bad else layer for i, layer in enumerate(net.layers)]
    return with_layers(problem, layers) if bad else None


def add_nonlinearity(problem: TrainingProblem) -> TrainingProblem | None:
    """relu behind every hidden affine map that has nothing non-linear behind it, with first weights that suit it."""
    layers: list[Layer] = []
    net = problem.recipe.net
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Activation) and is_affine(layer) and i < dense[-1]:
            continue
        layers.append(layer)
        after = next((j for j in dense if j > i), None)
        if i in dense and after is not None and all(_linear(f) for f in net.layers[i + 1 : after]):
            layers[-1] = replace(layer, initializer=None)  # type: ignore[type-var]
            layers.append(Activation("relu"))
    return with_layers(replace(problem, start=None), layers)


def _linear(layer: Layer) -> bool:
    return isinstance(layer, BatchNorm | Dropout) or (isinstance(layer, Activation) and is_affine(layer))


def no_head(problem: TrainingProblem) -> TrainingProblem | None:
    """No function between the last affine map and the loss; a link that targets do not fit goes too."""
    last = head(problem.recipe.net)
    if last is not None:
        return with_layers(problem, [f for i, f in enumerate(problem.recipe.net.layers) if i != last[0]])
    loss = problem.recipe.loss
    return None if not loss.links or loss.link == "identity" else with_recipe(problem, loss=linked(loss))


def add_bias(problem: TrainingProblem) -> TrainingProblem | None:
    """A bias in every Dense that has no norm layer behind it."""
    layers = list(problem.recipe.net.layers)
    for i, layer in enumerate(layers):
        normed = i + 1 < len(layers) and isinstance(layers[i + 1], BatchNorm)
        if isinstance(layer, Dense) and not layer.bias and not normed:
            layers[i] = replace(layer, bias=True)
    return with_layers(problem, layers)


def one_activation(problem: TrainingProblem) -> TrainingProblem | None:
    """The first only of activations that follow one another."""
    layers = problem.recipe.net.layers
    kept = [f for i, f in enumerate(layers) if not (i and _both(layers[i - 1], f))]
    return with_layers(problem, kept)


def _both(first: Layer, second: Layer) -> bool:
    return isinstance(first, Activation) and isinstance(second, Activation)


def batch_norm(problem: TrainingProblem) -> TrainingProblem | None:
    """Batch norm before every hidden activation that follows an affine map."""
    if problem.recipe.batch_size < 8 or len(problem.rows) < 16:
        return None
    hidden = set(_hidden(problem.recipe.net))
    layers: list[Layer] = []
    for i, layer in enumerate(problem.recipe.net.layers):
        if i in hidden and isinstance(problem.recipe.net.layers[i - 1], Dense):
            layers.append(BatchNorm())
        layers.append(layer)
    return with_layers(problem, layers)


def layer_norm(problem: TrainingProblem) -> TrainingProblem | None:
    """Layer norm where batch norm stands."""
    return with_layers(problem, [LayerNorm() if isinstance(f, BatchNorm) else f for f in problem.recipe.net.layers])


def fresh_statistics(problem: TrainingProblem) -> TrainingProblem | None:
    """Batch norm as the library has it, with its usual memory."""
    return with_layers(problem, [BatchNorm() if isinstance(f, BatchNorm) else f for f in problem.recipe.net.layers])


def no_dropout(problem: TrainingProblem) -> TrainingProblem | None:
    """No dropout at all."""
    return with_layers(problem, [f for f in problem.recipe.net.layers if not isinstance(f, Dropout)])


def library_layers(problem: TrainingProblem) -> TrainingProblem | None:
    """The library's own layer in place of every layer that was derived from one."""
    return with_layers(problem, [_own(layer) for layer in problem.recipe.net.layers])


def _own(layer: Any) -> Any:
    for kind in (Dense, Activation, BatchNorm, LayerNorm, Dropout):
        if isinstance(layer, kind) and type(layer) is not kind:
            return kind(**{name: getattr(layer, name) for name in kind.__dataclass_fields__})
    return layer


def width(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """Hidden layers so many times as wide; never below 2 units, and at least 32 where they grow."""
    layers = list(problem.recipe.net.layers)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    for i in dense[:-1]:
        units = math.ceil(layers[i].units * factor)  # type: ignore[attr-defined]
        layers[i] = replace(layers[i], units=max(units, 32 if factor > 1 else 2))  # type: ignore[type-var]
    return with_layers(problem, layers)


def fewer_layers(problem: TrainingProblem) -> TrainingProblem | None:
    """Two hidden layers of a deeper network."""
    net = problem.recipe.net
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    if len(dense) <= 3:
        return None
    return with_layers(replace(problem, start=None), [*net.layers[: dense[2]], *net.layers[dense[-1] :]])
