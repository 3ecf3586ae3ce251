"""Change the network of a training problem: other layers, other activations, other initial weights.

In: a training problem. Out: the problem with other layers, or None if there is nothing to change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chainrule.doctor.vocabulary.network import head, is_affine, is_softmax
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm, Scale
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.train.problem import TrainingProblem


def with_recipe(problem: TrainingProblem, **settings: Any) -> TrainingProblem:
    """Return the problem with settings of its recipe replaced; a start of another size is dropped."""
    recipe = replace(problem.recipe, **settings)
    start = problem.start if recipe.net == problem.recipe.net and recipe.optimizer == problem.recipe.optimizer else None
    return replace(problem, recipe=recipe, start=start)


def with_layers(problem: TrainingProblem, layers: Sequence[Layer]) -> TrainingProblem | None:
    """Return the problem with other layers, without multipliers that name no parameter; None if nothing changes."""
    net = Net(problem.recipe.net.inputs, layers)
    if net == problem.recipe.net:
        return None
    kept = {
        pattern: value
        for pattern, value in problem.recipe.learning_rate_multipliers.items()
        if _names_a_parameter(net, pattern)
    }
    return with_recipe(problem, net=net, learning_rate_multipliers=kept)


def _names_a_parameter(net: Net, pattern: str) -> bool:
    try:
        net.multipliers({pattern: 1.0})
    except ValueError:
        return False
    return True


def he_init(problem: TrainingProblem) -> TrainingProblem | None:
    """Draw the initial weights by the rule that suits each activation."""
    net = problem.recipe.net
    layers = [replace(f, initializer=None) if isinstance(f, Dense) else f for f in net.layers]
    return with_layers(replace(problem, start=None), layers)


def linked(loss: Any) -> Any:
    """Return the loss with the identity as its link; squared error if it has no link."""
    return replace(loss, link="identity") if loss.links else MeanSquaredError()


def _hidden(net: Net) -> list[int]:
    """Return the indices of the activations that an affine layer follows."""
    last = max((i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)), default=0)
    return [i for i, layer in enumerate(net.layers[:last]) if isinstance(layer, Activation)]


def activations(function: str, problem: TrainingProblem) -> TrainingProblem | None:
    """Use another function in every hidden activation, and initial weights that suit it."""
    hidden = set(_hidden(problem.recipe.net))
    layers: list[Layer] = []
    for i, layer in enumerate(problem.recipe.net.layers):
        fresh = replace(layer, initializer=None) if isinstance(layer, Dense) else layer
        layers.append(Activation(function) if i in hidden else fresh)
    same = all(getattr(problem.recipe.net.layers[i], "function", None) == function for i in hidden)
    return None if same or not hidden else with_layers(replace(problem, start=None), layers)


def no_hidden_softmax(problem: TrainingProblem) -> TrainingProblem | None:
    """Replace every softmax between layers with relu."""
    net = problem.recipe.net
    hidden = _hidden(problem.recipe.net)
    bad = [i for i in hidden if isinstance(net.layers[i], Activation) and is_softmax(net.layers[i])]  # type: ignore[arg-type]
    layers = [Activation("relu") if i in bad else layer for i, layer in enumerate(net.layers)]
    return with_layers(problem, layers) if bad else None


def no_hidden_sigmoid(problem: TrainingProblem) -> TrainingProblem | None:
    """Replace every sigmoid between layers with tanh, a sigmoid with mean 0 and four times the slope."""
    net = problem.recipe.net
    hidden = _hidden(problem.recipe.net)
    bad = [i for i in hidden if getattr(net.layers[i], "function", "") == "sigmoid"]
    layers = [Activation("tanh") if i in bad else layer for i, layer in enumerate(net.layers)]
    return with_layers(problem, layers) if bad else None


def add_nonlinearity(problem: TrainingProblem) -> TrainingProblem | None:
    """Add relu after every hidden affine layer that nothing nonlinear follows, with initial weights that suit it."""
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


def add_hidden_layer(problem: TrainingProblem) -> TrainingProblem | None:
    """Add a hidden layer with relu to a network that has only one affine layer, with initial weights that suit it."""
    layers = problem.recipe.net.layers
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    if len(dense) != 1:
        return None
    i = dense[0]
    hidden = (Dense(USUAL.widened), Activation("relu"))
    last = replace(layers[i], initializer=None)  # type: ignore[type-var]
    return with_layers(replace(problem, start=None), [*layers[:i], *hidden, last, *layers[i + 1 :]])


def _linear(layer: Layer) -> bool:
    return isinstance(layer, BatchNorm | Dropout | Scale) or (isinstance(layer, Activation) and is_affine(layer))


def no_head(problem: TrainingProblem) -> TrainingProblem | None:
    """Remove the activation between the last affine layer and the loss, or a link that the targets do not fit."""
    last = head(problem.recipe.net)
    if last is not None:
        return with_layers(problem, [f for i, f in enumerate(problem.recipe.net.layers) if i != last[0]])
    loss = problem.recipe.loss
    return None if not loss.links or loss.link == "identity" else with_recipe(problem, loss=linked(loss))


def add_bias(problem: TrainingProblem) -> TrainingProblem | None:
    """Add a bias to every dense layer that no norm layer follows."""
    layers = list(problem.recipe.net.layers)
    for i, layer in enumerate(layers):
        normed = i + 1 < len(layers) and isinstance(layers[i + 1], BatchNorm)
        if isinstance(layer, Dense) and not layer.bias and not normed:
            layers[i] = replace(layer, bias=True)
    return with_layers(problem, layers)


def one_activation(problem: TrainingProblem) -> TrainingProblem | None:
    """Keep the first of consecutive activations."""
    layers = problem.recipe.net.layers
    kept = [f for i, f in enumerate(layers) if not (i and _are_activations(layers[i - 1], f))]
    return with_layers(problem, kept)


def _are_activations(first: Layer, second: Layer) -> bool:
    return isinstance(first, Activation) and isinstance(second, Activation)


def batch_norm(problem: TrainingProblem) -> TrainingProblem | None:
    """Add batch norm before every hidden activation that follows an affine layer."""
    if problem.recipe.batch_size < USUAL.tiny_norm_batch or len(problem.rows) < USUAL.norm_rows:
        return None
    hidden = set(_hidden(problem.recipe.net))
    layers: list[Layer] = []
    for i, layer in enumerate(problem.recipe.net.layers):
        if i in hidden and isinstance(problem.recipe.net.layers[i - 1], Dense):
            layers.append(BatchNorm())
        layers.append(layer)
    return with_layers(problem, layers)


def layer_norm(problem: TrainingProblem) -> TrainingProblem | None:
    """Replace batch norm with layer norm."""
    return with_layers(problem, [LayerNorm() if isinstance(f, BatchNorm) else f for f in problem.recipe.net.layers])


def fresh_statistics(problem: TrainingProblem) -> TrainingProblem | None:
    """Use the library's batch norm with its default momentum."""
    return with_layers(problem, [BatchNorm() if isinstance(f, BatchNorm) else f for f in problem.recipe.net.layers])


def no_dropout(problem: TrainingProblem) -> TrainingProblem | None:
    """Remove all dropout."""
    return with_layers(problem, [f for f in problem.recipe.net.layers if not isinstance(f, Dropout)])


def library_layers(problem: TrainingProblem) -> TrainingProblem | None:
    """Replace every layer that was derived from one of the library's with that one."""
    return with_layers(problem, [_library_layer(layer) for layer in problem.recipe.net.layers])


def _library_layer(layer: Any) -> Any:
    for kind in (Dense, Activation, BatchNorm, LayerNorm, Dropout):
        if isinstance(layer, kind) and type(layer) is not kind:
            return kind(**{name: getattr(layer, name) for name in kind.__dataclass_fields__})
    return layer


def width(factor: float, problem: TrainingProblem) -> TrainingProblem | None:
    """Multiply the width of the hidden layers; never below 2 units, and at least 32 if they grow."""
    layers = list(problem.recipe.net.layers)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    for i in dense[:-1]:
        units = math.ceil(layers[i].units * factor)  # type: ignore[attr-defined]
        layers[i] = replace(layers[i], units=max(units, USUAL.widened if factor > 1 else USUAL.narrowed))  # type: ignore[type-var]
    return with_layers(problem, layers)


def narrowest(net: Net) -> float:
    """Return the units of the narrowest hidden layer; infinity if there is none."""
    return min([layer.units for layer in net.layers if isinstance(layer, Dense)][:-1], default=math.inf)


def fewer_layers(problem: TrainingProblem) -> TrainingProblem | None:
    """Keep two hidden layers of a deeper network."""
    net = problem.recipe.net
    dense = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    if len(dense) <= 3:
        return None
    return with_layers(replace(problem, start=None), [*net.layers[: dense[2]], *net.layers[dense[-1] :]])
